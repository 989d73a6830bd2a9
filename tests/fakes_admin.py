"""Providers and operators for the tests of accounts: the admin, inspections and commands."""

import base64
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any, ClassVar

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.signals import got_request_exception
from django.db import connection
from django.http import HttpRequest
from django.views.debug import ExceptionReporter

from django_phone_otp import exceptions
from django_phone_otp.choices import Channel, Custody
from django_phone_otp.models import ProviderAccount
from django_phone_otp.providers.base import (
    Balance,
    DeliveryStatus,
    Provider,
    Started,
    StartRequest,
)
from django_phone_otp.providers.options import ProviderOptions, option

SECRET = "hunter2-0f-the-service"  # it is in no default, label or help
URL = "/admin/phone_otp/provideraccount/"
TRIAL = f"{URL}trial/"

# What the services were asked, and whether a transaction was open then. Emptied before each test.
calls: list[tuple[str, bool]] = []


@dataclass(frozen=True, kw_only=True)
class ServiceOptions(ProviderOptions):
    key: str = option(secret=True, help="Key of the account.")
    balance: str = option(default="", help='"7.50 RUB", "12" for messages, or nothing.')
    error: str = option(default="")
    words: str = option(default="no")
    told: str = option(default="")
    object_id: str = option(default="")


class Service(Provider[ServiceOptions]):
    """Takes each message, or raises the error that its options name."""

    key: ClassVar[str] = "service"
    channel = Channel.SMS
    custody = Custody.LOCAL
    Options = ServiceOptions

    def start(self, request: StartRequest) -> Started:
        self._answer("start")
        return Started(reference="ref-1")

    def balance(self) -> Balance | None:
        self._answer("balance")
        amount, _blank, currency = self.options.balance.partition(" ")
        return Balance(amount=Decimal(amount), currency=currency) if amount else None

    def status(self, reference: str) -> DeliveryStatus | None:
        calls.append((f"status {reference}", connection.in_atomic_block))
        words, _blank, cost = self.options.told.partition("=")
        if words == "RuntimeError":
            raise RuntimeError(self.options.key)
        price = Decimal(cost) if cost else None
        return DeliveryStatus(words=words, cost=price, currency="RUB") if words else None

    def _answer(self, question: str) -> None:
        calls.append((question, connection.in_atomic_block))
        if self.options.error:
            kind = getattr(exceptions, self.options.error, None) or RuntimeError
            raise kind(self.options.words)


class Called(Service):
    """Makes the code itself."""

    key = "called"
    custody = Custody.RETURNED

    def start(self, request: StartRequest) -> Started:
        super().start(request)
        return Started(code="012345", reference="ref-2")


class Calls(Service):
    """Waits for the person to call."""

    key = "calls"
    channel = Channel.REVERSE_CALL
    custody = Custody.PRESENCE
    code_length = 0

    def start(self, request: StartRequest) -> Started:
        super().start(request)
        return Started(call_to="+78005553535", reference="ref-3")


class Needy(Service):
    """Needs an object at the service, which depends on the key."""

    key = "needy"
    preparation_options = ("key",)

    @property
    def needs_preparation(self) -> bool:
        return not self.options.object_id

    def prepare(self) -> dict[str, Any]:
        calls.append(("prepare", connection.in_atomic_block))
        if self.options.words == "prepare":
            raise exceptions.Misconfigured(f"HTTP 401 {self.options.key}")
        return {"object_id": f"object of {self.options.key[:3]}"}

    def start(self, request: StartRequest) -> Started:
        calls.append((f"start {self.options.object_id}", connection.in_atomic_block))
        return Started()


class Odd(Service):
    """Says what no service may: the values of the expressions in `balance` and `told`."""

    key = "odd"

    def balance(self) -> Balance | None:
        odd: Balance | None = eval(self.options.balance)  # noqa: S307 (our own test's)
        return odd

    def status(self, reference: str) -> DeliveryStatus | None:
        odd: DeliveryStatus | None = eval(self.options.told)  # noqa: S307 (as above)
        return odd


class Unmade(Service):
    """Cannot be made at all."""

    key = "unmade"

    def __init__(self, *_args: Any, **_parts: Any) -> None:
        raise RuntimeError(SECRET)


@dataclass(frozen=True, kw_only=True)
class TicketOptions(ServiceOptions):
    ticket: str = option(default="", secret=True)


class Ticketed(Needy):
    """Needs a second secret, which it makes itself."""

    key = "ticketed"
    Options = TicketOptions

    @property
    def needs_preparation(self) -> bool:
        return True

    def prepare(self) -> dict[str, Any]:
        return {"ticket": "t1cket-of-the-service"}


