"""telefon-ip.ru: flash calls, text messages, Telegram, and calls from the person. Layer 3.

Documented by the provider (docs.telefon-ip.ru, pages "Flash Calls", "SMS Code", "TG Code", "Back
Calls" and the one about auxiliary functions): GET `/api/v1/authcalls/{token}/{action}`, answered by
`{"success", "error", "data"}`. The token is part of the address. Observed in other people's
clients: HTTP 200 with `success: false`, `null` for a body, a code as a number without its leading
zero, an amount as text.
"""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote

from django.utils.translation import gettext_lazy as _

from .. import transport
from ..choices import Channel, Custody
from ..exceptions import DeliveryUncertain
from ..transport import Transport, WireReply
from .base import Balance, DeliveryStatus, Provider, Started, StartRequest
from .options import ProviderOptions, option

CODE_LENGTH = 4  # documented: "random four-digit code", and at most four characters of ours
NUMBER_LIVES_SECONDS = 120  # documented: how long the number to call waits for the call
CURRENCY = "RUB"  # assumed: amounts come without one
MAX_MAGNITUDE = 12  # powers of ten; an amount beyond is none
MAX_STATUS_LENGTH = 200

# Documented with 7 or 8 in front, observed as a number; +7 is assumed. What follows tells Russia
# (3, 4, 8, 9) from Kazakhstan (6, 7), which shares the country code.
_RUSSIAN_PHONE = re.compile(r"(?:\+?7|8)([3489][0-9]{9})")


@dataclass(frozen=True, kw_only=True)
class TelefonIPOptions(ProviderOptions):
    """Options of all: the access key."""

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
class MessageOptions(TelefonIPOptions):
    """Options of what is read: a text message, or one in Telegram."""

    own_code: bool = option(default=False, help=_("Make the code here instead of at the provider."))


OptionsT = TypeVar("OptionsT", bound=TelefonIPOptions)


class _TelefonIP(Provider[OptionsT]):
    """What all share: the address, the number's form, the envelope and the account."""

    code_length = CODE_LENGTH

    def supports(self, phone: str) -> bool:
        """Accept Russian mobile numbers (assumed from the documented form 89XXXXXXXXX)."""
        return phone.startswith("+79") and len(phone) == 12

    def wire_phone(self, phone: str) -> str:
        """Write +79244501003 as 89244501003."""
        return "8" + phone.removeprefix("+7")

    def balance(self) -> Balance:
        """Ask what is left in the account, free of charge (documented)."""
        amount = _read_amount(self.read_data(self.get("get_balance/")).get("balance"))
        if amount is None:
            raise DeliveryUncertain("the answer has no balance")
        return Balance(amount=amount, currency=CURRENCY)

    def status(self, reference: str) -> DeliveryStatus:
        """Ask what became of a delivery (documented for calls, assumed for the others)."""
        data = self.read_data(self.get(f"get_status/{quote(reference, safe='')}/"))
        words = data.get("status_info")
        if not isinstance(words, str) or not words.strip():
            raise DeliveryUncertain("the answer has no status")
        cost = _read_amount(data.get("price"))
        return DeliveryStatus(
            words=self.redact(words.strip())[:MAX_STATUS_LENGTH],
            cost=cost,
            currency="" if cost is None else CURRENCY,
        )

    def get(self, action: str, query: dict[str, str] | None = None) -> WireReply:
        """Call an action; `action` is what follows the token in the address."""
        token = quote(self.options.token, safe="")
        return self.call("GET", f"/api/v1/authcalls/{token}/{action}", query=query or {})

    def read_data(self, reply: WireReply, *, hide: str = "") -> dict[str, Any]:
        """Take the data out of the envelope, or raise what the refusal stands for.

        The service may repeat what it refuses, our code to `hide` among it.
        """
        envelope = self.read_object(reply)
        data = envelope.get("data")
        if isinstance(data, dict) and data:
            return data
        if envelope.get("success") is False or reply.status >= 400:
            self.reject(reply.status, str(envelope.get("error", "")), hide=hide)
        raise DeliveryUncertain(f"HTTP {reply.status} without data")

    def ask(self, action: str, phone: str, query: dict[str, str]) -> Started:
        """Call an action that delivers a code, and believe only a code for this very phone."""
        reply = self.get(f"{action}/{self.wire_phone(phone)}/", query)
        code = query.get("code", "")
        data = self.read_data(reply, hide=code)
        if data.get("status") is False:
            # Assumed: a plain no, beside a code that did not go out. Observed: a client of
            # `get_sms_code` takes it so. The documented answers have it with Telegram only.
            self.reject(reply.status, str(data.get("status_info", "")), hide=code)
        if _read_phone(data.get("phone") or phone) != phone:  # may be left out
            raise DeliveryUncertain("the answer is about another phone")
        return Started(code=_read_code(data.get("code")), reference=_read_reference(data.get("id")))


