"""The site under attack: the default settings, a clock that can be moved, and a witness."""

import json
import os
from typing import Any

from tests.attack import clock
from tests.parallel.settings import *  # noqa: F403 (all of them, but for what follows)
from tests.parallel.settings import MIDDLEWARE, PHONE_OTP

clock.install()
MIDDLEWARE = [*MIDDLEWARE, "tests.attack.witness.watch"]
# A user may be logged in with the token that a login gave.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"]
}
_fixed: dict[str, Any] = {
    **PHONE_OTP,
    # The attacker has as many addresses as he wants, so no limit of an address is ever felt.
    "TRUSTED_PROXIES": 1,
    "LIMITS": {},
}
PHONE_OTP = {**_fixed, **json.loads(os.environ["PHONE_OTP_TEST_KEYS"])}
