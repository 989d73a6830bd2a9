"""The URLs of django-allauth's API."""

from django.urls import include, path

urlpatterns = [path("_allauth/", include("allauth.headless.urls"))]
