"""Verdicts: what an answer came to, written and told. Layer 4.

Reached by comparing a code (`confirm`) or by the call of a person (`calls`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from .. import signals
from ..choices import Refusal, State
from ..conf import Settings
from ..models import ConfirmAttempt, PhoneChallenge
from . import guards, limits
from .client import Client
from .limits import MAX_RACES, Denial
from .transactions import racing_for


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

    Where somebody else has written the phone's row in between, or the database has ended ours for
    somebody else's sake, all of it is taken back and tried again with the row as it is then.
    """
    challenges = PhoneChallenge.primary()
    for _ in range(MAX_RACES):
        now = timezone.now()
        # SECURITY: answers to several challenges of a phone run at one moment. What was compared
        # beyond the phone's budget is dropped here, and nobody learns whether it was right.
        denial = limits.deny_answer(challenge.counter, settings, now)
        if denial:
            return refuse(denial, challenge, client)
        with racing_for(challenge):
            # First what touches the challenge, then the phone: in one order, so that nobody waits
            # for somebody who waits for him.
            if is_right and not challenges.verify(challenge.pk, now):
                return refuse(Denial(Refusal.CHALLENGE_CLOSED), challenge, client)
            _note(challenge, is_right, client, challenges.db)
            counted = limits.after_answer(challenge, is_right, settings, now)
            if all(row.write(changes) for row, changes in counted):
                if not is_right:
                    return _reject(challenge, settings, client)
                challenge.state, challenge.verified_at = State.VERIFIED, now
                return _accept(challenge, settings, client)
            transaction.set_rollback(True, using=challenges.db)
        challenge.read_counters()
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


def _accept(challenge: PhoneChallenge, settings: Settings, client: Client) -> Answer:
    _after_commit(lambda: guards.count_login(challenge, settings))
    _announce(signals.phone_verified, challenge=challenge, client=client)
    return Answer(challenge=challenge)


def _reject(challenge: PhoneChallenge, settings: Settings, client: Client) -> Answer:
    _after_commit(lambda: limits.count_wrong_code(settings))
    # Read anew: parallel answers took tries as well, and the last of them must be told so.
    challenge.refresh_from_db(PhoneChallenge.primary().db, fields=["attempts_left"])
    if not challenge.attempts_left or challenge.ledger.disabled_at:
        _announce(signals.phone_locked, challenge=challenge, client=client)
    return refuse(
        Denial(Refusal.WRONG_CODE), challenge, client, attempts_left=challenge.attempts_left
    )


def _after_commit(count: Callable[[], None]) -> None:
    transaction.on_commit(count, using=PhoneChallenge.primary().db, robust=True)


def _announce(signal: Signal, **arguments: Any) -> None:
    using = PhoneChallenge.primary().db
    signals.send_after_commit(signal, sender=PhoneChallenge, using=using, **arguments)
