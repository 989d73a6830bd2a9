"""System checks: each setting has its own, with an id of its own. Layer 5.

Errors are for what cannot work or is not safe, warnings for what an operator should have meant. No
check asks the database or the network; none prints a value that may be a secret. `apps` registers
them.
"""

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
]
