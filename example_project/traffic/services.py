"""How the services behave in this month: how fast, how dear, how often they fail."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django_phone_otp.choices import Channel, DeliveryOutcome

Weights = Mapping[DeliveryOutcome, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Behaviour:
    """How the service behind one account behaves; `failures` are parts of all messages.

    `answer_ms` is the middle of what it takes to answer, `spread` how far it goes from there (of
    the logarithm), `cost` what it asks for a message in `currency`, where it tells.
    """

    answer_ms: float
    spread: float
    cost: Decimal | None = None
    currency: str = ""
    arrives: float = 0.96
    failures: Weights = field(default_factory=dict)


OUTCOME = DeliveryOutcome
BEHAVIOURS = {
    "calls": Behaviour(
        answer_ms=620,
        spread=0.45,
        cost=Decimal("0.40000"),
        currency="RUB",
        arrives=0.92,
        failures={OUTCOME.UNREACHABLE: 0.02, OUTCOME.UNCERTAIN: 0.002, OUTCOME.UNAVAILABLE: 0.001},
    ),
    "texts": Behaviour(
        answer_ms=340,
        spread=0.5,
        cost=Decimal("4.20000"),
        currency="RUB",
        failures={OUTCOME.UNREACHABLE: 0.006, OUTCOME.UNCERTAIN: 0.003, OUTCOME.REJECTED: 0.001},
    ),
    "reverse": Behaviour(
        answer_ms=180, spread=0.35, cost=Decimal("0.25000"), currency="RUB", arrives=0.88
    ),
    "minsk": Behaviour(
        answer_ms=480,
        spread=0.6,
        cost=Decimal("0.02900"),
        currency="EUR",
        failures={OUTCOME.UNCERTAIN: 0.006, OUTCOME.UNREACHABLE: 0.008, OUTCOME.THROTTLED: 0.002},
    ),
    "world": Behaviour(
        answer_ms=900,
        spread=0.7,
        cost=Decimal("0.04100"),
        currency="EUR",
        arrives=0.93,
        failures={OUTCOME.UNCERTAIN: 0.01, OUTCOME.UNREACHABLE: 0.012, OUTCOME.UNAVAILABLE: 0.003},
    ),
    "reserve": Behaviour(
        answer_ms=410, spread=0.4, arrives=0.98, failures={OUTCOME.INVALID_RECIPIENT: 0.004}
    ),
}
UNKNOWN = Behaviour(answer_ms=400, spread=0.5)

# What providers say then, as the transport and their classes word it.
WORDS = {
    OUTCOME.UNCERTAIN: "GET 127.0.0.1: ReadTimeout",
    OUTCOME.UNAVAILABLE: "GET 127.0.0.1: ConnectionError",
    OUTCOME.UNREACHABLE: "HTTP 200 subscriber cannot be reached",
    OUTCOME.REJECTED: "HTTP 400 message refused",
    OUTCOME.THROTTLED: "HTTP 429 too many requests",
    OUTCOME.NO_FUNDS: "HTTP 402 not enough money",
    OUTCOME.INVALID_RECIPIENT: "HTTP 400 invalid number",
}
# How long it takes to hear that.
TIMEOUT_MS = 5_000
REFUSED_MS = 25

# Seconds from the message to the code that is typed: the middle, and how far it goes from there.
ANSWERS = {
    Channel.FLASH_CALL: (11.0, 0.45),
    Channel.SMS: (17.0, 0.55),
    Channel.TELEGRAM: (14.0, 0.5),
    Channel.REVERSE_CALL: (21.0, 0.4),
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """A time in which an account fails, in the ways and parts that `failures` says."""

    account: str
    since: datetime
    until: datetime
    failures: Weights


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of asking a service."""

    outcome: DeliveryOutcome
    duration_ms: int
    detail: str = ""


class Services:
    """The services, and what is wrong with them when."""

    def __init__(self, troubles: list[Trouble], rng: random.Random) -> None:
        self._troubles = troubles
        self._rng = rng

    def ask(self, account: str, at: datetime) -> Reply:
        """Give what a service answers to a message at this moment."""
        behaviour, rng = behaviour_of(account), self._rng
        failures = behaviour.failures
        for trouble in self._troubles:
            if trouble.account == account and trouble.since <= at < trouble.until:
                failures = trouble.failures
        duration_ms = round(behaviour.answer_ms * rng.lognormvariate(0, behaviour.spread))
        draw = rng.random()
        for outcome, part in failures.items():
            draw -= part
            if draw < 0:
                return Reply(outcome, _time(outcome, duration_ms, rng), WORDS[outcome])
        return Reply(DeliveryOutcome.SENT, duration_ms)

    def arrives(self, account: str) -> bool:
        """Say whether a message that was accepted gets there."""
        return self._rng.random() < behaviour_of(account).arrives

    def seconds_to_answer(self, channel: str) -> float:
        """Give how long a person takes, from the message to the code."""
        middle, spread = ANSWERS.get(Channel(channel), ANSWERS[Channel.SMS])
        return max(2.0, middle * self._rng.lognormvariate(0, spread))


def behaviour_of(account: str) -> Behaviour:
    """Give how the service of an account behaves."""
    return BEHAVIOURS.get(account, UNKNOWN)


def _time(outcome: DeliveryOutcome, duration_ms: int, rng: random.Random) -> int:
    if outcome is DeliveryOutcome.UNCERTAIN:
        return TIMEOUT_MS + rng.randrange(40)
    if outcome is DeliveryOutcome.UNAVAILABLE:
        return REFUSED_MS + rng.randrange(60)
    return duration_ms
