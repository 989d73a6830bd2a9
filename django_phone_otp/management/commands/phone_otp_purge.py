"""`phone_otp_purge [--dry-run] [--batch-size N]`: remove what is older than `RETENTION_DAYS`."""

import time
from collections.abc import Callable
from typing import Any

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    OutputWrapper,
)
from django.utils import timezone
from django.utils.translation import gettext as _

from ... import conf
from ...flow.retention import (
    BATCH_SIZE,
    MAX_BATCH_SIZE,
    Purged,
    count_old_challenges,
    count_purgeable,
    purge,
    write_counts,
)

INTERRUPTED_STATUS = 130  # as shells have it: 128 and the number of SIGINT


class Command(BaseCommand):
    """Remove old challenges and what is left of phones that nobody uses any more."""

    help = (
        "Remove challenges older than RETENTION_DAYS, and ledgers that say nothing any more. "
        "Deliveries whose worker died are closed first. Run it once a day."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take whether to do it, and the size of a batch."""
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would be removed; write nothing."
        )
        parser.add_argument(
            "--batch-size",
            type=int,
            default=BATCH_SIZE,
            metavar="N",
            help="The rows of a table that one transaction removes at most. Default: %(default)s.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Purge, and say how much it was; with status 130 when a person stops it."""
        settings, now = conf.read(), timezone.now()
        batch_size = options["batch_size"]
        if not 1 <= batch_size <= MAX_BATCH_SIZE:
            message = _("--batch-size must be from 1 to %(most)d.")
            raise CommandError(message % {"most": MAX_BATCH_SIZE})
        if options["dry_run"]:
            counts = _counts(count_purgeable(settings, now))
            message = _("%(challenges)s, %(phones)s and %(devices)s would be removed.")
            self.stdout.write(message % counts)
            return
        is_watched = options["verbosity"] > 0 and self.stderr.isatty()
        bar = Bar(self.stderr, count_old_challenges(settings, now)) if is_watched else None
        purged = Purged()
        try:
            for purged in purge(settings, now, batch_size=batch_size):
                if bar:
                    bar.show(purged.rows_count)
        except KeyboardInterrupt:
            message = _("Stopped: %(challenges)s, %(phones)s and %(devices)s removed so far.")
            raise CommandError(message % _counts(purged), returncode=INTERRUPTED_STATUS) from None
        finally:
            if bar:
                bar.end()
        message = _("%(challenges)s, %(phones)s and %(devices)s removed.")
        self.stdout.write(message % _counts(purged))


def _counts(purged: Purged) -> dict[str, str]:
    return write_counts(
        purged.challenges_count, purged.phone_ledgers_count, purged.device_ledgers_count
    )


class Bar:
    """A line on a terminal that fills up: part, number of rows, rows in a second."""

    WIDTH = 30

    def __init__(
        self, out: OutputWrapper, total: int, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out
        self._total = total
        self._seconds = seconds
        self._began = seconds()
        self._length = 0

    def show(self, done: int) -> None:
        """Draw it anew; what comes beyond the total adds to it."""
        total = max(self._total, done, 1)
        filled = self.WIDTH * done // total
        seconds = self._seconds() - self._began
        line = (
            f"[{'#' * filled:-<{self.WIDTH}}] {100 * done // total:3d}%  "
            f"{done:,}/{total:,}  {round(done / seconds) if seconds else 0:,}/s"
        )
        self._write(f"\r{line:<{self._length}}")
        self._length = len(line)

    def end(self) -> None:
        """Leave the line as it is, and go to the next."""
        if self._length:
            self._write("\n")

    def _write(self, text: str) -> None:
        self._out.write(text, style_func=str, ending="")
        self._out.flush()
