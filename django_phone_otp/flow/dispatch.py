"""Dispatch: along the route until one provider has taken the message. Layer 4.

Providers are called outside transactions; what came of it is written in one.
"""

import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from .. import codes, signals
from ..choices import DeliveryOutcome, Refusal, State
from ..conf import Settings
from ..events import Event, log_event
from ..exceptions import Misconfigured
from ..models import DeliveryAttempt, IssuedCode, PendingDelivery, PhoneChallenge
from ..providers.base import Started
from .accounts import Account
from .breakers import Breakers
from .budgets import take_from_budgets
from .deliveries import CONSEQUENCES, Delivery, deliver, describe
from .discretion import is_discreet
from .limits import Denial
from .transactions import atomic_for

logger = logging.getLogger(__name__)


def dispatch(
    challenge: PhoneChallenge,
    route: Sequence[Account],
    settings: Settings,
    *,
    is_wanted: bool,
    pending: PendingDelivery | None = None,
) -> Denial | None:
    """Send one code for a challenge, or withhold it where there is nobody who may have it.

    Gives None when the code can be answered, or has to look so; `challenge` shows the new state.
    Gives the denial when nothing went out, or nothing that could be answered. A `pending` delivery
    is over then. Sends, costs money, writes; call it outside transactions.
    """
    if is_wanted:
        return _send(challenge, route, settings, pending)
    return _withhold(challenge, route, settings, pending)


def _send(
    challenge: PhoneChallenge,
    route: Sequence[Account],
    settings: Settings,
    pending: PendingDelivery | None,
) -> Denial | None:
    """Go along the route until one account has taken the message, or may have.

    Where it is to be discreet, whatever happens looks like a message that went out, as `_withhold`
    does, and one account is asked: a resend goes on to the next. Only the attempts tell the truth,
    to operators.
    """
    discreet = is_discreet(challenge.purpose, settings)
    breakers = Breakers(route)
    deliveries: list[Delivery] = []
    for account in breakers.walk():
        full = take_from_budgets(account, challenge, settings)
        delivery = full or _deliver(account, challenge, settings, discreet=discreet)
        breakers.note(account, delivery.outcome)
        deliveries.append(delivery)
        ends = delivery.consequence is None or not delivery.consequence.goes_on
        # SECURITY: a second account would tell that the first was really asked.
        if ends or (discreet and not full):
            break
    waits = [each.retry_after_seconds for each in deliveries if each.retry_after_seconds]
    shown = replace(deliveries[-1], retry_after_seconds=min(waits, default=None))
    if discreet:
        is_answerable = shown.can_be_answered
        shown = _level(shown, settings) if is_answerable else _invent(shown.account, settings)
    attempts = [describe(each, challenge) for each in deliveries]
    return _record(challenge, shown, attempts, settings, pending)


def _deliver(
    account: Account, challenge: PhoneChallenge, settings: Settings, *, discreet: bool
) -> Delivery:
    try:
        return deliver(account, challenge, settings)
    except ImproperlyConfigured as error:
        if not discreet:
            raise
        # SECURITY: for an unknown phone no account is asked that could be set up wrongly.
        log_event(logger, Event.ACCOUNT_BROKEN, account=account.alias, reason=error)
        return Delivery(
            account=account,
            length=account.code_length(settings),
            consequence=CONSEQUENCES[Misconfigured],
            detail="the account is set up wrongly",
        )


def _withhold(
    challenge: PhoneChallenge,
    route: Sequence[Account],
    settings: Settings,
    pending: PendingDelivery | None,
) -> Denial | None:
    """Do all that a discreet `_send` does, but send nothing.

    SECURITY: for unknown phones while sign-up is closed. State, body and number of queries are the
    same, and no answer matches: there is a digest, of nothing.
    """
    account = route[0]
    for account in Breakers(route).walk(is_withheld=True):
        if take_from_budgets(account, challenge, settings, is_withheld=True) is None:
            break
    shown = _invent(account, settings)
    attempt = describe(shown, challenge)
    attempt.outcome = DeliveryOutcome.WITHHELD
    return _record(challenge, shown, [attempt], settings, pending)


def pretend(pending: PendingDelivery, route: Sequence[Account], settings: Settings) -> None:
    """Show a message that a worker will send, or withhold, as one that went out. Writes.

    SECURITY: while sign-up is closed. All that can be seen from outside is written by the request,
    for known and unknown phones alike; how long a worker takes, or that it died, shows nowhere. So
    the account is chosen here, and its budgets are taken: by another one the code might have
    another length than is shown, and other tries.
    """
    challenge, account = pending.challenge, route[0]
    is_withheld, pending.route = pending.withheld, []
    for account in Breakers(route).walk(is_withheld=is_withheld):
        if take_from_budgets(account, challenge, settings, is_withheld=is_withheld) is None:
            pending.route = [account.alias]
            break
    code = _issue(challenge, _invent(account, settings), settings)
    pending.pretended = code.code_digest
    with atomic_for(challenge):
        PhoneChallenge.primary().record_code(challenge, code)
        pending.save(update_fields=["route", "pretended"])


