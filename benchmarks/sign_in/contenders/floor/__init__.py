"""The floor: the least that a site on Django REST framework could do."""

from __future__ import annotations

from typing import Any

from ..base import REST, Ask, Body, Contender


class Floor(Contender):
    """One INSERT and one message; one conditional UPDATE, a user and a token."""

    name = "floor"
    title = "the floor"
    distributions = ("djangorestframework",)
    leaves_out = (
        "limits and counts of any kind, digests, numbers as people type them, more than one "
        "account at a service and what may go wrong with it, records"
    )
    tables = ("auth_user", "floor_challenge")
    asked_status = 201

    def settings(self) -> dict[str, Any]:
        """Add the framework, its tokens and one model."""
        return {"INSTALLED_APPS": [*REST, self.package]}

    def ask(self, phone: str, *, is_known: bool) -> Ask:
        """Ask with the phone."""
        return Ask("/request/", {"phone": phone})

    def answer(self, asked: Body, phone: str, code: str, *, is_known: bool) -> Ask:
        """Answer with all that the UPDATE asks for, so that nothing has to be read."""
        return Ask("/confirm/", {"challenge": asked["challenge"], "phone": phone, "code": code})
