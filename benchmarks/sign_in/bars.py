"""How fast this app has to be, in ratios, and whether it is."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .results import FLOOR, NO_CHALLENGES, Read, Results, milliseconds, names_of, percentile, ratio
from .scenarios import SCENARIOS, SignIns

APP, QUEUES = "inline", ("tasks", "celery")
CPU_OF_FLOOR = 1.6
ASKS_OF_OTHERS = 2.0
REQUEST_OF_OTHERS = 0.4
BURST_OF_FLOOR = 0.1
GROWN = 1.15


@dataclass(frozen=True, slots=True)
class Bar:
    """One of them: what is compared, the ratio that was measured, and the limit."""

    name: str
    ratio: float
    limit: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Say whether the ratio is on the right side of the limit."""
        return self.ratio >= self.limit if self.at_least else self.ratio <= self.limit

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "does not hold"
        word = "at least" if self.at_least else "at most"
        return f"{self.name}: {self.ratio:.2f}, {word} {self.limit:.2f}: {verdict}"


def judge(results: Results) -> Iterator[Bar]:
    """Compare what was measured with the bars; of what was not measured nothing is said."""
    yield from _judge_cpu(results)
    yield from _judge_crowd(results)
    yield from _judge_bursts(results)
    yield from _judge_growth(results)


def _judge_cpu(results: Results) -> Iterator[Bar]:
    for is_known in (True, False):
        found = _choose(results.sign_ins, SCENARIOS[0].name, is_known=is_known)
        phones = "known phones" if is_known else "new phones"
        times = ratio(found, APP, FLOOR, milliseconds("total"))
        if times:
            yield Bar(f"CPU, {phones}, of the floor", times, CPU_OF_FLOOR)
        for other in _others(found):
            times = ratio(found, APP, other, milliseconds("total"))
            if times and other != FLOOR:
                yield Bar(f"CPU, {phones}, of {other}", times, 1)


def _judge_crowd(results: Results) -> Iterator[Bar]:
    found = _choose(results.sign_ins, SCENARIOS[-1].name, is_known=True)
    for queue in QUEUES:
        for other in _others(found):
            faster = ratio(found, queue, other, lambda one: one.asks_per_second)
            sooner = ratio(found, queue, other, percentile("request"))
            if faster and sooner:
                name = f"{SCENARIOS[-1].name}, {queue}"
                yield Bar(f"{name}, request/ per second, of {other}", faster, ASKS_OF_OTHERS, True)
                yield Bar(f"{name}, request/ p50, of {other}", sooner, REQUEST_OF_OTHERS)


def _judge_bursts(results: Results) -> Iterator[Bar]:
    floor = {each.round: each for each in results.bursts if each.contender == FLOOR}
    for queue in QUEUES:
        own = [each for each in results.bursts if each.contender == queue]
        if own:
            yield Bar(f"burst, {queue}, sent twice", sum(each.sent_twice for each in own), 0)
        ratios = [
            each.accepted_seconds / floor[each.round].accepted_seconds
            for each in own
            if each.round in floor
        ]
        if ratios:
            middle = statistics.median(ratios)
            yield Bar(f"burst, {queue}, accepted, of the floor", middle, BURST_OF_FLOOR)


def _judge_growth(results: Results) -> Iterator[Bar]:
    reads: dict[str, Read] = {
        "CPU": milliseconds("total"),
        "request/ p50": percentile("request"),
        "confirm/ p50": percentile("confirm"),
    }
    for is_known in (True, False):
        found = [each for each in results.growth if each.is_known is is_known]
        for size in names_of(found):
            for what, read in reads.items():
                times = ratio(found, size, NO_CHALLENGES, read)
                if times and size != NO_CHALLENGES:
                    phones = "known phones" if is_known else "new phones"
                    name = f"{int(size):,} old challenges, {what}, {phones}, of none"
                    yield Bar(name, times, GROWN)


def _choose(found: Sequence[SignIns], scenario: str, *, is_known: bool) -> list[SignIns]:
    return [each for each in found if (each.scenario, each.is_known) == (scenario, is_known)]


def _others(found: Sequence[SignIns]) -> list[str]:
    """Name those who send inside the request, apart from this app."""
    return [name for name in names_of(found) if name not in (APP, *QUEUES)]
