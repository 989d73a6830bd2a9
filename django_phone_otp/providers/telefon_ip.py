"""telefon-ip.ru: codes by flash call and by text message. Layer 3.

Documented by the provider (pages "Flash Calls" and "SMS Code"): GET
`/api/v1/authcalls/{token}/{action}/{phone}/`, answered by `{"success", "error", "data"}`. The token
is part of the address. Observed in other people's clients: HTTP 200 with `success: false`, `null`
for a body, a code as a number without its leading zero.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote

from django.utils.translation import gettext_lazy as _

from .. import transport
from ..choices import Channel, Custody
from ..exceptions import DeliveryUncertain
from ..transport import Transport
from .base import Provider, Started, StartRequest
from .options import ProviderOptions, option

CODE_LENGTH = 4  # documented: "random four-digit code", and at most four characters of ours


@dataclass(frozen=True, kw_only=True)
class TelefonIPOptions(ProviderOptions):
    """Options of both: the access key."""

    token: str = option(secret=True, help=_("Access key from the account page."))
    base_url: str = option(default="https://api.telefon-ip.ru")


@dataclass(frozen=True, kw_only=True)
class FlashCallOptions(TelefonIPOptions):
    """Options of the flash call."""

    sms_fallback: bool = option(
        default=False,
        help=_("Let the provider send a text message when the call does not get through."),
    )


@dataclass(frozen=True, kw_only=True)
class SMSOptions(TelefonIPOptions):
    """Options of the text message."""

    own_code: bool = option(default=False, help=_("Make the code here instead of at the provider."))


OptionsT = TypeVar("OptionsT", bound=TelefonIPOptions)


class _TelefonIP(Provider[OptionsT]):
    """What both share: the address, the number's form and the envelope."""

    code_length = CODE_LENGTH

    def supports(self, phone: str) -> bool:
        """Accept Russian mobile numbers (assumed from the documented form 89XXXXXXXXX)."""
        return phone.startswith("+79") and len(phone) == 12

    def wire_phone(self, phone: str) -> str:
        """Write +79244501003 as 89244501003."""
        return "8" + phone.removeprefix("+7")

    def ask(self, action: str, phone: str, query: dict[str, str]) -> Started:
        """Call an action that delivers a code, and believe only a code for this very phone."""
        token = quote(self.options.token, safe="")
        path = f"/api/v1/authcalls/{token}/{action}/{self.wire_phone(phone)}/"
        reply = self.call("GET", path, query=query)
        envelope = self.read_object(reply)
        data = envelope.get("data")
        if not isinstance(data, dict) or not data:
            if envelope.get("success") is False or reply.status >= 400:
                self.reject(reply.status, str(envelope.get("error", "")))
            raise DeliveryUncertain(f"HTTP {reply.status} without data")
        answered = str(data.get("phone") or phone)  # may be left out
        if answered not in {phone, phone.removeprefix("+"), self.wire_phone(phone)}:
            raise DeliveryUncertain("the answer is about another phone")
        return Started(code=_read_code(data.get("code")), reference=str(data.get("id") or ""))


class TelefonIPFlashCall(_TelefonIP[FlashCallOptions]):
    """The phone rings; the last four digits of the calling number are the code."""

    key: ClassVar[str] = "telefon-ip-flash"
    channel = Channel.FLASH_CALL
    custody = Custody.RETURNED
    Options = FlashCallOptions

    def start(self, request: StartRequest) -> Started:
        """Have the phone called; costs money even when nobody looks at the call."""
        query = {"sms": "true"} if self.options.sms_fallback else {}
        return self.ask("get_code", request.phone, query)


class TelefonIPSMS(_TelefonIP[SMSOptions]):
    """A text message in the provider's words; the code has four digits and may be ours."""

    key: ClassVar[str] = "telefon-ip-sms"
    channel = Channel.SMS
    Options = SMSOptions

    def __init__(self, options: SMSOptions, send: Transport = transport.send) -> None:
        super().__init__(options, send)
        self.custody = Custody.LOCAL if options.own_code else Custody.RETURNED

    def start(self, request: StartRequest) -> Started:
        """Have a text message sent.

        Observed: a code other than the one given comes back. It is the one that was sent, so it
        counts.
        """
        query = {"code": request.code} if self.options.own_code else {}
        return self.ask("get_sms_code", request.phone, query)


def _read_code(value: Any) -> str:
    """Read the code of an answer: a string, or a number that lost its leading zeros."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value).zfill(CODE_LENGTH)
    code = value.strip() if isinstance(value, str) else ""
    if not (code.isascii() and code.isdigit() and len(code) == CODE_LENGTH):
        raise DeliveryUncertain("the answer has no code of four digits")
    return code
