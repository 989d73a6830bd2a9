"""Report: what the traffic of a period came to, for the dashboard and for alarms. Layer 4.

Reads what `flow.traffic` has counted, and no challenge: it takes the same time for ten challenges
and ten million.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Max, Q, Sum

from ..choices import Period, Source, Span
from ..models import TrafficCount, TrafficSource
from .counts import FUNNEL, MARKER, Key, find_days_until
from .hours import DAY, date_of, hour_of, start_of, zone
from .tallies import Adder, Tally, add_up

# Hours of the day at which the steps of a week begin.
_STEPS_OF_WEEK = (0, 6, 12, 18)
_NO_STEPS = (0,)
# The worst prefixes, and the worst addresses.
SOURCES_COUNT = 20
NAMES = ("account", "channel", "region")
_COLUMNS = ("span", "starts_at", "counted_at", *NAMES, *FUNNEL, "details")


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceTally:
    """What went to neighbouring numbers, or to an address: of `sent_count` so many logged in.

    `scope` is the digits that ten thousand numbers share, such as `+7924450`, or a network.
    """

    scope: str
    sent_count: int
    verified_count: int

    @property
    def unverified_count(self) -> int:
        """Give the challenges that were sent and logged nobody in."""
        return self.sent_count - self.verified_count


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What the traffic from `since` to `until` came to.

    `counted_at` is when the newest of it was counted, None where nothing has been. `previous` is
    the period before, up to the hour that corresponds to the last full one of this. Where a filter
    is set, all of it is of the filter's challenges; only `prefixes` and `addresses`, the worst
    first, are of all, and `accounts`, `channels` and `regions` are those that can be chosen.

    `over_time` has no gaps; its steps are hours (24 hours), six hours (7 days), days (30 and 90).
    `by_hour_of_day` are the 24 hours where the site is. With a filter, in periods of several days,
    the steps of six hours and the hours of the day have the funnel alone.
    """

    since: datetime
    until: datetime
    counted_at: datetime | None
    total: Tally
    previous: Tally
    by_account: Mapping[str, Tally]
    by_channel: Mapping[str, Tally]
    by_region: Mapping[str, Tally]
    by_hour_of_day: Sequence[Tally]
    over_time: Sequence[tuple[datetime, Tally]]
    prefixes: Sequence[SourceTally]
    addresses: Sequence[SourceTally]
    accounts: Sequence[str]
    channels: Sequence[str]
    regions: Sequence[str]


def read_report(
    period: Period,
    now: datetime,
    *,
    account: str = "",
    channel: str = "",
    region: str = "",
) -> Report:
    """Read what the last `period` came to; with a filter, what it came to there. Four queries."""
    frame, wanted = _frame(period, now), (account, channel, region)
    days_until = _find_days_until(frame)
    found = _Found(frame, wanted)
    for row in _read_counts(frame, days_until, wanted):
        found.add(row)
    if period is not Period.DAY:
        for row in _read_hours(frame, wanted):
            found.add_hour(row)
    cells = {key: adder.tally() for key, adder in found.cells.items()}
    accounts, channels, regions = (_names(found.seen, number) for number in range(3))
    sources = _read_sources(frame, days_until)
    return Report(
        since=frame.since,
        until=now,
        counted_at=found.counted_at,
        total=add_up(cells.values()),
        previous=found.previous.tally(),
        by_account=_add_up_by(cells, 0),
        by_channel=_add_up_by(cells, 1),
        by_region=_add_up_by(cells, 2),
        by_hour_of_day=[found.hours_of_day[hour].tally() for hour in range(24)],
        over_time=[(at, found.steps[number].tally()) for number, at in enumerate(frame.steps)],
        prefixes=sources[Source.PREFIX],
        addresses=sources[Source.ADDRESS],
        accounts=accounts,
        channels=channels,
        regions=regions,
    )


