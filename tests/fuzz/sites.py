"""The sites that are fuzzed: `PHONE_OTP` in the ways that lead to other code."""

from typing import Any

from django_phone_otp import conf
from tests import fakes

PHONE = "+79244501003"


def _widen(limit: Any) -> Any:
    if limit is None:
        return None
    return 1_000_000_000 if isinstance(limit, int) else "1000000000/s"


# Budgets would answer everything else with 429 after a minute.
_WIDE: dict[str, Any] = {
    "LIMITS": {name: _widen(limit) for name, limit in conf.DEFAULT_LIMITS.items()},
    "RESEND_WAITS": [0],
    "DEFAULT_REGION": "RU",
    "PROVIDERS": {"memory": {"BACKEND": "locmem"}},
}

SITES: dict[str, dict[str, Any]] = {
    "token": {**_WIDE, "TOKEN_ISSUER": "token"},
    "session": {**_WIDE, "TOKEN_ISSUER": "session"},
    "closed": {**_WIDE, "TOKEN_ISSUER": "token", "SIGNUP": False},
    "proxied": {**_WIDE, "TOKEN_ISSUER": "session", "SIGNUP": False, "TRUSTED_PROXIES": 1},
    "captcha": {
        **_WIDE,
        "TOKEN_ISSUER": "token",
        "CAPTCHA": {"BACKEND": "tests.fakes.FakeCaptcha", "OPTIONS": {}},
    },
    "calls": {
        **_WIDE,
        "TOKEN_ISSUER": "token",
        "PROVIDERS": {
            **fakes.providers(
                presence={"kind": "FakePresence", "is_called": True},
                flash={"kind": "FakeCall", "code": "1234"},
                judge={"kind": "FakeJudge", "code": "012345"},
            ),
            "memory": {"BACKEND": "locmem"},
        },
    },
    "guarded": {
        **_WIDE,
        "TOKEN_ISSUER": "session",
        "GUARDS": {
            name: {"MODE": "block", **({"FREE": 50, "PER_LOGIN": 2} if "FREE" in rules else {})}
            for name, rules in conf.DEFAULT_GUARDS.items()
        },
    },
    # Waits and budgets as they are by default: the answers 429.
    "strict": {
        "DEFAULT_REGION": "RU",
        "TOKEN_ISSUER": "token",
        "PROVIDERS": {"memory": {"BACKEND": "locmem"}},
    },
    "dead": {
        **_WIDE,
        "TOKEN_ISSUER": "token",
        "PROVIDERS": fakes.providers(dead={"error": "ProviderUnavailable"}),
    },
    "doubtful": {
        **_WIDE,
        "TOKEN_ISSUER": "token",
        "PROVIDERS": fakes.providers(
            judge={"kind": "FakeJudge", "verdict": "NoAnswer"}, vague={"error": "DeliveryUncertain"}
        ),
    },
}
# Where something was told to fail, and a 503 is the right answer.
THAT_FAIL = {"captcha", "dead", "doubtful"}
# Where most answers are 2xx.
ROOMY = ["token", "session", "closed", "calls"]
