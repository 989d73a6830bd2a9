"""`phone_otp_revoke_devices PHONE`: let no device string of a phone count any more."""

import logging
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from ... import conf
from ...events import Event, log_event
from ...models import PhoneLedger
from ...phone import mask
from ..phones import read_phone

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """Revoke what was given to clients that logged in with a phone."""

    help = "Let no device string of a phone count any more. Nobody is logged out."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the phone, as a person writes it."""
        parser.add_argument("phone")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Revoke them; fails when it is no phone."""
        phone = read_phone(options["phone"], conf.read())
        PhoneLedger.primary().revoke_devices(phone, timezone.now())
        log_event(logger, Event.OPERATOR_ACTED, action="revoke_devices", phone=phone)
        self.stdout.write(_("The devices of %(phone)s are revoked.") % {"phone": mask(phone)})
