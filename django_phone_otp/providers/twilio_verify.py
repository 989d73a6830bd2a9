"""Twilio Verify v2: Twilio makes the code, sends it by text message and judges the answer. Layer 3.

Documented (twilio.com/docs/verify/api and /docs/api/errors): forms over HTTP Basic, JSON back. A
refusal is `{"code", "message", "more_info", "status"}`, where `code` is a number of Twilio's
dictionary of errors: the numbers are judged here, the message never is. No answer tells a price.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Never
from urllib.parse import quote

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .. import transport
from ..choices import Channel, Custody
from ..exceptions import (
    CodeGone,
    DeliveryError,
    DeliveryUncertain,
    InsufficientFunds,
    InvalidRecipient,
    Misconfigured,
    ProviderRejected,
    ProviderThrottled,
    RecipientLimited,
    RecipientUnreachable,
)
from ..transport import Transport, WireReply
from .base import MAX_WORDS_LENGTH, Balance, Provider, Started, StartRequest
from .options import ProviderOptions, check_range, option

LIVES_SECONDS = 600  # documented; Twilio's support changes it for a service
MIN_CODE_LENGTH, MAX_CODE_LENGTH = 4, 10  # documented

_VERIFICATION_SID = re.compile(r"VE[0-9a-fA-F]{32}")  # documented, as are those of the options
# Documented: how a verification ends without having been approved.
_ENDED = frozenset({"canceled", "deleted", "expired", "failed", "max_attempts_reached"})

# Each number is documented, at /docs/api/errors/<number>; those left out are told by HTTP status.
# 60200, "invalid parameter", is left out with care. Which parameter it was stands in the free text
# alone. Observed: it comes for a number outside Twilio's numbering plan, and for a wrong service
# SID. Numbers that get here exist by a plan already, and with a wrong SID the phone of everybody
# would be called wrong. So it is a refusal of Twilio's own: the route goes on, operators read why.
_MEANINGS: dict[int, type[DeliveryError]] = {
    10001: InsufficientFunds,  # the account is not active: first of all, it ran out of money
    20003: Misconfigured,  # the credentials
    20005: InsufficientFunds,  # as 10001
    20404: Misconfigured,  # no such service, or a locale that it does not know
    20429: ProviderThrottled,
    21211: InvalidRecipient,
    60033: InvalidRecipient,  # documented for v1
    60202: RecipientLimited,  # five answers
    60203: RecipientLimited,  # five messages in ten minutes
    60205: RecipientUnreachable,  # a landline
    60212: RecipientLimited,  # too many at once for one phone
    60220: RecipientUnreachable,  # China wants the account vetted
    60223: Misconfigured,  # text messages are switched off in the service
    60238: ProviderRejected,  # the account is under review, or the country under sanctions
    # Twilio holds the prefix (60410, for some hours), the person (60412) or the country (60605, a
    # setting of the account) for a source of fraud. That says no more than that this account sends
    # no text message there now; with 60410 Twilio itself advises another channel. What stands
    # behind it in the route is the site's choice, and so is `ALLOWED_REGIONS`.
    60410: RecipientUnreachable,
    60412: RecipientUnreachable,
    60436: InvalidRecipient,
    60605: RecipientUnreachable,
}

# Documented for the parameter `Locale`. Another one is refused with 404, so it is left out, and
# Twilio chooses by the number's country. It names no Chinese in traditional characters.
# fmt: off
_LOCALES = {
    name.lower(): name
    for name in (
        "af", "ar", "ca", "cs", "da", "de", "el", "en", "en-GB", "es", "fi", "fr", "he", "hi", "hr",
        "hu", "id", "it", "ja", "ko", "ms", "nb", "nl", "pl", "pt", "pt-BR", "ro", "ru", "sv", "th",
        "tl", "tr", "vi", "zh", "zh-CN", "zh-HK",
    )
} | {"zh-hans": "zh-CN", "zh-hant": ""}
# fmt: on


@dataclass(frozen=True, kw_only=True)
class TwilioVerifyOptions(ProviderOptions):
    """Options: the account, its credentials and the service.

    An API key takes the place of the account's own token: `api_key_sid` is its name, `auth_token`
    its secret. Twilio advises it, for it can be revoked by itself.
    """

    account_sid: str = option(help=_("SID of the account: AC and 32 characters."))
    auth_token: str = option(
        secret=True, help=_("Auth token of the account, or the secret of the API key.")
    )
    api_key_sid: str = option(
        default="",
        help=_("SID of an API key, SK and 32 characters, to use in place of the account."),
    )
    service_sid: str = option(help=_("SID of the Verify service: VA and 32 characters."))
    length: int = option(default=6, help=_("Digits of a code, as they are set in the service."))
    base_url: str = option(default="https://verify.twilio.com")

    def find_problems(self) -> list[str]:
        """Tell one SID from another, for they are easily mixed up."""
        prefixes = {"account_sid": "AC", "service_sid": "VA"}
        if self.api_key_sid:
            prefixes["api_key_sid"] = "SK"
        must_be = gettext('"%(name)s" must be %(prefix)s and 32 hexadecimal digits.')
        problems = [
            must_be % {"name": name, "prefix": prefix}
            for name, prefix in prefixes.items()
            if not re.fullmatch(f"{prefix}[0-9a-fA-F]{{32}}", getattr(self, name))
        ]
        lengths = check_range("length", self.length, MIN_CODE_LENGTH, MAX_CODE_LENGTH)
        return [*problems, *lengths, *super().find_problems()]


class TwilioVerify(Provider[TwilioVerifyOptions]):
    """A text message in Twilio's words; the code never gets here.

    Documented: within ten minutes another message to the same phone has the same code. Observed: it
    is the same verification, so its ten minutes and its five answers go on.
    """

    key: ClassVar[str] = "twilio-verify"
    channel = Channel.SMS
    custody = Custody.REMOTE
    Options = TwilioVerifyOptions

    def __init__(self, options: TwilioVerifyOptions, send: Transport = transport.send) -> None:
        super().__init__(options, send)
        self.code_length = options.length

    def wire_phone(self, phone: str) -> str:
        """Keep E.164 as it is, with its plus sign (documented)."""
        return phone

    def start(self, request: StartRequest) -> Started:
        """Have a text message sent; costs money."""
        form = {"To": self.wire_phone(request.phone), "Channel": "sms"}
        if locale := _find_locale(request.language):
            form["Locale"] = locale
        reply = self.ask("POST", "/Verifications", form)
        answer = self.read_object(reply)
        sid = answer.get("sid")
        is_sid = isinstance(sid, str) and _VERIFICATION_SID.fullmatch(sid)
        if not is_sid or answer.get("status") != "pending":
            self.refuse(reply, answer, str(answer.get("message", "")))
        _insist_on(request.phone, answer)
        return Started(reference=str(sid), lives_seconds=LIVES_SECONDS)

    def check(self, reference: str, phone: str, code: str) -> bool:
        """Ask Twilio whether the answer is right; it takes five for a verification (documented).

        A right answer is approved once: the verification is gone then, as after ten minutes.
        SECURITY: true for a status of "approved" alone, of this phone's verification, in an answer
        that is no refusal. No word of Twilio's goes into an error here: it may repeat the code.
        """
        if not reference or not _is_code(code):
            return False  # documented: refused with 60200
        form = {"VerificationSid": reference, "Code": code}
        reply = self.ask("POST", "/VerificationCheck", form)
        if reply.status == 404:
            raise CodeGone("HTTP 404")  # documented: approved, expired, or five wrong answers
        answer = self.read_object(reply)
        if reply.status >= 300:
            self.refuse(reply, answer)
        _insist_on(phone, answer)
        status = answer.get("status")
        if status == "approved":
            return answer.get("valid") is not False  # documented as the older form of `status`
        if status == "pending":
            return False
        if isinstance(status, str) and status in _ENDED:
            raise CodeGone(f"the verification is {status}")
        self.refuse(reply, answer)

    def cancel(self, reference: str) -> bool:
        """End a verification: its code counts no more, whoever waits for it."""
        path = f"/Verifications/{quote(reference, safe='')}"
        reply = self.ask("POST", path, {"Status": "canceled"})
        if reply.status == 404:
            return False  # documented: it has ended already
        answer = self.read_object(reply)
        if reply.status >= 300:
            self.refuse(reply, answer, str(answer.get("message", "")))
        return answer.get("status") == "canceled"

    def probe(self) -> Balance | None:
        """Look at the service, free of charge (assumed); this API knows of no balance.

        Raises `Misconfigured` also where its codes are of another length than people are told.
        """
        reply = self.ask("GET", "")
        answer = self.read_object(reply)
        length = _read_number(answer.get("code_length"))
        if reply.status >= 300 or length is None:
            self.refuse(reply, answer, str(answer.get("message", "")))
        if length != self.options.length:
            raise Misconfigured(
                f"the service makes codes of {length} digits, "
                f'but the option "length" is {self.options.length}'
            )
        return None

    @property
    def credentials(self) -> tuple[str, str]:
        """Give the SID of the account or of its API key, and the secret that belongs to it."""
        return self.options.api_key_sid or self.options.account_sid, self.options.auth_token

    def ask(self, method: str, path: str, form: Mapping[str, str] | None = None) -> WireReply:
        """Call the service; `path` is what follows its SID in the address."""
        path = f"/v2/Services/{self.options.service_sid}{path}"
        return self.call(method, path, form=form)

    def refuse(self, reply: WireReply, answer: Mapping[str, Any], words: str = "") -> Never:
        """Raise what the number of a refusal stands for; without a known one, what its status does.

        `words` are Twilio's own, for operators.
        """
        number = _read_number(answer.get("code"))
        words = f"{number or ''} {words}".strip()
        if number in _MEANINGS:
            detail = self.redact(f"HTTP {reply.status} {words}")[:MAX_WORDS_LENGTH]
            raise _MEANINGS[number](detail)
        if reply.status < 300:
            raise DeliveryUncertain(f"HTTP {reply.status} without the fields that count")
        self.reject(reply.status, words)


def _insist_on(phone: str, answer: Mapping[str, Any]) -> None:
    if answer.get("to") not in (None, phone):  # may be left out (documented as optional)
        raise DeliveryUncertain("the answer is about another phone")


def _is_code(text: str) -> bool:
    is_number = text.isascii() and text.isdigit()
    return is_number and MIN_CODE_LENGTH <= len(text) <= MAX_CODE_LENGTH


def _read_number(value: Any) -> int | None:
    """Read a small whole number, or a text of its digits (assumed); None for anything else."""
    is_number = isinstance(value, int | str) and re.fullmatch(r"[0-9]{1,6}", str(value))
    return int(value) if is_number else None


def _find_locale(language: str) -> str:
    """Find Twilio's name for one of Django's languages, or for its parent; empty for none."""
    wanted = language.replace("_", "-").lower()
    while wanted:
        if wanted in _LOCALES:
            return _LOCALES[wanted]
        wanted = wanted.rpartition("-")[0]
    return ""
