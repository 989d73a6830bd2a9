"""Admission: whether a message may go out, and the challenge that is stored for it. Layer 4."""

from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from .. import signals
from ..choices import Refusal, State
from ..conf import Settings
from ..exceptions import CacheUnavailable
from ..models import GuardObjection, PendingDelivery, PhoneChallenge, PhoneLedger
from ..phone import Phone
from . import limits
from .client import Client
from .devices import find_device, is_busy
from .guards import Examination, examine
from .limits import MAX_RACES, Denial
from .transactions import outlast_deadlocks, racing_for


def admit(
    challenge: PhoneChallenge,
    number: Phone,
    client: Client,
    settings: Settings,
    *,
    device: str = "",
    pending: PendingDelivery | None = None,
) -> Denial | None:
    """Take one message from all budgets and store the challenge, if it is new. Writes.

    A `pending` delivery is stored with it: what a queue then hands to a worker is committed.

    First the phone says whether there is room for a message at all, then the guards, then the
    region and the site. What a guard blocks is stored for the operators, a new challenge as closed
    from the start.

    SECURITY: the phone's budget is taken last, and exactly: of any number of requests for a phone
    at one moment one gets through; the others read the ledger that it wrote and are told to wait.
    While sign-up is closed messages that are withheld count like all others: what a guard or a
    budget has seen must not tell who has an account.
    """
    examined: Examination | None = None
    for _ in range(MAX_RACES):
        _read_counters(challenge, device)
        now = timezone.now()
        denial = limits.deny_send(challenge.counter, settings, now)
        if denial:
            return denial
        if examined is None:
            device_ledger = challenge.device
            is_trusted = device_ledger is not None and limits.is_trusted(device_ledger, now)
            try:
                examined = examine(number, client, settings, is_trusted=is_trusted)
            except CacheUnavailable:
                return Denial(Refusal.UNAVAILABLE)
            full = None if examined.denial else limits.count_message(number.region, settings)
            if full:
                return full
        blocked = examined.denial
        taken = {} if blocked else limits.after_send(challenge.counter, settings, now)
        if _store(challenge, taken, examined, now, pending):
            if not blocked:
                examined.count()
            return blocked
    return Denial(Refusal.UNAVAILABLE)


def _read_counters(challenge: PhoneChallenge, device: str) -> None:
    """Read the rows that count as they are now: the phone's, and that of the device which asks."""
    challenge.read_counters()
    if not challenge._state.adding:
        return  # a resend: it counts where its request did
    challenge.device = find_device(device, challenge.ledger)
    if challenge.device and challenge.ledger._state.adding:
        # Purged since: what the device's row belongs to has to be there.
        store = partial(PhoneLedger.primary().get_or_create, phone=challenge.phone)
        challenge.ledger, _created = outlast_deadlocks(store)


def _store(
    challenge: PhoneChallenge,
    taken: dict[str, Any],
    examined: Examination,
    now: datetime,
    pending: PendingDelivery | None,
) -> bool:
    """Write all that a message needs in one transaction; say whether nobody was faster."""
    challenges, is_stored = PhoneChallenge.primary(), False
    with racing_for(challenge):
        device, ledger = challenge.device, challenge.ledger
        # A new device: a purge must not take its phone's row away meanwhile.
        if device and device._state.adding and not ledger.write({}):
            return False
        # One that was idle takes a place among the busy: of many at one moment one does.
        takes_place = bool(device and not device._state.adding and not is_busy(device, now))
        is_first = challenge.counter.write(taken)
        if not is_first or (takes_place and not ledger.write({})):
            transaction.set_rollback(True, using=challenges.db)
            return False
        if challenge._state.adding:
            challenge.state = State.SENDING
            if examined.denial:
                challenge.state, challenge.request_digest = State.CANCELLED, None
            challenge.save(force_insert=True, using=challenges.db)
        if pending and not examined.denial:
            pending.challenge = challenge
            pending.save(force_insert=True, using=challenges.db)
        if examined.objections:
            rows = [each.note(challenge) for each in examined.objections]
            GuardObjection.objects.using(challenges.db).bulk_create(rows)
            for row in rows:
                signals.send_after_commit(
                    signals.guard_objected,
                    sender=PhoneChallenge,
                    using=challenges.db,
                    challenge=challenge,
                    objection=row,
                )
        is_stored = True
    return is_stored
