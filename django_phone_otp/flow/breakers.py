"""Circuit breakers: an account that keeps failing is passed over, and tried again later. Layer 4.

What a breaker knows is in the cache, so all processes know it: the failures in a row, and until
when it is open. Then it is half open: one request tries the account, and the others go on passing
it over until that one is through. Losing the cache costs a few slow requests, and no login.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

from django.core.cache import cache
from django.utils import timezone

from .. import counters, signals
from ..choices import DeliveryOutcome
from ..events import Event, log_event
from ..models import ProviderAccount
from .accounts import Account

logger = logging.getLogger(__name__)

FAILURES_COUNT = 5  # in a row; then the breaker opens
OPEN_SECONDS = 60  # the first time; each try that fails doubles it, so few people are the ones
MAX_OPEN_SECONDS = 900
# As long as the slowest provider may take: the request that tries may die and tell nobody.
PROBE_SECONDS = 60
MEMORY_SECONDS = 3_600

# What says that the account or its service is in trouble. SECURITY: no outcome that depends on the
# number: a stranger could open the breaker by asking for numbers that cannot be reached.
FAILURES = frozenset(
    {
        DeliveryOutcome.THROTTLED,
        DeliveryOutcome.NO_FUNDS,
        DeliveryOutcome.MISCONFIGURED,
        DeliveryOutcome.UNAVAILABLE,
        DeliveryOutcome.UNCERTAIN,
    }
)


class Breaker(NamedTuple):
    """How an account does: `failures_count` in a row, and until when it is passed over."""

    failures_count: int = 0
    open_until: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        """Say whether the account is asked last at this moment."""
        return self.open_until is not None and now < self.open_until

    def is_half_open(self, now: datetime) -> bool:
        """Say whether one request may try the account again in its place."""
        return self.open_until is not None and now >= self.open_until


class Breakers:
    """The breakers of a route, as they are when the walk begins."""

    def __init__(self, route: Sequence[Account]) -> None:
        self._route = route
        self._known = read_breakers([each.alias for each in route])

    def walk(self, *, is_withheld: bool = False) -> Iterator[Account]:
        """Give the accounts to ask, one by one, as the walk gets to them.

        Those that are passed over come last: to ask a service that has failed is better than to ask
        none. Of requests that get to an account that is half open one asks it in its place; one
        that is withheld takes nobody's turn.
        """
        now = timezone.now()
        passed_over = []
        for account in self._route:
            breaker = self._known[account.alias]
            is_open = breaker.is_open(now)
            if not is_withheld and breaker.is_half_open(now):
                is_open = not self._take_turn(account)
            if is_open:
                passed_over.append(account)
            else:
                yield account
        yield from passed_over

    def note(self, account: Account, outcome: DeliveryOutcome) -> None:
        """Take what a delivery came to into account."""
        has_failed = self._known[account.alias] != Breaker()
        try:
            if outcome in FAILURES:
                _count_failure(account.alias)
            elif outcome == DeliveryOutcome.SENT and has_failed:
                close_breaker(account.alias)
            elif has_failed:
                cache.delete(_key(account.alias, "probe"))  # nothing was learnt: the next one tries
        except Exception as error:  # noqa: BLE001 (each cache backend has errors of its own)
            log_event(logger, Event.CACHE_UNAVAILABLE, breaker=account.alias, error=_name(error))

    def _take_turn(self, account: Account) -> bool:
        try:
            return bool(cache.add(_key(account.alias, "probe"), 1, PROBE_SECONDS))
        except Exception as error:  # noqa: BLE001 (as above)
            log_event(logger, Event.CACHE_UNAVAILABLE, breaker=account.alias, error=_name(error))
            return True


def read_breakers(aliases: Iterable[str]) -> dict[str, Breaker]:
    """Give the breakers of accounts by alias; all closed when the cache is out of reach."""
    keys = {alias: (_key(alias, "failures"), _key(alias, "open_until")) for alias in aliases}
    try:
        found = counters.look_up(cache, [key for pair in keys.values() for key in pair])
    except Exception as error:  # noqa: BLE001 (as above)
        log_event(logger, Event.CACHE_UNAVAILABLE, breaker="all", error=_name(error))
        found = {}
    return {
        alias: _read_breaker(found.get(failures), found.get(open_until))
        for alias, (failures, open_until) in keys.items()
    }


def close_breaker(alias: str) -> None:
    """Forget an account's failures: it works, or an operator has changed it."""
    was_open = read_breakers([alias])[alias].open_until is not None
    try:
        cache.delete_many([_key(alias, what) for what in ("failures", "open_until", "probe")])
    except Exception as error:  # noqa: BLE001 (as above)
        log_event(logger, Event.CACHE_UNAVAILABLE, breaker=alias, error=_name(error))
        return
    if was_open:
        log_event(logger, Event.BREAKER_CLOSED, account=alias)
        signals.breaker_closed.send_robust(sender=ProviderAccount, account=alias)


def _count_failure(alias: str) -> None:
    cache.add(_key(alias, "failures"), 0, MEMORY_SECONDS)
    failures_count = cache.incr(_key(alias, "failures"))
    if failures_count < FAILURES_COUNT:
        return
    doublings = min(failures_count - FAILURES_COUNT, 10)
    seconds = min(OPEN_SECONDS * 2**doublings, MAX_OPEN_SECONDS)
    until = timezone.now() + timedelta(seconds=seconds)
    # Whose turn it was stays noted: others may have looked before this one failed.
    cache.set(_key(alias, "open_until"), until.timestamp(), MEMORY_SECONDS)
    log_event(logger, Event.BREAKER_OPENED, account=alias, failures_count=failures_count)
    signals.breaker_opened.send_robust(
        sender=ProviderAccount, account=alias, failures_count=failures_count, open_until=until
    )


def _key(alias: str, what: str) -> str:
    # An alias of the settings may be any text; Memcached takes no blanks and not everything else.
    return f"phone_otp.breaker.{sha256(alias.encode()).hexdigest()[:32]}.{what}"


def _read_breaker(failures_count: Any, open_until: Any) -> Breaker:
    """Read what the cache has; what others have put there says nothing."""
    try:
        until = None if open_until is None else datetime.fromtimestamp(open_until, UTC)
        return Breaker(int(failures_count or 0), until)
    except (TypeError, ValueError, OverflowError, OSError):
        return Breaker()


def _name(error: Exception) -> str:
    return type(error).__name__