class TelefonIPFlashCall(_TelefonIP[FlashCallOptions]):
    """The phone rings; the last four digits of the calling number are the code."""

    key: ClassVar[str] = "telefon-ip-flash"
    channel = Channel.FLASH_CALL
    custody = Custody.RETURNED
    phone_daily_limit = 3  # documented: by default; the answer to a fourth call is not
    Options = FlashCallOptions

    def start(self, request: StartRequest) -> Started:
        """Have the phone called; costs money even when nobody looks at the call."""
        query = {"sms": "true"} if self.options.sms_fallback else {}
        return self.ask("get_code", request.phone, query)


class _Message(_TelefonIP[MessageOptions]):
    """A message in the provider's words; the code has four digits and may be ours."""

    action: ClassVar[str]
    Options = MessageOptions
    sends_our_text = False  # it is given the code alone, whoever makes it

    def __init__(self, options: MessageOptions, send: Transport = transport.send) -> None:
        super().__init__(options, send)
        self.custody = Custody.LOCAL if options.own_code else Custody.RETURNED

    def start(self, request: StartRequest) -> Started:
        """Have a message sent.

        Observed: a code other than the one given comes back. It is the one that was sent, so it
        counts.
        """
        query = {"code": request.code} if self.options.own_code else {}
        return self.ask(self.action, request.phone, query)


class TelefonIPSMS(_Message):
    """A text message."""

    key: ClassVar[str] = "telefon-ip-sms"
    channel = Channel.SMS
    action = "get_sms_code"


class TelefonIPTelegram(_Message):
    """A message in Telegram, which shows it for 90 seconds (documented).

    The code outlives the message: who has read it may still be typing.
    """

    key: ClassVar[str] = "telefon-ip-telegram"
    channel = Channel.TELEGRAM
    action = "get_tg_code"


class TelefonIPReverseCall(_TelefonIP[TelefonIPOptions]):
    """The person calls a number that we show, and the provider tells who has called.

    Documented: the number is picked at random, the call is hung up on, `reverse_auth_phone_check`
    gives the caller's number. Not documented: what it answers before the call.
    """

    key: ClassVar[str] = "telefon-ip-reverse"
    channel = Channel.REVERSE_CALL
    custody = Custody.PRESENCE
    code_length = 0  # there is none
    Options = TelefonIPOptions

    def start(self, request: StartRequest) -> Started:
        """Ask for a number to call; nothing reaches the person but what we show."""
        query = {"phone": self.wire_phone(request.phone)}
        data = self.read_data(self.get("reverse_auth_phone_get", query))
        call_to = _read_phone(data.get("auth_phone"))
        if call_to is None:
            raise DeliveryUncertain("the answer has no Russian number to call")
        reference = _read_reference(data.get("id"))
        if not reference:
            raise DeliveryUncertain("the answer has no identifier to ask with")
        return Started(call_to=call_to, reference=reference, lives_seconds=NUMBER_LIVES_SECONDS)

    def poll(self, reference: str, phone: str) -> bool:
        """Ask who has called.

        SECURITY: the call is the whole login. True takes all of it: an answer that is no refusal
        and names this very phone as the caller in `phone`. Never `success` alone, which may mean no
        more than that the question was understood; never another field, such as `auth_phone`, the
        number that we showed; never the phone in a refusal, which may repeat what we asked for.
        """
        if not reference:
            return False
        reply = self.get(f"reverse_auth_phone_check/{quote(reference, safe='')}")
        if reply.status == 200 and reply.body.strip() == b"null":
            return False  # observed of other actions: nothing is known
        envelope = self.read_object(reply)
        # Assumed: before the call, and after its 120 seconds, 400 "id record not found", which is
        # documented for `get_status`; 404 would say the same.
        if reply.status >= 300 and reply.status not in {400, 404}:
            self.reject(reply.status, str(envelope.get("error", "")))
        data = envelope.get("data")
        caller = _read_phone(data.get("phone")) if isinstance(data, dict) else None
        return reply.status < 300 and envelope.get("success") is True and caller == phone


def _read_code(value: Any) -> str:
    """Read the code of an answer: a string, or a number that lost its leading zeros."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value).zfill(CODE_LENGTH)
    code = value.strip() if isinstance(value, str) else ""
    if not (code.isascii() and code.isdigit() and len(code) == CODE_LENGTH):
        raise DeliveryUncertain("the answer has no code of four digits")
    return code


def _read_phone(value: Any) -> str | None:
    """Read a Russian number in any of its written forms as E.164; None for anything else."""
    found = _RUSSIAN_PHONE.fullmatch(str(value).strip())
    return f"+7{found[1]}" if found else None


def _read_reference(value: Any) -> str:
    """Read an identifier, a number (documented) or a text; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    return str(value).strip()


def _read_amount(value: Any) -> Decimal | None:
    """Read an amount, a number (documented) or a numeric text (observed); None for the rest."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    is_amount = amount.is_finite() and abs(amount.adjusted()) <= MAX_MAGNITUDE
    return amount if is_amount else None
