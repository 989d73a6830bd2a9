"""What a third party's provider gets from the base, with one method of its own."""

from base64 import b64encode
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from django_phone_otp import exceptions
from django_phone_otp.choices import Channel, Custody
from django_phone_otp.codes import Alphabet
from django_phone_otp.exceptions import DeliveryError, ProviderRejected
from django_phone_otp.providers import Provider
from django_phone_otp.providers.base import Balance, Started, StartRequest
from django_phone_otp.providers.options import ProviderOptions, option
from django_phone_otp.testing import Wire
from django_phone_otp.transport import WireReply


@dataclass(frozen=True, kw_only=True)
class AcmeOptions(ProviderOptions):
    api_key: str = option(secret=True)
    pin: str = option(default="", secret=True)
    sender: str = option(default="Shop")


class Acme(Provider[AcmeOptions]):
    key = "acme"
    channel = Channel.SMS
    custody = Custody.LOCAL
    Options = AcmeOptions

    def start(self, request: StartRequest) -> Started:
        self.call("POST", "/send", form={"to": self.wire_phone(request.phone)})
        return Started()


def acme(wire: Any = None, kind: type[Acme] = Acme, **options: Any) -> Acme:
    given = {"api_key": "top-secret", "base_url": "https://acme.example/api/", **options}
    return kind(AcmeOptions(**given), wire or Wire({}))


def refusal(status: int, words: str = "") -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        acme().reject(status, words)
    return caught.value


# Defaults


def test_one_method_makes_a_provider():
    wire = Wire({})
    assert acme(wire).start(StartRequest(phone="+79244501003")) == Started()
    assert wire.requests[0].form == {"to": "79244501003"}


def test_without_the_method_there_is_no_provider():
    class Nothing(Provider[ProviderOptions]):
        key = "nothing"

    with pytest.raises(TypeError, match=r"abstract method '?start"):
        Nothing(ProviderOptions())  # type: ignore[abstract]


def test_check_is_not_there_unless_the_provider_judges():
    with pytest.raises(NotImplementedError) as caught:
        acme().check("1", "+79244501003", "012345")
    assert str(caught.value) == "acme does not judge answers: custody local"


def test_poll_is_not_there_unless_the_provider_waits():
    with pytest.raises(NotImplementedError) as caught:
        acme().poll("1", "+79244501003")
    assert str(caught.value) == "acme waits for nobody: custody local"


def test_balance_is_not_told():
    assert acme().balance() is None


def test_delivery_is_not_called_back():
    assert acme().cancel("1") is False


def test_any_number_is_supported():
    assert acme().supports("+6834002") is True


def test_phone_goes_out_as_digits():
    assert acme().wire_phone("+375291234567") == "375291234567"


def test_site_decides_the_length_of_codes_which_are_digits():
    assert (acme().code_length, acme().alphabet) == (None, Alphabet.DIGITS)


def test_balance_may_be_in_messages():
    assert Balance(amount=5).currency == ""  # type: ignore[arg-type]


# Secrets


def test_s13_redact_takes_all_secrets_out():
    provider = acme(pin="4711")
    assert (
        provider.redact("key top-secret, pin 4711, again top-secret")
        == "key ***, pin ***, again ***"
    )


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("top secret/key", id="as-it-is"),
        pytest.param("top%20secret%2Fkey", id="in-a-path"),
        pytest.param("top+secret%2Fkey", id="in-a-query"),
        pytest.param("top%20secret%2fkey", id="in-small-letters"),
    ],
)
def test_s13_redact_knows_a_secret_in_an_address(written):
    assert acme(api_key="top secret/key").redact(f"no page /{written}/") == "no page /***/"


def test_redact_leaves_the_rest():
    assert acme().redact("Shop is not approved") == "Shop is not approved"


@pytest.mark.parametrize(
    ("thing", "written"),
    [
        pytest.param(
            StartRequest(phone="+79244501003", code="012345", text="x 012345"),
            "StartRequest(phone='+79244501003', language='en')",
            id="request",
        ),
        pytest.param(
            Started(code="012345", reference="7"),
            "Started(call_to='', lives_seconds=None, reference='7', cost=None, currency='')",
            id="started",
        ),
        pytest.param(WireReply(200, b"012345"), "WireReply(status=200)", id="reply"),
    ],
)
def test_s13_repr_does_not_show_the_code(thing, written):
    assert repr(thing) == written


# Calls


