"""Tallies: what became of some challenges and their messages, in numbers that add up. Layer 4.

Pure. `flow.traffic` makes them of rows that the database has counted, `flow.report` adds them up
again. Money is exact: a `Decimal` here, a text in JSON.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import accumulate
from typing import Any

from ..choices import DeliveryOutcome

# How long a provider takes to answer, in milliseconds.
ANSWER_BOUNDS_MS = (
    *(10, 25, 50, 75, 100, 150, 200, 300, 400, 500, 750),
    *(1_000, 1_500, 2_000, 3_000, 5_000, 7_500, 10_000, 20_000, 30_000, 60_000),
)
# How long it is from the message to the right code, in seconds.
LOGIN_BOUNDS_SECONDS = (
    *(2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50),
    *(60, 75, 90, 120, 180, 240, 300, 420, 600, 1_200),
)
ABOVE = "above"  # what is above all bounds, in JSON

WENT_OUT = frozenset({DeliveryOutcome.SENT, DeliveryOutcome.UNCERTAIN})
# Noted as deliveries, and nobody meant to send anything.
NO_TRIES = frozenset({DeliveryOutcome.WITHHELD, DeliveryOutcome.TEST})


@dataclass(frozen=True, kw_only=True, slots=True)
class Histogram:
    """How many values are at most as large as each bound, and above the bound before.

    `counts` has one more than `bounds`, for what is above all of them.
    """

    bounds: tuple[int, ...]
    counts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.counts:
            object.__setattr__(self, "counts", (0,) * (len(self.bounds) + 1))

    @property
    def count(self) -> int:
        """Give the number of values."""
        return sum(self.counts)

    def percentile(self, share: float) -> float | None:
        """Give the value that this share (0 to 1) of the values does not exceed; None of nothing.

        Within a bucket the values are taken to lie evenly. Of what is above all bounds nothing is
        known but the last bound, which is given.
        """
        if not self.count:
            return None
        rank = share * self.count
        number = next(
            number
            for number, reached in enumerate(accumulate(self.counts))
            if self.counts[number] and reached >= rank
        )
        if number == len(self.bounds):
            return float(self.bounds[-1])
        lower = self.bounds[number - 1] if number else 0
        part = (rank - sum(self.counts[:number])) / self.counts[number]
        return lower + (self.bounds[number] - lower) * max(0.0, part)


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardTally:
    """How often a guard objected: heeded, and in shadow."""

    blocked_count: int = 0
    shadow_count: int = 0


def _no_answers() -> Histogram:
    return Histogram(bounds=ANSWER_BOUNDS_MS)


def _no_logins() -> Histogram:
    return Histogram(bounds=LOGIN_BOUNDS_SECONDS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What became of some challenges: the funnel from the request to the login, and why.

    Of the challenges that were requested some were sent, of these some answered, of these some
    verified. The rest counts events: `outcomes` the tries to deliver (`DeliveryOutcome`),
    `refusals` the codes that were entered and refused (`Refusal`), `guards` their objections
    (`Guard`). `costs` are by currency, empty where the provider named none; `answer_ms` is how long
    providers took to answer, `login_seconds` from the last message to the right code.
    """

    requested_count: int = 0
    sent_count: int = 0
    answered_count: int = 0
    verified_count: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    refusals: Mapping[str, int] = field(default_factory=dict)
    guards: Mapping[str, GuardTally] = field(default_factory=dict)
    costs: Mapping[str, Decimal] = field(default_factory=dict)
    answer_ms: Histogram = field(default_factory=_no_answers)
    login_seconds: Histogram = field(default_factory=_no_logins)

    @property
    def conversion(self) -> float | None:
        """Give verified ÷ sent, None where nothing was sent."""
        return self.verified_count / self.sent_count if self.sent_count else None

    @property
    def deliveries_count(self) -> int:
        """Give the tries to deliver a message; what was withheld, or a test, is none."""
        return sum(count for word, count in self.outcomes.items() if word not in NO_TRIES)

    @property
    def failures(self) -> dict[str, int]:
        """Give the outcomes that are failures, most frequent first.

        One that is uncertain is among them, for whoever pays: it counts as sent all the same.
        """
        fine = {DeliveryOutcome.SENT, *NO_TRIES}
        found = {word: count for word, count in self.outcomes.items() if word not in fine}
        return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))

    @property
    def failures_count(self) -> int:
        """Give the sum of all failures."""
        return sum(self.failures.values())

    @property
    def details(self) -> dict[str, Any]:
        """Write all but the funnel as JSON; what is nothing is left out."""
        details: dict[str, dict[str, Any]] = {
            "outcomes": dict(self.outcomes),
            "refusals": dict(self.refusals),
            "blocked": {word: each.blocked_count for word, each in self.guards.items()},
            "shadow": {word: each.shadow_count for word, each in self.guards.items()},
            "costs": {currency: str(cost) for currency, cost in self.costs.items()},
            "answer_ms": _write(self.answer_ms),
            "login_seconds": _write(self.login_seconds),
        }
        filled = {name: {k: v for k, v in each.items() if v} for name, each in details.items()}
        return {name: each for name, each in filled.items() if each}


