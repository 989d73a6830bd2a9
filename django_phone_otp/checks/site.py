"""What stands around us: caches, backends, proxies, and the doors that are included. Layer 5."""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from django.conf import settings as django_settings
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from .keys import Problems, checks_key, is_int, lists_class

BACKEND = "django_phone_otp.backends.PhoneOTPBackend"


def check_providers_exist(**_kwargs: Any) -> list[CheckMessage]:
    """Check that a site in production has something to send with."""
    given = getattr(django_settings, "PHONE_OTP", {})
    if django_settings.DEBUG or not isinstance(given, Mapping) or given.get("PROVIDERS", {}) != {}:
        return []
    return [
        Error(
            "No provider is configured: no code can be delivered while DEBUG is False. (PROVIDERS "
            "= None says that operators set them up in the admin.)",
            hint="Add one, for example PHONE_OTP = {'PROVIDERS': {'calls': {'BACKEND': "
            "'telefon-ip-flash', 'OPTIONS': {'token': '...'}}}}.",
            id="phone_otp.E003",
        )
    ]


def check_time_zone(**_kwargs: Any) -> list[CheckMessage]:
    """Check that times are aware: naive ones repeat an hour when clocks go back."""
    if django_settings.USE_TZ:
        return []
    return [
        Error(
            "USE_TZ must be True.",
            hint="Without it an hour happens twice when clocks go back, and codes live longer.",
            id="phone_otp.E006",
        )
    ]


def check_limits_are_on(**_kwargs: Any) -> list[CheckMessage]:
    """Check that nobody has switched the limits by address off for good."""
    if getattr(django_settings, "RATELIMIT_ENABLE", True):
        return []
    return [
        Warning(
            "RATELIMIT_ENABLE is False: nothing is limited by address, and no guard watches.",
            hint="Leave it out everywhere but in tests.",
            id="phone_otp.W005",
        )
    ]


def check_cache_counts(**_kwargs: Any) -> list[CheckMessage]:
    """Check that the cache exists and keeps what it is told: else every request is refused."""
    name, backend = _find_cache()
    if name not in django_settings.CACHES:
        return [
            Error(
                f"RATELIMIT_USE_CACHE names {name!r}, which is not in CACHES: every request is "
                "refused.",
                hint="Limits are counted in CACHES['default'] where it is left out.",
                id="phone_otp.E009",
            )
        ]
    if not (isinstance(backend, type) and issubclass(backend, DummyCache)):
        return []
    return [
        Error(
            f"CACHES['{name}'] keeps nothing, so nothing can be counted: every request is refused.",
            hint="Use Redis or Memcached; for tests django.core.cache.backends.locmem.LocMemCache.",
            id="phone_otp.E008",
        )
    ]


def check_cache_is_shared(**_kwargs: Any) -> list[CheckMessage]:
    """Check that processes share what is counted in the cache, and that it counts exactly."""
    name, backend = _find_cache()
    if not isinstance(backend, type):
        return []  # Django's own error, at the first use, names it
    if issubclass(backend, LocMemCache):
        id_, problem = (
            "phone_otp.W008",
            "counts for each process by itself, and forgets when it is full",
        )
    elif issubclass(backend, FileBasedCache | DatabaseCache):
        id_ = "phone_otp.W009"
        problem = "loses counts that are made at one moment, and is slow"
    else:
        return []
    return [
        Warning(
            f"CACHES['{name}'] {problem}: limits by address and guards let more through than they "
            "say.",
            hint="Use Redis or Memcached; RATELIMIT_USE_CACHE names another cache for the limits.",
            id=id_,
        )
    ]


def _find_cache() -> tuple[str, Any]:
    """Give the name and the class of the cache that limits are counted in."""
    name = str(getattr(django_settings, "RATELIMIT_USE_CACHE", "default"))
    try:
        return name, import_string(django_settings.CACHES[name]["BACKEND"])
    except (ImportError, KeyError):
        return name, None


def check_backend(**_kwargs: Any) -> list[CheckMessage]:
    """Check that the authentication backend is installed, or a subclass of it."""
    if lists_class(BACKEND, django_settings.AUTHENTICATION_BACKENDS):
        return []
    return [
        Error(
            "AUTHENTICATION_BACKENDS has no PhoneOTPBackend: nobody can log in by phone.",
            hint=f"Add '{BACKEND}' to AUTHENTICATION_BACKENDS.",
            id="phone_otp.E004",
        )
    ]


@checks_key("TRUSTED_PROXIES", "E027")
def _check_trusted_proxies(value: Any) -> Problems:
    if not is_int(value, 0, 10):
        yield "must be the number of your own proxies, from 0 to 10."


@checks_key("RETENTION_DAYS", "E029")
def _check_retention_days(value: Any) -> Problems:
    if not is_int(value, 1, 3_650):
        yield "must be whole days from 1 to 3650."


@checks_key("LIFEPOS", "E035")
def _check_lifepos(value: Any) -> Problems:
    if not isinstance(value, Mapping):
        yield "must be a dict."
        return
    unknown = set(value) - {"TELL_UNKNOWN", "TRUSTED_CALLERS"}
    if unknown:
        yield f"has keys that do not exist: {', '.join(sorted(map(str, unknown)))}."
    if not isinstance(value.get("TELL_UNKNOWN", False), bool):
        yield "['TELL_UNKNOWN'] must be True or False."
    callers = value.get("TRUSTED_CALLERS", [])
    if not isinstance(callers, list | tuple) or not all(map(_is_network, callers)):
        yield (
            "['TRUSTED_CALLERS'] must be a list of networks such as ['10.0.0.0/8'], no bits of a "
            "host behind the prefix, and none of them everybody's."
        )


def _is_network(value: Any) -> bool:
    """Say whether this is a network with an outside.

    SECURITY: whoever is trusted chooses the address that budgets are counted by.
    """
    try:
        return isinstance(value, str) and ip_network(value).prefixlen > 0
    except ValueError:
        return False
