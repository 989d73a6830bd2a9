"""sms.by: a code by text message, made by the service after a stored profile. Layer 3.

Documented by the provider (page "Implementation of 2-factor authentication"): GET
`/api/v1/<command>` with the token in the query. A "password object" is such a profile, the kind and
the length of codes; it is made once and each message names it. Observed in the provider's own
clients and in others': an answer inside a list of one, `{"error": text}` with HTTP 200 as well as
with 400, the text in English or in Russian.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .. import transport
from ..choices import Channel, Custody
from ..codes import MAX_CODE_LENGTH, Alphabet
from ..exceptions import DeliveryUncertain, Misconfigured
from ..transport import Transport, WireReply
from .base import Balance, DeliveryStatus, Provider, Started, StartRequest
from .options import ProviderOptions, check_range, option

DEFAULT_KIND, DEFAULT_LENGTH = "numbers", 6  # of the password object that `prepare` makes
MIN_CODE_LENGTH = 4  # the service makes codes of one character; nobody should log in with them
PLACE_OF_CODE = "%CODE%"  # documented: the message must have it
KINDS = ("letters", "numbers", "both")  # documented
CURRENCIES = {"RUR": "RUB"}  # observed: the code that the rouble had before

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SMSByOptions(ProviderOptions):
    """Options of the text message."""

    token: str = option(secret=True, help=_("API key from the account page."))
    password_object_id: int | None = option(
        default=None,
        help=_("Number of a password object of the service. Without it one is made."),
    )
    type_id: str | None = option(
        default=None,
        help=_("What codes are made of: letters, numbers or both."),
        choices=KINDS,
    )
    len: int | None = option(default=None, help=_("Characters of a code."))
    message: str = option(
        default="",
        help=_(
            "Text of the message, with %CODE% where the code goes. Without it that of the site, in "
            "the person's language."
        ),
    )
    alphaname_id: int | None = option(
        default=None, help=_("Number of the sender name at the service.")
    )
    base_url: str = option(default="https://app.sms.by")

    def find_problems(self) -> list[str]:
        """Refuse codes that are easily guessed, and a message that would come without its code."""
        problems = check_range("len", self.len, MIN_CODE_LENGTH, MAX_CODE_LENGTH)
        if self.message and PLACE_OF_CODE not in self.message:
            must = gettext('"message" must contain %(place)s.')
            problems.append(must % {"place": PLACE_OF_CODE})
        return [*problems, *super().find_problems()]


@dataclass(frozen=True, kw_only=True, slots=True)
class PasswordObject:
    """A stored profile of codes: their kind and length. `created_at` is the service's own text."""

    id: int
    type_id: str
    length: int
    created_at: str = ""