class Adder:
    """Adds up tallies, or what the database has of them, without a new tally for each.

    Money and what is counted by words is added to directly; `answer_ms` and `login_seconds` are by
    bound, as a text.
    """

    __slots__ = (
        *("requested_count", "sent_count", "answered_count", "verified_count"),
        *("outcomes", "refusals", "blocked", "shadow", "costs", "answer_ms", "login_seconds"),
    )

    def __init__(self) -> None:
        self.requested_count = 0
        self.sent_count = 0
        self.answered_count = 0
        self.verified_count = 0
        self.outcomes: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.blocked: Counter[str] = Counter()
        self.shadow: Counter[str] = Counter()
        self.costs: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.answer_ms: Counter[str] = Counter()
        self.login_seconds: Counter[str] = Counter()

    def add(
        self, requested: int, sent: int, answered: int, verified: int, details: Mapping[str, Any]
    ) -> None:
        """Add a funnel, and `details` as JSON has them."""
        self.requested_count += requested
        self.sent_count += sent
        self.answered_count += answered
        self.verified_count += verified
        for name, counts in details.items():
            if name == "costs":
                for currency, cost in counts.items():
                    self.costs[currency] += Decimal(cost)
            elif name in self.__slots__:  # what a later version may have written is left alone
                mine = getattr(self, name)
                for word, count in counts.items():
                    mine[word] += count

    def tally(self) -> Tally:
        """Give what it came to."""
        return Tally(
            requested_count=self.requested_count,
            sent_count=self.sent_count,
            answered_count=self.answered_count,
            verified_count=self.verified_count,
            outcomes=dict(self.outcomes),
            refusals=dict(self.refusals),
            guards={
                word: GuardTally(blocked_count=self.blocked[word], shadow_count=self.shadow[word])
                for word in sorted({*self.blocked, *self.shadow})
            },
            costs=dict(self.costs),
            answer_ms=_read(self.answer_ms, ANSWER_BOUNDS_MS),
            login_seconds=_read(self.login_seconds, LOGIN_BOUNDS_SECONDS),
        )


def add_up(tallies: Iterable[Tally]) -> Tally:
    """Add up any number of tallies; nothing is an empty one."""
    adder = Adder()
    for each in tallies:
        funnel = (each.requested_count, each.sent_count, each.answered_count, each.verified_count)
        adder.add(*funnel, each.details)
    return adder.tally()


def _write(histogram: Histogram) -> dict[str, int]:
    names = (*map(str, histogram.bounds), ABOVE)
    return dict(zip(names, histogram.counts, strict=True))


def _read(counts: Mapping[str, int], bounds: tuple[int, ...]) -> Histogram:
    """Read what was counted by bound; what an older version counted by others goes to the next."""
    sums = [0] * (len(bounds) + 1)
    for name, count in counts.items():
        sums[-1 if name == ABOVE else bisect_left(bounds, int(name))] += count
    return Histogram(bounds=bounds, counts=tuple(sums))
