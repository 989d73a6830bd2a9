"""Guards: against messages that earn somebody money and log nobody in. Layer 4.

Message pumping: somebody who is paid for each message to certain numbers has a site send as many as
it will. Two guards know rules (regions, types of numbers), and one what operators have closed for a
while. Three watch the traffic of a region, of an address, of neighbouring numbers: in each window a
few messages are free, and each that ends in a login pays for some more. Where nobody logs in, the
free ones are all there are.

What they count stands in the cache. A message is looked at, admitted, and then counted: of many at
one moment a few more than allowed may pass.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any, NamedTuple

from django.utils import timezone

from .. import counters
from ..choices import Guard, Refusal
from ..conf import GuardRules, Settings
from ..counters import Count
from ..events import Event, log_event
from ..exceptions import CacheUnavailable
from ..models import GuardObjection, PhoneChallenge
from ..phone import Phone
from . import limits, prefixes
from .client import Client
from .limits import Denial

logger = logging.getLogger(__name__)

# Those that watch traffic.
WATCHING = (Guard.REGION_TRAFFIC, Guard.ADDRESS_TRAFFIC, Guard.PREFIX_TRAFFIC)

# The digits that neighbouring numbers do not share: ten thousand of them are one prefix.
PREFIX_TAIL_LENGTH = 4
# Levels begin here, for Memcached counts no further down than 0.
BASE = 2**31
# A guard that has shut remembers it for so many pauses.
MEMORY_IN_PAUSES = 4


class Objection(NamedTuple):
    """What a guard has against a message; in shadow it blocks nothing.

    SECURITY: `detail` is shown beside the masked phone and holds no digit of it.
    """

    guard: Guard
    blocks: bool
    detail: str
    denial: Denial

    def note(self, challenge: PhoneChallenge) -> GuardObjection:
        """Make the row for the audit trail, not yet stored."""
        return GuardObjection(
            challenge=challenge, guard=self.guard, blocked=self.blocks, detail=self.detail
        )


@dataclass(frozen=True, slots=True)
class Examination:
    """What guards said of a message, and the levels that it raises if it goes out.

    A guard that objects does not count the message, not even in shadow: there it shows what it
    would do if it blocked.
    """

    objections: Sequence[Objection]
    levels: Sequence[Count] = ()

    @property
    def denial(self) -> Denial | None:
        """Give what the person is told, if a guard blocks; the longest wait is the one to tell."""
        denials = [each.denial for each in self.objections if each.blocks]
        return max(denials, key=_weigh, default=None)

    def count(self) -> None:
        """Count the message. It costs nobody the message: the phone's budget is taken already."""
        with suppress(CacheUnavailable), limits.reaching_cache("guards"):
            counters.add(limits.cache(), dict.fromkeys(self.levels, 1))


def _weigh(denial: Denial) -> tuple[bool, int]:
    return denial.refusal is Refusal.PHONE_NOT_ALLOWED, denial.retry_after_seconds or 0


def examine(number: Phone, client: Client, settings: Settings, *, is_trusted: bool) -> Examination:
    """Ask all guards about a message; raises `CacheUnavailable`.

    One that `is_trusted` has logged in with this phone: others' traffic is not held against it, nor
    is what was done about that traffic.
    """
    now = timezone.now()
    objections, levels = list(examine_rules(number, settings)), []
    with limits.reaching_cache("guards"):
        watched = list(_watch(number.e164, number.region, client.ip, settings, now))
        keys = [key for each in watched for key in (each.level.key, each.shut_key)]
        is_looked_up = limits.are_on() and not is_trusted
        keys = [prefixes.CACHE_KEY, *keys] if is_looked_up else []
        found = counters.look_up(limits.cache(), keys)
        for traffic in watched:
            objection, counted = _judge(traffic, found, now)
            objections += [objection] if objection else []
            levels += counted
    if not is_trusted:
        objections += _object_to_prefix(number, prefixes.read_blocks(found, now), now)
    for each in objections:
        log_event(logger, Event.GUARD_OBJECTED, guard=each.guard, blocked=each.blocks)
    return Examination(objections, levels)


def count_login(challenge: PhoneChallenge, settings: Settings) -> None:
    """Pay for messages with a login: the phone was proved. It costs nobody the login."""
    ip = challenge.ip or ""
    watched = list(_watch(challenge.phone, challenge.region, ip, settings, timezone.now()))
    with suppress(CacheUnavailable), limits.reaching_cache("guards"):
        paid = {each.level: -each.rules.per_login for each in watched}
        counters.add(limits.cache(), paid, forget=[each.shut_key for each in watched])


# Rules


