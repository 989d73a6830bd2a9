"""The one settings dict, `PHONE_OTP`, read at use. Layer 1.

`read()` gives the settings as they are at this moment, so `override_settings` works with no
receiver and nothing is frozen at import. Whether they make sense is the business of `checks`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, NamedTuple

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import Promise
from django.views.decorators.debug import sensitive_variables

DEFAULT_LIMITS: Mapping[str, Any] = {
    "request_ip": "20/h",
    "confirm_ip": "60/h",
    "send_phone": ["5/h", "10/d"],
    "fail_phone": "10/d",
    "fail_phone_total": 100,
    "send_device": ["5/h", "10/d"],
    "fail_device": "10/d",
    "send_region": None,
    "send_all": None,
    "fail_all": "200/h",
}

# How a guard acts: it refuses, it only says what it would have refused, it is not asked.
GUARD_MODES = ("block", "shadow", "off")
DEFAULT_GUARDS: Mapping[str, Mapping[str, Any]] = {
    "region": {"MODE": "block"},
    "number_type": {"MODE": "block"},
    "region_traffic": {"MODE": "shadow", "FREE": 100, "PER_LOGIN": 5, "WINDOW": 3_600},
    "address_traffic": {"MODE": "shadow", "FREE": 20, "PER_LOGIN": 5, "WINDOW": 86_400},
    "prefix_traffic": {
        "MODE": "shadow",
        "FREE": 10,
        "PER_LOGIN": 5,
        "WINDOW": 3_600,
        "PAUSE": 21_600,
    },
}

# A code this short has fewer tries, and is alone: with two valid at once each guess counts double.
SHORT_CODE_LENGTH = 4

_PERIOD_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_RATE = re.compile(r"(\d+)/(\d*)([smhd])")


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` events in `seconds`."""

    count: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Read django-ratelimit's notation, such as "5/h", "100/10s"; raises `ValueError`."""
        found = _RATE.fullmatch(text)
        if not found:
            raise ValueError(f'"{text}" is not a rate such as "5/h" or "100/10m"')
        count, multiple, unit = found.groups()
        seconds = int(multiple or 1) * _PERIOD_SECONDS[unit]
        if not seconds or not int(count):
            raise ValueError(f'"{text}" allows nothing')
        return cls(int(count), seconds)

    def __str__(self) -> str:
        return f"{self.count}/{self.seconds}s"


@cache
def _parse_rates(texts: tuple[str, ...]) -> tuple[Rate, ...]:
    return tuple(dict.fromkeys(map(Rate.parse, texts)))


class GuardRules(NamedTuple):
    """How a guard acts, and what it allows in `window_seconds`.

    `free` messages, and `per_login` more for each that ended in a login. `pause_seconds` is how
    long it stays shut once it has shut; 0 is to the end of the window.
    """

    mode: str
    free: int = 0
    per_login: int = 0
    window_seconds: int = 0
    pause_seconds: int = 0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`PHONE_OTP` with its defaults; each field is the key in lower case."""

    # SECURITY: reports of errors print what frames hold; these three hold secrets and codes.
    providers: Mapping[str, Mapping[str, Any]] | None = field(default_factory=dict, repr=False)
    routes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    default_region: str | None = None
    allowed_regions: Sequence[str] | None = None
    denied_regions: Sequence[str] = field(default_factory=list)
    number_types: Sequence[str] | None = None
    guards: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    code_length: int = 6
    code_ttl: int = 300  # seconds
    max_attempts: int = 5
    resend_waits: Sequence[int] = field(default_factory=lambda: [30, 60, 120, 300, 600])  # seconds
    limits: Mapping[str, Any] = field(default_factory=dict)
    signup: bool = True
    signup_hook: str | None = None
    send_hook: str | None = None
    user_phone_field: str | None = None
    token_issuer: str = "session"  # noqa: S105 (a name, no secret)
    captcha: Mapping[str, Any] | None = field(default=None, repr=False)
    message: str | Promise | None = None
    webotp_domain: str | None = None
    android_app_hash: str | None = None
    dispatch: str = "inline"
    trusted_proxies: int = 0
    test_phones: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    retention_days: int = 30
    lifepos: Mapping[str, Any] = field(default_factory=dict)

    def rates(self, name: str) -> tuple[Rate, ...]:
        """Give the rates of a limit, such as `send_phone`, each once; none where it is off."""
        value = self.limits.get(name, DEFAULT_LIMITS[name])
        return _parse_rates((value,) if isinstance(value, str) else tuple(value or ()))

    def guard(self, name: str) -> GuardRules:
        """Give the rules of a guard, such as `region_traffic`."""
        rules = {**DEFAULT_GUARDS[name], **self.guards.get(name, {})}
        return GuardRules(
            mode=rules["MODE"],
            free=rules.get("FREE", 0),
            per_login=rules.get("PER_LOGIN", 0),
            window_seconds=rules.get("WINDOW", 0),
            pause_seconds=rules.get("PAUSE", 0),
        )

    @property
    def disabling_failures_count(self) -> int:
        """Give the number of wrong codes in a row after which a phone is disabled."""
        return int(self.limits.get("fail_phone_total", DEFAULT_LIMITS["fail_phone_total"]))

    def attempts_for(self, code_length: int) -> int:
        """Give the wrong codes that a challenge takes, fewer where a guess is worth more."""
        is_short = 0 < code_length <= SHORT_CODE_LENGTH
        return min(self.max_attempts, 3) if is_short else self.max_attempts

    def wait_after(self, sent_count: int) -> int:
        """Give the seconds to wait after the `sent_count`-th message (from 1) of a ladder."""
        return self.resend_waits[min(sent_count, len(self.resend_waits)) - 1]


FIELDS = {each.name.upper(): each.name for each in fields(Settings)}
KEYS = tuple(FIELDS)


@sensitive_variables("given")
def read() -> Settings:
    """Read the settings as they are now; raises `ImproperlyConfigured` for an unknown key."""
    given: Mapping[str, Any] = getattr(django_settings, "PHONE_OTP", {})
    unknown = given.keys() - FIELDS.keys()
    if unknown:
        raise ImproperlyConfigured(
            f"PHONE_OTP has keys that do not exist: {', '.join(sorted(map(str, unknown)))}. "
            f"Known: {', '.join(FIELDS)}."
        )
    return Settings(**{FIELDS[key]: value for key, value in given.items()})
