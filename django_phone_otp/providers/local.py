"""Providers that send nothing: console, list for tests, fixed code of a test phone. Layer 3."""

from dataclasses import dataclass, field
from typing import ClassVar

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .. import transport
from ..choices import Channel, Custody
from ..codes import MAX_CODE_LENGTH
from ..transport import Transport
from .base import Provider, Started, StartRequest
from .options import ProviderOptions, option


class _Local(Provider[ProviderOptions]):
    channel = Channel.SMS
    custody = Custody.LOCAL


class Console(_Local):
    """Prints the message, code and all, on standard output: for development only."""

    key: ClassVar[str] = "console"

    def start(self, request: StartRequest) -> Started:
        """Print the message."""
        print(f"Text message to {request.phone}: {request.text}", flush=True)
        return Started()


@dataclass(frozen=True, slots=True)
class Message:
    """One message that `LocMem` kept."""

    phone: str
    code: str = field(repr=False)
    text: str = field(repr=False)


outbox: list[Message] = []


class LocMem(_Local):
    """Keeps messages in `outbox`, a list of this process: for tests."""

    key: ClassVar[str] = "locmem"

    def start(self, request: StartRequest) -> Started:
        """Keep the message."""
        outbox.append(Message(request.phone, request.code, request.text))
        return Started()


@dataclass(frozen=True, kw_only=True)
class FixedCodeOptions(ProviderOptions):
    """Options of a test phone."""

    code: str = option(secret=True, help=_("The code that is always right."))

    def find_problems(self) -> list[str]:
        """Refuse what no person could type."""
        is_typeable = self.code.isascii() and self.code.isdigit()
        if is_typeable and len(self.code) <= MAX_CODE_LENGTH:
            return super().find_problems()
        must_be = gettext('"code" must be at most %(most)d digits.')
        return [must_be % {"most": MAX_CODE_LENGTH}, *super().find_problems()]


class FixedCode(Provider[FixedCodeOptions]):
    """Stands for the provider of a phone in `TEST_PHONES`: no message, the same code every time."""

    key: ClassVar[str] = "test-phone"
    channel = Channel.SMS
    custody = Custody.RETURNED
    Options = FixedCodeOptions

    def __init__(self, options: FixedCodeOptions, send: Transport = transport.send) -> None:
        super().__init__(options, send)
        # SECURITY: tries are fewer for a short code, before it is known too.
        self.code_length = len(options.code)

    def start(self, request: StartRequest) -> Started:
        """Answer with the code of the settings."""
        return Started(code=self.options.code)
