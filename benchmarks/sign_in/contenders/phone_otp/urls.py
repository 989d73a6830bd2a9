"""The URLs of this app."""

from django.urls import include, path

urlpatterns = [path("", include("django_phone_otp.urls"))]