@pytest.mark.parametrize("base_url", ["https://acme.example/api", "https://acme.example/api/"])
def test_path_follows_the_base_url(base_url):
    wire = Wire({})
    acme(wire, base_url=base_url, timeout=3).call("GET", "/balance", query={"a": "b"})
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", "https://acme.example/api/balance")
    assert (request.query, request.timeout_seconds) == ({"a": "b"}, 3)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exceptions.NotConnected("POST acme.example: refused"), "ProviderUnavailable"),
        (exceptions.NoAnswer("POST acme.example: timeout"), "DeliveryUncertain"),
    ],
    ids=["not-connected", "no-answer"],
)
def test_error_of_the_transport_becomes_ours(error, kind):
    with pytest.raises(DeliveryError) as caught:
        acme(Wire(error)).call("POST", "/send")
    assert type(caught.value) is getattr(exceptions, kind)
    assert str(caught.value) == str(error)
    assert caught.value.__cause__ is None


# Replies


@pytest.mark.parametrize("status", [200, 201, 400, 404, 429])
def test_object_is_read_at_any_status_below_500(status):
    assert acme().read_object(WireReply(status, b'{"error": "no"}')) == {"error": "no"}


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_server_error_is_uncertain_whatever_it_says(status):
    with pytest.raises(exceptions.DeliveryUncertain) as caught:
        acme().read_object(WireReply(status, b'{"error": "not sent"}'))
    assert str(caught.value) == f"HTTP {status}"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[{}]", id="list"),
        pytest.param(b'"ok"', id="text"),
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b'{"a": ', id="cut"),
        pytest.param(b"\xff\xfe{}", id="not-UTF-8"),
        pytest.param(b'{"a":' * 9_999, id="too-deep"),
        pytest.param(b'{"a": ' + b"9" * 9_999 + b"}", id="number-without-end"),
    ],
)
def test_success_without_an_object_is_uncertain(body):
    with pytest.raises(exceptions.DeliveryUncertain) as caught:
        acme().read_object(WireReply(200, body))
    assert str(caught.value) == "HTTP 200 without a JSON object"


def test_refusal_without_an_object_is_a_refusal():
    with pytest.raises(exceptions.ProviderThrottled):
        acme().read_object(WireReply(429, b"<html>"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, "ProviderRejected"),
        (300, "Misconfigured"),
        (307, "Misconfigured"),
        (400, "ProviderRejected"),
        (401, "Misconfigured"),
        (402, "InsufficientFunds"),
        (403, "Misconfigured"),
        (404, "Misconfigured"),
        (405, "ProviderRejected"),
        (422, "ProviderRejected"),
        (429, "ProviderThrottled"),
    ],
)
def test_refusal_by_status(status, kind):
    assert type(refusal(status)) is getattr(exceptions, kind)


@pytest.mark.parametrize(
    ("words", "told"), [("", "HTTP 400"), ("bad phone", "HTTP 400 bad phone")], ids=["none", "some"]
)
def test_refusal_tells_status_and_words(words, told):
    assert str(refusal(400, words)) == told


# What the base grew with the second provider


class WithBasicAuth(Acme):
    @property
    def credentials(self) -> tuple[str, str]:
        return "shop", self.options.api_key


def test_credentials_go_out_with_every_call():
    wire = Wire({})
    acme(wire, kind=WithBasicAuth).call("GET", "/send")
    assert wire.requests[0].basic_auth == ("shop", "top-secret")


def test_s13_header_of_basic_auth_is_redacted():
    header = b64encode(b"shop:top-secret").decode()
    assert acme(kind=WithBasicAuth).redact(f"you sent Basic {header}") == "you sent Basic ***"


def test_s13_code_of_ours_is_hidden_in_a_refusal():
    with pytest.raises(ProviderRejected, match=r"^HTTP 400 no \*\*\* here$"):
        acme().reject(400, "no 012345 here", hide="012345")


def test_probe_asks_for_the_balance():
    class Rich(Acme):
        def balance(self) -> Balance:
            return Balance(amount=Decimal(7), currency="EUR")

    assert acme(kind=Rich).probe() == Balance(amount=Decimal(7), currency="EUR")


def test_nothing_is_prepared_and_no_status_is_told_unless_the_provider_says_so():
    provider = acme()
    assert (provider.needs_preparation, provider.prepare(), provider.prepared_for()) == (
        False,
        {},
        {},
    )
    assert (provider.probe(), provider.status("7"), provider.credentials) == (None, None, None)