def examine_rules(number: Phone, settings: Settings) -> Iterator[Objection]:
    """Give what the rules, which watch no traffic, have against a number."""
    allowed, types = settings.allowed_regions, settings.number_types
    is_allowed = allowed is None or number.region in allowed
    if not is_allowed or number.region in settings.denied_regions:
        yield from _object(Guard.REGION, settings, f"region {number.region}")
    if types is not None and number.kind not in types:
        yield from _object(Guard.NUMBER_TYPE, settings, f"type {number.kind}")


def _object(guard: Guard, settings: Settings, detail: str) -> Iterator[Objection]:
    mode = settings.guard(guard).mode
    if mode != "off":
        yield Objection(guard, mode == "block", detail, Denial(Refusal.PHONE_NOT_ALLOWED))


# Prefixes


def _object_to_prefix(number: Phone, blocks: prefixes.Blocks, now: datetime) -> Iterator[Objection]:
    """Give what operators have against a number.

    It heals with time, and is told as traffic is: whoever is paid for the messages need not know
    that somebody has seen him. SECURITY: which prefix it is would undo the mask.
    """
    seconds = prefixes.seconds_blocked(number.e164, blocks, now)
    if seconds > 0:
        denial = Denial(Refusal.TOO_MANY_REQUESTS, ceil(seconds))
        yield Objection(Guard.BLOCKED_PREFIX, True, "", denial)


# Traffic


class _Traffic(NamedTuple):
    """What one guard watches in the present window: a scope, such as the region "RU"."""

    guard: Guard
    scope: str
    rules: GuardRules
    now: datetime

    @property
    def level(self) -> Count:
        """Give the count of the present window: messages, less those that logins have paid for."""
        return Count(f"{self._name}.{self._window}", BASE, self.rules.window_seconds + 1)

    @property
    def shut_key(self) -> str:
        """Name the time, in seconds since the epoch, until which the guard is shut."""
        return f"{self._name}.shut"

    def level_after(self, shut_until: float) -> Count:
        """Give the count of what went out since a pause was over."""
        memory_seconds = self.rules.pause_seconds * MEMORY_IN_PAUSES
        return Count(f"{self._name}.since.{int(shut_until)}", BASE, memory_seconds)

    def shut(self, level: Count, count: int) -> int:
        """Shut for the pause, or to the end of the window; give the seconds.

        The operators are told, by whichever of many requests at one moment is the first.
        """
        pause, now = self.rules.pause_seconds, self.now.timestamp()
        until = now + pause if pause else (self._window + 1) * self.rules.window_seconds
        seconds = ceil(until - now)
        cache = limits.cache()
        cache.set(self.shut_key, until, pause * MEMORY_IN_PAUSES or seconds)
        if cache.add(f"{level.key}.alarm", 1, level.lifetime_seconds):
            limits.raise_alarm(self.guard.value, self.scope, count)
        return seconds

    def object(self, count: int, seconds: int) -> Objection:
        detail = f"messages that no login has paid for: {max(count, 0)}"
        denial = Denial(Refusal.TOO_MANY_REQUESTS, seconds)
        return Objection(self.guard, self.rules.mode == "block", detail, denial)

    @property
    def _name(self) -> str:
        return f"phone_otp.{self.guard}.{self.scope}"

    @property
    def _window(self) -> int:
        return int(self.now.timestamp()) // self.rules.window_seconds


def _watch(
    phone: str, region: str, ip: str, settings: Settings, now: datetime
) -> Iterator[_Traffic]:
    scopes = {
        Guard.REGION_TRAFFIC: region,
        Guard.ADDRESS_TRAFFIC: limits.network_of(ip) if ip else "",
        Guard.PREFIX_TRAFFIC: phone[:-PREFIX_TAIL_LENGTH],
    }
    for guard, scope in scopes.items():
        rules = settings.guard(guard)
        if scope and rules.mode != "off" and limits.are_on():
            yield _Traffic(guard, scope, rules, now)


def _judge(
    traffic: _Traffic, found: Mapping[str, Any], now: datetime
) -> tuple[Objection | None, list[Count]]:
    """Give what a guard has against a message, or else the levels that the message raises.

    After a pause a single message shows whether people log in again; a login forgets the pause.
    """
    level, free = traffic.level, traffic.rules.free
    levels = [level]
    count = found.get(level.key, BASE) - BASE
    shut_until = found.get(traffic.shut_key, 0)
    seconds = ceil(shut_until - now.timestamp())
    if seconds > 0:
        return traffic.object(count, seconds), []
    if shut_until and traffic.rules.pause_seconds:
        level, free = traffic.level_after(shut_until), 1
        levels.append(level)
        count = limits.cache().get(level.key, BASE) - BASE
    if count < free:
        return None, levels
    return traffic.object(count, traffic.shut(level, count)), []
