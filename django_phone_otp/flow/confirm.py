"""Answer with a code: the way of an answer, in order. Layer 4."""

import logging
from collections.abc import Mapping
from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from .. import codes, conf
from ..choices import Refusal, State
from ..conf import Settings
from ..events import Event, log_event
from ..exceptions import CodeGone, CodeRequired, RecipientLimited
from ..models import PhoneChallenge
from . import limits
from .accounts import Account, find_accounts
from .calls import confirm_call
from .client import UNKNOWN_CLIENT, Client
from .discretion import is_discreet
from .limits import Denial
from .request import find_challenge
from .verdicts import Answer, refuse, settle

logger = logging.getLogger(__name__)


@sensitive_variables("code")
def confirm_code(
    public_id: str,
    code: str = "",
    *,
    client: Client = UNKNOWN_CLIENT,
    user: AbstractBaseUser | None = None,
) -> Answer:
    """Answer a challenge with a code as a person types it. Writes.

    On success hand `challenge` to `authenticate(request, phone_challenge=...)`, or to `link_phone`;
    either spends it once. A `link` needs the `user` who asked for it. Where a call is awaited no
    code is needed: `CALL_AWAITED` then says that it has not come in. Raises `CodeRequired` for an
    answer without a code to every other challenge.
    """
    settings = conf.read()
    denial = limits.count_address("confirm_ip", client.ip, settings)
    if denial:
        return refuse(denial, None, client)
    challenge = find_challenge(public_id, user=user)
    if not code.strip() and not (challenge and challenge.awaits_call):
        raise CodeRequired(_("Enter the code."))
    if challenge is None:
        return refuse(Denial(Refusal.UNKNOWN_CHALLENGE), None, client)
    now = timezone.now()
    if challenge.awaits_call and not (code.strip() and challenge.has_earlier_code(now)):
        return confirm_call(challenge, settings, client)
    denial = limits.deny_confirmation(challenge, settings, now)
    if denial is None and _is_too_early(challenge, settings, now):
        denial = Denial(Refusal.UNAVAILABLE)
    if denial:
        return refuse(denial, challenge, client)
    if not PhoneChallenge.primary().take_try(challenge.pk, now):
        return refuse(_explain_lost_try(challenge, settings, now), challenge, client)
    verdict = _judge(challenge, code, settings, now)
    if isinstance(verdict, Denial):
        if not is_discreet(challenge.purpose, settings):
            return refuse(verdict, challenge, client)
        # SECURITY: an unknown phone has no judge that could fail.
        verdict = False
    return settle(challenge, verdict, settings, client)


def _is_too_early(challenge: PhoneChallenge, settings: Settings, now: datetime) -> bool:
    """Say whether nobody knows the code yet: a worker waits for the provider, the person does not.

    No try is taken then. SECURITY: while sign-up is closed one is: only a known phone has a worker.
    """
    if challenge.state != State.SENDING or is_discreet(challenge.purpose, settings):
        return False
    return not (challenge.valid_digests(now) or challenge.judges(now))


@sensitive_variables("code")
def _judge(
    challenge: PhoneChallenge, code: str, settings: Settings, now: datetime
) -> bool | Denial:
    """Compare an answer for which a try has been taken, or have the provider compare it.

    Gives a denial when nobody has a verdict.
    """
    digests = challenge.valid_digests(now)
    is_right = codes.matches_any(code, digests, bound_to=challenge.bound_to)
    judges = challenge.judges(now)
    # SECURITY: while sign-up is closed the accounts are read for all, known and unknown.
    is_read = judges or is_discreet(challenge.purpose, settings)
    accounts = find_accounts(settings) if is_read else {}
    if is_right:
        return True
    verdicts = [
        _ask_judge(alias, reference, accounts, challenge, code, settings, now)
        for alias, reference in judges
    ]
    if True in verdicts:
        return True
    # SECURITY: one "no" is a verdict, whoever could not say anything: the answer was compared, and
    # counts as a wrong one.
    denials = [each for each in verdicts if isinstance(each, Denial)]
    has_compared = digests or len(denials) < len(verdicts)
    return denials[0] if denials and not has_compared else False


@sensitive_variables("code", "cleaned")
def _ask_judge(
    alias: str,
    reference: str,
    accounts: Mapping[str, Account],
    challenge: PhoneChallenge,
    code: str,
    settings: Settings,
    now: datetime,
) -> bool | Denial:
    account = accounts.get(alias)
    if account is None:
        log_event(logger, Event.JUDGE_UNAVAILABLE, account=alias, reason="the account is gone")
        return Denial(Refusal.UNAVAILABLE)
    cleaned = codes.clean(code, account.provider.alphabet, account.code_length(settings))
    if not codes.is_code(cleaned):
        return False  # nobody need be asked
    try:
        return account.provider.check(reference, challenge.phone, cleaned)
    except CodeGone:
        return Denial(Refusal.EXPIRED)
    except RecipientLimited:
        return Denial(Refusal.TOO_MANY_REQUESTS, max(1, challenge.seconds_left(now)))
    except Exception as error:  # noqa: BLE001 (SECURITY: its words and traceback may hold the code)
        log_event(logger, Event.JUDGE_UNAVAILABLE, account=alias, reason=type(error).__name__)
        return Denial(Refusal.UNAVAILABLE)


def _explain_lost_try(challenge: PhoneChallenge, settings: Settings, now: datetime) -> Denial:
    """Say why no try was left although there was one when we looked: others were faster."""
    challenge.refresh_from_db(PhoneChallenge.primary().db)
    closed = limits.deny_closed(challenge, settings, now)
    return closed or Denial(Refusal.CHALLENGE_CLOSED)
