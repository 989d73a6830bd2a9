"""The clock of a site under attack: it stands still until the attacker waits, and then it jumps.

All processes of the site read it from one file. Only `django.utils.timezone.now` goes by it, which
is what every limit and every code is reckoned by.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

from django.utils import timezone

FILE = "PHONE_OTP_ATTACK_CLOCK"
BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC).timestamp()


class Clock:
    """The attacker's hand on the clock; `seconds` are those since the attack began."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.seconds = 0.0
        self.wait(0)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        fresh = self._file.with_suffix(".new")
        fresh.write_text(repr(BEGIN + self.seconds))
        fresh.replace(self._file)  # nobody reads half of it


def install() -> None:
    """Let this process go by the clock; before models are imported, whose defaults keep `now`."""
    file = Path(os.environ[FILE])

    def now() -> datetime:
        return datetime.fromtimestamp(float(file.read_text()), UTC)

    mock.patch.object(timezone, "now", now).start()