@dataclass(frozen=True, kw_only=True)
class WideOptions(ProviderOptions):
    """One option of each kind."""

    key: str = option(secret=True, help="Key of the account.")
    pin: str = option(default="", secret=True)
    sender: str = option(help="Who the text is from.")
    note: str | None = option(default=None)
    loud: bool = option(default=False)
    polite: bool = option(default=True)
    count: int = option(default=3)
    most: int | None = option(default=None)
    ratio: float = option(default=0.5)
    mode: str = option(default="fast", choices=("fast", "slow"))
    alias: str = option(default="", help="Named like a column.")

    def find_problems(self) -> list[str]:
        problems = super().find_problems()
        if self.count > 9:
            problems.append('"count" must be at most 9.')
        if self.note == "general":
            problems.append("The note and the sender do not fit.")
        if self.note == "strange":
            problems.append('"nothing" is what there is.')
        return problems


class Wide(Provider[WideOptions]):
    key: ClassVar[str] = "wide"
    channel = Channel.TELEGRAM
    custody = Custody.LOCAL
    Options = WideOptions

    def start(self, request: StartRequest) -> Started:
        return Started()


@dataclass(frozen=True, kw_only=True)
class RareOptions(ProviderOptions):
    """What the declaration of options allows, and none of ours has."""

    kind: str = option(default="", choices=("a", "b"))
    may_call: bool | None = option(default=None)
    pin: int = option(default=0, secret=True)
    agreed: bool = option()


class Rare(Wide):
    key = "rare"
    Options = RareOptions  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True)
class RudeOptions(ProviderOptions):
    key: str = option(secret=True)

    def find_problems(self) -> list[str]:
        raise RuntimeError("a mistake of the schema")


class Moody(str):
    """A text that cannot be compared."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("a mistake of the schema")

    def __ne__(self, other: object) -> bool:
        raise RuntimeError("a mistake of the schema")


@dataclass(frozen=True, kw_only=True)
class MoodyOptions(ProviderOptions):
    key: str = option(secret=True)
    mood: str = option(default=Moody("calm"))


class Uncompared(Wide):
    """Has a mistake that shows while a form is read."""

    key = "uncompared"
    Options = MoodyOptions  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True)
class UnresolvedOptions(ProviderOptions):
    key: str = option(secret=True)
    note: "Nowhere" = option(default="")  # type: ignore[name-defined]  # noqa: F821, RUF009


class Unresolved(Wide):
    """Has a mistake that shows while a form is made."""

    key = "unresolved"
    Options = UnresolvedOptions  # type: ignore[assignment]


class Rude(Wide):
    """Has a mistake in its schema."""

    key = "rude"
    Options = RudeOptions  # type: ignore[assignment]


def make_account(
    alias: str = "texts",
    kind: str = "Service",
    *,
    options: Mapping[str, Any] | None = None,
    **columns: Any,
) -> ProviderAccount:
    """Store an account: of a fake, or with `backend` of any other provider."""
    backend = columns.pop("backend", f"tests.fakes_admin.{kind}")
    made = ProviderAccount(alias=alias, backend=backend, **columns)
    made.options = {"key": SECRET} if options is None else dict(options)
    made.save()
    return made


def read_token(token: str) -> bytes:
    """Decode a Fernet token, to see what a thief of the database sees."""
    return base64.urlsafe_b64decode(token)


def log_in(client: Any, *codenames: str, is_staff: bool = True) -> Any:
    """Log somebody in who has these permissions and no other."""
    user = get_user_model().objects.create_user("operator", is_staff=is_staff)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    assert user.user_permissions.count() == len(codenames)
    client.force_login(user)
    return user


def post_action(client: Any, action: str, *accounts: ProviderAccount) -> Any:
    """Choose accounts in the list and an action for them; gives the page that follows."""
    body = {"action": action, "_selected_action": [each.pk for each in accounts]}
    return client.post(URL, body, follow=True)


def messages_of(response: Any) -> list[tuple[str, str]]:
    """Give the messages of a page: their levels and texts."""
    return [(each.level_tag, str(each)) for each in response.context["messages"]]


def report_on(error: BaseException) -> str:
    """Write what Django would tell of an error in development, with the frames' variables."""
    reporter = ExceptionReporter(None, type(error), error, error.__traceback__)
    return str(reporter.get_traceback_html())


@contextmanager
def reported_errors(client: Any) -> Iterator[list[str]]:
    """Collect what Django would tell of each failed request, by mail and in development."""
    reports: list[str] = []

    def report(request: HttpRequest, **_rest: Any) -> None:
        reporter = ExceptionReporter(request, *sys.exc_info())
        reports.extend((reporter.get_traceback_text(), reporter.get_traceback_html()))

    got_request_exception.connect(report)
    client.raise_request_exception = False
    try:
        yield reports
    finally:
        got_request_exception.disconnect(report)


class _Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))


def elements_of(html: str, *tags: str) -> list[dict[str, str]]:
    """Give the attributes of the elements with these tags, in the order of the page."""
    return [attributes for tag, attributes in _Page(html).elements if tag in tags]


def read_json(text: str) -> Any:
    """Read the output of a command that was asked for JSON."""
    return json.loads(text)
