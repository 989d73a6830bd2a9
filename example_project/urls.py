"""Addresses of the example site: one page of its own, the app's pages and API, and the admin."""

from django.apps import apps
from django.contrib import admin
from django.urls import include, path

from . import views

urlpatterns = [
    path("", views.home, name="home"),
    path("", include("django_phone_otp.web.urls")),
    path("logout/", views.log_out, name="logout"),
    path("api/phone/", include("django_phone_otp.urls")),
    # The schema is that of the app's API.
    path("api/me/", views.Me.as_view(schema=None), name="me"),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
]

if apps.is_installed("drf_spectacular"):
    from drf_spectacular.views import SpectacularAPIView

    urlpatterns.append(path("api/schema/", SpectacularAPIView.as_view(), name="schema"))