# When


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    """The times of a report: its own steps, and the period before, from `before` to `before_until`.

    The day in which that ends is counted by hours, from `last_day_before` on, for it is not whole.
    """

    period: Period
    steps: Sequence[datetime]
    before: datetime
    before_until: datetime
    last_day_before: datetime

    @property
    def since(self) -> datetime:
        return self.steps[0]


def _frame(period: Period, now: datetime) -> _Frame:
    if period is Period.DAY:
        return _frame_hours(now)
    today, count = date_of(now), period.days_count
    hours = _STEPS_OF_WEEK if period is Period.WEEK else _NO_STEPS
    days = [today - DAY * number for number in reversed(range(count))]
    steps = [start_of(day, hour) for day in days for hour in hours]
    return _Frame(
        period=period,
        steps=[at for at in steps if at <= now],
        before=start_of(today - DAY * (2 * count - 1)),
        before_until=start_of(today - DAY * count, now.astimezone(zone()).hour),
        last_day_before=start_of(today - DAY * count),
    )


def _frame_hours(now: datetime) -> _Frame:
    hour = hour_of(now).start
    steps: list[datetime] = []
    for _number in range(24):
        steps.insert(0, hour)
        hour = hour_of(hour - datetime.resolution).start
    return _Frame(
        period=Period.DAY,
        steps=steps,
        before=steps[0] - DAY,
        before_until=steps[-1] - DAY,
        last_day_before=steps[0] - DAY,
    )


# What is read


class _Row(NamedTuple):
    """A row of counts."""

    span: str
    starts_at: datetime
    counted_at: datetime
    account: str
    channel: str
    region: str
    requested: int
    sent: int
    answered: int
    verified: int
    details: dict[str, Any]

    @property
    def key(self) -> Key:
        return self.account, self.channel, self.region

    def add_to(self, adder: Adder) -> None:
        """Add what it counts; a marker counts what all rows of its time come to."""
        if self.key == MARKER:
            requested, sent, answered, verified = self.details["funnel"]
            adder.add(requested, sent, answered, verified, self.details["total"])
        else:
            adder.add(self.requested, self.sent, self.answered, self.verified, self.details)


def _find_days_until(frame: _Frame) -> datetime:
    """Give the time up to which there are days to read; after it, hours are read."""
    found = None if frame.period is Period.DAY else find_days_until()
    return max(found, frame.before) if found else frame.before


def _read_counts(frame: _Frame, days_until: datetime, wanted: Key) -> Iterator[_Row]:
    """Read days, and the hours that no day has; of the period before, what it came to.

    Days that have been added up since we asked how far they go are left to their hours.
    """
    days = Q(span=Span.DAY, starts_at__lt=days_until)
    hours = Q(span=Span.HOUR, starts_at__gte=days_until)
    now = (days | hours) & Q(starts_at__gte=frame.since)
    hours |= Q(span=Span.HOUR, starts_at__gte=frame.last_day_before)
    days_before = days & Q(starts_at__gte=frame.before, starts_at__lt=frame.last_day_before)
    hours_before = hours & Q(starts_at__gte=frame.before, starts_at__lt=frame.before_until)
    before = (days_before | hours_before) & _whole(wanted)
    rows = TrafficCount.primary().filter(now | before).order_by()
    for row in rows.values_list(*_COLUMNS):
        yield _Row(*row)


def _read_hours(frame: _Frame, wanted: Key) -> Iterator[_Row]:
    """Read what each hour came to: with a filter the funnel, which the database adds up."""
    hours = TrafficCount.primary().filter(span=Span.HOUR, starts_at__gte=frame.since)
    rows = hours.filter(_whole(wanted)).order_by()
    if wanted == MARKER:
        for row in rows.values_list(*_COLUMNS):
            yield _Row(*row)
        return
    sums = {f"all_{name}": Sum(name) for name in FUNNEL}
    summed = rows.values("starts_at").annotate(**sums, at=Max("counted_at"))
    for starts_at, at, requested, sent, answered, verified in summed.values_list(
        "starts_at", "at", *sums
    ):
        funnel = (requested, sent, answered, verified)
        yield _Row(Span.HOUR, starts_at, at, *wanted, *funnel, {})


