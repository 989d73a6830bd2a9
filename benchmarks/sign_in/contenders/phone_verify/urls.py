"""The URLs of django-phone-verify, and the login."""

from django.urls import include, path

from .views import LoginView

urlpatterns = [path("", include("phone_verify.urls")), path("login", LoginView.as_view())]
