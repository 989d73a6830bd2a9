"""The sweep: deliveries whose worker died, or never came. Layer 4."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import transaction
from django.db.models import QuerySet

from .. import conf
from ..choices import OPEN_STATES, DeliveryOutcome
from ..events import Event, log_event
from ..models import DeliveryAttempt, PendingDelivery, PhoneChallenge
from .dispatch import close_delivery, note_attempt
from .queue import load_queue

logger = logging.getLogger(__name__)

# Longer than any worker is busy with a message, and short enough for a resend to help.
SWEEP_AGE = timedelta(minutes=2)
# Longer than a worker lets a delivery wait that has nothing else to do.
QUEUE_AGE = timedelta(minutes=1)
# No index knows what is *sending*: it costs each login less to look back here. As far as both say.
LOOK_BACK = timedelta(hours=1)
LOOK_BACK_COUNT = 50_000
BATCH_SIZE = 500

HAS_ENDED = "the process that was sending it has ended"

Row = TypeVar("Row", PendingDelivery, PhoneChallenge)


def sweep_deliveries(
    now: datetime, *, age: timedelta = SWEEP_AGE, look_back: timedelta = LOOK_BACK
) -> int:
    """Close the deliveries that nobody can be busy with any more; give their number. Writes.

    Whether the message went out nobody knows: the attempt is noted as uncertain. Nothing is sent.
    The challenge failed, and takes a resend while it lives.
    """
    before = now - age
    pending = PendingDelivery.primary().abandoned(before).select_related("challenge")
    closed = sum(_close(each) for each in _in_batches(pending))
    abandoned = find_abandoned(before, look_back=look_back)
    return closed + sum(_sweep(each) for each in _in_batches(abandoned))


def sweep_queue(now: datetime, *, age: timedelta = QUEUE_AGE) -> int:
    """Put in again what no worker has taken; give the number. Writes.

    The queue may have lost it; where it is only slow, one of the two is made. What has become too
    late for anybody is closed. While the queue is out of reach the rest goes on waiting.
    """
    queue = load_queue(conf.read())
    has_workers = queue is not None
    waiting = PendingDelivery.primary().unclaimed(now - age).select_related("challenge")
    count = 0
    for pending in _in_batches(waiting):
        if not has_workers or pending.challenge.state_at(now) not in OPEN_STATES:
            close_delivery(pending, DeliveryOutcome.UNAVAILABLE, "no worker took it in time")
        elif queue and PendingDelivery.primary().queue_again(pending, now):
            try:
                queue.put(pending.pk)
            except Exception as error:  # noqa: BLE001 (each queue has errors of its own)
                log_event(logger, Event.QUEUE_UNAVAILABLE, error=type(error).__name__)
                queue = None  # the next sweep tries again
            else:
                count += 1
    return count


def find_abandoned(
    before: datetime, *, look_back: timedelta = LOOK_BACK
) -> QuerySet[PhoneChallenge]:
    """Choose the challenges that were being sent by requests themselves."""
    challenges = PhoneChallenge.primary()
    times = challenges.order_by("-created_at").values_list("created_at", flat=True)
    reached = times[LOOK_BACK_COUNT : LOOK_BACK_COUNT + 1].first()
    found = challenges.abandoned(before).filter(pending_deliveries=None)
    return found.filter(created_at__gte=min(before - look_back, reached)) if reached else found


def _in_batches(rows: QuerySet[Row]) -> Iterator[Row]:
    """Give the rows one by one; each once, though some are gone by then."""
    ordered, reached = rows.order_by("pk"), 0
    while batch := list(ordered.filter(pk__gt=reached)[:BATCH_SIZE]):
        yield from batch
        reached = batch[-1].pk


def _close(pending: PendingDelivery) -> bool:
    is_closed = close_delivery(pending, DeliveryOutcome.UNCERTAIN, HAS_ENDED)
    if is_closed:
        log_event(logger, Event.DELIVERY_SWEPT, challenge=pending.challenge_id)
    return is_closed


def _sweep(challenge: PhoneChallenge) -> bool:
    challenges = PhoneChallenge.primary()
    with transaction.atomic(using=challenges.db, durable=True):
        # Its worker may have come back at this moment.
        if not challenges.mark_failed(challenge, account=challenge.account):
            return False
        note_attempt(
            DeliveryAttempt(
                challenge=challenge,
                account=challenge.account,
                provider=challenge.provider,
                channel=challenge.channel,
                outcome=DeliveryOutcome.UNCERTAIN,
                detail=HAS_ENDED,
                duration_ms=0,
            )
        )
    log_event(logger, Event.DELIVERY_SWEPT, challenge=challenge.pk)
    return True
