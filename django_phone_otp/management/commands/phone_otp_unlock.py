"""`phone_otp_unlock PHONE`: lift the lock of a phone that took too many wrong codes in a row."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from ... import conf
from ...exceptions import InvalidPhone
from ...models import PhoneLedger
from ...phone import mask, parse


class Command(BaseCommand):
    """Lift the lock of a phone and forget its wrong codes."""

    help = "Lift the lock of a phone that took too many wrong codes in a row."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the phone, as a person writes it."""
        parser.add_argument("phone")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Unlock it; fails when it is no phone or was not locked."""
        try:
            phone = parse(options["phone"], conf.read().default_region).e164
        except InvalidPhone as error:
            raise CommandError(str(error)) from None
        if not PhoneLedger.primary().enable(phone):
            raise CommandError(_("%(phone)s is not locked.") % {"phone": mask(phone)})
        self.stdout.write(_("%(phone)s is unlocked.") % {"phone": mask(phone)})
