"""Test phones, whose codes do not change: doors that have to close by themselves. Layer 5."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Warning
from django.utils import timezone

from ..codes import MAX_CODE_LENGTH, MIN_DIGITS_COUNT
from ..conf import SHORT_CODE_LENGTH, Settings
from ..exceptions import InvalidPhone
from ..flow.guards import examine_rules
from ..phone import parse
from ..providers.local import FixedCode
from .keys import Problems, checks_key, has_problems
from .sending import load_accounts

MAX_TEST_PHONE_DAYS = 366
RULES = ("ALLOWED_REGIONS", "DENIED_REGIONS", "NUMBER_TYPES", "GUARDS")


def check_test_phones_end(**_kwargs: Any) -> list[CheckMessage]:
    """Check that the doors of reviewers close before long."""
    given = getattr(django_settings, "PHONE_OTP", {})
    if not isinstance(given, Mapping) or has_problems("TEST_PHONES", given):
        return []
    latest = _today() + timedelta(days=MAX_TEST_PHONE_DAYS)
    return [
        Warning(
            f"PHONE_OTP['TEST_PHONES'][{phone!r}]['until'] is more than a year away.",
            hint="Until then whoever learns the code can log in. A review takes days, not years.",
            id="phone_otp.W028",
        )
        for phone, entry in given.get("TEST_PHONES", {}).items()
        if _read_date(entry["until"]) > latest
    ]


@checks_key("TEST_PHONES", "E028")
def _check_test_phones(value: Any) -> Problems:
    if not isinstance(value, Mapping):
        yield "must be a dict of phones."
        return
    given = getattr(django_settings, "PHONE_OTP", {})
    least = _find_least_code_length(given)
    if value and FixedCode.key in dict(load_accounts(given)):
        yield f"is shown as the account {FixedCode.key!r}: give yours another alias."
    for phone, entry in value.items():
        if not _is_e164(phone):
            yield f"names {phone!r}, which is no phone in E.164 such as '+79244501003'."
        elif not parse(phone).is_callable:
            yield f"names {phone!r}, which nobody can log in with: such numbers get no code."
        elif not _is_served(phone, given):
            yield f"names {phone!r}, of a region or a type that your settings refuse."
        elif not isinstance(entry, Mapping) or set(entry) != {"code", "until"}:
            yield f"[{phone!r}] must be a dict with 'code' and 'until'."
        elif not _is_digits(entry["code"], least):
            yield f"[{phone!r}]['code'] must be {least} to {MAX_CODE_LENGTH} digits, as text."
        elif not _is_date(entry["until"]):
            # SECURITY: a fixed code is a door for whoever learns it; it must close by itself.
            yield f"[{phone!r}]['until'] must be a date, or its text such as '{_today()}'."
        elif _read_date(entry["until"]) < _today():
            yield f"[{phone!r}]['until'] is in the past: remove the phone, or let it live longer."


def _is_served(phone: str, given: Mapping[str, Any]) -> bool:
    """Say whether a code may be sent there, as far as the rules are right themselves."""
    if any(has_problems(key, given) for key in RULES):
        return True
    settings = Settings(**{key.lower(): given[key] for key in RULES if key in given})
    return not any(each.blocks for each in examine_rules(parse(phone), settings))


def _find_least_code_length(given: Mapping[str, Any]) -> int:
    """Give the digits that a fixed code needs: six, or what a provider's channel forces.

    NIST SP 800-63B-4, 3.1.3.2. An app for flash calls may have no room for more than four. Accounts
    in rows are not known here.
    """
    if given.get("PROVIDERS", {}) is None:
        return SHORT_CODE_LENGTH
    forced = [type(provider).code_length for _, provider in load_accounts(given)]
    # A property follows from options: nothing is forced there.
    return min([MIN_DIGITS_COUNT, *(each for each in forced if isinstance(each, int) and each)])


def _is_e164(value: Any) -> bool:
    try:
        return isinstance(value, str) and parse(value).e164 == value
    except InvalidPhone:
        return False


def _is_digits(value: Any, least: int) -> bool:
    pattern = rf"[0-9]{{{least},{MAX_CODE_LENGTH}}}"
    return isinstance(value, str) and bool(re.fullmatch(pattern, value))


def _is_date(value: Any) -> bool:
    try:
        found = _read_date(value)
    except ValueError:
        return False
    return isinstance(found, date) and not isinstance(found, datetime)


def _read_date(value: Any) -> Any:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _today() -> date:
    """Give the date where the site is, as `flow.limits` does: both have to close on one day."""
    return timezone.localdate(timezone=timezone.get_default_timezone())
