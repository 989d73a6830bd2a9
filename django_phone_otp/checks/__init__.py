"""System checks: each setting has its own, with an id of its own. Layer 5.

Errors are for what cannot work or is not safe, warnings for what an operator should have meant. No
check asks the database or the network; none prints a value that may be a secret.
"""

from django.core.checks import Tags, register

from . import limits, sending  # noqa: F401 (their keys are known from here on)
from .fixed_codes import check_test_phones_end
from .keys import check_settings
from .people import check_new_users
from .site import (
    check_backend,
    check_cache_counts,
    check_cache_is_shared,
    check_limits_are_on,
    check_providers_exist,
    check_time_zone,
)
from .texts import check_texts


def register_all() -> None:
    """Register the checks with Django; called once, when the app is ready."""
    register(check_settings, Tags.security)
    register(check_providers_exist, Tags.security)
    register(check_backend, Tags.security)
    register(check_limits_are_on, Tags.security)
    register(check_cache_counts, Tags.security)
    register(check_cache_is_shared, Tags.security, deploy=True)
    register(check_time_zone, Tags.security)
    register(check_texts)
    register(check_test_phones_end, Tags.security, deploy=True)
    register(check_new_users, Tags.security)


__all__ = [
    "check_backend",
    "check_cache_counts",
    "check_cache_is_shared",
    "check_limits_are_on",
    "check_new_users",
    "check_providers_exist",
    "check_settings",
    "check_test_phones_end",
    "check_texts",
    "check_time_zone",
    "register_all",
]
