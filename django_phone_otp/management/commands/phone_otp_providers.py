"""`phone_otp_providers`: whether each account works, and what is left in it."""

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ... import conf
from ...flow.inspection import Inspection, describe, inspect_accounts


class Command(BaseCommand):
    """Ask each account's service whether all is well, and make what has to be made there once."""

    help = (
        "Show each account: its configuration, whether its service can be reached with it, what is "
        "left in it. Ends with status 1 when one is broken, or when there is none."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the form of the output."""
        parser.add_argument("--json", action="store_true", help="Write JSON, for programs.")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Inspect them all; fails when one is broken."""
        inspections = list(inspect_accounts(conf.read()))
        if options["json"]:
            written = [as_json(each) for each in inspections]
            self.stdout.write(json.dumps(written, indent=2, ensure_ascii=False))
        else:
            for each in inspections:
                self.stdout.write(as_line(each))
        if not any(each.entry.enabled for each in inspections) and not settings.DEBUG:
            # With DEBUG on, the console is used.
            raise CommandError(_("There is no account that is switched on."))
        broken_count = sum(1 for each in inspections if each.is_broken)
        if broken_count:
            message = ngettext(
                "%(count)d account is broken.", "%(count)d accounts are broken.", broken_count
            )
            raise CommandError(message % {"count": broken_count})


def as_json(inspection: Inspection) -> dict[str, Any]:
    """Describe an inspection for programs; `balance` is in `currency`, or in messages."""
    entry, balance = inspection.entry, inspection.balance
    return {
        "account": entry.alias,
        "provider": entry.backend,
        "source": "row" if entry.is_row else "settings",
        "enabled": entry.enabled,
        "ok": not inspection.problem,
        "problem": inspection.problem,
        "balance": str(balance.amount) if balance else None,
        "currency": balance.currency if balance else None,
        "made": inspection.made,
        "failures_in_a_row": inspection.breaker.failures_count,
        "passed_over": inspection.breaker.is_open(timezone.now()),
    }


def as_line(inspection: Inspection) -> str:
    """Describe an inspection for people, in a line."""
    entry = inspection.entry
    parts = [f"{entry.alias} ({entry.backend})", describe(inspection)]
    if inspection.made:
        made = ", ".join(f"{name}={value}" for name, value in inspection.made.items())
        parts.append(_("made at the service and kept: %(made)s") % {"made": made})
    if inspection.breaker.is_open(timezone.now()):
        parts.append(_("passed over after %d failures") % inspection.breaker.failures_count)
    return ": ".join(parts[:2]) + "".join(f"; {each}" for each in parts[2:])
