"""Dispatch: along the route until one provider has taken the message. Layer 4.

Providers are called outside transactions; what came of it is written in one.
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from .. import codes, signals
from ..choices import DeliveryOutcome, Refusal, State
from ..conf import Settings
from ..models import DeliveryAttempt, IssuedCode, PhoneChallenge
from .accounts import Account
from .deliveries import Delivery, deliver, describe


def dispatch(
    challenge: PhoneChallenge, route: Sequence[Account], settings: Settings, *, discreet: bool
) -> Refusal | None:
    """Send one code for a challenge. Sends, costs money, writes; call it outside transactions.

    Gives None when a message went out, or may have gone out with a code that we know; `challenge`
    then shows the new state. Gives the refusal when nothing went out, or nothing that could be
    answered. With `discreet` whatever happens looks like a message that went out, as `withhold`
    does; only the attempts tell the truth, to operators.
    """
    deliveries: list[Delivery] = []
    for account in route:
        deliveries.append(deliver(account, challenge, settings))
        consequence = deliveries[-1].consequence
        if consequence is None or not consequence.goes_on:
            break
    shown = deliveries[-1]
    if discreet:
        shown = (
            replace(shown, consequence=None) if shown.can_be_answered else _invent(route, settings)
        )
    return _record(challenge, shown, [describe(each, challenge) for each in deliveries], settings)


def withhold(
    challenge: PhoneChallenge, route: Sequence[Account], settings: Settings
) -> Refusal | None:
    """Do all that a discreet `dispatch` does, but send nothing.

    SECURITY: for unknown phones while sign-up is closed. State, body and number of queries are the
    same, and no answer matches: there is a digest, of nothing.
    """
    shown = _invent(route, settings)
    attempt = describe(shown, challenge)
    attempt.outcome = DeliveryOutcome.WITHHELD
    return _record(challenge, shown, [attempt], settings)


def _invent(route: Sequence[Account], settings: Settings) -> Delivery:
    """Make a delivery that looks like one that went out, with a code that nobody can know."""
    length = route[0].provider.code_length or settings.code_length
    return Delivery(account=route[0], length=length, code=secrets.token_hex())


def _record(
    challenge: PhoneChallenge,
    shown: Delivery,
    attempts: Sequence[DeliveryAttempt],
    settings: Settings,
) -> Refusal | None:
    """Write what the deliveries came to, in one transaction, and give what the person is told."""
    challenges = PhoneChallenge.primary()
    refusal = None
    with transaction.atomic(using=challenges.db, durable=True):
        if shown.consequence and not shown.can_be_answered:
            challenges.mark_failed(challenge)
            refusal = shown.consequence.refusal
        elif not challenges.record_code(challenge, _issue(challenge, shown, settings)):
            refusal = Refusal.CHALLENGE_CLOSED  # answered or cancelled while we were sending
        DeliveryAttempt.objects.using(challenges.db).bulk_create(attempts)
        for attempt in attempts:
            _announce(challenge, attempt, using=challenges.db)
    return refusal


@sensitive_variables("digest")
def _issue(challenge: PhoneChallenge, delivery: Delivery, settings: Settings) -> IssuedCode:
    provider, now = delivery.account.provider, timezone.now()
    digest = ""
    if delivery.code:
        digest = codes.make_digest(
            delivery.code, alphabet=provider.alphabet, bound_to=challenge.bound_to
        )
    return IssuedCode(
        state=State.SENDING if delivery.consequence else State.SENT,
        sent_at=None if delivery.consequence else now,
        expires_at=now + timedelta(seconds=settings.code_ttl),
        code_digest=digest,
        code_length=delivery.length,
        attempts_left=settings.attempts_for(delivery.length),
        account=delivery.account.alias,
        provider=provider.key,
        provider_ref=delivery.started.reference if delivery.started else "",
        channel=provider.channel,
        custody=provider.custody,
    )


def _announce(challenge: PhoneChallenge, attempt: DeliveryAttempt, *, using: str) -> None:
    if attempt.outcome == DeliveryOutcome.WITHHELD:
        return
    went_out = attempt.outcome == DeliveryOutcome.SENT
    signals.send_after_commit(
        signals.code_sent if went_out else signals.delivery_failed,
        sender=PhoneChallenge,
        using=using,
        challenge=challenge,
        delivery=attempt,
    )
