"""Reverse calls: a person proves a phone by calling a number, which lives for two minutes."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


@dataclass(slots=True)
class ReverseCall:
    """Hold one number that a person was asked to call."""

    id: int
    phone: str  # E.164; the phone that should call
    number: str  # E.164; the number to call
    at: datetime
    caller: str = field(default="", repr=False)  # E.164; "" until somebody called


class ReverseCalls:
    """Hold all of them. The gateway's lock guards it."""

    def __init__(self) -> None:
        self.lifetime_seconds = 120.0  # documented by telefon-ip.ru
        self._calls: list[ReverseCall] = []

    def give(self, phone: str) -> ReverseCall:
        """Give out a number that nobody else is to call now."""
        taken = {each.number for each in self.list_awaited()}
        number = ""
        while not number or number in taken:
            number = f"+7800{secrets.randbelow(10_000_000):07d}"
        each = ReverseCall(len(self._calls) + 1, phone, number, datetime.now(UTC))
        self._calls.append(each)
        return each

    def find(self, id_: int) -> ReverseCall | None:
        """Return the one with this id, or `None`."""
        return self._calls[id_ - 1] if 0 < id_ <= len(self._calls) else None

    def list_awaited(self) -> list[ReverseCall]:
        """Return those whose numbers are alive and which the phone did not make yet."""
        since = datetime.now(UTC) - timedelta(seconds=self.lifetime_seconds)
        awaited = []
        for each in reversed(self._calls):
            if each.at <= since:
                break  # all others are older
            if each.caller != each.phone:
                awaited.append(each)
        return awaited

    def ring(self, caller: str, number: str) -> bool:
        """Note a call; return whether the number is alive.

        Another phone's call is noted too: the provider names whoever called.
        """
        for each in self.list_awaited():
            if each.number == number:
                each.caller = caller
                return True
        return False
