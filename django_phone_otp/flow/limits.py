"""Limits: how often an address may ask and answer, and what a phone bears. Layer 4.

Addresses, regions and the site as a whole are counted in the cache with django-ratelimit: many
keys, short lives, and a count that is off by one harms nobody. Phones and known devices are counted
in the database, in one row each (`models.ledger`): functions here take a row and give the changes
to write, or a `Denial`. They are pure.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from ipaddress import ip_address, ip_network
from math import ceil
from typing import Any, NamedTuple

from django.conf import settings as django_settings
from django.core.cache import BaseCache, caches
from django.utils import timezone
from django_ratelimit.core import get_usage

from .. import signals
from ..choices import Refusal, State
from ..conf import Rate, Settings
from ..events import Event, log_event
from ..exceptions import CacheUnavailable
from ..models import DeviceLedger, PhoneChallenge, PhoneLedger

logger = logging.getLogger(__name__)

LADDER_LIFETIME = timedelta(hours=24)
DAY_SECONDS = 86_400
TRIAL_RATE = Rate(10, 3_600)  # test codes of one operator: enough to set up, too few to annoy
# Nobody can know when an operator lifts a lock; this is when it is worth asking again.
DISABLED_RETRY_SECONDS = 3_600
# How often a row that others write at the same moment is read anew; each time somebody got through.
MAX_RACES = 100
# So many messages without a login, and a known device is no better than others.
MAX_TRUSTED_MESSAGES_COUNT = 3
# What of an address's budget may be used up before it is suspicious: one part of four.
SUSPICIOUS_PART = 4

# The limits of many phones: the operators have to know.
ALARMING = ("send_region", "send_all", "fail_all")

Counter = DeviceLedger | PhoneLedger


class Denial(NamedTuple):
    """A refusal with the seconds after which whoever denied would let the same request through."""

    refusal: Refusal
    retry_after_seconds: int | None = None


def today() -> date:
    """Give the date where the site is; the person's own time zone may be active."""
    return timezone.localdate(timezone=timezone.get_default_timezone())


def cache() -> BaseCache:
    """Give the cache that limits and guards are counted in."""
    return caches[getattr(django_settings, "RATELIMIT_USE_CACHE", "default")]


def are_on() -> bool:
    """Say whether the site has what is counted in the cache switched on; for tests it may not."""
    return bool(getattr(django_settings, "RATELIMIT_ENABLE", True))


