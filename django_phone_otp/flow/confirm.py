"""Answer with a code: the way of an answer, in order. Layer 4."""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from .. import codes, conf, signals
from ..choices import Custody, Refusal, State
from ..conf import Settings
from ..models import ConfirmAttempt, PhoneChallenge, PhoneLedger
from . import limits
from .accounts import find_account
from .client import UNKNOWN_CLIENT, Client
from .limits import Denial
from .request import MAX_RACES, find_challenge

logger = logging.getLogger(__name__)


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


@sensitive_variables("code")
def confirm_code(
    public_id: str,
    code: str,
    *,
    client: Client = UNKNOWN_CLIENT,
    user: AbstractBaseUser | None = None,
) -> Answer:
    """Answer a challenge with a code as a person types it. Writes.

    On success hand `challenge` to `authenticate(request, phone_challenge=...)`, or to `link_phone`;
    either spends it once. A `link` needs the `user` who asked for it.
    """
    settings = conf.read()
    denial = limits.count_address("confirm_ip", client.ip, settings)
    if denial:
        return _refuse(denial, None, client)
    challenge = find_challenge(public_id, user=user)
    if challenge is None:
        return _refuse(Denial(Refusal.UNKNOWN_CHALLENGE), None, client)
    now = timezone.now()
    denial = limits.deny_closed(challenge, settings, now) or limits.deny_answer(
        challenge.ledger, settings, now
    )
    if denial:
        return _refuse(denial, challenge, client)
    if not PhoneChallenge.primary().take_try(challenge.pk, now):
        return _refuse(_explain_lost_try(challenge, settings, now), challenge, client)
    is_right = _judge(challenge, code, settings, now)
    if is_right is None:
        return _refuse(Denial(Refusal.UNAVAILABLE), challenge, client)
    return _settle(challenge, is_right, settings, client)


@sensitive_variables("code")
def _judge(challenge: PhoneChallenge, code: str, settings: Settings, now: datetime) -> bool | None:
    """Compare an answer for which a try has been taken, or have the provider compare it.

    None when the provider is the judge and gives no verdict. A digest beside a provider that judges
    is that of a message that never went out: nothing matches it, and nobody need be asked.
    """
    if challenge.custody == Custody.REMOTE and not challenge.code_digest:
        return _ask_judge(challenge, code, settings)
    return codes.matches_any(code, challenge.valid_digests(now), bound_to=challenge.bound_to)


@sensitive_variables("code")
def _ask_judge(challenge: PhoneChallenge, code: str, settings: Settings) -> bool | None:
    account = find_account(challenge.account, settings)
    try:
        if account:
            return account.provider.check(challenge.provider_ref, challenge.phone, code)
    except Exception as error:  # noqa: BLE001 (SECURITY: its words and traceback may hold the code)
        reason = type(error).__name__
    else:
        reason = "the account is gone"
    logger.error("judge_unavailable account=%s reason=%s", challenge.account, reason)
    return None


def _settle(
    challenge: PhoneChallenge, is_right: bool, settings: Settings, client: Client
) -> Answer:
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
            return _refuse(denial, challenge, client)
        with transaction.atomic(using=challenges.db, durable=True):
            # First what touches the challenge, then the phone: in one order, so that nobody waits
            # for somebody who waits for him.
            if is_right and not challenges.verify(challenge.pk, now):
                return _refuse(Denial(Refusal.CHALLENGE_CLOSED), challenge, client)
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
    return _refuse(Denial(Refusal.UNAVAILABLE), challenge, client)


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
    return _refuse(
        Denial(Refusal.WRONG_CODE), challenge, client, attempts_left=challenge.attempts_left
    )


def _explain_lost_try(challenge: PhoneChallenge, settings: Settings, now: datetime) -> Denial:
    """Say why no try was left although there was one when we looked: others were faster."""
    challenge.refresh_from_db(PhoneChallenge.primary().db)
    closed = limits.deny_closed(challenge, settings, now)
    return closed or Denial(Refusal.CHALLENGE_CLOSED)


def _refuse(
    denial: Denial,
    challenge: PhoneChallenge | None,
    client: Client,
    attempts_left: int | None = None,
) -> Answer:
    _announce(signals.code_rejected, challenge=challenge, refusal=denial.refusal, client=client)
    return Answer(
        refusal=denial.refusal,
        attempts_left=attempts_left,
        retry_after_seconds=denial.retry_after_seconds,
    )


def _announce(signal: Signal, **arguments: Any) -> None:
    using = PhoneChallenge.primary().db
    signals.send_after_commit(signal, sender=PhoneChallenge, using=using, **arguments)
