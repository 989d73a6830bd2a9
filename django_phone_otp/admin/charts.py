"""The dashboard's charts: from a report to series, and to the table behind each. Layer 5.

A chart and its table are made of the same numbers and the same words, so they cannot disagree.
A step of time in which nobody asked for a code has no value: in a line it is a gap, not a zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from ..choices import DeliveryOutcome
from ..flow.tallies import Tally
from . import numbers

Value = float | None
MAX_REASONS_COUNT = 4  # in one chart; so many fillings can be told apart, and the rest is one more
OTHER_REASONS = "reason-other"


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or the bars of one kind. `ink` names a colour and a pattern of the style sheet."""

    name: str
    ink: str
    values: Sequence[Value]
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn, and written in the table behind it.

    `kind` is "line", "bar" or "hours", `unit` that of the axis: "count", "percent" or "second".
    The last step `is_partial` while it is not over.
    """

    key: str
    title: str
    note: str
    step_title: str
    steps: Sequence[str]
    series: Sequence[Series]
    kind: str = "line"
    unit: str = "count"
    is_partial: bool = False

    @property
    def has_values(self) -> bool:
        """Say whether there is anything to draw."""
        return any(value for each in self.series for value in each.values)

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """Give the rows of the table: a step and what each series says of it."""
        return [
            (step, [each.texts[place] for each in self.series])
            for place, step in enumerate(self.steps)
        ]

    def for_script(self) -> dict[str, Any]:
        """Give what the script draws, as JSON knows it."""
        return {
            "key": self.key,
            "kind": self.kind,
            "unit": self.unit,
            "isPartial": self.is_partial,
            "steps": list(self.steps),
            "series": [
                {
                    "name": each.name,
                    "ink": each.ink,
                    "values": list(each.values),
                    "texts": list(each.texts),
                }
                for each in self.series
            ],
        }


@dataclass(frozen=True, slots=True)
class TimeSteps:
    """The steps of a period: what each is called, and what happened in it."""

    names: Sequence[str]
    tallies: Sequence[Tally]


def draw_codes(steps: TimeSteps) -> Chart:
    """Draw how many codes were asked for, sent, and led to a login."""
    return _over_time(
        "codes",
        _("Codes"),
        _("Where a line is broken off, nobody asked for a code."),
        steps,
        [
            _line(_("Asked for"), "asked", steps, lambda each: each.requested_count),
            _line(_("Sent"), "sent", steps, lambda each: each.sent_count),
            _line(_("Verified"), "verified", steps, lambda each: each.verified_count),
        ],
    )


def draw_conversion(steps: TimeSteps) -> Chart:
    """Draw what share of the codes went out, and what share of these led to a login."""
    write = numbers.write_percent
    lines = [
        _line(_("Sent, of the asked for"), "sent", steps, _sent_share, write),
        _line(_("Verified, of the sent"), "verified", steps, lambda each: each.conversion, write),
    ]
    note = _("The newest step rises yet: people are still answering.")
    return _over_time("conversion", _("Conversion"), note, steps, lines, unit="percent")


def _sent_share(tally: Tally) -> Value:
    return tally.sent_count / tally.requested_count if tally.requested_count else None


def draw_waits(steps: TimeSteps) -> Chart:
    """Draw how long people took from the message to the login."""
    lines = [
        _line(name, ink, steps, _percentile(share), numbers.write_seconds)
        for name, ink, share in (
            (_("half of the people"), "verified", 0.5),
            (_("nine of ten"), "sent", 0.9),
            (_("99 of 100"), "asked", 0.99),
        )
    ]
    note = _("From the message to the right code, at most.")
    return _over_time("waits", _("Time to log in"), note, steps, lines, unit="second")


def _percentile(share: float) -> Callable[[Tally], Value]:
    return lambda each: each.login_seconds.percentile(share)


def draw_failures(steps: TimeSteps) -> Chart:
    """Draw the deliveries that failed, by the reasons that were most frequent."""
    totals: dict[str, int] = {}
    for tally in steps.tallies:
        for outcome, count in tally.failures.items():
            totals[outcome] = totals.get(outcome, 0) + count
    ordered = sorted(totals, key=lambda outcome: (-totals[outcome], outcome))
    named, others = ordered[:MAX_REASONS_COUNT], ordered[MAX_REASONS_COUNT:]
    series = [
        _bars(name_outcome(outcome), _ink_reason(outcome), steps, [outcome]) for outcome in named
    ]
    if others:
        series.append(_bars(_("other reasons"), OTHER_REASONS, steps, others))
    note = _("Tries at a provider that brought no message to the person.")
    return _over_time("failures", _("Failed deliveries"), note, steps, series, kind="bar")


def _ink_reason(outcome: str) -> str:
    """Give a reason's own ink, so that it looks alike in every period, whatever its rank."""
    return f"reason-{outcome}" if outcome in DeliveryOutcome.values else OTHER_REASONS


def draw_day(tallies: Sequence[Tally]) -> Chart:
    """Draw at what hours of the day people ask for codes."""
    counted: list[tuple[str, str, Callable[[Tally], int]]] = [
        (_("Asked for"), "asked", lambda each: each.requested_count),
        (_("Verified"), "verified", lambda each: each.verified_count),
    ]
    series = []
    for name, ink, count in counted:
        values = [count(each) for each in tallies]
        series.append(Series(name, ink, values, [numbers.write_count(each) for each in values]))
    conversions = [numbers.write_percent(each.conversion) for each in tallies]
    series.append(Series(_("Conversion"), "", [], conversions))
    return Chart(
        "hours",
        _("Hours of the day"),
        _("All days of the period together, in the site's time zone."),
        _("Hour"),
        [f"{hour:02}:00" for hour in range(24)],
        series,
        kind="hours",
    )


def name_outcome(outcome: str) -> str:
    """Name what became of a delivery; words of a version to come stay as they are."""
    known = outcome in DeliveryOutcome.values
    return str(DeliveryOutcome(outcome).label) if known else outcome


def _over_time(
    key: str, title: str, note: str, steps: TimeSteps, series: Sequence[Series], **rest: Any
) -> Chart:
    """Make a chart of a period up to now: its last step is not over."""
    return Chart(key, title, note, _("Time"), steps.names, series, is_partial=True, **rest)


def _line(
    name: str,
    ink: str,
    steps: TimeSteps,
    measure: Callable[[Tally], Value],
    write: Callable[[Any], str] = numbers.write_count,
) -> Series:
    measured = [measure(each) if each.requested_count else None for each in steps.tallies]
    texts = [numbers.UNKNOWN if each is None else write(each) for each in measured]
    return Series(name, ink, measured, texts)


def _bars(name: str, ink: str, steps: TimeSteps, outcomes: Iterable[str]) -> Series:
    kinds = list(outcomes)
    counts = [sum(each.failures.get(kind, 0) for kind in kinds) for each in steps.tallies]
    return Series(name, ink, counts, [numbers.write_count(each) for each in counts])
