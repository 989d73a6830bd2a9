"""`phone_otp_sweep`: close the deliveries whose worker died, put in again what the queue lost."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ...flow.sweep import SWEEP_AGE, sweep_deliveries, sweep_queue


class Command(BaseCommand):
    """Mark what nobody can be sending any more as uncertain, and its challenge as failed."""

    help = (
        "Close deliveries whose worker died while it was sending, "
        "and put those into the queue again that no worker has taken."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the age from which on nobody can be sending any more."""
        parser.add_argument(
            "--older-than",
            type=int,
            default=int(SWEEP_AGE.total_seconds()),
            metavar="SECONDS",
            help="Longer than any worker is busy with one request. Default: %(default)s.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Sweep, and say how many there were."""
        if options["older_than"] < 0:
            raise CommandError(_("--older-than must not be negative."))
        age = timedelta(seconds=options["older_than"])
        requeued = sweep_queue(timezone.now())
        count = sweep_deliveries(timezone.now(), age=age)
        message = ngettext("%(count)d delivery closed.", "%(count)d deliveries closed.", count)
        self.stdout.write(message % {"count": count})
        if requeued:
            message = ngettext(
                "%(count)d delivery put into the queue again.",
                "%(count)d deliveries put into the queue again.",
                requeued,
            )
            self.stdout.write(message % {"count": requeued})
