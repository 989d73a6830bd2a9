"""The addresses of the document, which have no slash at the end. Layer 5."""

from django.urls import path
from django.urls.resolvers import RoutePattern

from .checks import TokenPattern
from .views import SendCodeView, SignInView

app_name = "phone_otp_lifepos"

urlpatterns = [
    path("auth/send-code-by-phone", SendCodeView.as_view(), name="send-code-by-phone"),
    TokenPattern(
        RoutePattern("auth/sign-in-by-code", is_endpoint=True),
        SignInView.as_view(),
        name="sign-in-by-code",
    ),
]
