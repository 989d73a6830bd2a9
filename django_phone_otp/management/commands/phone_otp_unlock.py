"""`phone_otp_unlock PHONE`: lift the lock of a phone that took too many wrong codes in a row."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from ... import conf
from ...models import PhoneLedger
from ...phone import mask
from ..phones import read_phone


class Command(BaseCommand):
    """Lift the lock of a phone and forget its wrong codes."""

    help = "Lift the lock of a phone that took too many wrong codes in a row."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the phone, as a person writes it."""
        parser.add_argument("phone")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Unlock it; fails when it is no phone or was not locked."""
        phone = read_phone(options["phone"], conf.read())
        if not PhoneLedger.primary().enable(phone):
            raise CommandError(_("%(phone)s is not locked.") % {"phone": mask(phone)})
        self.stdout.write(_("%(phone)s is unlocked.") % {"phone": mask(phone)})