@contextmanager
def reaching_cache(limit: str) -> Iterator[None]:
    """Turn whatever a cache that is out of reach raises into `CacheUnavailable`.

    Each cache backend has errors of its own; none of them may let a request through.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 (as said above)
        log_event(logger, Event.CACHE_UNAVAILABLE, limit=limit, error=type(error).__name__)
        raise CacheUnavailable(limit) from None


# Addresses, regions, the site


def count_address(name: str, ip: str, settings: Settings) -> Denial | None:
    """Count one event of an address; deny when one of the windows of the limit is full."""
    return _count(_windows(name, network_of(ip), settings.rates(name)))


def count_trial(user_pk: object) -> Denial | None:
    """Count one test code of an operator; deny when there were enough of them."""
    return _count(_windows("trial", str(user_pk), [TRIAL_RATE]))


def count_message(region: str, settings: Settings) -> Denial | None:
    """Count one message to a region, and of the site; deny when a budget is used up."""
    of_region = _windows("send_region", region, settings.rates("send_region"))
    return _count([*of_region, *_windows("send_all", "", settings.rates("send_all"))])


def count_wrong_code(settings: Settings) -> None:
    """Count one wrong code of the site; too many of them raise an alarm, and refuse nobody.

    Each phone has its own budget; this sees who tries one code at each of many phones.
    """
    for window in _windows("fail_all", "", settings.rates("fail_all")):
        _count([window])


def is_busy_address(ip: str, settings: Settings) -> bool:
    """Say whether an address has used up a good part of a budget; counts nothing.

    Raises `CacheUnavailable`.
    """
    return any(
        window.read(is_peek=True).events * SUSPICIOUS_PART >= window.rate.count
        for name in ("request_ip", "confirm_ip")
        for window in _windows(name, network_of(ip), settings.rates(name))
    )


def _count(windows: Sequence["_Window"]) -> Denial | None:
    """Count an event in all windows, or in none when one of them is full; the longest wait is told.

    A cache that cannot be reached denies with `UNAVAILABLE`: a limit that fails open is none.
    """
    try:
        # One window by itself is counted at once; of several, each is looked at first: what one
        # refuses uses up nothing of the others.
        waits = _waits(windows, is_peek=True) if len(windows) > 1 else []
        waits = waits or _waits(windows)
    except CacheUnavailable:
        return Denial(Refusal.UNAVAILABLE)
    return Denial(Refusal.TOO_MANY_REQUESTS, max(waits)) if waits else None


def _waits(windows: Sequence["_Window"], *, is_peek: bool = False) -> list[int]:
    """Give the seconds until each window that is full begins anew."""
    waits = []
    for window in windows:
        count = window.read(is_peek=is_peek)
        if count.events + is_peek > window.rate.count:
            waits.append(count.seconds_left)
            window.raise_alarm(count.seconds_left)
    return waits


class _Count(NamedTuple):
    """What stands in one window, and the seconds after which the next one begins."""

    events: int
    seconds_left: int


class _Window(NamedTuple):
    """One rate of a limit for one scope, such as an address; each has a counter of its own."""

    limit: str
    scope: str
    rate: Rate

    def read(self, *, is_peek: bool = False) -> _Count:
        """Count an event, or look at the count; raises `CacheUnavailable`."""
        with reaching_cache(self.limit):
            usage = get_usage(
                None,
                group=f"phone_otp.{self.limit}",
                key=lambda _group, _request: f"|{self.scope}|",
                rate=(self.rate.count, self.rate.seconds),
                increment=not is_peek,
            )
            if usage is None or not usage["limit"]:  # so django-ratelimit says that it failed
                raise ConnectionError
        # The window's last second belongs to it: one more, and the next has begun.
        return _Count(usage["count"], max(1, usage["time_left"] + 1))

    def raise_alarm(self, seconds_left: int) -> None:
        """Raise the alarm of a limit that concerns many phones, once: at its first refusal."""
        if self.limit in ALARMING:
            key = f"phone_otp.alarm.{self.limit}.{self.scope}.{self.rate}"
            with reaching_cache(self.limit):
                is_first = cache().add(key, 1, seconds_left)
            if is_first:
                raise_alarm(self.limit, self.scope, self.rate.count)


def _windows(limit: str, scope: str, rates: Sequence[Rate]) -> list[_Window]:
    """Give the windows of a limit, the shortest first; none where limits are switched off."""
    ordered = sorted(rates, key=lambda rate: rate.seconds) if are_on() else ()
    return [_Window(limit, scope, each) for each in ordered]


def network_of(ip: str) -> str:
    """Give what an address is counted as: itself, or the /64 that one IPv6 customer owns whole."""
    if not ip:
        return "unknown"
    if ip_address(ip).version == 4:
        return ip
    return str(ip_network(f"{ip}/64", strict=False))


def raise_alarm(limit: str, scope: str, count: int) -> None:
    """Tell the operators, in the log and by signal, that a limit of many phones is reached."""
    log_event(logger, Event.ALARM, limit=limit, scope=scope or "all", count=count)
    signals.alarm_raised.send_robust(sender=PhoneChallenge, limit=limit, scope=scope, count=count)


# Phones, and the devices that are known there


def deny_send(counter: Counter, settings: Settings, now: datetime) -> Denial | None:
    """Say whether, and for how long, no further message may go to the phone."""
    if counter.disabled_at:
        return Denial(Refusal.LOCKED, DISABLED_RETRY_SECONDS)
    waits = {
        Refusal.RESEND_TOO_SOON: _cooldown_seconds(counter, settings, now),
        # A code that could not be answered is not worth its money: wrong codes count here too.
        Refusal.TOO_MANY_REQUESTS: max(
            _full_seconds(counter.sends, _rates("send", counter, settings), now),
            _full_seconds(counter.failures, _rates("fail", counter, settings), now),
        ),
    }
    # All have to be over: the longest is the one to tell.
    refusal = max(waits, key=lambda each: waits[each])
    return Denial(refusal, ceil(waits[refusal])) if waits[refusal] > 0 else None


def deny_answer(counter: Counter, settings: Settings, now: datetime) -> Denial | None:
    """Say whether the phone takes no answers: disabled, or too many wrong ones of late."""
    if counter.disabled_at:
        return Denial(Refusal.LOCKED, DISABLED_RETRY_SECONDS)
    seconds = _full_seconds(counter.failures, _rates("fail", counter, settings), now)
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
            wait = seconds_until_send(challenge.counter, settings, now)
            return Denial(Refusal.LOCKED, max(1, wait))
    return None


def deny_confirmation(
    challenge: PhoneChallenge, settings: Settings, now: datetime
) -> Denial | None:
    """Say whether a challenge takes no answer: it is closed, or its phone takes none."""
    closed = deny_closed(challenge, settings, now)
    return closed or deny_answer(challenge.counter, settings, now)


def after_send(counter: Counter, settings: Settings, now: datetime) -> dict[str, Any]:
    """Reckon the row after one more message, which `deny_send` did not deny."""
    return {
        "sends": _with_event(counter.sends, _rates("send", counter, settings), now),
        "ladder_step": messages_in_vain(counter, now) + 1,
        "last_sent_at": now,
    }


def after_answer(
    challenge: PhoneChallenge, is_right: bool, settings: Settings, now: datetime
) -> list[tuple[Counter, dict[str, Any]]]:
    """Reckon the rows after an answer: a known device's and then its phone's, in one order for all.

    The wrong codes of the day stay after a right one: else an attacker's budget would grow with
    each login of the owner. SECURITY: a known device has a budget of its own, and no row of a
    hundred of its own: NIST SP 800-63B-4 (3.2.2) counts them for the account.
    """
    ledger, counter = challenge.ledger, challenge.counter
    if is_right:
        # SECURITY: the phone's ladder shows to strangers. A login by a known device, which did not
        # climb it, must not show there.
        of_counter: dict[str, Any] = {"ladder_step": 0}
        of_phone: dict[str, Any] = {"failures_in_row": 0}
    else:
        rates = _rates("fail", counter, settings)
        of_counter = {"failures": _with_event(counter.failures, rates, now)}
        of_phone = {"failures_in_row": ledger.failures_in_row + 1}
        if of_phone["failures_in_row"] >= settings.disabling_failures_count:
            of_phone["disabled_at"] = now
    if counter is ledger:
        return [(ledger, of_counter | of_phone)]
    return [(counter, of_counter), (ledger, of_phone)]


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


def seconds_until_send(counter: Counter, settings: Settings, now: datetime) -> int:
    """Give the seconds until another message may go to the phone, 0 for now."""
    denial = deny_send(counter, settings, now)
    return (denial.retry_after_seconds or 0) if denial else 0


def messages_in_vain(counter: Counter, now: datetime) -> int:
    """Give the number of messages since the last confirmed code, if the last of them is recent."""
    is_old = counter.last_sent_at is None or now - counter.last_sent_at >= LADDER_LIFETIME
    return 0 if is_old else counter.ladder_step


def is_trusted(device: DeviceLedger, now: datetime) -> bool:
    """Say whether a known device answers the messages that it asks for."""
    return messages_in_vain(device, now) < MAX_TRUSTED_MESSAGES_COUNT


def failures_of_late(counter: Counter, settings: Settings, now: datetime) -> int:
    """Give the number of wrong codes that count in the longest window."""
    since = now.timestamp() - max(each.seconds for each in _rates("fail", counter, settings))
    return sum(at > since for at in counter.failures)


def _rates(event: str, counter: Counter, settings: Settings) -> tuple[Rate, ...]:
    return settings.rates(f"{event}_{counter.counts_for}")


def _cooldown_seconds(counter: Counter, settings: Settings, now: datetime) -> float:
    step = messages_in_vain(counter, now)
    if not step or counter.last_sent_at is None:
        return 0
    wait = timedelta(seconds=settings.wait_after(step))
    return (counter.last_sent_at + wait - now).total_seconds()


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
