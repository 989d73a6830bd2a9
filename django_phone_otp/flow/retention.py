"""Retention: what is old enough goes, in bounded batches. Layer 4.

A batch is a few statements on at most `batch_size` rows, in a transaction of its own that is short
on whatever machine (`Pace`): nobody waits long for it, and a purge that is stopped leaves whole
rows behind. Rows never become Python objects here, unless the site has rows of its own that refer
to them.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import connections, models, transaction
from django.db.models import Exists, ForeignObjectRel, OuterRef, Q
from django.db.models.signals import post_delete, pre_delete
from django.utils.translation import ngettext

from .. import devices
from ..choices import Span
from ..conf import Settings
from ..models import (
    ConfirmAttempt,
    DeliveryAttempt,
    DeviceLedger,
    GuardObjection,
    PendingDelivery,
    PhoneChallenge,
    PhoneLedger,
    TrafficCount,
    TrafficSource,
)
from .counts import find_days_until
from .hours import day_of
from .limits import LADDER_LIFETIME
from .prefixes import forget_past_blocks
from .sweep import sweep_deliveries, sweep_queue
from .traffic import count_traffic
from .transactions import outlast_deadlocks

# For sites whose only timer is that of the purge, once a day.
PURGE_LOOK_BACK = timedelta(days=2)

BATCH_SIZE = 1_000
SMALLEST_BATCH_SIZE = 20
# A quarter of what anybody may have to wait for a batch: the next one may be slower than the last.
BATCH_SECONDS = 0.025
MAX_BATCH_SIZE = 10_000  # SQLite takes 32,766 parameters in a statement

# Traffic by the hour; by the day it is kept for ever.
HOURS_LIFETIME = timedelta(days=90)

# What belongs to a challenge and goes before it.
TRAILS: tuple[type[models.Model], ...] = (
    PendingDelivery,
    DeliveryAttempt,
    ConfirmAttempt,
    GuardObjection,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Purged:
    """How many rows have been removed so far; attempts go with their challenges, uncounted."""

    challenges_count: int = 0
    phone_ledgers_count: int = 0
    device_ledgers_count: int = 0

    @property
    def rows_count(self) -> int:
        """Give the sum of all."""
        return self.challenges_count + self.phone_ledgers_count + self.device_ledgers_count


def purge(settings: Settings, now: datetime, *, batch_size: int = BATCH_SIZE) -> Iterator[Purged]:
    """Remove what is old; tell after each batch how much it was so far. Writes.

    First the sweep closes the deliveries whose worker died, and what has happened is counted. Then
    go challenges older than `RETENTION_DAYS`, device ledgers unused for longer than a device string
    lives, phone ledgers that say nothing any more, traffic (`_old_traffic`), and blocks of prefixes
    that are over. Any number of purges may run at once. Call it outside transactions.
    """
    sweep_queue(now)
    sweep_deliveries(now, look_back=PURGE_LOOK_BACK)
    # Where another count is at work on a backlog, challenges that are too old go all the same.
    count_traffic(now)
    purged = Purged()
    for count in _purge_challenges(_old_challenges(settings, now), batch_size):
        purged = replace(purged, challenges_count=purged.challenges_count + count)
        yield purged
    left, devices_left = PhoneChallenge.primary(), DeviceLedger.primary()
    unused = _unused_devices(settings, now, left)
    for count in remove_rows(unused, batch_size, skip_locked=True):
        purged = replace(purged, device_ledgers_count=purged.device_ledgers_count + count)
        yield purged
    silent = _silent_phones(settings, now, left, devices_left)
    for count in remove_rows(silent, batch_size, skip_locked=True):
        purged = replace(purged, phone_ledgers_count=purged.phone_ledgers_count + count)
        yield purged
    for rows in _old_traffic(settings, now):
        for _count in remove_rows(rows, batch_size, skip_locked=True):
            pass  # not told: it is what people have left behind that they ask about
    forget_past_blocks(now)


def count_old_challenges(settings: Settings, now: datetime) -> int:
    """Count the challenges that a purge would remove, by the index on their time."""
    return _old_challenges(settings, now).count()


def count_purgeable(settings: Settings, now: datetime) -> Purged:
    """Count all that a purge would remove; writes nothing."""
    left = PhoneChallenge.primary().filter(created_at__gte=_retained_since(settings, now))
    unused = _unused_devices(settings, now, left)
    devices_left = DeviceLedger.primary().exclude(pk__in=unused.values("pk"))
    return Purged(
        challenges_count=count_old_challenges(settings, now),
        phone_ledgers_count=_silent_phones(settings, now, left, devices_left).count(),
        device_ledgers_count=unused.count(),
    )


def write_counts(challenges: int, phones: int, devices: int) -> dict[str, str]:
    """Write each number with its word, in the active language."""
    return {
        "challenges": ngettext("%(count)d challenge", "%(count)d challenges", challenges)
        % {"count": challenges},
        "phones": ngettext("%(count)d phone ledger", "%(count)d phone ledgers", phones)
        % {"count": phones},
        "devices": ngettext("%(count)d device ledger", "%(count)d device ledgers", devices)
        % {"count": devices},
    }


# What is old


def _retained_since(settings: Settings, now: datetime) -> datetime:
    return now - timedelta(days=settings.retention_days)


def _old_challenges(settings: Settings, now: datetime) -> models.QuerySet[PhoneChallenge]:
    return PhoneChallenge.primary().filter(created_at__lt=_retained_since(settings, now))


def _unused_devices(
    settings: Settings, now: datetime, left: models.QuerySet[PhoneChallenge]
) -> models.QuerySet[DeviceLedger]:
    """Choose the ledgers of devices whose strings are too old to count.

    `left` are the challenges that are there then, and may refer to one.
    """
    before = now - max(devices.LIFETIME, _longest_window("device", settings))
    rows = DeviceLedger.primary().filter(_is_unused_since(before))
    return rows.filter(no_reference(left, "device"))


def _silent_phones(
    settings: Settings,
    now: datetime,
    left: models.QuerySet[PhoneChallenge],
    devices_left: models.QuerySet[DeviceLedger],
) -> models.QuerySet[PhoneLedger]:
    """Choose the phones' ledgers that no limit asks any more and that no row refers to.

    SECURITY: what a guesser has used up is kept, however patient he is: wrong codes in a row, the
    lock that they led to, the revocation of devices. A hundred wrong codes stay a hundred; else
    they would be a hundred for each `RETENTION_DAYS`.
    """
    age = max(timedelta(days=settings.retention_days), _longest_window("phone", settings))
    rows = PhoneLedger.primary().filter(_is_unused_since(now - age), not_counting())
    # A revocation is of no use once the strings that it revoked are too old by themselves.
    is_revoking = Q(devices_valid_after__gte=now - devices.LIFETIME)
    return rows.filter(
        ~is_revoking, no_reference(left, "ledger"), no_reference(devices_left, "ledger")
    )


def not_counting() -> Q:
    """Choose the phones' ledgers that hold neither a lock nor wrong codes in a row."""
    return Q(disabled_at__isnull=True, failures_in_row=0)


