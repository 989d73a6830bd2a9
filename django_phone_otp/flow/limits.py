"""Limits: how often an address may ask and answer, and what a phone bears. Layer 4.

Addresses are counted in the cache with django-ratelimit: many keys, short lives, and a count that
is off by one harms nobody. Phones are counted in the database, in one row each (`models.ledger`):
functions here take a row and give the changes to write, or a `Denial`. They are pure.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from ipaddress import ip_address, ip_network
from math import ceil
from typing import Any

from django.conf import settings as django_settings
from django.utils import timezone
from django_ratelimit.core import get_usage

from ..choices import Refusal, State
from ..conf import Rate, Settings
from ..models import PhoneChallenge, PhoneLedger

logger = logging.getLogger(__name__)

LADDER_LIFETIME = timedelta(hours=24)
DAY_SECONDS = 86_400
TRIAL_RATE = Rate(10, 3_600)  # test codes of one operator: enough to set up, too few to annoy
# Nobody can know when an operator lifts a lock; this is when it is worth asking again.
DISABLED_RETRY_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class Denial:
    """A refusal with the seconds after which the same request would be let through."""

    refusal: Refusal
    retry_after_seconds: int | None = None


def today() -> date:
    """Give the date where the site is; the person's own time zone may be active."""
    return timezone.localdate(timezone=timezone.get_default_timezone())


# Addresses


def count_address(name: str, ip: str, settings: Settings) -> Denial | None:
    """Count one event of an address in every window of the limit; deny when one is full.

    A cache that cannot be reached denies with `UNAVAILABLE`: a limit that fails open is none.
    """
    return _count(name, f"|{_network(ip)}|", settings.rates(name))


def count_trial(user_pk: object) -> Denial | None:
    """Count one test code of an operator; deny when there were enough of them."""
    return _count("trial", f"|{user_pk}|", [TRIAL_RATE])


def _count(name: str, key: str, rates: Sequence[Rate]) -> Denial | None:
    waits = []
    for rate in rates:
        try:
            usage = get_usage(
                None,
                group=f"phone_otp.{name}",
                key=lambda _group, _request: key,
                rate=(rate.count, rate.seconds),
                increment=True,
            )
        except Exception as error:  # noqa: BLE001 (the reason follows)
            # Each cache backend has errors of its own; none of them may let a request through.
            logger.error("cache_unavailable limit=%s error=%s", name, type(error).__name__)
            return Denial(Refusal.UNAVAILABLE)
        if usage is None and not getattr(django_settings, "RATELIMIT_ENABLE", True):
            continue  # switched off by the site, for its tests say
        if usage is None or not usage["limit"]:  # how django-ratelimit says that the cache failed
            logger.error("cache_unavailable limit=%s", name)
            return Denial(Refusal.UNAVAILABLE)
        if usage["should_limit"]:
            # The window's last second belongs to it: one more, and the next has begun.
            waits.append(max(1, usage["time_left"] + 1))
    return Denial(Refusal.TOO_MANY_REQUESTS, max(waits)) if waits else None


def _network(ip: str) -> str:
    """Give what an address is counted as: itself, or the /64 that one IPv6 customer owns whole."""
    if not ip:
        return "unknown"
    if ip_address(ip).version == 4:
        return ip
    return str(ip_network(f"{ip}/64", strict=False))


# Phones


def deny_send(ledger: PhoneLedger, settings: Settings, now: datetime) -> Denial | None:
    """Say whether, and for how long, no further message may go to the phone."""
    if ledger.disabled_at:
        return Denial(Refusal.LOCKED, DISABLED_RETRY_SECONDS)
    waits = {
        Refusal.RESEND_TOO_SOON: _cooldown_seconds(ledger, settings, now),
        # A code that could not be answered is not worth its money: wrong codes count here too.
        Refusal.TOO_MANY_REQUESTS: max(
            _full_seconds(ledger.sends, settings.rates("send_phone"), now),
            _full_seconds(ledger.failures, settings.rates("fail_phone"), now),
        ),
    }
    # All have to be over: the longest is the one to tell.
    refusal = max(waits, key=lambda each: waits[each])
    return Denial(refusal, ceil(waits[refusal])) if waits[refusal] > 0 else None


def deny_answer(ledger: PhoneLedger, settings: Settings, now: datetime) -> Denial | None:
    """Say whether the phone takes no answers: disabled, or too many wrong ones of late."""
    if ledger.disabled_at:
        return Denial(Refusal.LOCKED, DISABLED_RETRY_SECONDS)
    seconds = _full_seconds(ledger.failures, settings.rates("fail_phone"), now)
    return Denial(Refusal.TOO_MANY_REQUESTS, ceil(seconds)) if seconds > 0 else None


