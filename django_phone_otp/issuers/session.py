"""Django's session. Layer 3."""

from django.contrib.auth import login
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest

from .base import Issuer


class SessionIssuer(Issuer):
    """Logs in through the session cookie; the session key is cycled by Django."""

    uses_cookies = True
    needs_app = "django.contrib.sessions"
    needs_middleware = "django.contrib.sessions.middleware.SessionMiddleware"

    def issue(self, request: HttpRequest, user: AbstractBaseUser) -> dict[str, str]:
        """Start the session; nothing is added to the answer."""
        login(request, user)  # type: ignore[arg-type]  # the stubs know one user model
        return {}
