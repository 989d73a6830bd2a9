"""Providers and a captcha for tests, reached by dotted path as a third party's would be."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, ClassVar

from django_phone_otp import exceptions
from django_phone_otp.captcha import Captcha
from django_phone_otp.choices import Channel, Custody
from django_phone_otp.codes import Alphabet
from django_phone_otp.providers.base import Provider, Started, StartRequest
from django_phone_otp.providers.options import ProviderOptions, option

# Everything that the fakes were asked to deliver, in order; emptied before each test.
asked: list[tuple[str, StartRequest]] = []

# The phones whose answers `FakeRemote` was asked to judge; emptied before each test.
judged: list[str] = []


@dataclass(frozen=True, kw_only=True)
class FakeOptions(ProviderOptions):
    code: str = option(default="", secret=True)
    error: str = option(default="")
    words: str = option(default="no")
    cost: str = option(default="")


class Fake(Provider[FakeOptions]):
    """Delivers, or raises the error that its options name."""

    key: ClassVar[str] = "fake"
    channel = Channel.SMS
    custody = Custody.LOCAL
    Options = FakeOptions

    def start(self, request: StartRequest) -> Started:
        asked.append((self.key, request))
        if self.options.error:
            kind = getattr(exceptions, self.options.error, None) or RuntimeError
            raise kind(self.options.words.replace("{code}", request.code))
        cost = Decimal(self.options.cost) if self.options.cost else None
        reference = f"{self.key}-1"
        return Started(code=self.options.code, reference=reference, cost=cost, currency="RUB")


class FakeCall(Fake):
    """Makes codes of four digits itself."""

    key = "fake-call"
    channel = Channel.FLASH_CALL
    custody = Custody.RETURNED
    code_length = 4


class FakeOdd(FakeCall):
    """Gives what a provider may not give: the value of the expression in `words`."""

    key = "fake-odd"

    def start(self, request: StartRequest) -> Started:
        odd: Started = eval(self.options.words, {"Started": Started})  # noqa: S307 (our own test's)
        return odd


class FakeRemote(Fake):
    """Judges answers itself."""

    key = "fake-remote"
    custody = Custody.REMOTE

    def start(self, request: StartRequest) -> Started:
        return replace(super().start(request), code="")

    def check(self, reference: str, phone: str, code: str) -> bool:
        judged.append(phone)
        if self.options.error == "judge":
            raise RuntimeError(code)
        return reference == "fake-remote-1" and code == self.options.code


class FakeCapitals(Fake):
    """Makes codes of letters, to be compared without regard to case."""

    key = "fake-capitals"
    custody = Custody.RETURNED
    alphabet = Alphabet.CAPITALS


class FakeCaptcha(Captcha):
    """Lets pass who says "human"."""

    def verify(self, token: str, ip: str) -> bool:
        if token == "silence":
            raise exceptions.NoAnswer("POST captcha.example: timeout")
        return token == "human"


def providers(**entries: dict[str, Any]) -> dict[str, Any]:
    """Write PROVIDERS with fakes: alias → options, and the class's name under `kind`."""
    written = {}
    for alias, options in entries.items():
        kind = options.get("kind", "Fake")
        rest = {name: value for name, value in options.items() if name != "kind"}
        written[alias] = {"BACKEND": f"tests.fakes.{kind}", "OPTIONS": rest}
    return written
