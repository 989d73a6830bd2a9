"""The servers' settings: those of the parallel tests, with a page for who is logged in."""

from datetime import UTC, datetime

from tests.parallel.settings import *  # noqa: F403 (all of them, but for what follows)

ROOT_URLCONF = "tests.stress.urls"
# Six hours from here it is far from midnight: no run sees the day of an account change.
TIME_ZONE = "Etc/GMT-6" if datetime.now(UTC).hour < 12 else "Etc/GMT+6"
