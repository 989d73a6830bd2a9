"""The addresses of a site of `benchmarks.worker`: those of the apps that it has."""

from django.apps import apps
from django.urls import URLPattern, URLResolver, include, path
from rest_framework.authtoken.views import obtain_auth_token

urlpatterns: list[URLPattern | URLResolver] = [path("token/", obtain_auth_token)]

if apps.is_installed("django.contrib.admin"):
    from django.contrib import admin

    urlpatterns.append(path("admin/", admin.site.urls))
if apps.is_installed("django_phone_otp"):
    urlpatterns.append(path("api/phone/", include("django_phone_otp.urls")))
if apps.is_installed("allauth"):
    urlpatterns.append(path("_allauth/", include("allauth.headless.urls")))