def _is_unused_since(before: datetime) -> Q:
    # A new row may have no message yet. SECURITY: a request that has just made it is about to use
    # it, and nothing of it may go meanwhile.
    is_silent = Q(last_sent_at__isnull=True) | Q(last_sent_at__lt=before)
    return is_silent & Q(created_at__lt=before)


def _longest_window(counts_for: str, settings: Settings) -> timedelta:
    """Give the time after which nothing in a ledger counts in any window.

    SECURITY: a budget of sixty days is not given back after thirty. A wrong code may come as late
    as a code lives, after the message that is the last event with a time of its own in the row.
    """
    rates = [rate for event in ("send", "fail") for rate in settings.rates(f"{event}_{counts_for}")]
    windows = [timedelta(seconds=rate.seconds) for rate in rates]
    return max([LADDER_LIFETIME, *windows]) + timedelta(seconds=settings.code_ttl)


def no_reference(rows: models.QuerySet[Any], field: str) -> Q:
    """Choose what none of `rows` refers to by `field`."""
    return Q(~Exists(rows.filter(**{field: OuterRef("pk")})))


def _old_traffic(settings: Settings, now: datetime) -> Iterator[models.QuerySet[Any]]:
    """Choose the sources that challenges would be too old for, and hours that are in their day.

    A source is an address, or the digits of ten thousand phones: it tells of people.
    """
    yield TrafficSource.primary().filter(starts_at__lt=_retained_since(settings, now))
    days_until = find_days_until()
    if days_until is not None:
        before = min(days_until, day_of(now - HOURS_LIFETIME).start)
        yield TrafficCount.primary().filter(~Q(span=Span.DAY), starts_at__lt=before)


# How it goes


