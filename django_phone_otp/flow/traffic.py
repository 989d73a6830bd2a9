"""Traffic: what became of challenges, counted as they grow older and kept when they go. Layer 4.

Time is counted in slices of five minutes. A slice is counted whenever it is twice as old as when it
was counted last, once the answers of its hour have come in, and a last time when its hour
*settles*: nothing can change in it any more. So each challenge is read a few times while it is
young, and no count reads an old one. Only the worst sources of a day are looked for among its
challenges, once, as an hour keeps none that is bad all day and never among its worst.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from django.core.cache import cache
from django.db import transaction
from django.db.models import Q

from ..choices import Span
from ..events import Event, log_event
from ..models import PhoneChallenge, TrafficCount, TrafficSource
from .census import count_challenges, find_sources
from .counts import (
    ANSWERING,
    SETTLING,
    GaveWay,
    add_up_parts,
    choose_worst,
    find_days_until,
    find_first_hour,
    find_settled_until,
    forget,
    insert,
    read_known,
    replacing,
)
from .hours import DAY, HOUR, Stretch, date_of, day_of, hour_of, slice_of, start_of

logger = logging.getLogger(__name__)

# After the end of a slice: requests take their time to be stored, and clocks differ.
ARRIVING = timedelta(minutes=1)
# What `count_if_due` may take of a page that somebody waits for, and of all time: one part of it.
GLANCE_SECONDS = 2.0
PAUSE_IN_DURATIONS = 20
STATE_KEY = "phone_otp.traffic.counted"
STATE_SECONDS = 86_400

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """How far a count has come: all that was asked for before `counted_until` has been counted.

    It is not complete when its time was up, or when `gave_way` to another one at work.
    """

    hours_count: int = 0
    counted_until: datetime | None = None
    is_complete: bool = False
    gave_way: bool = False


def count_traffic(now: datetime, *, deadline_seconds: float | None = None) -> Counted:
    """Count what has happened since the last count. Writes; call it outside transactions.

    After the deadline no further slice or hour is begun; the next count goes on from there.
    """
    began, counted = time.perf_counter(), Counted()
    for counted in count_hours(now):  # noqa: B007 (the last of them is what is told)
        seconds = time.perf_counter() - began
        if deadline_seconds is not None and seconds >= deadline_seconds:
            break
    _note_state(now, time.perf_counter() - began)
    return counted


def count_if_due(now: datetime) -> Counted | None:
    """Count before somebody looks, for two seconds at most; None while the last count is fresh."""
    return count_traffic(now, deadline_seconds=GLANCE_SECONDS) if is_due(now) else None


def is_due(now: datetime) -> bool:
    """Say whether the last count is older than twenty times what it took.

    So a small site is counted at each look, and a large one is not busy with counting. Without the
    cache nobody knows: then it is left to the timer that runs the command.
    """
    try:
        state = cache.get(STATE_KEY)
    except Exception as error:  # noqa: BLE001 (each cache backend has errors of its own)
        log_event(logger, Event.CACHE_UNAVAILABLE, traffic="due", error=type(error).__name__)
        return False
    if state is None:
        return True
    at, duration_seconds = state
    return bool(now.timestamp() - at >= duration_seconds * PAUSE_IN_DURATIONS)


def _note_state(now: datetime, duration_seconds: float) -> None:
    try:
        cache.set(STATE_KEY, (now.timestamp(), duration_seconds), STATE_SECONDS)
    except Exception as error:  # noqa: BLE001 (as above)
        log_event(logger, Event.CACHE_UNAVAILABLE, traffic="state", error=type(error).__name__)


# Again


def find_countable_since(now: datetime) -> date | None:
    """Give the first date that can be counted again; None where all that was counted can be.

    What was counted of challenges that have gone since could not be counted again.
    """
    first = _find_first_challenge(None) or now
    counts = TrafficCount.primary().exclude(account="", channel="", region="")
    hours = Q(span=Span.HOUR, starts_at__lt=hour_of(first).start)
    days = Q(span=Span.DAY, starts_at__lt=day_of(first).start)
    return date_of(first) + DAY if counts.filter(hours | days).exists() else None


def count_again(since: date, now: datetime) -> Counted:
    """Count all from a date on anew, from the challenges that are there. Writes, as a count does.

    For when a host counted whose clock was ahead: it settles hours that are not over, and adds up
    their day. The hours stay until they are counted, and no longer count as settled; so the next
    count goes on where this one is stopped.
    """
    at, counts, sources = start_of(since), TrafficCount.primary(), TrafficSource.primary()
    is_stale = Q(span__in=(Span.SLICE, Span.DAY)) | Q(starts_at__gt=now)
    with transaction.atomic(using=counts.db):
        counts.filter(is_stale, starts_at__gte=at).delete()
        sources.filter(is_stale, starts_at__gte=at).delete()
        counts.filter(starts_at__gte=at).update(counted_at=at)
    return count_traffic(now)


# In which order


def count_hours(now: datetime) -> Iterator[Counted]:
    """Count as `count_traffic` does, and tell after each slice, hour or day how far it has come.

    First the hours that can be settled, in their order, then the days that these fill, then the
    slices that go on changing: those never counted, then those counted the longest ago. So a count
    that is stopped again and again gets to all of them.
    """
    settled_until = find_settled_until()
    counted = Counted(counted_until=settled_until)
    try:
        for counted in _settle_hours(settled_until, now):
            yield counted
        for _day in _add_up_days(now):
            yield counted
        open_slices = _count_open_slices(counted, now)
        for counted in open_slices:
            yield counted
    except GaveWay:
        yield replace(counted, gave_way=True)


def _settle_hours(since: datetime | None, now: datetime) -> Iterator[Counted]:
    counted = Counted(counted_until=since)
    known_hours, known = read_known(Span.HOUR, since), read_known(Span.SLICE, since)
    for hour in _list_stretches(hour_of, since, now, known_hours):
        if not _can_settle(hour, now):
            return
        if any(hour.start <= at < hour.end for at in known):
            for number, each in enumerate(_list_unsettled(hour, known)):
                if number:
                    yield counted
                _count(Span.SLICE, each, now)
            with replacing(Span.HOUR, hour, now):
                _add_up_hour(hour, now)
                forget(Span.SLICE, hour)
        else:  # nobody counted while it was open: it is counted whole, once
            _count(Span.HOUR, hour, now)
        hours_count = counted.hours_count + 1
        counted = replace(counted, hours_count=hours_count, counted_until=hour.end)
        yield counted


def _list_unsettled(hour: Stretch, known: Mapping[datetime, datetime]) -> list[Stretch]:
    """List the slices of an hour that have not been counted since it could be settled."""
    listed = _list_stretches(slice_of, hour.start, hour.end - datetime.resolution, known)
    return [each for each in listed if known.get(each.start, _NEVER) < hour.end + SETTLING]


def _count_open_slices(counted: Counted, now: datetime) -> Iterator[Counted]:
    since = counted.counted_until
    known = read_known(Span.SLICE, since)
    listed = _list_stretches(slice_of, since, now, [*known, slice_of(now).start])
    due = [each for each in listed if _is_due(each, known.get(each.start), now)]
    due.sort(key=lambda each: (known.get(each.start, _NEVER), each.start))
    hours, settled_count = set[Stretch](), counted.hours_count
    while due:
        slice_ = due.pop(0)
        hour = _cut(hour_of(slice_.start), since)
        _count_open(slice_, hour, now)
        hours.add(hour)
        seen = [known.get(each.start, each.start) for each in due]
        yield Counted(
            hours_count=settled_count + len(hours),
            counted_until=min(seen, default=now),
            is_complete=not due,
        )


def _is_due(slice_: Stretch, counted_at: datetime | None, now: datetime) -> bool:
    """Say whether an open slice was not complete when it was counted, or is twice as old by now.

    Or whether the answers of its hour have come in since: then `flow.health` looks at the hour.
    """
    if counted_at is None or counted_at < slice_.end + ARRIVING:
        return True
    if counted_at < hour_of(slice_.start).end + ANSWERING <= now:
        return True
    return now - slice_.start >= 2 * (counted_at - slice_.start)


def _can_settle(hour: Stretch, now: datetime) -> bool:
    return hour.start + HOUR + SETTLING <= now


def _list_stretches(
    stretch_of: Callable[[datetime], Stretch],
    since: datetime | None,
    until: datetime,
    known: Iterable[datetime],
) -> Iterator[Stretch]:
    """List the hours or slices up to that of `until`: with challenges, or known from before.

    The times between, when nobody asked for anything, are jumped over.
    """
    known = sorted(known)
    while True:
        found = [_find_first_challenge(since), *known]
        at = min(
            (each for each in found if each and (since is None or each >= since)), default=None
        )
        if at is None or at > until:
            return
        stretch = _cut(stretch_of(at), since)
        yield stretch
        since = stretch.end


def _cut(stretch: Stretch, since: datetime | None) -> Stretch:
    """Give what is not counted yet: all of it, or a part where the site has changed its zone."""
    return stretch if since is None else Stretch(max(stretch.start, since), stretch.end)


def _find_first_challenge(since: datetime | None) -> datetime | None:
    rows = PhoneChallenge.primary().order_by("created_at")
    if since is not None:
        rows = rows.filter(created_at__gte=since)
    return rows.values_list("created_at", flat=True).first()


# One of them


def _count(span: Span, stretch: Stretch, now: datetime) -> None:
    """Count a slice or an hour, and write it in the place of what was counted of it before."""
    sums, scopes = count_challenges(stretch)
    with replacing(span, stretch, now):
        insert(span, stretch, now, sums, scopes)


def _count_open(slice_: Stretch, hour: Stretch, now: datetime) -> None:
    """Count a slice and add up its hour, in one transaction.

    A slice that is counted is not looked at for a while: its hour would lack it for as long.
    """
    sums, scopes = count_challenges(slice_)
    with replacing(Span.SLICE, slice_, now):
        insert(Span.SLICE, slice_, now, sums, scopes)
        with replacing(Span.HOUR, hour, now):
            _add_up_hour(hour, now)


def _add_up_hour(hour: Stretch, now: datetime) -> None:
    sums, scopes = add_up_parts(Span.HOUR, hour)
    insert(Span.HOUR, hour, now, sums, choose_worst(scopes))


def _add_up_days(now: datetime) -> Iterator[Stretch]:
    """Add up the days that are over, and whose hours are all settled, in their order."""
    since, until = find_days_until(), hour_of(now - HOUR - SETTLING).end
    while (first := find_first_hour(since)) is not None:
        day = day_of(first)
        if day.end > until:
            return
        _add_up_day(_cut(day, since), now)
        yield day
        since = day.end


def _add_up_day(day: Stretch, now: datetime) -> None:
    """Add up a day; its sources are looked for among the challenges that are still there.

    Some may have gone since their hours were counted: what knows of more counts.
    """
    there = find_sources(day)
    with replacing(Span.DAY, day, now):
        sums, scopes = add_up_parts(Span.DAY, day)
        found = {(each.kind, each.name): each for each in scopes}
        for each in there:
            known = found.get((each.kind, each.name))
            if known is None or known.sent_count <= each.sent_count:
                found[each.kind, each.name] = each
        insert(Span.DAY, day, now, sums, choose_worst(found.values()))
