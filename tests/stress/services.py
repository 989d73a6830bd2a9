"""The services of the run: local gateways, of which one fails half of its calls."""

import random
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Self

from example_project.gateway import Gateway, Message
from example_project.gateway.exchange import Ask
from example_project.gateway.server import Reply

# What a bad day looks like: refusals, server errors, resets and silence, before and after the
# message went out.
FAULTS = [
    *("429", "404", "no-money", "echo"),  # certainly not sent: the next account is asked
    *("500", "503", "html-500", "html"),
    *("reset", "close", "truncated", "bad-json"),
    *("timeout", "silence", "drip-body"),  # until the site gives up
]
TIMEOUT_SECONDS = 1.0
SLOW = "latency=0.3"
PHONE_DAILY_LIMIT = 3


class Service(Gateway):
    """A gateway that fails a part of its calls at random, and is slow in another."""

    def __init__(self, *, failing: float = 0.0, slow: float = 0.0) -> None:
        super().__init__()
        self.faults: Counter[str] = Counter()
        self._failing, self._slow = failing, slow

    @property
    def failure_count(self) -> int:
        """Count what it did not answer rightly; slow is right."""
        return self.faults.total() - self.faults[""] - self.faults[SLOW]

    def reply(self, ask: Ask) -> Reply:
        chance = random.random()
        if chance < self._failing:
            fault = random.choice(FAULTS)
        else:
            fault = SLOW if chance < self._failing + self._slow else ""
        self.faults[fault] += 1
        return super().reply(replace(ask, path=f"/~{fault}{ask.path}") if fault else ask)


class Services:
    """All of them; `limit` is the number of messages of a day at the account `small`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.small = Service(slow=0.3)
        self.shaky = Service(failing=0.5, slow=0.2)
        self.steady = Service(slow=0.3)
        self.calls = Service()
        self._running = ExitStack()

    def __enter__(self) -> Self:
        for service in (self.small, self.shaky, self.steady, self.calls):
            self._running.enter_context(service)
        return self

    def __exit__(self, *_error: object) -> None:
        self._running.close()

    @property
    def providers(self) -> dict[str, Any]:
        """Write PROVIDERS, in the order of the route."""
        own = {"token": "t" * 20, "own_code": True}
        telegram = {"token": "t" * 20}  # here the code is the provider's
        connect = {"email": "owner@shop.example", "api_key": "k" * 20, "length": 6}
        return {
            "small": _entry(self.small, "telefon-ip-sms", own, DAILY_LIMIT=self.limit, PRIORITY=1),
            "shaky": _entry(
                self.shaky,
                "telefon-ip-sms",
                own,
                PHONE_DAILY_LIMIT=PHONE_DAILY_LIMIT,
                PRIORITY=2,
            ),
            "telegram": _entry(self.shaky, "telefon-ip-telegram", telegram, PRIORITY=9),
            "steady": _entry(self.steady, "oneconnect", connect, PRIORITY=3),
            "calls": _entry(self.calls, "telefon-ip-reverse", {"token": "t" * 20}, PRIORITY=4),
        }

    def messages(self, phone: str) -> list[Message]:
        """Give what was really sent to a phone, oldest first."""
        found = [
            message
            for service in (self.small, self.shaky, self.steady)
            for message in service.on_screen(phone)
        ]
        return sorted(found, key=lambda each: each.at)

    def phones(self) -> set[str]:
        """Give the phones that anything was sent to."""
        services = (self.small, self.shaky, self.steady)
        return {phone for each in services for phone, _messages in each.newest_screens(10**9)}


def _entry(service: Service, backend: str, own: dict[str, Any], **beside: Any) -> dict[str, Any]:
    options = {**own, "base_url": service.url, "timeout": TIMEOUT_SECONDS}
    return {"BACKEND": backend, "OPTIONS": options, **beside}
