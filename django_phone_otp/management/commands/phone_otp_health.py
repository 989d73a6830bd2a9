"""`phone_otp_health [--max-drop PERCENT]`: whether people can log in, for a timer."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ... import conf
from ...flow.health import Comparison, Health, Problem, examine_health
from ...flow.traffic import count_if_due

UNKNOWN_STATUS = 3  # as monitoring systems have it: nobody can tell


class Command(BaseCommand):
    """Compare the last full hours with those of the days before, and look at the accounts."""

    help = (
        "Compare the conversion (verified of sent) of the last full hours with the same hours of "
        "the seven days before, and look for accounts in trouble. Ends with status 1 when "
        "something is wrong, with 3 when the database is out of reach. Sends nothing, and asks no "
        "service."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what is a drop, over how many hours, and the form of the output."""
        parser.add_argument(
            "--max-drop",
            type=float,
            default=30,
            metavar="PERCENT",
            help="By how much of itself the conversion may fall. Default: %(default)s.",
        )
        parser.add_argument(
            "--min-sent",
            type=int,
            default=30,
            metavar="N",
            help="Fewer challenges than this are not compared. Default: %(default)s.",
        )
        parser.add_argument(
            "--hours",
            type=int,
            default=1,
            metavar="N",
            help="How many full hours are looked at, up to 24. Default: %(default)s.",
        )
        parser.add_argument("--json", action="store_true", help="Write JSON, for programs.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Say what is wrong; fails when there is something."""
        _check(options)
        now = timezone.now()
        try:
            count_if_due(now)
            health = examine_health(
                conf.read(),
                now,
                hours_count=options["hours"],
                max_drop_percent=options["max_drop"],
                min_sent_count=options["min_sent"],
            )
        except (InterfaceError, OperationalError) as error:
            message = _("The database is out of reach: %(error)s.")
            raise CommandError(
                message % {"error": type(error).__name__}, returncode=UNKNOWN_STATUS
            ) from None
        if options["verbosity"] and not health.sees_breakers:
            # On its own, as it is a matter of the settings: nothing is wrong by it.
            self.stderr.write(
                _(
                    "The cache is of this process alone: which accounts are passed over in the "
                    "others cannot be seen from here."
                )
            )
        if options["json"]:
            self.stdout.write(json.dumps(as_json(health), indent=2, ensure_ascii=False))
        else:
            for each in health.problems:
                self.stdout.write(each.words)
        count = len(health.problems)
        if count:
            message = ngettext("%(count)d problem.", "%(count)d problems.", count)
            raise CommandError(message % {"count": count})
        if not options["json"] and options["verbosity"]:
            self.stdout.write(_("All is well."))


def _check(options: dict[str, Any]) -> None:
    if not 0 < options["max_drop"] < 100:
        raise CommandError(_("--max-drop must be between 0 and 100."), returncode=2)
    if options["min_sent"] < 1:
        raise CommandError(_("--min-sent must be 1 or more."), returncode=2)
    if not 1 <= options["hours"] <= 24:
        raise CommandError(_("--hours must be from 1 to 24."), returncode=2)


def as_json(health: Health) -> dict[str, Any]:
    """Describe the health for programs; shares are from 0 to 1, `drop_percent` of itself."""
    return {
        "ok": not health.problems,
        "since": health.since.isoformat(),
        "until": health.until.isoformat(),
        "problems": [_describe_problem(each) for each in health.problems],
        "conversions": [_describe_comparison(each) for each in health.comparisons],
        "deliveries": [_describe_deliveries(each) for each in health.deliveries],
        "sees_breakers": health.sees_breakers,
    }


def _describe_problem(problem: Problem) -> dict[str, Any]:
    return {"problem": problem.trouble, "subject": problem.subject, "words": problem.words}


def _describe_comparison(comparison: Comparison) -> dict[str, Any]:
    now, before, drop = comparison.now, comparison.before, comparison.drop_percent
    return {
        "subject": comparison.subject,
        "sent": now.all_count,
        "verified": now.good_count,
        "conversion": _round(now.part),
        "sent_before": before.all_count,
        "verified_before": before.good_count,
        "conversion_before": _round(before.part),
        "drop_percent": None if drop is None else round(drop, 1),
    }


def _describe_deliveries(comparison: Comparison) -> dict[str, Any]:
    now, before = comparison.now, comparison.before
    return {
        "account": comparison.subject,
        "tried": now.all_count,
        "failed": now.all_count - now.good_count,
        "tried_before": before.all_count,
        "failed_before": before.all_count - before.good_count,
    }


def _round(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
