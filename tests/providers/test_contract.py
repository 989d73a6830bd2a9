"""The contract for third parties' tests: it takes a good provider, and no bad one."""

from typing import Any

import pytest

from django_phone_otp.choices import Channel, Custody
from django_phone_otp.exceptions import DeliveryUncertain, ProviderRejected
from django_phone_otp.providers import Provider
from django_phone_otp.providers.base import Started, StartRequest
from django_phone_otp.testing import ProviderContract

from .test_base import AcmeOptions


class Good(Provider[AcmeOptions]):
    key = "good"
    channel = Channel.SMS
    custody = Custody.RETURNED
    Options = AcmeOptions

    def start(self, request: StartRequest) -> Started:
        reply = self.read_object(self.call("POST", "/send"))
        if "code" not in reply:
            raise DeliveryUncertain("no code")
        return Started(code=str(reply["code"]))


class TestGood(ProviderContract):
    provider_class = Good
    options = {"api_key": "top-secret", "base_url": "https://acme.example"}
    phone = "+79244501003"
    accepted = {"code": "012345"}


class Shouts(Good):
    key = "Bad Key"


class Refuses(Good):
    def supports(self, phone: str) -> bool:
        return False


class Repeats(Good):
    def start(self, request: StartRequest) -> Started:
        super().start(request)
        return super().start(request)


class Believes(Good):
    def start(self, request: StartRequest) -> Started:
        reply = self.call("POST", "/send")
        return Started(code=reply.body.decode(errors="replace"))


class Chatters(Good):
    def start(self, request: StartRequest) -> Started:
        try:
            return super().start(request)
        except DeliveryUncertain as error:
            raise ProviderRejected(f"key {self.options.api_key}") from error


def run(provider: type[Provider[Any]], test: str) -> None:
    contract = type("Contract", (TestGood,), {"provider_class": provider})()
    getattr(contract, test)()


@pytest.mark.parametrize(
    ("provider", "test"),
    [
        pytest.param(Shouts, "test_declares_itself", id="key"),
        pytest.param(Refuses, "test_supports_its_phone", id="phone"),
        pytest.param(Repeats, "test_delivers_with_one_request", id="retry"),
        pytest.param(Chatters, "test_no_answer_is_uncertain", id="no-answer"),
        pytest.param(Believes, "test_server_error_is_uncertain", id="server-error"),
        pytest.param(Believes, "test_unreadable_answers_are_uncertain", id="unreadable"),
        pytest.param(Chatters, "test_errors_hold_no_secret", id="secret"),
    ],
)
def test_bad_provider_is_found_out(provider, test):
    run(Good, test)
    with pytest.raises(AssertionError):
        run(provider, test)
