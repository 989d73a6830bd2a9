"""`phone_otp_count_traffic [--deadline SECONDS | --again DATE]`: count what has happened since."""

import time
from datetime import date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ...flow.hours import date_of
from ...flow.traffic import Counted, count_again, count_traffic, find_countable_since


class Command(BaseCommand):
    """Count traffic, for the dashboard to be fresh whenever somebody opens it."""

    help = (
        "Count what became of challenges, by the hour and the day, for the dashboard in the admin. "
        "Run it every few minutes. The first time, a site that has been in use for long takes some."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take when to stop, or from when on to count anew."""
        group = parser.add_mutually_exclusive_group()
        group.add_argument(
            "--again",
            metavar="DATE",
            help="Count all from this date on anew, after a count by a host whose clock was ahead.",
        )
        group.add_argument(
            "--deadline",
            type=float,
            metavar="SECONDS",
            help="Begin no further slice after so many seconds; the next count goes on from there.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Count, and say how far it came."""
        deadline = options["deadline"]
        if deadline is not None and not deadline >= 0:
            raise CommandError(_("--deadline must be 0 or more."))
        began, now = time.perf_counter(), timezone.now()
        if options["again"] is None:
            counted = count_traffic(now, deadline_seconds=deadline)
        else:
            counted = count_again(_read_date(options["again"], now), now)
        seconds = time.perf_counter() - began
        if options["verbosity"] > 0:
            self.stdout.write(_describe(counted, seconds))


def _read_date(text: str, now: datetime) -> date:
    try:
        since = date.fromisoformat(text)
    except ValueError:
        since = date.max
    if since > date_of(now):
        raise CommandError(_("--again must be a date such as 2026-03-01, and not one to come."))
    first = find_countable_since(now)
    if first is not None and since < first:
        words = _(
            "The challenges of %(date)s are not kept any more, so they cannot be counted again. "
            "The first day that can be is %(first)s."
        )
        raise CommandError(words % {"date": since, "first": first})
    return since


def _describe(counted: Counted, seconds: float) -> str:
    hours = ngettext("%(count)d hour", "%(count)d hours", counted.hours_count)
    words = {
        "hours": hours % {"count": counted.hours_count},
        "seconds": f"{seconds:.1f}",
        "until": timezone.localtime(
            counted.counted_until, timezone.get_default_timezone()
        ).strftime("%Y-%m-%d %H:%M")
        if counted.counted_until
        else "–",
    }
    if counted.gave_way:
        return _("%(hours)s counted, up to %(until)s; another count is at work.") % words
    if not counted.is_complete:
        return _("%(hours)s counted, up to %(until)s; the next count goes on from there.") % words
    return _("%(hours)s counted in %(seconds)s s.") % words
