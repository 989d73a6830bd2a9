"""The login pages' addresses. A site puts a view of its own before the `include`. Layer 5."""

from django.urls import path
from django.urls.resolvers import RoutePattern

from .checks import PagePattern
from .views import CodeView, PhoneLoginView, ResendView, StatusView

app_name = "phone_otp_web"

urlpatterns = [
    PagePattern(
        RoutePattern("login/", is_endpoint=True),
        PhoneLoginView.as_view(),
        name="login",
    ),
    path("login/code/", CodeView.as_view(), name="code"),
    path("login/resend/", ResendView.as_view(), name="resend"),
    path("login/status/", StatusView.as_view(), name="status"),
]
