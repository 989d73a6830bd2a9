"""`phone_otp_export PHONE [--output FILE]`: write all that is stored about one phone, as JSON."""

import json
import logging
import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from django.utils.translation import gettext as _

from ... import conf
from ...events import Event, log_event
from ...flow.privacy import export
from ...phone import mask
from ..phones import read_phone

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """Write what is stored about a phone, for the person whose phone it is."""

    help = (
        "Write all that is stored about a phone, as JSON: challenges with deliveries and answers, "
        "counters, known devices, users. No code and no secret is in it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the phone, as a person writes it, and where to write."""
        parser.add_argument("phone")
        parser.add_argument(
            "--output",
            metavar="FILE",
            help="A file to make, which nobody else may read; without it standard output.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Export it; fails when it is no phone, or when the file is there already."""
        settings = conf.read()
        phone = read_phone(options["phone"], settings)
        found = export(phone, settings, timezone.now())
        log_event(logger, Event.OPERATOR_ACTED, action="export", phone=phone)
        text = json.dumps(found, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder)
        if options["output"] is None:
            self.stdout.write(text)
            return
        try:
            _write_privately(Path(options["output"]), f"{text}\n")
        except OSError as error:
            message = _("Cannot write %(file)s: %(reason)s.")
            reason = {"file": options["output"], "reason": error.strerror}
            raise CommandError(message % reason) from None
        message = _("What is stored about %(phone)s is in %(file)s.")
        self.stdout.write(message % {"phone": mask(phone), "file": options["output"]})


def _write_privately(path: Path, text: str) -> None:
    """Make a file that only its owner may read; raises `OSError`, also where there is one."""
    # SECURITY: private from its first moment on, and no link that somebody else has laid there.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