def _whole(wanted: Key) -> Q:
    """Choose the rows that add up to all that is wanted: the markers, or what a filter lets by."""
    pairs = zip(NAMES, wanted, strict=True)
    return Q(*((name, word) for name, word in pairs if word or wanted == MARKER))


def _read_sources(frame: _Frame, days_until: datetime) -> dict[str, list[SourceTally]]:
    days = Q(span=Span.DAY, starts_at__gte=frame.since, starts_at__lt=days_until)
    hours = Q(span=Span.HOUR, starts_at__gte=max(frame.since, days_until))
    rows = TrafficSource.primary().filter(days | hours).order_by().values("kind", "scope")
    found: dict[str, list[SourceTally]] = {kind: [] for kind in Source}
    for kind, scope, sent, verified in rows.annotate(
        sent=Sum("sent_count"), verified=Sum("verified_count")
    ).values_list("kind", "scope", "sent", "verified"):
        tally = SourceTally(scope=scope, sent_count=sent, verified_count=verified)
        found[kind].append(tally)
    return {
        kind: sorted(each, key=lambda tally: (-tally.unverified_count, tally.scope))[:SOURCES_COUNT]
        for kind, each in found.items()
    }


# What it comes to


@dataclass(slots=True)
class _Found:
    """Rows, added up as they are read: each to its account, channel and region, and to its step."""

    frame: _Frame
    wanted: Key
    counted_at: datetime | None = None
    seen: set[Key] = field(default_factory=set)
    previous: Adder = field(default_factory=Adder)
    cells: defaultdict[Key, Adder] = field(default_factory=lambda: defaultdict(Adder))
    steps: defaultdict[int, Adder] = field(default_factory=lambda: defaultdict(Adder))
    hours_of_day: defaultdict[int, Adder] = field(default_factory=lambda: defaultdict(Adder))

    def add(self, row: _Row) -> None:
        """Take a row of counts."""
        is_marker = row.key == MARKER
        if self.counted_at is None or row.counted_at > self.counted_at:
            self.counted_at = row.counted_at
        if row.starts_at < self.frame.since:
            row.add_to(self.previous)
            return
        if not is_marker:
            self.seen.add(row.key)
            if not _lets_by(self.wanted, row.key):
                return
            row.add_to(self.cells[row.key])
        # Over time the markers tell all that there is, and with a filter nothing.
        if is_marker == (self.wanted == MARKER):
            if self.frame.period is not Period.WEEK:
                row.add_to(self.steps[self._step_of(row.starts_at)])
            if self.frame.period is Period.DAY:
                row.add_to(self.hours_of_day[_hour_of_day(row.starts_at)])

    def add_hour(self, row: _Row) -> None:
        """Take what an hour came to, in a period of which most rows are of days."""
        if self.frame.period is Period.WEEK:
            row.add_to(self.steps[self._step_of(row.starts_at)])
        row.add_to(self.hours_of_day[_hour_of_day(row.starts_at)])

    def _step_of(self, at: datetime) -> int:
        return bisect_right(self.frame.steps, at) - 1


def _lets_by(wanted: Key, key: Key) -> bool:
    return all(not word or word == mine for word, mine in zip(wanted, key, strict=True))


def _hour_of_day(at: datetime) -> int:
    return at.astimezone(zone()).hour


def _names(keys: Iterable[Key], number: int) -> list[str]:
    return sorted({key[number] for key in keys} - {""})


def _add_up_by(cells: Mapping[Key, Tally], number: int) -> dict[str, Tally]:
    """Add up what has the same account, channel or region; the largest first."""
    groups: defaultdict[str, list[Tally]] = defaultdict(list)
    for key, tally in cells.items():
        groups[key[number]].append(tally)
    sums = {name: add_up(tallies) for name, tallies in groups.items()}
    return dict(
        sorted(
            sums.items(),
            key=lambda item: (-item[1].requested_count, -item[1].deliveries_count, item[0]),
        )
    )
