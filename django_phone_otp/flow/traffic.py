"""Traffic: what became of challenges, counted hour by hour and kept when they go. Layer 4.

The database counts; no challenge is loaded. Everything belongs to the hour of the request, however
late the login. An hour is counted whole, again and again until it is *settled*: nothing can change
in it any more. Days are added up from settled hours; only the worst sources of a day are looked for
among its challenges, as an hour keeps none that is bad all day and never among its worst.

Each hour and each day has a row without account, channel and region: the *marker*. Its columns
count nothing. It says when the hour was counted, where it ends and what all its rows come to, and
two counts at one moment meet at it: one of them writes all of the hour, the other gives way.
"""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db import IntegrityError, OperationalError, models, transaction
from django.db.models import Case, Count, ExpressionWrapper, F, Max, Min, Q, Sum, Value, When
from django.db.models.functions import Left, Length

from ..choices import DeliveryOutcome, Purpose, Source, Span, State
from ..events import Event, log_event
from ..models import (
    ConfirmAttempt,
    DeliveryAttempt,
    GuardObjection,
    PhoneChallenge,
    TrafficCount,
    TrafficSource,
)
from ..providers.local import FixedCode
from .deliveries import COST_STEP
from .guards import PREFIX_TAIL_LENGTH
from .hours import DAY, HOUR, Stretch, date_of, day_of, hour_of, start_of
from .limits import network_of
from .tallies import ABOVE, ANSWER_BOUNDS_MS, LOGIN_BOUNDS_SECONDS, WENT_OUT, Adder, add_up

logger = logging.getLogger(__name__)

# After the end of an hour: codes have expired by then, and so have those of all resends.
SETTLING = timedelta(hours=3)
# What `count_if_due` may take of a page that somebody waits for, and of all time: one part of it.
GLANCE_SECONDS = 2.0
PAUSE_IN_DURATIONS = 20
STATE_KEY = "phone_otp.traffic.counted"
STATE_SECONDS = 86_400
# The worst of each hour and day, of each kind. More than a report shows: what is bad in many need
# not be among the very worst of any.
KEPT_SOURCES_COUNT = 50

# No provider was asked, so none took its time.
NOT_ASKED = (
    DeliveryOutcome.WITHHELD,
    DeliveryOutcome.OVER_BUDGET,
    DeliveryOutcome.PHONE_OVER_BUDGET,
)

Key = tuple[str, str, str]  # account, channel, region
MARKER: Key = ("", "", "")
FUNNEL = ("requested_count", "sent_count", "answered_count", "verified_count")
_KEY_OF_CHALLENGE = ("challenge__account", "challenge__channel", "challenge__region")
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


@dataclass(frozen=True, slots=True)
class _Scope:
    """What went to neighbouring numbers, or to an address."""

    kind: Source
    name: str
    sent_count: int
    verified_count: int

    @property
    def badness(self) -> tuple[int, str]:
        """Give what the worst have the least of; of equals, the order of their names."""
        return self.verified_count - self.sent_count, self.name


class _GaveWay(Exception):
    """Another count was faster, or the database refused ours for one that is at work."""


