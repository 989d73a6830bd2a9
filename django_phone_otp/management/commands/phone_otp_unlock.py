"""`phone_otp_unlock PHONE`: lift the lock of a phone that took too many wrong codes in a row."""

import logging
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from ... import conf
from ...events import Event, log_event
from ...flow.interventions import unlock_phone
from ...phone import mask
from ..phones import read_phone

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """Lift the lock of a phone and forget its wrong codes."""

    help = "Lift the lock of a phone that took too many wrong codes in a row."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the phone, as a person writes it."""
        parser.add_argument("phone")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Unlock it; fails when it is no phone or was not locked."""
        phone = read_phone(options["phone"], conf.read())
        if not unlock_phone(phone):
            raise CommandError(_("%(phone)s is not locked.") % {"phone": mask(phone)})
        log_event(logger, Event.OPERATOR_ACTED, action="unlock", phone=phone)
        self.stdout.write(_("%(phone)s is unlocked.") % {"phone": mask(phone)})
