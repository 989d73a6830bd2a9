"""Each key of `PHONE_OTP` has a check, under an id of its own; they are collected here. Layer 5."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from ..conf import KEYS, Settings
from ..phone import is_region

Problems = Iterator[str | CheckMessage]
CHECKS: dict[str, tuple[str, Callable[[Any], Problems]]] = {}


def checks_key(key: str, id_: str) -> Callable[[Callable[[Any], Problems]], Any]:
    """Make a function the check of a key: it gives what is wrong, as the ends of sentences.

    A message of its own goes out as it is.
    """

    def add(function: Callable[[Any], Problems]) -> Callable[[Any], Problems]:
        CHECKS[key] = (f"phone_otp.{id_}", function)
        return function

    return add


def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """Check `PHONE_OTP`: its keys, and each value."""
    given = getattr(django_settings, "PHONE_OTP", {})
    if not isinstance(given, Mapping):
        return [Error("PHONE_OTP must be a dict.", id="phone_otp.E001")]
    messages: list[CheckMessage] = [
        Error(
            f"PHONE_OTP has a key that does not exist: {key!r}.",
            hint=f"Known keys: {', '.join(KEYS)}.",
            id="phone_otp.E002",
        )
        for key in given
        if key not in KEYS
    ]
    defaults = Settings()
    for key, (id_, function) in CHECKS.items():
        # A default may not fit either: that of TOKEN_ISSUER needs sessions.
        for problem in function(given.get(key, getattr(defaults, key.lower()))):
            if isinstance(problem, str):
                space = "" if problem.startswith("[") else " "
                problem = Error(f"PHONE_OTP['{key}']{space}{problem}", id=id_)
            messages.append(problem)
    return messages


def has_problems(key: str, given: Mapping[str, Any]) -> bool:
    """Say whether there is something wrong with a key, which `check_settings` then tells."""
    return key in given and any(True for _ in CHECKS[key][1](given[key]))


def is_int(value: Any, least: int, most: int) -> bool:
    """Say whether this is a whole number in a range; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_region_name(value: Any) -> bool:
    """Say whether this is a region by ISO 3166."""
    return isinstance(value, str) and is_region(value)


def lists_class(wanted: str, listed: Iterable[Any]) -> bool:
    """Say whether a class is listed, by its path or as it is, or one that is made from it."""
    base = _import(wanted)
    found = (_import(each) for each in listed)
    return isinstance(base, type) and any(
        isinstance(each, type) and issubclass(each, base) for each in found
    )


def _import(listed: Any) -> Any:
    try:
        return import_string(listed) if isinstance(listed, str) else listed
    except ImportError:
        return None  # Django's own error, or DRF's, names it at its first use
