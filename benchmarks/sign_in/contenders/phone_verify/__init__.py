"""django-phone-verify, with a login view: by itself it says that a code is right."""

from __future__ import annotations

from typing import Any

from ..base import REST, Ask, Body, Contender


class PhoneVerify(Contender):
    """Its own view for asking; its serializer in a view of ours for the login."""

    name = "phone-verify"
    title = "django-phone-verify, with a login view"
    distributions = ("django-phone-verify",)
    leaves_out = (
        "users and tokens (added here), limits for messages, digests, more than one account at a "
        "service, a record of deliveries and answers"
    )
    tables = ("auth_user", "sms_verification")

    def settings(self) -> dict[str, Any]:
        """Set up what its documentation asks for."""
        return {
            "INSTALLED_APPS": [*REST, "phone_verify"],
            "PHONE_VERIFICATION": {
                "BACKEND": f"{self.package}.backend.StandIn",
                "OPTIONS": {},
                "TOKEN_LENGTH": 6,
                "MESSAGE": "Your code for {app} is {security_code}",
                "APP_NAME": "the benchmark",
                "SECURITY_CODE_EXPIRATION_SECONDS": 300,
                "VERIFY_SECURITY_CODE_ONLY_ONCE": True,
            },
        }

    def ask(self, phone: str, *, is_known: bool) -> Ask:
        """Ask with the phone."""
        return Ask("/phone/register", {"phone_number": phone})

    def answer(self, asked: Body, phone: str, code: str, *, is_known: bool) -> Ask:
        """Answer with the phone, the token of the session, and the code."""
        token = asked["session_token"]
        body = {"phone_number": phone, "session_token": token, "security_code": code}
        return Ask("/login", body)