def count_traffic(now: datetime, *, deadline_seconds: float | None = None) -> Counted:
    """Count what has happened since the last count. Writes; call it outside transactions.

    After the deadline no further hour is begun; the next count goes on from there.
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
    stale = Q(starts_at__gte=at) & (Q(span=Span.DAY) | Q(starts_at__gt=now))
    with transaction.atomic(using=counts.db):
        counts.filter(stale).delete()
        sources.filter(stale).delete()
        counts.filter(starts_at__gte=at).update(counted_at=at)
    return count_traffic(now)


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


def count_hours(now: datetime) -> Iterator[Counted]:
    """Count as `count_traffic` does, and tell after each hour or day how far it has come.

    First the hours that can be settled, in their order, then the days that these fill, then the
    hours that go on changing: those never counted, then those counted the longest ago. So a count
    that is stopped again and again gets to all of them.
    """
    settled_until = _find_settled_until()
    counted = Counted(counted_until=settled_until)
    try:
        known = _read_known(settled_until)
        open_hours: list[Stretch] = []
        for hour in _list_hours(settled_until, known, now):
            if not _can_settle(hour.start, now):
                open_hours.append(hour)
                continue
            _count_hour(hour, now)
            hours_count = counted.hours_count + 1
            counted = replace(counted, hours_count=hours_count, counted_until=hour.end)
            yield counted
        for _day in _add_up_days(_settling_until(now), now):
            yield counted
        open_hours.sort(key=lambda hour: (known.get(hour.start, _NEVER), hour.start))
        while open_hours:
            _count_hour(open_hours.pop(0), now)
            seen = [known.get(hour.start, hour.start) for hour in open_hours]
            counted = replace(
                counted,
                hours_count=counted.hours_count + 1,
                counted_until=min(seen, default=now),
                is_complete=not open_hours,
            )
            yield counted
    except _GaveWay:
        yield replace(counted, gave_way=True)


# Which hours


def _markers(span: Span) -> models.QuerySet[TrafficCount]:
    account, channel, region = MARKER
    rows = TrafficCount.primary().filter(span=span, account=account)
    return rows.filter(channel=channel, region=region).order_by("-starts_at")


def _find_settled_until() -> datetime | None:
    """Give the end of the last hour that is settled; None before the first."""
    settled = _markers(Span.HOUR).filter(counted_at__gte=F("starts_at") + HOUR + SETTLING)
    return _read_end(settled.first())


def find_days_until() -> datetime | None:
    """Give the end of the last day that has been added up; None before the first."""
    return _read_end(_markers(Span.DAY).first())


def _read_end(marker: TrafficCount | None) -> datetime | None:
    return datetime.fromisoformat(marker.details["ends_at"]) if marker else None


def _read_known(since: datetime | None) -> dict[datetime, datetime]:
    """Give when each hour was counted that has been counted and is not settled."""
    rows = _markers(Span.HOUR)
    if since is not None:
        rows = rows.filter(starts_at__gte=since)
    return dict(rows.values_list("starts_at", "counted_at"))


def _list_hours(
    since: datetime | None, known: Iterable[datetime], now: datetime
) -> Iterator[Stretch]:
    """List the hours to count: with challenges, known from before, and the present one.

    The times between, when nobody asked for anything, are jumped over. Where the site has changed
    its time zone by less than an hour, the first hour is a part of one.
    """
    known, present = sorted(known), hour_of(now).start
    while True:
        found = [_find_first_challenge(since), *known, present]
        at = min(
            (each for each in found if each and (since is None or each >= since)), default=None
        )
        if at is None or at > now:
            return
        hour = hour_of(at)
        hour = hour if since is None else Stretch(max(hour.start, since), hour.end)
        yield hour
        since = hour.end


def _find_first_challenge(since: datetime | None) -> datetime | None:
    rows = PhoneChallenge.primary().order_by("created_at")
    if since is not None:
        rows = rows.filter(created_at__gte=since)
    return rows.values_list("created_at", flat=True).first()


def _can_settle(start: datetime, now: datetime) -> bool:
    return start + HOUR + SETTLING <= now


def _settling_until(now: datetime) -> datetime:
    """Give the end of the last hour that can be settled."""
    return hour_of(now - HOUR - SETTLING).end


# An hour


@dataclass(frozen=True, slots=True)
class _Hour:
    """The challenges of an hour, and what belongs to them.

    `first` and `last` are the least and the greatest of their keys. Keys rise with time, or nearly
    so: a database that is told the range finds the trails of ten thousand challenges side by side,
    and reads no table of ten million from end to end. It is right whatever the keys.
    """

    stretch: Stretch
    first: int
    last: int

    @property
    def challenges(self) -> models.QuerySet[Any]:
        """Give those that people asked for: no trials of operators, no test phones."""
        return _rows(PhoneChallenge).filter(self._asked_for(), pk__range=(self.first, self.last))

    def trail(self, model: type[models.Model]) -> models.QuerySet[Any]:
        """Give what belongs to all challenges of the hour, and maybe to some others."""
        return _rows(model).filter(challenge_id__gte=self.first, challenge_id__lte=self.last)

    def trail_asked_for(self, model: type[models.Model]) -> models.QuerySet[Any]:
        """Give what belongs to the challenges that people asked for."""
        return self.trail(model).filter(self._asked_for("challenge__"))

    @property
    def sent(self) -> Q:
        """Choose the challenges with a delivery that went out, or may have."""
        deliveries = self.trail(DeliveryAttempt).filter(
            outcome__in=WENT_OUT,
            # SQLite prefers the index on outcome and time, and would go through all that was ever
            # sent; all of an hour's went out before it settles, and clocks differ by less.
            created_at__gte=self.stretch.start - SETTLING,
            created_at__lt=self.stretch.end + SETTLING,
        )
        return Q(pk__in=deliveries.values("challenge_id"))

    @property
    def answered(self) -> Q:
        """Choose the challenges for which a code was entered, or a call came in."""
        return Q(pk__in=self.trail(ConfirmAttempt).values("challenge_id"))

    def then(self, to_challenge: str = "") -> Q:
        """Choose what was asked for in the hour."""
        asked = f"{to_challenge}created_at"
        return Q((f"{asked}__gte", self.stretch.start), (f"{asked}__lt", self.stretch.end))

    def _asked_for(self, to_challenge: str = "") -> Q:
        is_trial = Q((f"{to_challenge}purpose", Purpose.TRIAL))
        is_test = Q((f"{to_challenge}provider", FixedCode.key))
        return self.then(to_challenge) & ~is_trial & ~is_test


def _rows(model: type[models.Model]) -> models.QuerySet[Any]:
    return model._default_manager.using(PhoneChallenge.primary().db).order_by()


def _count_hour(stretch: Stretch, now: datetime) -> None:
    """Count an hour, and write it in the place of what was counted of it before."""
    sums, scopes = _Sums(), []
    hour = _find_hour(stretch)
    if hour:
        _count_funnel(hour, sums)
        _count_deliveries(hour, sums)
        _count_refusals(hour, sums)
        _count_objections(hour, sums)
        scopes = [*_find_prefixes(hour), *_find_addresses(hour)]
    _write(Span.HOUR, stretch, now, sums, scopes)


def _find_hour(stretch: Stretch) -> _Hour | None:
    """Find the range of keys of what was asked for; None for nothing."""
    rows = _rows(PhoneChallenge)
    # PostgreSQL would look for the least key alone from the first challenge of all on; where it has
    # to count as well, it goes by the index on their time.
    keys = rows.filter(created_at__gte=stretch.start, created_at__lt=stretch.end).aggregate(
        count=Count("pk"), first=Min("pk"), last=Max("pk")
    )
    return _Hour(stretch, keys["first"], keys["last"]) if keys["count"] else None


def _count_funnel(hour: _Hour, sums: "_Sums") -> None:
    """Count how far the challenges came.

    Of the steps each is a part of the one before: a code that somebody tries at a message that was
    withheld is no answer.
    """
    rows = (
        hour.challenges.annotate(
            sent=ExpressionWrapper(hour.sent, models.BooleanField()),
            answered=ExpressionWrapper(hour.answered, models.BooleanField()),
            bound=_login_bound(),
        )
        .values("account", "channel", "region", "sent", "answered", "bound")
        .annotate(requested=Count("pk"), verified=Count("pk", filter=Q(state=State.VERIFIED)))
    )
    for *key, sent, answered, bound, requested, verified in rows.values_list(
        *("account", "channel", "region", "sent", "answered", "bound", "requested", "verified")
    ):
        adder = sums.at(*key)
        sent_count = requested if sent else 0
        adder.add(requested, sent_count, sent_count if answered else 0, verified, {})
        if bound:
            adder.login_seconds[bound] += verified


def _login_bound() -> Case:
    """Give the bound under which the time from the last message to the right code counts."""
    known = [
        When(verified_at__lte=F("sent_at") + timedelta(seconds=bound), then=Value(str(bound)))
        for bound in LOGIN_BOUNDS_SECONDS
    ]
    is_unknown = Q(verified_at__isnull=True) | Q(sent_at__isnull=True)
    return Case(When(is_unknown, then=Value("")), *known, default=Value(ABOVE))


def _answer_bound() -> Case:
    """Give the bound under which the time counts that the provider took to answer."""
    known = [When(duration_ms__lte=bound, then=Value(str(bound))) for bound in ANSWER_BOUNDS_MS]
    # The sweep notes a delivery whose worker died as one that took no time.
    is_swept = Q(outcome=DeliveryOutcome.UNCERTAIN, duration_ms=0)
    is_unknown = Q(outcome__in=NOT_ASKED) | is_swept
    return Case(When(is_unknown, then=Value("")), *known, default=Value(ABOVE))


def _count_deliveries(hour: _Hour, sums: "_Sums") -> None:
    """Count the tries, those of operators too: they cost money."""
    rows = (
        hour.trail(DeliveryAttempt)
        .filter(hour.then("challenge__"))
        .exclude(provider=FixedCode.key)
        .annotate(bound=_answer_bound())
        .values("account", "channel", "challenge__region", "outcome", "currency", "bound")
        .annotate(tries=Count("pk"), total_cost=Sum("cost"))
    )
    for account, channel, region, outcome, currency, bound, tries, cost in rows.values_list(
        *("account", "channel", "challenge__region", "outcome", "currency", "bound"),
        *("tries", "total_cost"),
    ):
        adder = sums.at(account, channel, region)
        adder.outcomes[outcome] += tries
        if cost is not None:
            # SQLite adds up as floating point.
            adder.costs[currency] += cost.quantize(COST_STEP)
        if bound:
            adder.answer_ms[bound] += tries


def _count_refusals(hour: _Hour, sums: "_Sums") -> None:
    rows = (
        hour.trail_asked_for(ConfirmAttempt)
        .exclude(refusal="")
        .values(*_KEY_OF_CHALLENGE, "refusal")
        .annotate(total=Count("pk"))
    )
    for *key, refusal, count in rows.values_list(*_KEY_OF_CHALLENGE, "refusal", "total"):
        sums.at(*key).refusals[refusal] += count


def _count_objections(hour: _Hour, sums: "_Sums") -> None:
    rows = (
        hour.trail_asked_for(GuardObjection)
        .values(*_KEY_OF_CHALLENGE, "guard", "blocked")
        .annotate(total=Count("pk"))
    )
    for *key, guard, blocked, count in rows.values_list(
        *_KEY_OF_CHALLENGE, "guard", "blocked", "total"
    ):
        adder = sums.at(*key)
        (adder.blocked if blocked else adder.shadow)[guard] += count


# Sources


def _find_sources(stretch: Stretch) -> list[_Scope]:
    """Find the worst of the challenges that are there, in one statement for each kind."""
    hour = _find_hour(stretch)
    return [*_find_prefixes(hour), *_find_addresses(hour)] if hour else []


def _find_prefixes(hour: _Hour) -> list[_Scope]:
    prefix = Left("phone", Length("phone") - PREFIX_TAIL_LENGTH)
    rows = _unverified(hour.challenges.annotate(scope=prefix), hour.sent, "scope")
    worst = rows.order_by("badness", "scope")[:KEPT_SOURCES_COUNT]
    return [_Scope(Source.PREFIX, *row) for row in worst]


def _find_addresses(hour: _Hour) -> list[_Scope]:
    """Find the worst networks; only Python knows the network of an IPv6 address."""
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for ip, sent, verified in _unverified(hour.challenges.exclude(ip=None), hour.sent, "ip"):
        sums[network_of(ip)].update(sent=sent, verified=verified)
    return _worst(
        _Scope(Source.ADDRESS, name, each["sent"], each["verified"]) for name, each in sums.items()
    )


def _unverified(challenges: models.QuerySet[Any], sent: Q, name: str) -> models.QuerySet[Any]:
    """Count what was sent and verified by a column, where something logged nobody in."""
    counted = (
        challenges.filter(sent)
        .values(name)
        .annotate(sent=Count("pk"), verified=Count("pk", filter=Q(state=State.VERIFIED)))
    )
    unverified = counted.annotate(badness=F("verified") - F("sent")).filter(badness__lt=0)
    return unverified.values_list(name, "sent", "verified")  # type: ignore[no-any-return]


def _worst(scopes: Iterable[_Scope]) -> list[_Scope]:
    return sorted(scopes, key=lambda each: each.badness)[:KEPT_SOURCES_COUNT]


# Days


def _add_up_days(until: datetime, now: datetime) -> Iterator[Stretch]:
    """Add up the days that are over, and whose hours are all settled, in their order."""
    since = find_days_until()
    while True:
        rows = TrafficCount.primary().filter(span=Span.HOUR).order_by("starts_at")
        if since is not None:
            rows = rows.filter(starts_at__gte=since)
        first = rows.values_list("starts_at", flat=True).first()
        day = day_of(first) if first else None
        if day is None or day.end > until:
            return
        day = day if since is None else Stretch(max(day.start, since), day.end)
        _add_up_day(day, now)
        yield day
        since = day.end


def _add_up_day(day: Stretch, now: datetime) -> None:
    hours = Q(span=Span.HOUR, starts_at__gte=day.start, starts_at__lt=day.end)
    sums = _Sums()
    rows = TrafficCount.primary().filter(hours)
    for account, channel, region, requested, sent, answered, verified, details in rows.values_list(
        *("account", "channel", "region"), *FUNNEL, "details"
    ):
        if (account, channel, region) != MARKER:
            sums.at(account, channel, region).add(requested, sent, answered, verified, details)
    found: dict[tuple[str, str], _Scope] = {}
    sources = TrafficSource.primary().filter(hours).order_by().values("kind", "scope")
    for kind, name, sent, verified in sources.annotate(
        sent=Sum("sent_count"), verified=Sum("verified_count")
    ).values_list("kind", "scope", "sent", "verified"):
        found[kind, name] = _Scope(Source(kind), name, sent, verified)
    # Some challenges may have gone since their hours were counted: what knows of more counts.
    for each in _find_sources(day):
        known = found.get((each.kind, each.name))
        if known is None or known.sent_count <= each.sent_count:
            found[each.kind, each.name] = each
    scopes = [_worst(each for each in found.values() if each.kind is kind) for kind in Source]
    _write(Span.DAY, day, now, sums, [each for worst in scopes for each in worst])


# Writing


class _Sums:
    """Sums by account, channel and region.

    Accounts whose names differ in case alone are one: to MariaDB, in most of its collations, they
    are, and two rows of one hour must not be.
    """

    def __init__(self) -> None:
        self._adders: dict[Key, tuple[Key, Adder]] = {}

    def at(self, account: str, channel: str, region: str) -> Adder:
        """Give the sum to add to."""
        folded = (account.casefold(), channel, region)
        return self._adders.setdefault(folded, ((account, channel, region), Adder()))[1]

    def rows(self, span: Span, stretch: Stretch, now: datetime) -> Iterator[TrafficCount]:
        """Make the rows, the marker first, all in one order: two writers meet at once."""
        times: dict[str, Any] = {"span": span, "starts_at": stretch.start, "counted_at": now}
        found = [(key, adder.tally()) for _folded, (key, adder) in sorted(self._adders.items())]
        total = add_up(tally for _key, tally in found)
        yield TrafficCount(
            **times,
            details={
                "ends_at": stretch.end.isoformat(),
                "funnel": [getattr(total, name) for name in FUNNEL],
                "total": total.details,
            },
        )
        for (account, channel, region), tally in found:
            yield TrafficCount(
                **times,
                account=account,
                channel=channel,
                region=region,
                requested_count=tally.requested_count,
                sent_count=tally.sent_count,
                answered_count=tally.answered_count,
                verified_count=tally.verified_count,
                details=tally.details,
            )


def _write(
    span: Span, stretch: Stretch, now: datetime, sums: _Sums, scopes: Iterable[_Scope]
) -> None:
    """Write all rows of an hour or a day in the place of those before, in one transaction.

    What another count has written later than ours began stays: there the marker is in our way.
    """
    counts, sources = TrafficCount.primary(), TrafficSource.primary()
    then = Q(span=span, starts_at__gte=stretch.start, starts_at__lt=stretch.end)
    try:
        # It begins with a write: SQLite refuses one that comes after a read where others write.
        with transaction.atomic(using=counts.db):
            counts.filter(then, counted_at__lte=now).delete()
            counts.bulk_create(sums.rows(span, stretch, now))
            sources.filter(then).delete()
            sources.bulk_create(
                TrafficSource(
                    span=span,
                    starts_at=stretch.start,
                    kind=each.kind,
                    scope=each.name,
                    sent_count=each.sent_count,
                    verified_count=each.verified_count,
                )
                for each in scopes
            )
    except (IntegrityError, OperationalError) as error:
        # The marker, a deadlock, or a database that somebody else is writing to.
        log_event(logger, Event.TRAFFIC_COUNT_GAVE_WAY, error=type(error).__name__)
        raise _GaveWay from None
