"""Keys that say how long codes live, and how often anything may be done. Layer 5."""

from collections.abc import Mapping
from typing import Any

from django.core.checks import Warning

from ..codes import MAX_CODE_LENGTH, MIN_DIGITS_COUNT
from ..conf import DEFAULT_LIMITS, Rate
from .keys import Problems, checks_key, is_int

MAX_CODE_TTL_SECONDS = 600  # NIST SP 800-63B-4, 3.1.3.2: ten minutes
MAX_ATTEMPTS = 10
MAX_LIMIT_COUNT = 1_000  # the ledger keeps the time of each event that counts
# The budgets of the site as a whole, which may be off.
SITE_LIMITS = ("send_region", "send_all", "fail_all")


@checks_key("CODE_LENGTH", "E014")
def _check_code_length(value: Any) -> Problems:
    if not is_int(value, MIN_DIGITS_COUNT, MAX_CODE_LENGTH):
        yield f"must be a whole number from {MIN_DIGITS_COUNT} to {MAX_CODE_LENGTH}."


@checks_key("CODE_TTL", "E015")
def _check_code_ttl(value: Any) -> Problems:
    if not is_int(value, 30, MAX_CODE_TTL_SECONDS):
        yield f"must be whole seconds from 30 to {MAX_CODE_TTL_SECONDS} (NIST SP 800-63B-4)."


@checks_key("MAX_ATTEMPTS", "E016")
def _check_max_attempts(value: Any) -> Problems:
    if not is_int(value, 1, MAX_ATTEMPTS):
        yield f"must be a whole number from 1 to {MAX_ATTEMPTS}."


@checks_key("RESEND_WAITS", "E017")
def _check_resend_waits(value: Any) -> Problems:
    is_list = isinstance(value, list | tuple) and bool(value)
    if not is_list or not all(is_int(each, 0, 86_400) for each in value):
        yield "must be a list of whole seconds, one at least, such as [30, 60, 120]."
    elif 0 in value:
        yield Warning(
            "PHONE_OTP['RESEND_WAITS'] has a wait of 0 seconds: impatience is paid by you.",
            hint="Have people wait, 30 seconds say, before a message that costs money.",
            id="phone_otp.W017",
        )


@checks_key("LIMITS", "E018")
def _check_limits(value: Any) -> Problems:
    if not isinstance(value, Mapping):
        yield "must be a dict of named rates."
        return
    for name, rates in value.items():
        if name not in DEFAULT_LIMITS:
            yield f"names {name!r}, which is no limit. Known: {', '.join(DEFAULT_LIMITS)}."
        elif name == "fail_phone_total":
            if not is_int(rates, 1, 100):  # NIST SP 800-63B-4, 3.2.2: no more than 100
                yield "['fail_phone_total'] must be a whole number from 1 to 100."
        elif rates is not None or name not in SITE_LIMITS:
            yield from _check_rates(name, rates)


def _check_rates(name: str, rates: Any) -> Problems:
    listed = [rates] if isinstance(rates, str) else rates
    if not isinstance(listed, list | tuple) or not listed:
        yield f"['{name}'] must be a rate such as '5/h', or a list of rates, one at least."
        return
    for text in listed:
        try:
            rate = Rate.parse(text)
        except (TypeError, ValueError):
            yield f"['{name}'] has {text!r}: a rate is such as '5/h' or '100/10m', and 1 at least."
        else:
            if name.endswith(("_phone", "_device")) and rate.count > MAX_LIMIT_COUNT:
                yield f"['{name}'] may count to {MAX_LIMIT_COUNT} at most."
