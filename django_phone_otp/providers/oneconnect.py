"""oneconnect.uno: a code by text message, made by the service. Layer 3.

Documented by the provider (page "SMS Authenticator"): POST `/api/v1/mfa/sms_auth`, HTTP Basic and a
form, answered by `{"code", "phone_number"}`; 1000 and 4004 are errors. In what shape these come is
not documented for this call. For others it is: `{"error_code": number, "message": text}` with 0 for
success, and `{"errors": [text]}`.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Never

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .. import transport
from ..choices import Channel, Custody
from ..codes import MAX_CODE_LENGTH, Alphabet
from ..exceptions import DeliveryError, DeliveryUncertain, InsufficientFunds, InvalidRecipient
from ..transport import Transport, WireReply
from .base import Balance, Provider, Started, StartRequest
from .options import ProviderOptions, check_range, option

MIN_CODE_LENGTH = 4  # documented: the service's own default
# Documented: no balance, invalid phone number. That they are looked for in three places is assumed.
ERRORS: dict[int | None, type[DeliveryError]] = {1000: InsufficientFunds, 4004: InvalidRecipient}
NOTHING: tuple[object, ...] = (None, "", "0", 0, [], {})  # documented for other calls: 0 is success


@dataclass(frozen=True, kw_only=True)
class OneConnectOptions(ProviderOptions):
    """Options of the text message."""

    email: str = option(help=_("E-mail address of the account."))
    api_key: str = option(secret=True, help=_("API key from the account page."))
    only_numbers: bool = option(default=True, help=_("Codes of digits alone."))
    only_uppercase: bool = option(
        default=False, help=_("Codes without small letters, where there are letters at all.")
    )
    length: int = option(default=6, help=_("Characters of a code."))
    plus: bool = option(default=False, help=_("Write phones with + in front."))
    base_url: str = option(default="https://oneconnect.uno")

    def find_problems(self) -> list[str]:
        """Refuse codes that are easily guessed, and what HTTP Basic cannot carry."""
        problems = check_range("length", self.length, MIN_CODE_LENGTH, MAX_CODE_LENGTH)
        if ":" in self.email or not self.email.isascii():
            problems.append(gettext('"email" must be ASCII without a colon.'))
        if not self.api_key.isascii():
            problems.append(gettext('"api_key" must be ASCII.'))
        return [*problems, *super().find_problems()]


class OneConnect(Provider[OneConnectOptions]):
    """A text message in the service's words, with a code that the service makes."""

    key: ClassVar[str] = "oneconnect"
    channel = Channel.SMS
    custody = Custody.RETURNED
    Options = OneConnectOptions

    def __init__(self, options: OneConnectOptions, send: Transport = transport.send) -> None:
        super().__init__(options, send)
        self.code_length = options.length
        if options.only_numbers:
            self.alphabet = Alphabet.DIGITS
        else:
            self.alphabet = Alphabet.CAPITALS if options.only_uppercase else Alphabet.MIXED

    def wire_phone(self, phone: str) -> str:
        """Write +447700900123 as 447700900123, or as it is with `plus` (both are assumed)."""
        return phone if self.options.plus else super().wire_phone(phone)

    def start(self, request: StartRequest) -> Started:
        """Have a text message sent."""
        form = {
            "phone_number": self.wire_phone(request.phone),
            "only_numbers": str(self.options.only_numbers).lower(),
            "only_uppercase": str(self.options.only_uppercase).lower(),
            "length": str(self.options.length),
        }
        reply = self.ask("POST", "mfa/sms_auth", form=form)
        answer = self.read_object(reply)
        named = str(answer.get("phone_number") or "").strip().removeprefix("+")
        if _is_accepted(reply) and named not in {"", request.phone.removeprefix("+")}:
            raise DeliveryUncertain("the answer is about another phone")
        code = self._read_code(answer.get("code"), is_about_our_phone=bool(named))
        if _is_accepted(reply) and code:
            return Started(code=code)
        self._refuse(reply, answer, "a code")

    def balance(self) -> Balance:
        """Ask how many messages are left."""
        reply = self.ask("GET", "balance")
        answer = self.read_object(reply)
        count = _read_number(answer.get("sms_balance"))
        if count is None:
            self._refuse(reply, answer, "a balance")
        return Balance(amount=Decimal(count))

    @property
    def credentials(self) -> tuple[str, str]:
        """Give the e-mail address and the API key."""
        return self.options.email, self.options.api_key

    def ask(self, method: str, action: str, **parts: Any) -> WireReply:
        """Call an action of the service."""
        return self.call(method, f"/api/v1/{action}", **parts)

    def read_object(self, reply: WireReply) -> dict[str, Any]:
        """Decode a reply, or raise what its error stands for.

        A number of `ERRORS` counts at any HTTP status, 5xx too: it says that nothing was sent.
        """
        try:
            decoded = reply.json()
        except ValueError:
            decoded = None
        for number in _list_error_numbers(decoded):
            if number in ERRORS:
                raise ERRORS[number](f"HTTP {reply.status}, error {number}")
        answer = super().read_object(reply)
        if any(answer.get(name) not in NOTHING for name in ("error_code", "error", "errors")):
            self.reject(reply.status, _find_words(answer))
        return answer

    def _refuse(self, reply: WireReply, answer: dict[str, Any], what: str) -> Never:
        """Raise what an answer stands for that has not `what` we need: here `code` is an error."""
        number = _read_number(answer.get("code"))
        if number in ERRORS:
            raise ERRORS[number](f"HTTP {reply.status}, error {number}")
        if not _is_accepted(reply):
            self.reject(reply.status, _find_words(answer))
        raise DeliveryUncertain(f"HTTP {reply.status} without {what}")

    def _read_code(self, value: Any, *, is_about_our_phone: bool) -> str:
        """Read a code: a text, or a number that lost its leading zeros; empty if it is neither.

        SECURITY: in its place there may be the number of an error (assumed), which everybody could
        guess if it were taken for a code. "1000" is a code only if codes have four characters. In
        an answer that names our phone, as documented, whatever else could be a code is one, since
        it is on its way; without the phone it has to be just the digits that we asked for, and more
        of them than an error has.
        """
        wanted = self.options.length
        if isinstance(value, int) and not isinstance(value, bool):
            if not is_about_our_phone:
                return ""
            # An error number gets no zeros back: one code in half a million is lost to that.
            has_lost_zeros = self.options.only_numbers and value not in ERRORS
            value = str(value).zfill(wanted if has_lost_zeros else 0)
        code = value.strip() if isinstance(value, str) and value.isascii() else ""
        is_sure = is_about_our_phone or wanted > MIN_CODE_LENGTH
        if is_sure and code.isdigit() and len(code) == wanted and self.options.only_numbers:
            return code
        is_code = code.isalnum() and MIN_CODE_LENGTH <= len(code) <= MAX_CODE_LENGTH
        is_error = _read_number(code) in ERRORS and len(code) != wanted
        return code if is_about_our_phone and is_code and not is_error else ""


def _is_accepted(reply: WireReply) -> bool:
    return 200 <= reply.status < 300


def _list_error_numbers(answer: Any) -> list[int | None]:
    """List the numbers in all places that can hold nothing but an error (assumed)."""
    answer = answer if isinstance(answer, dict) else {}
    error = answer.get("error")
    inner = [error.get("error_code"), error.get("code")] if isinstance(error, dict) else [error]
    return [_read_number(value) for value in (answer.get("error_code"), *inner)]


def _find_words(answer: dict[str, Any]) -> str:
    """Find what the service says for operators; never `code`, which may be a person's."""
    names = ("error_code", "error", "errors", "message")
    return " ".join(str(answer[name]) for name in names if answer.get(name) not in NOTHING)


def _read_number(value: Any) -> int | None:
    """Read a number that may have come as a text."""
    text = str(value) if isinstance(value, int | str) else ""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None