def send_pretended(pending: PendingDelivery, account: Account, settings: Settings) -> None:
    """Send what shows as sent already. Sends, costs money, writes; nothing of it shows."""
    challenge = pending.challenge
    breakers = Breakers([account])
    delivery = _deliver(account, challenge, settings, discreet=True)
    breakers.note(account, delivery.outcome)
    with atomic_for(challenge):
        if delivery.can_be_answered:
            code = _issue(challenge, _level(delivery, settings), settings)
            PhoneChallenge.primary().fill_in(challenge.pk, pending.pretended, code)
        note_attempt(describe(delivery, challenge))
        PendingDelivery.primary().close(pending)


def close_delivery(pending: PendingDelivery, outcome: DeliveryOutcome, detail: str) -> bool:
    """Close a delivery of which nobody will tell more; say whether it was still as it was read.

    Writes. The challenge failed, unless an earlier code of it counts; it takes a resend while it
    lives.
    """
    challenge, challenges = pending.challenge, PhoneChallenge.primary()
    # Of one that is uncertain somebody was asked.
    account = pending.only_account if outcome is DeliveryOutcome.UNCERTAIN else ""
    attempt = DeliveryAttempt(
        challenge=challenge,
        account=account,
        channel=challenge.channel,
        outcome=DeliveryOutcome.WITHHELD if pending.withheld else outcome,
        detail=detail,
        duration_ms=0,
    )
    with suppress(PhoneChallenge.DoesNotExist), atomic_for(challenge):
        challenges.mark_failed(challenge, account=account)
        note_attempt(attempt)
        if PendingDelivery.primary().close(pending):
            return True
        transaction.set_rollback(True, using=challenges.db)
    return False


def _level(shown: Delivery, settings: Settings) -> Delivery:
    """Show a delivery as one that is invented would look, whatever the service really did.

    A code that ends early then looks like a wrong one.
    """
    started = shown.started and replace(shown.started, lives_seconds=None)
    length = shown.account.code_length(settings)
    return replace(shown, consequence=None, length=length, started=started)


def _invent(account: Account, settings: Settings) -> Delivery:
    """Make a delivery that looks like one that went out, with a code that nobody can know."""
    length = account.code_length(settings)
    return Delivery(account=account, length=length, code=secrets.token_hex())


def _record(
    challenge: PhoneChallenge,
    shown: Delivery,
    attempts: Sequence[DeliveryAttempt],
    settings: Settings,
    pending: PendingDelivery | None,
) -> Denial | None:
    """Write what the deliveries came to, in one transaction, and give what the person is told."""
    challenges = PhoneChallenge.primary()
    denial = None
    with atomic_for(challenge):
        if shown.consequence and not shown.can_be_answered:
            challenges.mark_failed(challenge, account=shown.account.alias)
            denial = Denial(shown.consequence.refusal, shown.retry_after_seconds)
        elif not challenges.record_code(challenge, _issue(challenge, shown, settings)):
            # Answered or cancelled while we were sending.
            denial = Denial(Refusal.CHALLENGE_CLOSED)
        for attempt in attempts:
            note_attempt(attempt)
        if pending:
            PendingDelivery.primary().close(pending)
    return denial


def note_attempt(attempt: DeliveryAttempt) -> None:
    """Store an attempt and have listeners hear of it, unless nobody was to be asked."""
    using = PhoneChallenge.primary().db
    attempt.save(force_insert=True, using=using)
    if attempt.outcome in (DeliveryOutcome.WITHHELD, DeliveryOutcome.TEST):
        return
    went_out = attempt.outcome == DeliveryOutcome.SENT
    signals.send_after_commit(
        signals.code_sent if went_out else signals.delivery_failed,
        sender=PhoneChallenge,
        using=using,
        challenge=attempt.challenge,
        delivery=attempt,
    )


@sensitive_variables("digest", "started")
def _issue(challenge: PhoneChallenge, delivery: Delivery, settings: Settings) -> IssuedCode:
    provider, now = delivery.account.provider, timezone.now()
    started = delivery.started or Started()
    lifetime = min(settings.code_ttl, started.lives_seconds or settings.code_ttl)
    digest = ""
    if delivery.code:
        digest = codes.make_digest(
            delivery.code, alphabet=provider.alphabet, bound_to=challenge.bound_to
        )
    return IssuedCode(
        state=State.SENDING if delivery.consequence else State.SENT,
        sent_at=None if delivery.consequence else now,
        expires_at=now + timedelta(seconds=lifetime),
        code_digest=digest,
        code_length=delivery.length,
        attempts_left=settings.attempts_for(delivery.length),
        account=delivery.account.alias,
        provider=provider.key,
        provider_ref=started.reference,
        channel=provider.channel,
        custody=provider.custody,
        call_to=started.call_to,
    )
