"""Budgets of accounts: how many messages go through one, in a day and to one phone. Layer 4.

Taken before the provider is asked, in the database, so they hold under any number of processes.
Nothing is given back when the provider then fails: it may count the message as well.
"""

import logging
from hashlib import sha256

from django.core.cache import cache
from django.utils import timezone

from ..choices import Custody
from ..conf import Settings
from ..events import Event, log_event
from ..models import AccountLedger, PhoneChallenge, PhoneLedger
from . import limits
from .accounts import Account
from .deliveries import DAY_IS_FULL, PHONE_IS_FULL, Delivery

logger = logging.getLogger(__name__)


def take_from_budgets(
    account: Account, challenge: PhoneChallenge, settings: Settings, *, is_withheld: bool = False
) -> Delivery | None:
    """Take one message from the account's budgets; give a delivery that says so when one is empty.

    A message that is withheld counts for its phone, and not for the account: the statements are the
    same, and strangers' phones use up nothing that the site pays for.
    """
    length = account.code_length(settings)
    seconds, detail = _find_other_call(account, challenge)
    if not seconds and account.phone_daily_limit is not None:
        seconds = _take_of_phone(account, challenge)
        detail = f"{account.phone_daily_limit} messages to this phone in 24 hours"
    if seconds:
        return Delivery(
            account=account,
            length=length,
            consequence=PHONE_IS_FULL,
            detail=detail,
            retry_after_seconds=seconds,
        )
    if account.daily_limit is None or AccountLedger.primary().take_message(
        account.alias,
        limit=account.daily_limit,
        today=limits.today(),
        count=0 if is_withheld else 1,
    ):
        return None
    if _is_news(account):
        log_event(logger, Event.BUDGET_USED_UP, account=account.alias, limit=account.daily_limit)
    return Delivery(
        account=account,
        length=length,
        consequence=DAY_IS_FULL,
        detail=f"{account.daily_limit} messages through this account today",
    )


def _is_news(account: Account) -> bool:
    """Say whether nobody has been told today that the account's budget is used up."""
    full = f"{account.alias} {account.daily_limit} {limits.today()}"
    key = f"phone_otp.budget.{sha256(full.encode()).hexdigest()[:32]}.told"
    try:
        return bool(cache.add(key, 1, limits.DAY_SECONDS))
    except Exception:  # noqa: BLE001 (each cache backend has errors of its own)
        return True


def _find_other_call(account: Account, challenge: PhoneChallenge) -> tuple[int, str]:
    """Find who else awaits a call of this phone, and for how many seconds.

    SECURITY: numbers to call come from a pool. A person's call must not prove the phone for a
    stranger who asked at the same time and may have been given the same number.
    """
    if account.provider.custody is not Custody.PRESENCE:
        return 0, ""
    now = timezone.now()
    other = PhoneChallenge.primary().awaiting_call_beside(challenge, now).first()
    return (
        (other.seconds_left(now), "a call of this phone is awaited already") if other else (0, "")
    )


def _take_of_phone(account: Account, challenge: PhoneChallenge) -> int:
    """Take from what may go to the phone; give the seconds until there is room, 0 when there was.

    The ledger is written only if nobody wrote in between, and reckoned anew otherwise.
    """
    ledger = challenge.ledger
    limit = account.phone_daily_limit or 0
    if limit < 1:
        return limits.DAY_SECONDS
    while True:
        now = timezone.now()
        seconds = limits.seconds_until_account(ledger, account.alias, limit, now)
        if seconds:
            return seconds
        if ledger.write(limits.after_account_send(ledger, account.alias, limit, now)):
            return 0
        ledger.refresh_from_db(using=PhoneLedger.primary().db)
