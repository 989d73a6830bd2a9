"""The HTTP API's addresses. Layer 6."""

from django.urls import path

from .api import views

app_name = "phone_otp"

urlpatterns = [
    path("request/", views.RequestView.as_view(), name="request"),
    path("resend/", views.ResendView.as_view(), name="resend"),
    path("confirm/", views.ConfirmView.as_view(), name="confirm"),
    path("challenges/<str:challenge>/", views.ChallengeView.as_view(), name="challenge"),
    path("phones/", views.PhonesView.as_view(), name="phones"),
    path("phones/<int:phone_id>/", views.PhoneView.as_view(), name="phone"),
    path("phones/<int:phone_id>/primary/", views.PrimaryPhoneView.as_view(), name="primary-phone"),
]
