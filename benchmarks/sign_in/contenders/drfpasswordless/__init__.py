"""drfpasswordless, with login by mobile phone."""

from __future__ import annotations

from typing import Any

from ..base import REST, Ask, Body, Contender


class Drfpasswordless(Contender):
    """Its own views, and a user model with a phone as its documentation shows one."""

    name = "drfpasswordless"
    title = "drfpasswordless"
    distributions = ("drfpasswordless",)
    leaves_out = (
        "limits for messages and for wrong codes, codes that are right once, digests, more than "
        "one account at a service, numbers as people type them, a record of deliveries and answers"
    )
    tables = ("drfpasswordless_site_user",)

    def settings(self) -> dict[str, Any]:
        """Set up what its documentation asks for."""
        return {
            "INSTALLED_APPS": [*REST, "drfpasswordless", f"{self.package}.apps.Site"],
            "AUTH_USER_MODEL": "drfpasswordless_site.User",
            "PASSWORDLESS_AUTH": {
                "PASSWORDLESS_AUTH_TYPES": ["MOBILE"],
                "PASSWORDLESS_SMS_CALLBACK": f"{self.package}.callback.send",
                "PASSWORDLESS_TOKEN_EXPIRE_TIME": 300,
            },
        }

    def ask(self, phone: str, *, is_known: bool) -> Ask:
        """Ask with the phone."""
        return Ask("/auth/mobile/", {"mobile": phone})

    def answer(self, asked: Body, phone: str, code: str, *, is_known: bool) -> Ask:
        """Answer with the phone and the code."""
        return Ask("/auth/token/", {"mobile": phone, "token": code})
