"""The API as the example site has it: who is logged in shows the token of the login."""

from typing import Any

from django.urls import URLPattern, include, path
from rest_framework.authentication import TokenAuthentication

from django_phone_otp import urls


def _with_tokens(pattern: Any) -> URLPattern:
    view = pattern.callback.cls.as_view(authentication_classes=[TokenAuthentication])
    return path(pattern.pattern._route, view, name=pattern.name)


_patterns = [_with_tokens(each) for each in urls.urlpatterns]
urlpatterns = [path("api/phone/", include((_patterns, urls.app_name)))]