class Pace:
    """How many rows the next batch takes: `size`, by how long the last one took."""

    def __init__(self, most: int, seconds: Callable[[], float] = time.monotonic) -> None:
        self.size = min(SMALLEST_BATCH_SIZE, most)
        self._most = most
        self._seconds = seconds

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Time what is done inside: a batch of this size."""
        began = self._seconds()
        yield
        took = max(self._seconds() - began, BATCH_SECONDS / 2)  # so it is doubled at most
        size = max(int(self.size * BATCH_SECONDS / took), SMALLEST_BATCH_SIZE)
        self.size = min(size, self._most)


def _purge_challenges(rows: models.QuerySet[PhoneChallenge], batch_size: int) -> Iterator[int]:
    """Remove old challenges, the oldest first; give the number in each batch.

    Each batch is looked for from the time on where the one before ended: what has been removed
    stands in the index for a while and is not gone through again.
    """
    found = rows.order_by("created_at").values_list("pk", "created_at")
    pace, reached = Pace(batch_size), None
    batch = list(found[: pace.size])
    while batch:
        with pace.batch():
            pks = [pk for pk, _at in batch]
            count = outlast_deadlocks(partial(remove_challenges, pks, skip_locked=True))
        yield count
        newest = batch[-1][1]
        if not count and newest == reached:
            return  # another purge is at work on these
        reached = newest
        batch = list(found.filter(created_at__gte=reached)[: pace.size])


def remove_challenges(pks: Sequence[Any], *, skip_locked: bool = False) -> int:
    """Remove challenges with their trails, in one transaction; give the number of challenges.

    With `skip_locked` those that somebody else is writing to stay, where the database can tell;
    without it they are waited for.
    """
    challenges = PhoneChallenge.primary().filter(pk__in=pks)
    with transaction.atomic(using=challenges.db, durable=True):
        held = _lock(challenges, pks, skip_locked=skip_locked)
        if not held:
            return 0
        for trail in TRAILS:
            trails = trail._default_manager.using(challenges.db)
            trails.filter(challenge_id__in=held).delete()
        return _delete(PhoneChallenge.primary().filter(pk__in=held))


def remove_rows(
    rows: models.QuerySet[Any], batch_size: int, *, skip_locked: bool = False
) -> Iterator[int]:
    """Remove the ledgers, or the traffic, that `rows` chooses; give the number in each batch.

    SECURITY: a request may use any ledger at this moment. So the conditions are asked twice: to
    find a batch, and again of rows that nobody can write to meanwhile. A request that has read a
    row that then goes finds that its own write changes nothing, and reads anew.
    """
    found = rows.order_by("pk").values_list("pk", flat=True)
    pace = Pace(batch_size)
    batch = list(found[: pace.size])
    while batch:
        with pace.batch():
            remove = partial(_remove_batch, rows, batch, skip_locked=skip_locked)
            count = outlast_deadlocks(remove)
        yield count
        batch = list(found.filter(pk__gt=batch[-1])[: pace.size])


def _remove_batch(rows: models.QuerySet[Any], pks: Sequence[Any], *, skip_locked: bool) -> int:
    everything = rows.model._base_manager.using(rows.db)
    with transaction.atomic(using=rows.db, durable=True):
        held = _lock(everything.filter(pk__in=pks), pks, skip_locked=skip_locked)
        return _delete(rows.filter(pk__in=held)) if held else 0


def _lock(rows: models.QuerySet[Any], pks: Sequence[Any], *, skip_locked: bool) -> Sequence[Any]:
    """Lock rows and give the keys of those that are there.

    What comes first in a transaction matters: whoever holds these rows waits for nobody who waits
    for them, and two purges share the work. SQLite locks as a whole when it is first written to,
    and a transaction that read before it may be refused then.
    """
    features = connections[rows.db].features
    if not features.has_select_for_update:
        return pks
    skips = skip_locked and features.has_select_for_update_skip_locked
    locked = rows.select_for_update(skip_locked=skips).order_by("pk")
    return list(locked.values_list("pk", flat=True))


def _delete(rows: models.QuerySet[Any]) -> int:
    """Delete rows whose own trails are gone, in one statement; give their number.

    Where the site has rows that refer to them, or listens, Django deletes as it always does: what
    becomes of those rows is said in the site's models.
    """
    if _is_known_to_site(rows.model):
        return rows.delete()[1].get(rows.model._meta.label, 0)
    return rows._raw_delete(rows.db)


def _is_known_to_site(model: type[models.Model]) -> bool:
    referring = [
        each.related_model
        for each in model._meta.get_fields(include_hidden=True)
        if isinstance(each, ForeignObjectRel)
    ]
    is_referred_to = any(each._meta.app_label != model._meta.app_label for each in referring)
    return is_referred_to or pre_delete.has_listeners(model) or post_delete.has_listeners(model)
