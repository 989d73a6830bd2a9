"""The URLs of the floor."""

from django.urls import path

from .views import ConfirmView, RequestView

urlpatterns = [path("request/", RequestView.as_view()), path("confirm/", ConfirmView.as_view())]
