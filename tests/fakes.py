"""Providers and a captcha for tests, reached by dotted path as a third party's would be."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, ClassVar

from django_phone_otp import exceptions
from django_phone_otp.captcha import Captcha
from django_phone_otp.choices import Channel, Custody
from django_phone_otp.codes import Alphabet
from django_phone_otp.models import ProviderAccount
from django_phone_otp.providers.base import Provider, Started, StartRequest
from django_phone_otp.providers.options import ProviderOptions, option

# Everything that the fakes were asked to deliver, in order; emptied before each test.
asked: list[tuple[str, StartRequest]] = []

# The phones whose answers `FakeRemote` was asked to judge; emptied before each test.
judged: list[str] = []

# What `FakeJudge` was asked, as (reference, phone, code), and `FakePresence`, with no code. Whoever
# looks here empties it first.
questions: list[tuple[str, str, str]] = []

# The references of `FakePresence` for which a call has come in; emptied likewise.
calls_in: set[str] = set()

# What happens elsewhere while a provider of these is busy: taken from here and called, once.
meanwhile: list[Callable[[], object]] = []


def let_others_act() -> None:
    """Do what a test has happen while a provider is busy."""
    while meanwhile:
        meanwhile.pop(0)()


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


class FakePlacing(FakeCapitals):
    """Makes codes itself, and puts them into our text."""

    key = "fake-placing"
    place_of_code = "%CODE%"


class FakeLimited(Fake):
    """Is known to take two messages a day to one phone."""

    key = "fake-limited"
    phone_daily_limit = 2


class FakeRussian(Fake):
    """Serves Russian numbers alone."""

    key = "fake-russian"

    def supports(self, phone: str) -> bool:
        return phone.startswith("+7")


class FakeChoosy(Fake):
    """Cannot say which numbers it serves: a mistake of its author."""

    key = "fake-choosy"

    def supports(self, phone: str) -> bool:
        raise ZeroDivisionError("the author's mistake, with a secret")


class FakeSlow(Fake):
    """Takes its time, in which others act."""

    key = "fake-slow"

    def start(self, request: StartRequest) -> Started:
        let_others_act()
        return super().start(request)


class FakeMistaken(Fake):
    """Cannot be made: a mistake of its author."""

    key = "fake-mistaken"

    def __init__(self, *_arguments: Any) -> None:
        raise ZeroDivisionError("the author's mistake, with a secret")


@dataclass(frozen=True, kw_only=True)
class PreparedOptions(FakeOptions):
    profile: str = option(default="")
    region: str = option(default="")


class FakePrepared(Provider[PreparedOptions]):
    """Needs a profile at the service, made for a code and a region, before the first message."""

    key: ClassVar[str] = "fake-prepared"
    channel = Channel.SMS
    custody = Custody.LOCAL
    Options = PreparedOptions
    preparation_options = ("code", "region")

    @property
    def needs_preparation(self) -> bool:
        return not self.options.profile

    def start(self, request: StartRequest) -> Started:
        if self.needs_preparation:
            raise exceptions.Misconfigured("there is no profile")
        asked.append((self.key, request))
        return Started(reference=self.options.profile)


@dataclass(frozen=True, kw_only=True)
class JudgeOptions(FakeOptions):
    reference: str = option(default="")
    verdict: str = option(default="")


class FakeJudge(Provider[JudgeOptions]):
    """Judges answers itself, by a reference of its own for each delivery or the one of its options.

    `verdict` names an error to raise in the place of one.
    """

    key: ClassVar[str] = "fake-judge"
    channel = Channel.SMS
    custody = Custody.REMOTE
    Options = JudgeOptions

    def start(self, request: StartRequest) -> Started:
        asked.append((self.key, request))
        return Started(reference=self.options.reference or f"judge-{len(asked)}")

    def check(self, reference: str, phone: str, code: str) -> bool:
        questions.append((reference, phone, code))
        let_others_act()
        if self.options.verdict:
            kind = getattr(exceptions, self.options.verdict, None) or RuntimeError
            raise kind(code)
        return code == self.options.code


class FakeCapitalJudge(FakeJudge):
    """Judges codes of letters."""

    key = "fake-capital-judge"
    alphabet = Alphabet.CAPITALS


@dataclass(frozen=True, kw_only=True)
class PresenceOptions(FakeOptions):
    call_to: str = option(default="+78005553535")
    lives_seconds: int | None = option(default=None)
    is_called: bool = option(default=False)
    trouble: str = option(default="")


class FakePresence(Provider[PresenceOptions]):
    """Waits for a call of the person.

    A call has come in where `calls_in` has the reference, or the option says so. `trouble` names an
    error to raise in the place of a verdict.
    """

    key: ClassVar[str] = "fake-presence"
    channel = Channel.REVERSE_CALL
    custody = Custody.PRESENCE
    code_length = 0
    Options = PresenceOptions

    def start(self, request: StartRequest) -> Started:
        asked.append((self.key, request))
        if self.options.error:
            raise getattr(exceptions, self.options.error)(self.options.words)
        options, reference = self.options, f"presence-{len(asked)}"
        return Started(
            call_to=options.call_to, reference=reference, lives_seconds=options.lives_seconds
        )

    def poll(self, reference: str, phone: str) -> bool:
        questions.append((reference, phone, ""))
        has_called = self.options.is_called or reference in calls_in
        let_others_act()
        if self.options.trouble:
            kind = getattr(exceptions, self.options.trouble, None) or RuntimeError
            raise kind("the service is down")
        return has_called


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


def accounts(**entries: dict[str, Any]) -> dict[str, Any]:
    """Write PROVIDERS as `providers` does; what is in capitals goes beside BACKEND."""
    written = {}
    for alias, entry in entries.items():
        options = {name: value for name, value in entry.items() if not name.isupper()}
        beside = {name: value for name, value in entry.items() if name.isupper()}
        written[alias] = {**providers(**{alias: options})[alias], **beside}
    return written


def store_account(
    alias: str, options: dict[str, Any] | None = None, *, kind: str = "Fake", **columns: Any
) -> ProviderAccount:
    """Store an account in a row, as an operator does; `kind` is the class's name."""
    row = ProviderAccount(**{"alias": alias, "backend": f"tests.fakes.{kind}", **columns})
    row.options = options or {}
    row.save()
    return row
