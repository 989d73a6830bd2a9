"""`phone_otp_send PHONE [--provider ALIAS]`: send a real test message."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from ...exceptions import InvalidPhone
from ...flow import try_account
from ...flow.inspection import ask_status
from ...flow.refusals import explain
from ...models import DeliveryAttempt


class Command(BaseCommand):
    """Send a code that is good for nothing, to see that it arrives. Costs money."""

    help = "Send a real test message to a phone. It costs money; nobody can log in with its code."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the phone, as a person writes it, and the account."""
        parser.add_argument("phone")
        parser.add_argument(
            "--provider",
            metavar="ALIAS",
            help="The account to send through, also one that is switched off; without it the "
            "phone's route is gone along as in a login.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Send it and say what became of it; fails when nothing went out."""
        try:
            asked = try_account(options["provider"], options["phone"])
        except (InvalidPhone, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from None
        for attempt in asked.attempts:
            self.stdout.write(_describe(attempt))
        if asked.refusal:
            raise CommandError(explain(asked.refusal, asked.retry_after_seconds))
        if asked.challenge:
            self.stdout.write(asked.challenge.hint)


def _describe(attempt: DeliveryAttempt) -> str:
    parts = [
        f"{attempt.account} ({attempt.provider}): {attempt.get_outcome_display()}",
        attempt.detail,
        _("reference %(reference)s") % {"reference": attempt.provider_ref}
        if attempt.provider_ref
        else "",
        _("%(duration)d ms") % {"duration": attempt.duration_ms},
        ask_status(attempt),
    ]
    return ", ".join(each for each in parts if each)
