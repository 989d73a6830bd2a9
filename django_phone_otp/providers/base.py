"""What a provider is: the one required method, and honest defaults for the rest. Layer 3."""

import re
from abc import ABC, abstractmethod
from base64 import b64encode
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, ClassVar, Generic, Never, TypeVar
from urllib.parse import quote, quote_plus

from .. import transport
from ..choices import Channel, Custody
from ..codes import MIN_DIGITS_COUNT, Alphabet
from ..exceptions import (
    DeliveryUncertain,
    InsufficientFunds,
    Misconfigured,
    NoAnswer,
    NotConnected,
    ProviderRejected,
    ProviderThrottled,
    ProviderUnavailable,
)
from ..transport import Transport, WireReply, WireRequest
from .options import ProviderOptions

MAX_WORDS_LENGTH = 1_000  # characters; `flow.deliveries` redacts first, then keeps 200
MIN_SECRET_LENGTH = 4  # anything shorter would tear words apart, and is no secret

OptionsT = TypeVar("OptionsT", bound=ProviderOptions)


@dataclass(frozen=True, kw_only=True, slots=True)
class StartRequest:
    """What a provider is asked to deliver.

    `phone` is E.164. `code` is there with LOCAL custody only. `text` is what we write around it, or
    around the provider's `place_of_code`.
    """

    phone: str
    code: str = field(default="", repr=False)
    text: str = field(default="", repr=False)
    language: str = "en"


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """What a provider says it did.

    `code` is the code that is on its way: required with RETURNED custody, with LOCAL given only by
    a provider that echoes it. `call_to` is the number that the person has to call (E.164), with
    PRESENCE custody. `lives_seconds` is when what was started is worth nothing any more, where that
    may be sooner than the site's `CODE_TTL`. `reference` is the provider's name for the delivery,
    `cost` its price in `currency` (ISO 4217), where it tells them.
    """

    code: str = field(default="", repr=False)
    call_to: str = ""
    lives_seconds: int | None = None
    reference: str = ""
    cost: Decimal | None = None
    currency: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """What is left in an account: an amount of money, or of messages when `currency` is empty."""

    amount: Decimal
    currency: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryStatus:
    """What a service says of a delivery some time after it: its `words`, and the price it took."""

    words: str
    cost: Decimal | None = None
    currency: str = ""


