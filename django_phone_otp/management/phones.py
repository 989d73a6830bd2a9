"""The phone that an operator names in a command. Layer 5."""

from django.core.management.base import CommandError

from ..conf import Settings
from ..exceptions import InvalidPhone
from ..flow.privacy import find_phone


def read_phone(typed: str, settings: Settings) -> str:
    """Read a phone as an operator types it; raises `CommandError` for what is none."""
    try:
        return find_phone(typed, settings)
    except InvalidPhone as error:
        raise CommandError(str(error)) from None
