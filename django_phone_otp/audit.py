"""The audit log: the life of each challenge, line by line, as the signals tell it. Layer 5.

Only listens. What goes wrong on the way is logged by the flow, where it happens.
"""

import logging
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.dispatch import Signal

from . import signals
from .choices import Refusal
from .events import Event, log_event
from .models import DeliveryAttempt, PhoneChallenge

logger = logging.getLogger(__name__)


def connect() -> None:
    """Listen from now on; to call it again changes nothing."""
    signals.connect(RECEIVERS)


def log_request(
    challenge: PhoneChallenge | None,
    refusal: Refusal | None,
    purpose: str,
    channel: str | None,
    is_resend: bool,
    **_: Any,
) -> None:
    """Log that a code was asked for."""
    if refusal or challenge is None:
        log_event(
            logger,
            Event.REQUEST_REFUSED,
            challenge=challenge and challenge.pk,
            phone=challenge and challenge.phone,
            purpose=purpose or None,
            channel=channel,
            resend=is_resend,
            refusal=refusal,
        )
        return
    log_event(
        logger,
        Event.CODE_REQUESTED,
        challenge=challenge.pk,
        phone=challenge.phone,
        purpose=purpose,
        channel=challenge.channel,
        region=challenge.region,
        resend=is_resend,
    )


def log_sent(challenge: PhoneChallenge, delivery: DeliveryAttempt, **_: Any) -> None:
    """Log that a provider took a message."""
    log_event(
        logger,
        Event.CODE_SENT,
        challenge=challenge.pk,
        phone=challenge.phone,
        region=challenge.region,
        account=delivery.account,
        provider=delivery.provider,
        channel=delivery.channel,
        duration_ms=delivery.duration_ms,
    )


def log_rejected(challenge: PhoneChallenge | None, refusal: Refusal, **_: Any) -> None:
    """Log that an answer was refused."""
    log_event(
        logger,
        Event.ANSWER_REFUSED,
        challenge=challenge and challenge.pk,
        phone=challenge and challenge.phone,
        purpose=challenge and challenge.purpose,
        refusal=refusal,
    )


def log_verified(challenge: PhoneChallenge, **_: Any) -> None:
    """Log that a phone was proved."""
    log_event(
        logger,
        Event.PHONE_VERIFIED,
        challenge=challenge.pk,
        phone=challenge.phone,
        purpose=challenge.purpose,
        account=challenge.account,
        channel=challenge.channel,
    )


def log_locked(challenge: PhoneChallenge, **_: Any) -> None:
    """Log that no more answers are taken; of a whole phone an operator should hear."""
    is_phone = challenge.ledger.disabled_at is not None
    log_event(
        logger,
        Event.PHONE_LOCKED,
        level=logging.WARNING if is_phone else logging.INFO,
        challenge=challenge.pk,
        phone=challenge.phone,
        scope="phone" if is_phone else "challenge",
    )


def log_login(challenge: PhoneChallenge, user: AbstractBaseUser, created: bool, **_: Any) -> None:
    """Log who was logged in."""
    log_event(
        logger,
        Event.LOGGED_IN,
        challenge=challenge.pk,
        phone=challenge.phone,
        user=user.pk,
        created=created,
    )


def log_linked(user: AbstractBaseUser, phone: str, previous_phone: str | None, **_: Any) -> None:
    """Log that a user has a phone more."""
    log_event(logger, Event.PHONE_LINKED, phone=phone, previous_phone=previous_phone, user=user.pk)


def log_unlinked(user: AbstractBaseUser, phone: str, **_: Any) -> None:
    """Log that a user has a phone less."""
    log_event(logger, Event.PHONE_UNLINKED, phone=phone, user=user.pk)


def log_primary(user: AbstractBaseUser, phone: str, previous_phone: str, **_: Any) -> None:
    """Log that another phone is a user's primary one."""
    log_event(
        logger,
        Event.PRIMARY_PHONE_CHANGED,
        phone=phone,
        previous_phone=previous_phone,
        user=user.pk,
    )


RECEIVERS: dict[Signal, Callable[..., None]] = {
    signals.code_requested: log_request,
    signals.code_sent: log_sent,
    signals.code_rejected: log_rejected,
    signals.phone_verified: log_verified,
    signals.phone_locked: log_locked,
    signals.login_accepted: log_login,
    signals.phone_linked: log_linked,
    signals.phone_unlinked: log_unlinked,
    signals.primary_phone_changed: log_primary,
}