class Provider(ABC, Generic[OptionsT]):
    """Base of all providers.

    A class sets `key` (short, lower case, for ever: it is stored in rows), `channel`, `custody`
    and, where codes have a length and an alphabet of their own, `code_length` and `alphabet`; it
    names its schema in `Options` and writes `start`. Where the service takes only so many messages
    to one phone in a day, `phone_daily_limit` says so. Stateless: an instance may serve any thread.
    """

    key: ClassVar[str]
    channel: ClassVar[Channel]
    Options: ClassVar[type[ProviderOptions]] = ProviderOptions
    custody: Custody  # set in `__init__` where it depends on the options
    code_length: int | None = None  # None: the site decides
    alphabet: Alphabet = Alphabet.DIGITS
    phone_daily_limit: ClassVar[int | None] = None
    # What stands for the code in a text of ours where the service makes the code, and puts it in.
    place_of_code: ClassVar[str] = ""
    # The options that what `prepare` makes depends on: with others it has to be made anew.
    preparation_options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, options: OptionsT, send: Transport = transport.send) -> None:
        self.options = options
        self._send = send

    @property
    def sends_our_text(self) -> bool:
        """Say whether the person reads the `text` of the request, and not words of the service."""
        knows_code = self.custody is Custody.LOCAL or bool(self.place_of_code)
        return self.channel is Channel.SMS and knows_code

    def own_text(self, code: str) -> str:
        """Give the text that the options have in its place, with a code; empty for none."""
        return ""

    @abstractmethod
    def start(self, request: StartRequest) -> Started:
        """Deliver one code, once. Sends and costs money; never repeats by itself.

        Raises a `DeliveryError`: the subclass tells the dispatcher whether anything may have gone
        out and what to do next.
        """

    def check(self, reference: str, phone: str, code: str) -> bool:
        """Ask the provider whether the answer is right (REMOTE custody only).

        `reference` is the one that `start` gave, `code` what the person typed, cleaned the way
        `alphabet` asks. Raises `CodeGone` when the service does not know the code any more,
        `RecipientLimited` when the number has used up its answers, and another `DeliveryError` when
        there is no verdict.
        """
        raise NotImplementedError(f"{self.key} does not judge answers: custody {self.custody}")

    def poll(self, reference: str, phone: str) -> bool:
        """Ask the provider whether the person has called (PRESENCE custody only).

        SECURITY: true only when the service names this very phone as the caller. Raises a
        `DeliveryError` when there is no verdict.
        """
        raise NotImplementedError(f"{self.key} waits for nobody: custody {self.custody}")

    def supports(self, phone: str) -> bool:
        """Say whether this provider can serve a number at all, without asking it."""
        return True

    def wire_phone(self, phone: str) -> str:
        """Write an E.164 number the way the service wants it: by default the digits alone."""
        return phone.removeprefix("+")

    def balance(self) -> Balance | None:
        """Ask what is left in the account; None where the service does not tell."""
        return None

    def probe(self) -> Balance | None:
        """Reach the service with our credentials, free of charge; gives what is left, if it tells.

        Raises a `DeliveryError` that says what is wrong. By default it asks for the balance.
        """
        return self.balance()

    @property
    def has_weak_codes(self) -> bool:
        """Say whether its options ask for fewer digits than allowed, and no channel forces them."""
        is_option = type(self).code_length is None and self.alphabet is Alphabet.DIGITS
        return is_option and self.code_length is not None and self.code_length < MIN_DIGITS_COUNT

    @property
    def needs_preparation(self) -> bool:
        """Say whether something has to be made at the service before the first message."""
        return False

    def prepare(self) -> dict[str, Any]:
        """Make what has to be there before the first message, or find what was made before.

        Gives the options to go on with, which are kept; never called for a message. Raises a
        `DeliveryError`.
        """
        return {}

    def prepared_for(self) -> dict[str, Any]:
        """Give the options that what `prepare` makes depends on."""
        return {name: getattr(self.options, name) for name in self.preparation_options}

    def status(self, reference: str) -> DeliveryStatus | None:
        """Ask what became of a delivery; None where the service does not tell.

        Raises a `DeliveryError`.
        """
        return None

    def cancel(self, reference: str) -> bool:
        """Call a delivery back; False where the service cannot, which is the default."""
        return False

    @property
    def credentials(self) -> tuple[str, str] | None:
        """Give user name and password where the service asks for them by HTTP Basic."""
        return None

    def redact(self, text: str) -> str:
        """Take our secrets out of a service's words: some repeat the request that they refuse."""
        secrets = [
            str(getattr(self.options, each.name))
            for each in fields(self.options)
            if each.metadata.get("secret")
        ]
        if self.credentials:
            # The header of HTTP Basic is the secret in another alphabet.
            secrets.append(b64encode(":".join(self.credentials).encode()).decode().rstrip("="))
        for secret in secrets:
            if len(secret) >= MIN_SECRET_LENGTH:
                for written in (secret, quote(secret, safe=""), quote_plus(secret)):
                    text = re.sub(re.escape(written), "***", text, flags=re.IGNORECASE)
        return text

    def call(self, method: str, path: str, **parts: Any) -> WireReply:
        """Send one request to the service; errors of the transport become ours.

        `path` follows `base_url`; `parts` are the other fields of `transport.WireRequest`.
        """
        request = WireRequest(
            method=method,
            url=self.options.base_url.rstrip("/") + path,
            timeout_seconds=self.options.timeout,
            **{"basic_auth": self.credentials, **parts},
        )
        try:
            return self._send(request)
        except NotConnected as error:
            raise ProviderUnavailable(str(error)) from None
        except NoAnswer as error:
            raise DeliveryUncertain(str(error)) from None

    def read_object(self, reply: WireReply) -> dict[str, Any]:
        """Decode a reply that must be a JSON object, or raise what its status says.

        A server error is uncertain even when it explains itself: the message may be on its way.
        """
        if reply.status >= 500:
            raise DeliveryUncertain(f"HTTP {reply.status}")
        try:
            decoded = reply.json()
        except ValueError:
            decoded = None
        if isinstance(decoded, dict):
            return decoded
        if 200 <= reply.status < 300:
            raise DeliveryUncertain(f"HTTP {reply.status} without a JSON object")
        self.reject(reply.status)

    def reject(self, status: int, words: str = "", *, hide: str = "") -> Never:
        """Raise the error that a refusal with this HTTP status stands for.

        `words` are the service's own, for operators; nothing is concluded from them. Secrets are
        taken out, and so is what to `hide`: a code of ours that the service may repeat.
        """
        words = words.replace(hide, "***") if hide else words
        detail = self.redact(f"HTTP {status} {words}".strip())[:MAX_WORDS_LENGTH]
        if status in {401, 403, 404} or 300 <= status < 400:
            raise Misconfigured(detail)
        if status == 402:
            raise InsufficientFunds(detail)
        if status == 429:
            raise ProviderThrottled(detail)
        raise ProviderRejected(detail)
