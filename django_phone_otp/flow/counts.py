"""Counts: the rows that traffic is kept in. How they are written, found and added up. Layer 4.

Slices are counted, hours are added up from their slices, and days from their hours. Each of them
has a row without account, channel and region: the *marker*. Its columns count nothing. It says when
the stretch was counted, where it ends and what all its rows come to, and two counts at one moment
meet at it: one of them writes all of the stretch, the other gives way.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, OperationalError, models, transaction
from django.db.models import F, Q, Sum

from ..choices import Source, Span
from ..events import Event, log_event
from ..models import TrafficCount, TrafficSource
from .hours import HOUR, Stretch
from .tallies import Adder, add_up

logger = logging.getLogger(__name__)

# After the end of an hour: whoever asked in it has logged in by then, or will not.
ANSWERING = timedelta(minutes=15)
# After it too: codes have expired by then, and so have those of all resends.
SETTLING = timedelta(hours=3)
# The worst of each stretch, of each kind. More than a report shows: what is bad in many need not be
# among the very worst of any.
KEPT_SOURCES_COUNT = 50

Key = tuple[str, str, str]  # account, channel, region
MARKER: Key = ("", "", "")
FUNNEL = ("requested_count", "sent_count", "answered_count", "verified_count")
# Of what a stretch is added up.
_PARTS = {Span.HOUR: Span.SLICE, Span.DAY: Span.HOUR}


class GaveWay(Exception):
    """Another count was faster, or the database refused ours for one that is at work."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What went to neighbouring numbers, or to an address."""

    kind: Source
    name: str
    sent_count: int
    verified_count: int

    @property
    def badness(self) -> tuple[int, str]:
        """Give what the worst have the least of; of equals, the order of their names."""
        return self.verified_count - self.sent_count, self.name


def choose_worst(scopes: Iterable[Scope]) -> list[Scope]:
    """Choose those of each kind that are kept, the worst first."""
    ranked = sorted(scopes, key=lambda each: each.badness)
    of_kinds = [[each for each in ranked if each.kind is kind] for kind in Source]
    return [each for of_kind in of_kinds for each in of_kind[:KEPT_SOURCES_COUNT]]


class Sums:
    """Sums by account, channel and region.

    Accounts whose names differ in case alone are one: to MariaDB, in most of its collations, they
    are, and two rows of one stretch must not be.
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


# Written


@contextmanager
def replacing(span: Span, stretch: Stretch, now: datetime) -> Iterator[None]:
    """Take away what was counted of a stretch before; in one transaction with what is done inside.

    What another count has written later than ours began stays: there the marker is in our way. What
    is read inside is as new as what is taken away: a count that is faster is seen, or met.
    """
    counts, sources = TrafficCount.primary(), TrafficSource.primary()
    then = Q(span=span, starts_at__gte=stretch.start, starts_at__lt=stretch.end)
    try:
        # It begins with a write: SQLite refuses one that comes after a read where others write.
        with transaction.atomic(using=counts.db):
            counts.filter(then, counted_at__lte=now).delete()
            sources.filter(then).delete()
            yield
    except (IntegrityError, OperationalError) as error:
        # The marker, a deadlock, or a database that somebody else is writing to.
        log_event(logger, Event.TRAFFIC_COUNT_GAVE_WAY, error=type(error).__name__)
        raise GaveWay from None


def insert(
    span: Span, stretch: Stretch, now: datetime, sums: Sums, scopes: Iterable[Scope]
) -> None:
    """Write all rows of a stretch; what was there before has been taken away."""
    TrafficCount.primary().bulk_create(sums.rows(span, stretch, now))
    TrafficSource.primary().bulk_create(
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


def forget(span: Span, stretch: Stretch) -> None:
    """Remove what was counted of a stretch."""
    then = Q(span=span, starts_at__gte=stretch.start, starts_at__lt=stretch.end)
    TrafficCount.primary().filter(then).delete()
    TrafficSource.primary().filter(then).delete()


# Found


def _markers(span: Span) -> models.QuerySet[TrafficCount]:
    account, channel, region = MARKER
    rows = TrafficCount.primary().filter(span=span, account=account)
    return rows.filter(channel=channel, region=region).order_by("-starts_at")


def find_settled_until() -> datetime | None:
    """Give the end of the last hour that is settled; None before the first."""
    settled = _markers(Span.HOUR).filter(counted_at__gte=F("starts_at") + HOUR + SETTLING)
    return _read_end(settled.first())


def find_days_until() -> datetime | None:
    """Give the end of the last day that has been added up; None before the first."""
    return _read_end(_markers(Span.DAY).first())


def _read_end(marker: TrafficCount | None) -> datetime | None:
    return datetime.fromisoformat(marker.details["ends_at"]) if marker else None


def read_known(span: Span, since: datetime | None) -> dict[datetime, datetime]:
    """Give when each slice, or hour, was counted that begins since then."""
    rows = _markers(span)
    if since is not None:
        rows = rows.filter(starts_at__gte=since)
    return dict(rows.values_list("starts_at", "counted_at"))


def find_first_hour(since: datetime | None) -> datetime | None:
    """Give the start of the first hour that has been counted, since then."""
    rows = TrafficCount.primary().filter(span=Span.HOUR).order_by("starts_at")
    if since is not None:
        rows = rows.filter(starts_at__gte=since)
    return rows.values_list("starts_at", flat=True).first()


# Added up


def add_up_parts(span: Span, stretch: Stretch) -> tuple[Sums, list[Scope]]:
    """Add up an hour from its slices, or a day from its hours, with all sources of these."""
    parts = Q(span=_PARTS[span], starts_at__gte=stretch.start, starts_at__lt=stretch.end)
    sums = Sums()
    rows = TrafficCount.primary().filter(parts)
    for account, channel, region, requested, sent, answered, verified, details in rows.values_list(
        *("account", "channel", "region"), *FUNNEL, "details"
    ):
        if (account, channel, region) != MARKER:
            sums.at(account, channel, region).add(requested, sent, answered, verified, details)
    sources = TrafficSource.primary().filter(parts).order_by().values("kind", "scope")
    scopes = sources.annotate(sent=Sum("sent_count"), verified=Sum("verified_count"))
    found = scopes.values_list("kind", "scope", "sent", "verified")
    return sums, [Scope(Source(kind), *rest) for kind, *rest in found]
