"""django-allauth, headless, with login by a code sent to a phone."""

from __future__ import annotations

from typing import Any

from ..base import Ask, Body, Contender

API = "/_allauth/app/v1/auth"


class Allauth(Contender):
    """Its API for apps: a known phone asks for a code, a new one signs up."""

    name = "allauth"
    title = "django-allauth, headless"
    distributions = ("django-allauth",)
    leaves_out = (
        "budgets of messages and of wrong codes by phone and day, digests, more than one account "
        "at a service, numbers as people type them, a record of deliveries and answers"
    )
    tables = ("allauth_site_user",)

    def settings(self) -> dict[str, Any]:
        """Set up what its documentation asks for; sessions, its tokens, are in the cache."""
        return {
            "INSTALLED_APPS": [
                "allauth",
                "allauth.account",
                "allauth.headless",
                f"{self.package}.apps.Site",
            ],
            "MIDDLEWARE": ["allauth.account.middleware.AccountMiddleware"],
            "AUTHENTICATION_BACKENDS": ["allauth.account.auth_backends.AuthenticationBackend"],
            "SESSION_ENGINE": "django.contrib.sessions.backends.cache",
            "AUTH_USER_MODEL": "allauth_site.User",
            "ACCOUNT_ADAPTER": f"{self.package}.adapter.Adapter",
            "ACCOUNT_LOGIN_METHODS": {"phone"},
            "ACCOUNT_SIGNUP_FIELDS": ["phone*"],
            "ACCOUNT_LOGIN_BY_CODE_ENABLED": True,
            "ACCOUNT_EMAIL_VERIFICATION": "none",
            "ACCOUNT_USER_MODEL_USERNAME_FIELD": None,
            "ACCOUNT_USER_MODEL_EMAIL_FIELD": None,
            "ALLAUTH_TRUSTED_PROXY_COUNT": 1,  # each person comes from an address of their own
            "HEADLESS_ONLY": True,
            "HEADLESS_CLIENTS": ("app",),
        }

    # A request that is accepted is answered with 401: what is missing is the code.
    asked_status = 401

    def ask(self, phone: str, *, is_known: bool) -> Ask:
        """Ask for a code, or sign up."""
        return Ask(f"{API}/code/request" if is_known else f"{API}/signup", {"phone": phone})

    def answer(self, asked: Body, phone: str, code: str, *, is_known: bool) -> Ask:
        """Answer with the code, in the session that was begun."""
        path = f"{API}/code/confirm" if is_known else f"{API}/phone/verify"
        return Ask(path, {"code": code}, {"X-Session-Token": asked["meta"]["session_token"]})

    def proof(self, answered: Body) -> str:
        """Give the token of the session that is logged in."""
        return str(answered["meta"]["session_token"])
