"""telefon-ip.ru: flash calls and text messages. The bodies are files, see wire/README.md."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from django_phone_otp import exceptions
from django_phone_otp.choices import Channel, Custody
from django_phone_otp.exceptions import DeliveryError, DeliveryUncertain
from django_phone_otp.providers.base import Started, StartRequest
from django_phone_otp.providers.telefon_ip import TelefonIPFlashCall, TelefonIPSMS
from django_phone_otp.testing import ProviderContract, Wire

PHONE = "+79244501003"
TOKEN = "4ea13fbf-f5a3-4084-8b01-9733cd6fd0b1"
BASE = f"https://api.telefon-ip.ru/api/v1/authcalls/{TOKEN}"


def body(name: str) -> bytes:
    return (Path(__file__).parent / "wire" / f"{name}.json").read_bytes()


ACCEPTED = json.loads(body("telefon_ip_accepted"))


def with_data(**changes: Any) -> dict[str, Any]:
    """Give the documented answer with other data."""
    return {**ACCEPTED, "data": {**ACCEPTED["data"], **changes}}


def calls(wire: Wire, **options: Any) -> TelefonIPFlashCall:
    parsed, problems = TelefonIPFlashCall.Options.parse({"token": TOKEN, **options})
    assert parsed is not None, problems
    return TelefonIPFlashCall(parsed, wire)


def texts(wire: Wire, **options: Any) -> TelefonIPSMS:
    parsed, problems = TelefonIPSMS.Options.parse({"token": TOKEN, **options})
    assert parsed is not None, problems
    return TelefonIPSMS(parsed, wire)


def ask(provider: Any, code: str = "") -> Started:
    return provider.start(StartRequest(phone=PHONE, code=code))


def failure(answer: Any, status: int = 200) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        ask(calls(Wire(answer, status)))
    return caught.value


class TestFlashCallContract(ProviderContract):
    provider_class = TelefonIPFlashCall
    options = {"token": TOKEN}
    phone = PHONE
    accepted = ACCEPTED


class TestSMSContract(ProviderContract):
    provider_class = TelefonIPSMS
    options = {"token": TOKEN}
    phone = PHONE
    accepted = ACCEPTED


class TestSMSWithOwnCodeContract(TestSMSContract):
    options = {"token": TOKEN, "own_code": True}


# What goes out


def test_flash_call_on_the_wire():
    wire = Wire(ACCEPTED)
    ask(calls(wire))
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", f"{BASE}/get_code/89244501003/")
    assert (request.query, request.form, request.basic_auth) == ({}, None, None)


def test_flash_call_with_a_text_message_to_fall_back_on():
    wire = Wire(ACCEPTED)
    ask(calls(wire, sms_fallback=True))
    (request,) = wire.requests
    assert request.url == f"{BASE}/get_code/89244501003/"
    assert request.query == {"sms": "true"}


def test_text_message_on_the_wire():
    wire = Wire(ACCEPTED)
    ask(texts(wire))
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", f"{BASE}/get_sms_code/89244501003/")
    assert (request.query, request.form, request.basic_auth) == ({}, None, None)


def test_text_message_with_our_code_on_the_wire():
    wire = Wire(with_data(code="0734"))
    ask(texts(wire, own_code=True), code="0734")
    (request,) = wire.requests
    assert request.url == f"{BASE}/get_sms_code/89244501003/"
    assert request.query == {"code": "0734"}


@pytest.mark.parametrize(
    ("token", "written"),
    [
        pytest.param("a/b", "a%2Fb", id="slash"),
        pytest.param("a?b#c", "a%3Fb%23c", id="query-and-fragment"),
        pytest.param("a b", "a%20b", id="blank"),
        pytest.param("a%2Fb", "a%252Fb", id="percent"),
        pytest.param("ключ", "%D0%BA%D0%BB%D1%8E%D1%87", id="cyrillic"),
    ],
)
def test_token_is_quoted(token, written):
    wire = Wire(ACCEPTED)
    ask(calls(wire, token=token))
    prefix = "https://api.telefon-ip.ru/api/v1/authcalls/"
    assert wire.requests[0].url == f"{prefix}{written}/get_code/89244501003/"


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:8000/telefon", "http://127.0.0.1:8000/telefon/"]
)
def test_address_may_be_another(base_url):
    wire = Wire(ACCEPTED)
    ask(calls(wire, base_url=base_url))
    prefix = "http://127.0.0.1:8000/telefon/api/v1/authcalls/"
    assert wire.requests[0].url == f"{prefix}{TOKEN}/get_code/89244501003/"


def test_empty_address_is_refused_or_means_the_own_one():
    # What `os.environ.get("BASE_URL", "")` gives where the variable is not set.
    parsed, problems = TelefonIPFlashCall.Options.parse({"token": TOKEN, "base_url": ""})
    assert problems or (parsed and parsed.base_url == "https://api.telefon-ip.ru")


def test_timeout_is_that_of_the_options():
    wire = Wire(ACCEPTED)
    ask(calls(wire, timeout=3))
    assert wire.requests[0].timeout_seconds == 3


# What it declares


def test_flash_call_declares_itself():
    provider = calls(Wire())
    declared = (provider.key, provider.channel, provider.custody, provider.code_length)
    assert declared == ("telefon-ip-flash", Channel.FLASH_CALL, Custody.RETURNED, 4)


def test_text_message_declares_itself():
    provider = texts(Wire())
    declared = (provider.key, provider.channel, provider.custody, provider.code_length)
    assert declared == ("telefon-ip-sms", Channel.SMS, Custody.RETURNED, 4)


def test_text_message_with_our_code_has_local_custody():
    assert texts(Wire(), own_code=True).custody is Custody.LOCAL


def test_custody_is_that_of_the_account_not_of_the_class():
    texts(Wire(), own_code=True)
    assert texts(Wire()).custody is Custody.RETURNED


@pytest.mark.parametrize(
    ("phone", "is_supported"),
    [
        pytest.param("+79244501003", True, id="Russian-mobile"),
        pytest.param("+74951234567", False, id="Russian-fixed-line"),
        pytest.param("+78001234567", False, id="Russian-toll-free"),
        pytest.param("+77710009998", False, id="Kazakh-mobile"),
        pytest.param("+375294911911", False, id="Belarusian-mobile"),
        pytest.param("+7924450100", False, id="one-digit-less"),
    ],
)
def test_only_russian_mobile_numbers_are_supported(phone, is_supported):
    assert calls(Wire()).supports(phone) is is_supported
    assert texts(Wire()).supports(phone) is is_supported


# Success


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("telefon_ip_accepted", id="documented"),
        pytest.param("telefon_ip_code_is_a_number", id="code-is-a-number"),
        pytest.param("telefon_ip_phone_begins_with_8", id="phone-begins-with-8"),
        pytest.param("telefon_ip_phone_is_a_number", id="phone-is-a-number"),
    ],
)
@pytest.mark.parametrize("provider", [calls, texts])
def test_code_and_reference_are_read(provider, name):
    assert ask(provider(Wire(body(name)))) == Started(code="0427", reference="168")


def test_code_alone_is_enough():
    assert ask(calls(Wire(body("telefon_ip_code_alone")))) == Started(code="0427", reference="")


@pytest.mark.parametrize("reference", [None, ""], ids=["null", "empty"])
def test_delivery_without_a_reference(reference):
    assert ask(calls(Wire(with_data(id=reference)))).reference == ""


@pytest.mark.parametrize(
    ("value", "code"),
    [
        pytest.param("0427", "0427", id="text"),
        pytest.param(" 0427 ", "0427", id="text-with-blanks"),
        pytest.param("0000", "0000", id="zeros"),
        pytest.param(427, "0427", id="number"),
        pytest.param(7, "0007", id="small-number"),
        pytest.param(0, "0000", id="zero"),
        pytest.param(9871, "9871", id="whole-number"),
    ],
)
def test_code_in_any_form_is_four_digits(value, code):
    assert ask(calls(Wire(with_data(code=value)))).code == code


def test_code_that_was_sent_counts_and_not_the_one_that_was_given():
    provider = texts(Wire(body("telefon_ip_another_code")), own_code=True)
    assert ask(provider, code="0734").code == "9871"


def test_our_code_that_comes_back_counts():
    assert ask(texts(Wire(with_data(code=734)), own_code=True), code="0734").code == "0734"


# No code


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="null"),
        pytest.param("", id="empty"),
        pytest.param("042", id="short"),
        pytest.param("04271", id="long"),
        pytest.param("04x7", id="letter"),
        pytest.param("٠٤٢٧", id="digits-of-another-script"),
        pytest.param("+427", id="sign"),
        pytest.param("4.27", id="fraction-in-text"),
        pytest.param(True, id="true"),
        pytest.param(False, id="false"),
        pytest.param(427.0, id="float"),
        pytest.param(-427, id="negative"),
        pytest.param(10_427, id="long-number"),
        pytest.param(["0427"], id="list"),
        pytest.param({"code": "0427"}, id="object"),
    ],
)
def test_what_is_no_code_of_four_digits_is_uncertain(value):
    error = failure(with_data(code=value))
    assert type(error) is DeliveryUncertain
    assert str(error) == "the answer has no code of four digits"


def test_missing_code_is_uncertain():
    error = failure(body("telefon_ip_without_code"))
    assert type(error) is DeliveryUncertain
    assert str(error) == "the answer has no code of four digits"


@pytest.mark.parametrize("answer", [with_data(code="04271"), with_data(code=None)])
def test_invalid_echo_of_our_code_is_an_error(answer):
    with pytest.raises(DeliveryUncertain, match="no code of four digits"):
        ask(texts(Wire(answer), own_code=True), code="0734")


@pytest.mark.parametrize(
    "phone",
    [
        pytest.param("79244501004", id="another"),
        pytest.param("9244501004", id="another-without-country"),
        pytest.param("4501003", id="end-of-it"),
        pytest.param("99244501003", id="same-end-behind-another-country"),
        pytest.param("0", id="zero"),
        pytest.param(["79244501003"], id="list"),
        pytest.param({"7": "9244501003"}, id="object"),
        pytest.param(True, id="true"),
    ],
)
def test_answer_about_another_phone_is_uncertain(phone):
    error = failure(with_data(phone=phone))
    assert type(error) is DeliveryUncertain
    assert str(error) == "the answer is about another phone"


def test_answer_to_somebody_else_is_uncertain():
    assert type(failure(body("telefon_ip_another_phone"))) is DeliveryUncertain


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("telefon_ip_accepted_without_data", "HTTP 200 without data", id="no-data"),
        pytest.param("telefon_ip_data_alone", "HTTP 200 without data", id="no-verdict"),
        pytest.param("null", "HTTP 200 without a JSON object", id="null"),
        pytest.param("telefon_ip_list", "HTTP 200 without a JSON object", id="list"),
    ],
)
def test_incomplete_answer_is_uncertain(name, words):
    error = failure(body(name))
    assert (type(error), str(error)) == (DeliveryUncertain, words)


@pytest.mark.parametrize("data", [None, [], "0427", 427, True], ids=repr)
def test_data_that_is_no_object_is_uncertain(data):
    assert type(failure({**ACCEPTED, "data": data})) is DeliveryUncertain


# Refusals


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        pytest.param(400, "telefon_ip_400", "ProviderRejected", id="400"),
        pytest.param(401, "telefon_ip_401", "Misconfigured", id="401"),
        pytest.param(402, "telefon_ip_refused_with_200", "InsufficientFunds", id="402"),
        pytest.param(403, "telefon_ip_401", "Misconfigured", id="403"),
        pytest.param(404, "telefon_ip_refused_with_200", "Misconfigured", id="404"),
        pytest.param(404, "null", "Misconfigured", id="404-without-an-object"),
        pytest.param(429, "telefon_ip_refused_with_200", "ProviderThrottled", id="429"),
        pytest.param(429, "telefon_ip_refused_data_is_null", "ProviderThrottled", id="429-null"),
        pytest.param(200, "telefon_ip_refused_with_200", "ProviderRejected", id="200"),
        pytest.param(200, "telefon_ip_refused_data_is_null", "ProviderRejected", id="200-null"),
        pytest.param(301, "telefon_ip_refused_with_200", "Misconfigured", id="301"),
        pytest.param(302, "null", "Misconfigured", id="302"),
        pytest.param(500, "telefon_ip_refused_with_200", "DeliveryUncertain", id="500"),
        pytest.param(502, "null", "DeliveryUncertain", id="502"),
        pytest.param(503, "telefon_ip_accepted", "DeliveryUncertain", id="503"),
        pytest.param(599, "null", "DeliveryUncertain", id="599"),
    ],
)
def test_refusal(status, name, kind):
    assert type(failure(body(name), status)) is getattr(exceptions, kind)


@pytest.mark.parametrize("status", [400, 401, 402, 404, 429, 301])
def test_html_page_is_judged_by_its_status(status):
    error = failure(b"<html><body>no</body></html>", status)
    assert type(error) is type(failure(body("telefon_ip_refused_with_200"), status))
    assert str(error) == f"HTTP {status}"


def test_words_of_the_service_are_for_operators():
    words = "does not match the format 89XXXXXXXXX or phone field is missing"
    assert str(failure(body("telefon_ip_400"), 400)) == f"HTTP 400 {words}"


@pytest.mark.parametrize(
    "words", ["insufficient funds", "Unauthorized token", "daily limit", "phone not found"]
)
def test_nothing_is_concluded_from_the_words(words):
    error = failure({"success": False, "error": words, "data": {}}, 400)
    assert type(error) is exceptions.ProviderRejected


@pytest.mark.parametrize("words", [None, 5, ["no"], {"code": 1}], ids=repr)
def test_words_may_be_anything(words):
    error = failure({"success": False, "error": words, "data": {}}, 400)
    assert type(error) is exceptions.ProviderRejected


def test_words_without_end_are_cut():
    error = failure({"success": False, "error": "x" * 100_000, "data": {}}, 400)
    assert len(str(error)) == 1_000


# Secrets


def leaks(text: str, token: str) -> bool:
    """Say whether a text shows so much as eight characters of the token in a row."""
    return any(token[start : start + 8] in text for start in range(len(token) - 7))


@pytest.mark.parametrize("status", [200, 401])
@pytest.mark.parametrize(
    "words",
    [
        pytest.param("Unauthorized token {}", id="at-the-end"),
        pytest.param("{}: unauthorized, {}", id="twice"),
        pytest.param("x" * 80 + " {}", id="where-the-words-are-cut"),
    ],
)
def test_s13_token_that_the_service_repeats_is_taken_out(words, status):
    wire = Wire({"success": False, "error": words.replace("{}", TOKEN), "data": {}}, status)
    provider = calls(wire)
    with pytest.raises(DeliveryError) as caught:
        ask(provider)
    assert not leaks(provider.redact(str(caught.value)), TOKEN)


def test_s13_token_that_the_service_repeats_as_it_came_is_taken_out():
    # The address holds the token quoted; "no such page: /api/v1/…" repeats the address.
    token, quoted = "secret/key+for=you", "secret%2Fkey%2Bfor%3Dyou"
    wire = Wire({"success": False, "error": f"no such page: /{quoted}/", "data": {}}, 404)
    provider = calls(wire, token=token)
    with pytest.raises(DeliveryError) as caught:
        ask(provider)
    assert quoted not in provider.redact(str(caught.value))


def test_s13_repr_of_what_goes_out_shows_neither_token_nor_code():
    wire = Wire(with_data(code="0734"))
    ask(texts(wire, own_code=True), code="0734")
    assert repr(wire.requests[0]) == "WireRequest(method='GET', timeout_seconds=10.0)"


def test_s13_repr_of_what_came_back_does_not_show_the_code():
    assert "0427" not in repr(ask(calls(Wire(ACCEPTED))))


# Anything


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
CODES = st.from_regex(r"[0-9]{4}", fullmatch=True) | st.integers(-9, 99_999)
PHONES = st.sampled_from(["79244501003", "89244501003", "79244501004"])
DATA = st.fixed_dictionaries(
    {}, optional={"phone": PHONES | JSON, "code": CODES | JSON, "id": JSON}
)
ENVELOPE = st.fixed_dictionaries({}, optional={"success": JSON, "error": JSON, "data": DATA | JSON})


@budget(deadline=None, max_examples=200)
@given(ENVELOPE | JSON, st.integers(200, 599))
def test_s19_any_answer_is_a_code_or_an_error_of_ours(answer, status):
    try:
        started = ask(calls(Wire(answer, status)))
    except DeliveryError:
        return
    assert len(started.code) == 4
    assert started.code.isdigit()


@budget(deadline=None, max_examples=200)
@given(st.binary(max_size=200), st.integers(200, 599))
def test_s19_any_bytes_are_an_error_of_ours(answer, status):
    assert isinstance(failure(answer, status), DeliveryError)
