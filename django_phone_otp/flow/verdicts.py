"""Verdicts: what an answer came to, written and told. Layer 4.

Reached by comparing a code (`confirm`) or by the call of a person (`calls`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from .. import signals
from ..choices import Refusal, State
from ..conf import Settings
from ..models import ConfirmAttempt, PhoneChallenge, PhoneLedger
from . import limits
from .client import Client
from .limits import Denial
from .request import MAX_RACES


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What became of an answer: a verified `challenge`, or a `refusal`.

    SECURITY: a refused answer has no challenge. A door hands it to `authenticate()`, and a
    challenge that somebody else has just verified must not be spent on a wrong code.
    """

    refusal: Refusal | None = None
    challenge: PhoneChallenge | None = None
    attempts_left: int | None = None
    retry_after_seconds: int | None = None


def settle(challenge: PhoneChallenge, is_right: bool, settings: Settings, client: Client) -> Answer:
    """Write what the comparison came to: challenge, phone and audit trail, in one transaction.

    Where somebody else has written the phone's row in between, all of it is taken back and tried
    again with the row as it is then.
    """
    challenges = PhoneChallenge.primary()
    for _ in range(MAX_RACES):
        now = timezone.now()
        # SECURITY: answers to several challenges of a phone run at one moment. What was compared
        # beyond the phone's budget is dropped here, and nobody learns whether it was right.
        denial = limits.deny_answer(challenge.ledger, settings, now)
        if denial:
            return refuse(denial, challenge, client)
        with transaction.atomic(using=challenges.db, durable=True):
            # First what touches the challenge, then the phone: in one order, so that nobody waits
            # for somebody who waits for him.
            if is_right and not challenges.verify(challenge.pk, now):
                return refuse(Denial(Refusal.CHALLENGE_CLOSED), challenge, client)
            _note(challenge, is_right, client, challenges.db)
            changes = (
                limits.after_right_code()
                if is_right
                else limits.after_wrong_code(challenge.ledger, settings, now)
            )
            if PhoneLedger.primary().write(challenge.ledger, changes):
                return _accept(challenge, now, client) if is_right else _reject(challenge, client)
            transaction.set_rollback(True, using=challenges.db)
        challenge.ledger.refresh_from_db(using=challenges.db)
    return refuse(Denial(Refusal.UNAVAILABLE), challenge, client)


def refuse(
    denial: Denial,
    challenge: PhoneChallenge | None,
    client: Client,
    attempts_left: int | None = None,
) -> Answer:
    """Tell listeners that an answer was refused, and make the answer that says so."""
    _announce(signals.code_rejected, challenge=challenge, refusal=denial.refusal, client=client)
    return Answer(
        refusal=denial.refusal,
        attempts_left=attempts_left,
        retry_after_seconds=denial.retry_after_seconds,
    )


def _note(challenge: PhoneChallenge, is_right: bool, client: Client, using: str) -> None:
    ConfirmAttempt.objects.using(using).create(
        challenge=challenge,
        refusal="" if is_right else Refusal.WRONG_CODE,
        ip=client.ip or None,
        user_agent=client.user_agent,
    )


def _accept(challenge: PhoneChallenge, now: datetime, client: Client) -> Answer:
    challenge.state, challenge.verified_at = State.VERIFIED, now
    _announce(signals.phone_verified, challenge=challenge, client=client)
    return Answer(challenge=challenge)


def _reject(challenge: PhoneChallenge, client: Client) -> Answer:
    # Read anew: parallel answers took tries as well, and the last of them must be told so.
    challenge.refresh_from_db(PhoneChallenge.primary().db, fields=["attempts_left"])
    if not challenge.attempts_left or challenge.ledger.disabled_at:
        _announce(signals.phone_locked, challenge=challenge, client=client)
    return refuse(
        Denial(Refusal.WRONG_CODE), challenge, client, attempts_left=challenge.attempts_left
    )


def _announce(signal: Signal, **arguments: Any) -> None:
    using = PhoneChallenge.primary().db
    signals.send_after_commit(signal, sender=PhoneChallenge, using=using, **arguments)