def deny_closed(challenge: PhoneChallenge, settings: Settings, now: datetime) -> Denial | None:
    """Say whether a challenge takes neither answers nor resends any more."""
    match challenge.state_at(now):
        case State.VERIFIED | State.CANCELLED:
            return Denial(Refusal.CHALLENGE_CLOSED)
        case State.EXPIRED:
            return Denial(Refusal.EXPIRED)
        case State.LOCKED:
            # This challenge stays locked; a new one may be asked for after the wait.
            wait = seconds_until_send(challenge.ledger, settings, now)
            return Denial(Refusal.LOCKED, max(1, wait))
    return None


def deny_confirmation(
    challenge: PhoneChallenge, settings: Settings, now: datetime
) -> Denial | None:
    """Say whether a challenge takes no answer: it is closed, or its phone takes none."""
    closed = deny_closed(challenge, settings, now)
    return closed or deny_answer(challenge.ledger, settings, now)


def after_send(ledger: PhoneLedger, settings: Settings, now: datetime) -> dict[str, Any]:
    """Reckon the row after one more message, which `deny_send` did not deny."""
    return {
        "sends": _with_event(ledger.sends, settings.rates("send_phone"), now),
        "ladder_step": _ladder_step(ledger, now) + 1,
        "last_sent_at": now,
    }


def after_wrong_code(ledger: PhoneLedger, settings: Settings, now: datetime) -> dict[str, Any]:
    """Reckon the row after one more wrong code; enough of them in a row disable the phone."""
    in_row = ledger.failures_in_row + 1
    changes = {
        "failures": _with_event(ledger.failures, settings.rates("fail_phone"), now),
        "failures_in_row": in_row,
    }
    if in_row >= settings.disabling_failures_count:
        changes["disabled_at"] = now
    return changes


def after_right_code() -> dict[str, Any]:
    """Reckon the row after a confirmed code.

    The wrong codes of the day stay: else an attacker's budget would grow with each login of the
    owner.
    """
    return {"failures_in_row": 0, "ladder_step": 0}


def seconds_until_account(ledger: PhoneLedger, alias: str, limit: int, now: datetime) -> int:
    """Give the seconds until an account may send to the phone, 0 for now."""
    seconds = _full_seconds(ledger.account_sends.get(alias, ()), [Rate(limit, DAY_SECONDS)], now)
    return max(0, ceil(seconds))


def after_account_send(
    ledger: PhoneLedger, alias: str, limit: int, now: datetime
) -> dict[str, Any]:
    """Reckon the row after one more message through an account with a limit."""
    since = now.timestamp() - DAY_SECONDS
    sends = {
        each: recent
        for each, times in ledger.account_sends.items()
        if (recent := [at for at in times if at > since])
    }
    sends[alias] = [*sends.get(alias, ()), now.timestamp()][-limit:]
    return {"account_sends": sends}


def seconds_until_send(ledger: PhoneLedger, settings: Settings, now: datetime) -> int:
    """Give the seconds until another message may go to the phone, 0 for now."""
    denial = deny_send(ledger, settings, now)
    return (denial.retry_after_seconds or 0) if denial else 0


def _ladder_step(ledger: PhoneLedger, now: datetime) -> int:
    is_old = ledger.last_sent_at is None or now - ledger.last_sent_at >= LADDER_LIFETIME
    return 0 if is_old else ledger.ladder_step


def _cooldown_seconds(ledger: PhoneLedger, settings: Settings, now: datetime) -> float:
    step = _ladder_step(ledger, now)
    if not step or ledger.last_sent_at is None:
        return 0
    wait = timedelta(seconds=settings.wait_after(step))
    return (ledger.last_sent_at + wait - now).total_seconds()


def _full_seconds(events: Sequence[float], rates: Sequence[Rate], now: datetime) -> float:
    """Give the seconds until all windows have room, 0 or less when they have.

    The windows slide: "10/d" means ten in any 24 hours, with no midnight at which twenty are
    possible.
    """
    oldest = [events[-rate.count] + rate.seconds for rate in rates if len(events) >= rate.count]
    return max(oldest, default=0) - now.timestamp()


def _with_event(events: Sequence[float], rates: Sequence[Rate], now: datetime) -> list[float]:
    """Add an event and drop those that no window can ask for again."""
    since = now.timestamp() - max(rate.seconds for rate in rates)
    longest = max(rate.count for rate in rates)
    return [*(at for at in events if at > since), now.timestamp()][-longest:]
