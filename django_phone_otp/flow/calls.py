"""Calls: challenges that are answered by a call of the person, and by no code. Layer 4.

The provider is asked when somebody looks at the challenge or answers it, and at most every two
seconds. No try is taken: whoever has not called can guess nothing.
"""

import logging
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.core.cache import cache
from django.utils import timezone

from .. import conf
from ..choices import Refusal, State
from ..conf import Settings
from ..events import Event, log_event
from ..models import PendingDelivery, PhoneChallenge
from ..providers import Provider
from . import limits
from .accounts import find_account
from .client import UNKNOWN_CLIENT, Client
from .discretion import level_state
from .limits import Denial
from .request import find_challenge
from .verdicts import Answer, refuse, settle

logger = logging.getLogger(__name__)

POLL_SECONDS = 2


def look_at_challenge(
    public_id: str, *, client: Client = UNKNOWN_CLIENT, user: AbstractBaseUser | None = None
) -> PhoneChallenge | None:
    """Find a challenge as it is now; one that awaits a call turns verified when the call came in.

    Writes then. A `link` is found only by the `user` who asked for it.
    """
    challenge, settings = find_challenge(public_id, user=user), conf.read()
    if challenge is None:
        return None
    if challenge.awaits_call:
        is_closed = limits.deny_confirmation(challenge, settings, timezone.now())
        if not is_closed and _has_called(challenge, settings):
            settle(challenge, True, settings, client)
    return _show(challenge, settings)


def _show(challenge: PhoneChallenge, settings: Settings) -> PhoneChallenge:
    """Show that a message waits for a worker, though an earlier one may have gone out."""
    is_queued = settings.dispatch != "inline" and challenge.state in (State.SENT, State.FAILED)
    if is_queued and PendingDelivery.primary().filter(challenge=challenge).exists():
        challenge.state = State.SENDING
    return level_state(challenge, settings)


def confirm_call(challenge: PhoneChallenge, settings: Settings, client: Client) -> Answer:
    """Answer a challenge with the person's call: verified, `CALL_AWAITED`, or another refusal."""
    if _is_proven(challenge, settings) and not challenge.ledger.disabled_at:
        return Answer(challenge=challenge)  # somebody looked at it after the call
    denial = limits.deny_confirmation(challenge, settings, timezone.now())
    if denial:
        return refuse(denial, challenge, client)
    has_called = _has_called(challenge, settings)
    if has_called is None:
        return refuse(Denial(Refusal.UNAVAILABLE), challenge, client)
    if not has_called:
        return Answer(refusal=Refusal.CALL_AWAITED)  # no failure: nothing to tell listeners
    answer = settle(challenge, True, settings, client)
    if answer.refusal is Refusal.CHALLENGE_CLOSED:
        # Somebody looked at it at the same moment, and was faster to write that the call came in.
        challenge.refresh_from_db(PhoneChallenge.primary().db)
        return Answer(challenge=challenge) if _is_proven(challenge, settings) else answer
    return answer


def _is_proven(challenge: PhoneChallenge, settings: Settings) -> bool:
    return challenge.is_proven(timezone.now() - timedelta(seconds=settings.code_ttl))


def _has_called(challenge: PhoneChallenge, settings: Settings) -> bool | None:
    """Ask the provider, unless it was asked a moment ago; None when it gives no verdict."""
    key = f"phone_otp.poll.{challenge.pk}"
    try:
        # Before the account is looked for: one that is gone, or broken, is told as often as one is
        # asked, and not at every look.
        if not cache.add(key, 1, POLL_SECONDS):
            return False
        account = find_account(challenge.account, settings)
        if account:
            return _poll(challenge, account.provider, key)
    except Exception as error:  # noqa: BLE001 (a provider's class, or the cache's, may raise any)
        reason = type(error).__name__
    else:
        reason = "the account is gone"
    log_event(logger, Event.JUDGE_UNAVAILABLE, account=challenge.account, reason=reason)
    return None


def _poll(challenge: PhoneChallenge, provider: Provider[Any], key: str) -> bool:
    """Ask the provider, one request at a time for each challenge, however slow it is."""
    cache.set(key, 1, provider.options.timeout + POLL_SECONDS)
    try:
        has_called = provider.poll(challenge.provider_ref, challenge.phone)
    finally:
        cache.set(key, 1, POLL_SECONDS)
    return has_called and _is_alone(challenge)


def _is_alone(challenge: PhoneChallenge) -> bool:
    """Say whether the call can be meant for nobody else.

    SECURITY: `flow.budgets` lets no second challenge of a phone await a call; where two were made
    at one moment all the same, nobody can know whose call it is. It counts for neither, and all of
    them are closed: the one that is left over must not have it later.
    """
    if PhoneChallenge.primary().cancel_ambiguous_calls(challenge, timezone.now()):
        log_event(logger, Event.CALL_AMBIGUOUS, account=challenge.account)
        return False
    return True