class SMSBy(Provider[SMSByOptions]):
    """A text message in the site's words, with a code that the service makes."""

    key: ClassVar[str] = "sms-by"
    channel = Channel.SMS
    custody = Custody.RETURNED
    Options = SMSByOptions
    place_of_code = PLACE_OF_CODE
    preparation_options: ClassVar[tuple[str, ...]] = ("base_url", "token", "type_id", "len")

    def __init__(self, options: SMSByOptions, send: Transport = transport.send) -> None:
        super().__init__(options, send)
        # An object that is there already may make any kind of code, unless the options say which.
        # Assumed: letters are capitals. Digits are compared as well without regard to case.
        is_known = options.password_object_id is None or options.type_id is not None
        kind = (options.type_id or DEFAULT_KIND) if is_known else "both"
        self.alphabet = Alphabet.DIGITS if kind == "numbers" else Alphabet.CAPITALS
        self.code_length = options.len or (DEFAULT_LENGTH if is_known else None)

    @property
    def sends_our_text(self) -> bool:
        """Say whether the options have no text of their own."""
        return not self.options.message

    def own_text(self, code: str) -> str:
        """Give the text of the options."""
        return self.options.message.replace(PLACE_OF_CODE, code)

    def start(self, request: StartRequest) -> Started:
        """Have a text message sent; makes no password object, that is `prepare`'s."""
        if self.options.password_object_id is None:
            raise Misconfigured("no password object yet: run manage.py phone_otp_providers")
        query = {
            "password_object_id": str(self.options.password_object_id),
            "phone": self.wire_phone(request.phone),
            "message": self.options.message or request.text,
        }
        if self.options.alphaname_id is not None:
            query["alphaname_id"] = str(self.options.alphaname_id)
        what = "the number of a message and its code"
        return self.ask("sendSmsMessageWithCode", self._read_started, what, **query)

    @property
    def needs_preparation(self) -> bool:
        """Say whether a password object has to be found or made before the first message."""
        return self.options.password_object_id is None

    def prepare(self) -> dict[str, Any]:
        """Find a password object with our kind and length of codes, or make one; free of charge."""
        kind, length = self.options.type_id or DEFAULT_KIND, self.options.len or DEFAULT_LENGTH
        for each in self.list_password_objects():
            if (each.type_id, each.length) == (kind, length):
                found = each.id
                break
        else:
            found = self.create_password_object(kind, length)
        return {"password_object_id": found, "type_id": kind, "len": length}

    def create_password_object(self, type_id: str, length: int) -> int:
        """Make a password object at the service, and give its number."""

        def read(answer: dict[str, Any]) -> int | None:
            result = _unwrap(answer.get("result"))
            return _read_id(result.get("password_object_id")) if isinstance(result, dict) else None

        what = "the number of a password object"
        return self.ask("createPasswordObject", read, what, type_id=type_id, len=str(length))

    def list_password_objects(self) -> list[PasswordObject]:
        """List the password objects of our account (the shape is observed)."""

        def read(answer: dict[str, Any]) -> list[PasswordObject] | None:
            result = answer.get("result")
            if not isinstance(result, list):
                return None
            found = [_read_password_object(each) for each in result]
            readable = [each for each in found if each]
            # One that is left out would be made again.
            return readable if len(readable) == len(found) else None

        return self.ask("getPasswordObjects", read, "a list of password objects")

    def get_password_object(self, id: int) -> PasswordObject:
        """Look one password object up (observed: as an object; accepted too: in a list of one)."""

        def read(answer: dict[str, Any]) -> PasswordObject | None:
            found = _read_password_object(_unwrap(answer.get("result")))
            return found if found and found.id == id else None

        return self.ask("getPasswordObject", read, "this password object", id=str(id))

    def edit_password_object(self, id: int, type_id: str, length: int) -> None:
        """Give a password object another kind and length of codes."""
        self.ask(
            "editPasswordObject",
            _read_done,
            "a confirmation",
            id=str(id),
            type_id=type_id,
            len=str(length),
        )

    def delete_password_object(self, id: int) -> None:
        """Delete a password object; messages that name it are refused from then on (assumed)."""
        self.ask("deletePasswordObject", _read_done, "a confirmation", id=str(id))

    def balance(self) -> Balance:
        """Ask what is left for text messages."""
        return self.ask("getBalance", _read_balance, "a balance")

    def status(self, reference: str) -> DeliveryStatus:
        """Ask whether a message has been sent and delivered; its price is not told."""

        def read(answer: dict[str, Any]) -> DeliveryStatus | None:
            if str(_read_id(answer.get("sms_id"))) != reference:
                return None
            # Observed: the time of either in seconds, left out or 0 while there is none.
            reached = [word for word in ("delivered", "sent") if _read_id(answer.get(word))]
            return DeliveryStatus(words=(*reached, "not sent yet")[0])

        return self.ask("checkSMS", read, "the state of this message", sms_id=reference)

    def ask(
        self,
        command: str,
        read: Callable[[dict[str, Any]], T | None],
        what: str,
        **query: str,
    ) -> T:
        """Call a command and give what `read` finds in the answer, whatever its HTTP status.

        An answer with an error is a refusal; so is one without what we need at a status that says
        so. The word in `status` is not looked at: it proves nothing.
        """
        token = self.options.token
        reply = self.call("GET", f"/api/v1/{command}", query={"token": token, **query})
        answer = self.read_object(reply)
        error = answer.get("error")
        found = None if error else read(answer)
        if found is not None:
            return found
        if error or not 200 <= reply.status < 300:
            # 421, "Data not verified" (documented for other commands), is no `Misconfigured`: it
            # does not say whose data, the account's or the request's.
            self.reject(reply.status, str(error or ""))
        raise DeliveryUncertain(f"HTTP {reply.status} without {what}")

    def read_object(self, reply: WireReply) -> dict[str, Any]:
        """Decode a reply, out of the list of one that it comes in at times (observed)."""
        try:
            answer = _unwrap(reply.json())
        except ValueError:
            answer = None
        if isinstance(answer, dict) and reply.status < 500:
            return answer
        return super().read_object(reply)

    def _read_started(self, answer: dict[str, Any]) -> Started | None:
        code, sms_id = self._read_code(answer.get("code")), _read_id(answer.get("sms_id"))
        # SECURITY: without the number of the message, `code` may be that of an error: 400, with its
        # zeros "given back", would be a code that everybody can guess.
        return Started(code=code, reference=str(sms_id)) if code and sms_id else None

    def _read_code(self, value: Any) -> str:
        """Read a code: a text, or a number that lost its leading zeros; empty if it is neither.

        Of another kind or length than the options say it counts all the same: it is on its way.
        """
        if isinstance(value, int) and not isinstance(value, bool):
            is_number = self.alphabet is Alphabet.DIGITS
            value = str(value).zfill((self.code_length or 0) if is_number else 0)
        code = value.strip() if isinstance(value, str) else ""
        is_code = code.isascii() and code.isalnum()
        return code if is_code and MIN_CODE_LENGTH <= len(code) <= MAX_CODE_LENGTH else ""


def _unwrap(value: Any) -> Any:
    """Take what is alone in a list out of it."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _read_id(value: Any) -> int | None:
    """Read a number above zero, which may have come as a text."""
    text = str(value) if isinstance(value, int | str) else ""
    return int(text) or None if re.fullmatch("[0-9]{1,18}", text) else None


def _read_password_object(value: Any) -> PasswordObject | None:
    if not isinstance(value, dict):
        return None
    id, length = _read_id(value.get("id")), _read_id(value.get("len"))
    type_id = value.get("type_id")
    if id is None or length is None or not isinstance(type_id, str):
        return None
    created_at = str(value.get("d_create") or "")
    return PasswordObject(id=id, type_id=type_id, length=length, created_at=created_at)


def _read_done(answer: dict[str, Any]) -> bool | None:
    """Read the documented confirmation, a text "1"."""
    return _read_id(answer.get("result")) == 1 or None


def _read_balance(answer: dict[str, Any]) -> Balance | None:
    """Read the balance for text messages, the one without a word in front of its name."""
    account = _unwrap(answer.get("result"))
    value = account.get("balance") if isinstance(account, dict) else None
    amount = str(value) if isinstance(value, int | float | str) else ""
    currency = str(answer.get("currency") or "").upper()
    is_readable = re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,12})?", amount)
    # Without a currency the amount would be one of messages.
    if not is_readable or not re.fullmatch("[A-Z]{3}", currency):
        return None
    return Balance(amount=Decimal(amount), currency=CURRENCIES.get(currency, currency))
