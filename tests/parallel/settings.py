"""The servers' settings: those of the suite, on the database that the running test uses."""

import json
import os

from tests.settings import *  # noqa: F403 (all of them, but for what follows)
from tests.settings import DATABASES, MIDDLEWARE, PHONE_OTP

DATABASES["default"]["NAME"] = os.environ["PHONE_OTP_TEST_DATABASE_NAME"]
MIDDLEWARE = [*MIDDLEWARE, "tests.parallel.middleware.name_process"]
PHONE_OTP = {
    **PHONE_OTP,
    # All come from one address, and what is shown is what the database holds by itself.
    "LIMITS": {"request_ip": "100000/h", "confirm_ip": "100000/h"},
    **json.loads(os.environ["PHONE_OTP_TEST_KEYS"]),
}
if "PHONE_OTP_TEST_CACHES" in os.environ:  # one that the processes share
    CACHES = json.loads(os.environ["PHONE_OTP_TEST_CACHES"])
    RATELIMIT_USE_CACHE = "limits"
# What went wrong in a server, for the message of the test that fails.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler", "level": "ERROR"}},
    "root": {"handlers": ["stderr"]},
}
