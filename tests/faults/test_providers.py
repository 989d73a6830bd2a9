"""Each provider against each fault of the gateway, over real HTTP: in time, no secret told.

What follows for the person is in `test_logins`; here it is the provider alone.
"""

import itertools
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import pytest

from django_phone_otp.choices import Custody
from django_phone_otp.exceptions import DeliveryError
from django_phone_otp.flow.deliveries import CONSEQUENCES
from django_phone_otp.providers import Provider, load_provider
from django_phone_otp.providers.base import StartRequest
from example_project.gateway import Gateway

from .kinds import FAULT_NAMES, HANGING, KINDS, SECRETS, SLACK_SECONDS, Kind

CODE = "012345"


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway() as running:
        yield running


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: Any) -> Kind:
    return request.param


numbers = itertools.count()


@pytest.fixture
def phone(kind: Kind) -> str:
    """A phone that nobody asked about before: services count for each."""
    return f"{kind.phone[:-3]}{next(numbers) % 1000:03d}"


def make(kind: Kind, gateway: Gateway, fault: str) -> Provider[Any]:
    """Make the provider with a base URL that orders the fault, ready to send."""
    good = load_provider(kind.backend, {**kind.options, "base_url": gateway.url}, setting="x")
    kept = good.prepare() if good.needs_preparation else {}
    base_url = f"{gateway.url}/~{fault}" if fault else gateway.url
    # A slow machine must not turn a right answer into a timeout.
    timeout = 0.25 if fault in HANGING else 10.0
    options = {**asdict(good.options), **kept, "base_url": base_url, "timeout": timeout}
    return load_provider(kind.backend, options, setting="x")


def start(provider: Provider[Any], phone: str) -> Any:
    code = CODE[: provider.code_length or 6] if provider.custody is Custody.LOCAL else ""
    text = f"{code or provider.place_of_code} is it"
    return provider.start(StartRequest(phone=phone, code=code, text=text))


def ask(question: Callable[[], Any]) -> tuple[str, str]:
    """Ask a service; give the word for what came of it, and all that was told."""
    try:
        return "sent", repr(question())
    except DeliveryError as error:
        return CONSEQUENCES[type(error)].outcome.value, tell_all(error)


def tell_all(error: BaseException) -> str:
    """Write all that an exception could tell: itself, its traceback, and what hides behind it."""
    told = []
    chain: BaseException | None = error
    while chain is not None:
        told += [str(chain), repr(chain), *traceback.format_exception(chain)]
        chain = chain.__context__
    return "\n".join(told)


@pytest.mark.parametrize("fault", FAULT_NAMES)
def test_outcome_in_time_and_without_a_secret(kind, phone, gateway, fault, caplog):
    caplog.set_level(logging.DEBUG)
    provider = make(kind, gateway, fault)
    began = time.monotonic()
    outcome, told = ask(lambda: start(provider, phone))
    assert time.monotonic() - began < provider.options.timeout + SLACK_SECONDS
    assert outcome == kind.outcome_of(fault)
    codes = [message.code for message in gateway.on_screen(phone) if message.code]
    codes += [CODE[:4]] if kind.is_local else []
    for hidden in [*SECRETS, *codes]:
        assert hidden not in (told + caplog.text).replace(phone[-10:], "")
    assert gateway.redirects_followed == 0


@pytest.mark.parametrize("question", ["balance", "probe", "status"])
@pytest.mark.parametrize("fault", [name for name in FAULT_NAMES if name not in HANGING])
def test_question_that_costs_nothing(kind, gateway, fault, question, caplog):
    caplog.set_level(logging.DEBUG)
    provider = make(kind, gateway, fault)
    arguments = ["1"] if question == "status" else []
    _outcome, told = ask(lambda: getattr(provider, question)(*arguments))
    assert not [secret for secret in SECRETS if secret in told + caplog.text]


def test_nobody_listens(kind, phone, caplog):
    caplog.set_level(logging.DEBUG)
    with Gateway() as gateway:
        provider = make(kind, gateway, "")
    outcome, told = ask(lambda: start(provider, phone))
    assert outcome == "unavailable"
    assert not [secret for secret in SECRETS if secret in told + caplog.text]


def test_a_hundred_messages_take_one_connection(kind):
    with Gateway() as gateway:
        provider = make(kind, gateway, "")
        for number in range(100):
            start(provider, f"{kind.phone[:-3]}{number:03d}")
        assert gateway.request_count >= 100
        assert gateway.connection_count == 1
