"""`phone_otp_erase PHONE [--keep-login] [--unlock] [--no-input]`: erase what is stored about it."""

import logging
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ... import conf
from ...conf import Settings
from ...events import Event, log_event
from ...flow.privacy import Stored, erase, survey
from ...flow.retention import write_counts
from ...phone import mask
from ..phones import read_phone

logger = logging.getLogger(__name__)

INTERRUPTED_STATUS = 130  # as shells have it: 128 and the number of SIGINT


class Command(BaseCommand):
    """Erase what is stored about a phone, for the person whose phone it is."""

    help = (
        "Erase all that is stored about a phone, its login too. A phone in a field of your own "
        "user model stays: that is yours to erase."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the phone, as a person writes it, and what is to stay."""
        parser.add_argument("phone")
        parser.add_argument(
            "--keep-login",
            action="store_true",
            help="Leave the phone with its user, who can then still log in with it.",
        )
        parser.add_argument(
            "--unlock",
            action="store_true",
            help="Erase also a lock and wrong codes in a row: whoever guesses may begin anew.",
        )
        parser.add_argument(
            "--no-input",
            "--noinput",
            action="store_false",
            dest="interactive",
            help="Do not ask for confirmation.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Erase it once a person agrees; fails when it is no phone, or when it is locked."""
        try:
            self._erase(**options)
        except KeyboardInterrupt:
            message = _("Stopped. Some of it may be erased; run it again.")
            raise CommandError(message, returncode=INTERRUPTED_STATUS) from None

    def _erase(
        self, *, phone: str, keep_login: bool, unlock: bool, interactive: bool, **_options: Any
    ) -> None:
        settings = conf.read()
        phone = read_phone(phone, settings)
        stored = survey(phone, settings)
        if stored.is_counting and not unlock:
            raise CommandError(_refuse(phone))
        for line in _describe(phone, stored, settings, keep_login=keep_login):
            self.stdout.write(line)
        if stored.is_empty or (keep_login and not stored.phone_ledgers_count):
            self.stdout.write(_("There is nothing to erase."))
            return
        if interactive and not _ask():
            self.stdout.write(_("Nothing was erased."))
            return
        if not erase(phone, settings, keep_login=keep_login, unlock=unlock):
            raise CommandError(_refuse(phone))  # somebody entered a wrong code at this moment
        log_event(logger, Event.OPERATOR_ACTED, action="erase", phone=phone)
        self.stdout.write(_("Erased."))


def _describe(phone: str, stored: Stored, settings: Settings, *, keep_login: bool) -> Iterator[str]:
    """Say what is to be erased, and what becomes of the login; the phone is masked."""
    logins = 0 if keep_login else len(stored.users)
    counts = write_counts(
        stored.challenges_count, stored.phone_ledgers_count, stored.device_ledgers_count
    )
    yield _("%(phone)s: %(challenges)s, %(phones)s, %(devices)s and %(logins)s.") % {
        "phone": mask(phone),
        "logins": ngettext("%(count)d login", "%(count)d logins", logins) % {"count": logins},
        **counts,
    }
    for user in stored.users:
        line = (
            _("User %(user)s can still log in with it.")
            if keep_login
            else _("User %(user)s will not be able to log in with it any more.")
        )
        yield line % {"user": user}
    for user in stored.field_users:
        line = _('It stays in the field "%(field)s" of user %(user)s, which is your site\'s own.')
        yield line % {"field": settings.user_phone_field, "user": user}


def _refuse(phone: str) -> str:
    message = _(
        "%(phone)s is locked, or has wrong codes in a row: to erase them would let somebody go on "
        "guessing. Nothing more is erased without --unlock."
    )
    return message % {"phone": mask(phone)}


def _ask() -> bool:
    """Ask on the terminal; only a whole "yes" is one."""
    try:
        return input(_("Type 'yes' to erase this for good: ")) == "yes"
    except EOFError:
        raise CommandError(_("Nobody is there to be asked; add --no-input.")) from None
