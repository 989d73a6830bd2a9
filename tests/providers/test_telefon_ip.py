"""telefon-ip.ru: flash calls, messages, calls from the person. Bodies are files: wire/README.md."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from django_phone_otp import exceptions
from django_phone_otp.choices import Channel, Custody
from django_phone_otp.exceptions import DeliveryError, DeliveryUncertain
from django_phone_otp.providers.base import Balance, DeliveryStatus, Started, StartRequest
from django_phone_otp.providers.telefon_ip import (
    TelefonIPFlashCall,
    TelefonIPReverseCall,
    TelefonIPSMS,
    TelefonIPTelegram,
)
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


def make(provider_class: Any, wire: Wire, options: dict[str, Any]) -> Any:
    parsed, problems = provider_class.Options.parse({"token": TOKEN, **options})
    assert parsed is not None, problems
    return provider_class(parsed, wire)


def calls(wire: Wire, **options: Any) -> TelefonIPFlashCall:
    return make(TelefonIPFlashCall, wire, options)


def texts(wire: Wire, **options: Any) -> TelefonIPSMS:
    return make(TelefonIPSMS, wire, options)


def telegrams(wire: Wire, **options: Any) -> TelefonIPTelegram:
    return make(TelefonIPTelegram, wire, options)


def awaits(wire: Wire, **options: Any) -> TelefonIPReverseCall:
    return make(TelefonIPReverseCall, wire, options)


ALL = [
    pytest.param(calls, id="flash"),
    pytest.param(texts, id="sms"),
    pytest.param(telegrams, id="telegram"),
    pytest.param(awaits, id="reverse"),
]


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


class TestFlashCallWithSMSFallbackContract(TestFlashCallContract):
    options = {"token": TOKEN, "sms_fallback": True}


class TestTelegramContract(ProviderContract):
    provider_class = TelefonIPTelegram
    options = {"token": TOKEN}
    phone = PHONE
    accepted = json.loads(body("telefon_ip_telegram"))


class TestTelegramWithOwnCodeContract(TestTelegramContract):
    options = {"token": TOKEN, "own_code": True}


class TestReverseCallContract(ProviderContract):
    provider_class = TelefonIPReverseCall
    options = {"token": TOKEN}
    phone = PHONE
    accepted = json.loads(body("telefon_ip_reverse"))
    called = json.loads(body("telefon_ip_reverse_called"))
    not_called = json.loads(body("telefon_ip_reverse_not_called"))


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


def test_telegram_on_the_wire():
    wire = Wire(body("telefon_ip_telegram"))
    ask(telegrams(wire))
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", f"{BASE}/get_tg_code/89244501003/")
    assert (request.query, request.form, request.basic_auth) == ({}, None, None)


def test_telegram_with_our_code_on_the_wire():
    wire = Wire(with_data(code="0734"))
    ask(telegrams(wire, own_code=True), code="0734")
    (request,) = wire.requests
    assert request.url == f"{BASE}/get_tg_code/89244501003/"
    assert request.query == {"code": "0734"}


def test_number_to_call_on_the_wire():
    wire = Wire(body("telefon_ip_reverse"))
    ask(awaits(wire))
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", f"{BASE}/reverse_auth_phone_get")
    assert (request.query, request.form) == ({"phone": "89244501003"}, None)


def test_question_who_has_called_on_the_wire():
    wire = Wire(body("telefon_ip_reverse_called"))
    awaits(wire).poll("5417", PHONE)
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", f"{BASE}/reverse_auth_phone_check/5417")
    assert (request.query, request.form) == ({}, None)


@pytest.mark.parametrize("provider", ALL)
def test_balance_on_the_wire(provider):
    wire = Wire(body("telefon_ip_balance"))
    provider(wire).balance()
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", f"{BASE}/get_balance/")
    assert (request.query, request.form) == ({}, None)


@pytest.mark.parametrize("provider", ALL)
def test_status_on_the_wire(provider):
    wire = Wire(body("telefon_ip_status"))
    provider(wire).status("454733")
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", f"{BASE}/get_status/454733/")
    assert (request.query, request.form) == ({}, None)


def test_reference_of_a_status_is_quoted():
    wire = Wire(body("telefon_ip_status"))
    calls(wire).status("../454733?a#b")
    assert wire.requests[0].url == f"{BASE}/get_status/..%2F454733%3Fa%23b/"


def test_reference_of_a_call_is_quoted():
    wire = Wire(body("telefon_ip_reverse_called"))
    awaits(wire).poll("../5417?a#b", PHONE)
    assert wire.requests[0].url == f"{BASE}/reverse_auth_phone_check/..%2F5417%3Fa%23b"


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


def test_telegram_declares_itself():
    provider = telegrams(Wire())
    declared = (provider.key, provider.channel, provider.custody, provider.code_length)
    assert declared == ("telefon-ip-telegram", Channel.TELEGRAM, Custody.RETURNED, 4)


def test_reverse_call_declares_itself():
    provider = awaits(Wire())
    declared = (provider.key, provider.channel, provider.custody, provider.code_length)
    assert declared == ("telefon-ip-reverse", Channel.REVERSE_CALL, Custody.PRESENCE, 0)


@pytest.mark.parametrize("provider", [texts, telegrams])
def test_message_with_our_code_has_local_custody(provider):
    assert provider(Wire(), own_code=True).custody is Custody.LOCAL


@pytest.mark.parametrize("provider", [texts, telegrams])
def test_custody_is_that_of_the_account_not_of_the_class(provider):
    provider(Wire(), own_code=True)
    assert provider(Wire()).custody is Custody.RETURNED


@pytest.mark.parametrize(
    ("provider_class", "limit"),
    [
        pytest.param(TelefonIPFlashCall, 3, id="flash"),
        pytest.param(TelefonIPSMS, None, id="sms"),
        pytest.param(TelefonIPTelegram, None, id="telegram"),
        pytest.param(TelefonIPReverseCall, None, id="reverse"),
    ],
)
def test_calls_to_one_phone_are_limited(provider_class, limit):
    assert provider_class.phone_daily_limit == limit


def test_reverse_call_has_no_code_to_make_here():
    _parsed, problems = TelefonIPReverseCall.Options.parse({"token": TOKEN, "own_code": True})
    assert problems == ['"own_code" is not an option; known: base_url, timeout, token.']


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
@pytest.mark.parametrize("provider", ALL)
def test_only_russian_mobile_numbers_are_supported(provider, phone, is_supported):
    assert provider(Wire()).supports(phone) is is_supported


# Success


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("telefon_ip_accepted", id="documented"),
        pytest.param("telefon_ip_code_is_a_number", id="code-is-a-number"),
        pytest.param("telefon_ip_phone_begins_with_8", id="phone-begins-with-8"),
        pytest.param("telefon_ip_phone_is_a_number", id="phone-is-a-number"),
        pytest.param("telefon_ip_telegram", id="telegram"),
        pytest.param("telefon_ip_telegram_status_is_1", id="telegram-status-is-1"),
    ],
)
@pytest.mark.parametrize("provider", [calls, texts, telegrams])
def test_code_and_reference_are_read(provider, name):
    assert ask(provider(Wire(body(name)))) == Started(code="0427", reference="168")


def test_code_alone_is_enough():
    assert ask(calls(Wire(body("telefon_ip_code_alone")))) == Started(code="0427", reference="")


@pytest.mark.parametrize("reference", [None, "", True, 1.5, ["168"], {"id": 168}], ids=repr)
def test_delivery_without_a_reference(reference):
    assert ask(calls(Wire(with_data(id=reference)))).reference == ""


@pytest.mark.parametrize("provider", [calls, texts, telegrams])
def test_code_lives_as_long_as_the_site_says(provider):
    # Telegram shows the message for 90 seconds; who has read it may still be typing.
    assert ask(provider(Wire(body("telefon_ip_telegram")))).lives_seconds is None


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


@pytest.mark.parametrize("provider", [calls, texts, telegrams])
def test_code_that_was_not_sent_is_a_refusal(provider):
    with pytest.raises(exceptions.ProviderRejected, match=r"^HTTP 200 not found in Telegram$"):
        ask(provider(Wire(body("telefon_ip_telegram_not_sent"))))


@pytest.mark.parametrize("status", [0, None, "", "false"], ids=repr)
def test_only_a_plain_no_means_that_nothing_was_sent(status):
    assert ask(telegrams(Wire(with_data(status=status)))).code == "0427"


# The number to call


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("telefon_ip_reverse", id="documented"),
        pytest.param("telefon_ip_reverse_begins_with_8", id="begins-with-8"),
    ],
)
def test_number_to_call_is_read(name):
    started = ask(awaits(Wire(body(name))))
    assert started == Started(call_to="+78005553535", reference="5417", lives_seconds=120)


def to_call(**changes: Any) -> dict[str, Any]:
    documented = json.loads(body("telefon_ip_reverse"))
    return {**documented, "data": {**documented["data"], **changes}}


@pytest.mark.parametrize(
    ("written", "e164"),
    [
        pytest.param("+78005553535", "+78005553535", id="plus"),
        pytest.param(" 78005553535 ", "+78005553535", id="blanks"),
        pytest.param(78005553535, "+78005553535", id="number"),
        pytest.param("74951234567", "+74951234567", id="fixed-line"),
        pytest.param("83912345678", "+73912345678", id="fixed-line-with-8"),
        pytest.param("79581234567", "+79581234567", id="mobile"),
    ],
)
def test_number_to_call_in_any_form_is_e164(written, e164):
    assert ask(awaits(Wire(to_call(auth_phone=written)))).call_to == e164


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(None, id="null"),
        pytest.param("", id="empty"),
        pytest.param("8005553535", id="without-country"),
        pytest.param("7800555353", id="short"),
        pytest.param("780055535350", id="long"),
        pytest.param("77271234567", id="Kazakhstan"),
        pytest.param("+88005553535", id="plus-and-8"),
        pytest.param("375291234567", id="Belarus"),
        pytest.param("900", id="short-code"),
        pytest.param("7800555353x", id="letter"),
        pytest.param("٧٨٠٠٥٥٥٣٥٣٥", id="digits-of-another-script"),
        pytest.param("7800555353٥", id="one-digit-of-another-script"),
        pytest.param("78005553535\n+79990000000", id="two-numbers"),
        pytest.param(True, id="true"),
        pytest.param(78005553535.0, id="float"),
        pytest.param(-78005553535, id="negative"),
        pytest.param(["78005553535"], id="list"),
    ],
)
def test_what_is_no_russian_number_cannot_be_called(written):
    with pytest.raises(DeliveryUncertain, match=r"^the answer has no Russian number to call$"):
        ask(awaits(Wire(to_call(auth_phone=written))))


@pytest.mark.parametrize("reference", [None, "", " ", True, 1.5, [5417], {}], ids=repr)
def test_without_an_identifier_nobody_can_be_asked(reference):
    with pytest.raises(DeliveryUncertain, match=r"^the answer has no identifier to ask with$"):
        ask(awaits(Wire(to_call(id=reference))))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("telefon_ip_reverse_without_id", "no identifier to ask with", id="id"),
        pytest.param("telefon_ip_reverse_without_number", "no Russian number to call", id="number"),
        pytest.param("telefon_ip_accepted", "no Russian number to call", id="of-another-action"),
        pytest.param("telefon_ip_reverse_success_alone", "HTTP 200 without data", id="no-data"),
    ],
)
def test_incomplete_number_to_call_is_uncertain(name, words):
    with pytest.raises(DeliveryUncertain, match=words):
        ask(awaits(Wire(body(name))))


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        pytest.param(400, "telefon_ip_400", "ProviderRejected", id="400"),
        pytest.param(401, "telefon_ip_401", "Misconfigured", id="401"),
        pytest.param(402, "telefon_ip_refused_with_200", "InsufficientFunds", id="402"),
        pytest.param(429, "telefon_ip_refused_with_200", "ProviderThrottled", id="429"),
        pytest.param(200, "telefon_ip_refused_with_200", "ProviderRejected", id="200"),
        pytest.param(503, "telefon_ip_reverse", "DeliveryUncertain", id="503"),
    ],
)
def test_refusal_of_a_number_to_call(status, name, kind):
    with pytest.raises(DeliveryError) as caught:
        ask(awaits(Wire(body(name), status)))
    assert type(caught.value) is getattr(exceptions, kind)


# Who has called


def called(answer: Any, status: int = 200) -> bool:
    return awaits(Wire(answer, status)).poll("5417", PHONE)


def caller(**data: Any) -> dict[str, Any]:
    return {"success": True, "error": "", "data": data}


def test_caller_is_the_person():
    assert called(body("telefon_ip_reverse_called")) is True


@pytest.mark.parametrize(
    "phone",
    ["79244501003", "89244501003", "+79244501003", 79244501003, 89244501003, " 79244501003 "],
    ids=repr,
)
def test_caller_in_any_form_is_the_person(phone):
    assert called(caller(phone=phone, id=5417)) is True


@pytest.mark.parametrize(
    ("status", "name"),
    [
        pytest.param(200, "telefon_ip_reverse_not_called", id="no-caller"),
        pytest.param(200, "telefon_ip_reverse_called_by_another", id="another-caller"),
        pytest.param(200, "telefon_ip_reverse_success_alone", id="success-alone"),
        pytest.param(200, "telefon_ip_reverse_caller_in_auth_phone", id="in-another-field"),
        pytest.param(200, "telefon_ip_reverse_refused_with_phone", id="refused-with-phone"),
        pytest.param(200, "telefon_ip_reverse", id="of-another-action"),
        pytest.param(200, "telefon_ip_data_alone", id="data-alone"),
        pytest.param(200, "telefon_ip_refused_with_200", id="refused-with-200"),
        pytest.param(200, "telefon_ip_refused_data_is_null", id="data-is-null"),
        pytest.param(200, "null", id="null"),
        pytest.param(400, "telefon_ip_400_id", id="400"),
        pytest.param(404, "telefon_ip_400_id", id="404"),
        pytest.param(400, "telefon_ip_reverse_refused_with_phone", id="400-with-phone"),
        pytest.param(400, "telefon_ip_reverse_called", id="400-without-a-refusal"),
        pytest.param(404, "telefon_ip_reverse_called", id="404-without-a-refusal"),
    ],
)
def test_nobody_has_called(status, name):
    assert called(body(name), status) is False


@pytest.mark.parametrize(
    "phone",
    [
        pytest.param("79244501004", id="another"),
        pytest.param("9244501003", id="without-country"),
        pytest.param("4501003", id="end-of-it"),
        pytest.param("99244501003", id="same-end-behind-another-country"),
        pytest.param("", id="empty"),
        pytest.param(None, id="null"),
        pytest.param(True, id="true"),
        pytest.param(79244501003.0, id="float"),
        pytest.param(["79244501003"], id="list"),
        pytest.param({"phone": "79244501003"}, id="object"),
    ],
)
def test_caller_who_is_not_the_person(phone):
    assert called(caller(phone=phone, id=5417)) is False


@pytest.mark.parametrize("success", [None, False, 1, "true", [True]], ids=repr)
def test_caller_in_an_answer_that_claims_no_success_is_not_believed(success):
    answer = {**json.loads(body("telefon_ip_reverse_called")), "success": success}
    assert called(answer) is False


@pytest.mark.parametrize(
    "data", [None, [], "79244501003", 79244501003, True, [{"phone": "79244501003"}]], ids=repr
)
def test_caller_outside_of_an_object_is_not_believed(data):
    assert called({"success": True, "error": "", "data": data}) is False


def test_caller_outside_of_the_data_is_not_believed():
    assert called({"success": True, "error": "", "data": {}, "phone": "79244501003"}) is False


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        pytest.param(401, "telefon_ip_401", "Misconfigured", id="401"),
        pytest.param(401, "telefon_ip_reverse_called", "Misconfigured", id="401-with-phone"),
        pytest.param(402, "telefon_ip_refused_with_200", "InsufficientFunds", id="402"),
        pytest.param(403, "telefon_ip_401", "Misconfigured", id="403"),
        pytest.param(429, "telefon_ip_refused_with_200", "ProviderThrottled", id="429"),
        pytest.param(429, "null", "ProviderThrottled", id="429-null"),
        pytest.param(301, "telefon_ip_reverse_called", "Misconfigured", id="301"),
        pytest.param(418, "telefon_ip_refused_with_200", "ProviderRejected", id="418"),
        pytest.param(500, "telefon_ip_reverse_called", "DeliveryUncertain", id="500"),
        pytest.param(503, "null", "DeliveryUncertain", id="503-null"),
        pytest.param(200, "telefon_ip_list", "DeliveryUncertain", id="list"),
    ],
)
def test_no_verdict_on_who_has_called(status, name, kind):
    with pytest.raises(DeliveryError) as caught:
        called(body(name), status)
    assert type(caught.value) is getattr(exceptions, kind)


def test_words_of_a_refusal_to_tell_who_has_called_are_for_operators():
    with pytest.raises(exceptions.Misconfigured, match=r"^HTTP 401 Unauthorized token$"):
        called(body("telefon_ip_401"), 401)


@pytest.mark.parametrize("answer", [b"", b"<html>", b'{"success": true', b"nul", b"\xff"])
def test_unreadable_answer_is_no_verdict_on_who_has_called(answer):
    with pytest.raises(DeliveryUncertain):
        called(answer)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (exceptions.NoAnswer("GET host: timeout"), exceptions.DeliveryUncertain),
        (exceptions.NotConnected("GET host: refused"), exceptions.ProviderUnavailable),
    ],
    ids=["no-answer", "not-connected"],
)
def test_no_answer_is_no_verdict_on_who_has_called(raised, kind):
    with pytest.raises(kind):
        called(raised)


@pytest.mark.parametrize("provider", [calls, texts, telegrams])
def test_only_the_reverse_call_waits_for_somebody(provider):
    with pytest.raises(NotImplementedError):
        provider(Wire(body("telefon_ip_reverse_called"))).poll("5417", PHONE)


# Balance and status


@pytest.mark.parametrize(
    ("name", "amount"),
    [
        pytest.param("telefon_ip_balance", "5.0", id="number"),
        pytest.param("telefon_ip_balance_is_text", "1234.50", id="text"),
    ],
)
@pytest.mark.parametrize("provider", ALL)
def test_balance_is_read(provider, name, amount):
    assert provider(Wire(body(name))).balance() == Balance(amount=Decimal(amount), currency="RUB")


@pytest.mark.parametrize(
    ("written", "amount"),
    [(0, "0"), (12, "12"), (0.1, "0.1"), (-3.5, "-3.5"), ("-3.5", "-3.5"), (" 7 ", "7")],
    ids=repr,
)
def test_balance_in_any_form_is_an_amount(written, amount):
    balance = calls(Wire(with_data(balance=written))).balance()
    assert balance == Balance(amount=Decimal(amount), currency="RUB")


def test_probe_gives_the_balance():
    probed = texts(Wire(body("telefon_ip_balance"))).probe()
    assert probed == Balance(amount=Decimal("5.0"), currency="RUB")


NO_AMOUNTS = [
    pytest.param(None, id="null"),
    pytest.param("", id="empty"),
    pytest.param("a lot", id="words"),
    pytest.param("1,5", id="comma"),
    pytest.param("NaN", id="NaN-in-text"),
    pytest.param("sNaN", id="sNaN-in-text"),
    pytest.param("-Infinity", id="infinity-in-text"),
    pytest.param(float("nan"), id="NaN"),
    pytest.param(float("inf"), id="infinity"),
    pytest.param("1e999999999", id="huge"),
    pytest.param("1e-999999999", id="tiny"),
    pytest.param(10**13, id="more-than-any-account-has"),
    pytest.param(True, id="true"),
    pytest.param(["5.0"], id="list"),
    pytest.param({"RUB": 5.0}, id="object"),
]


@pytest.mark.parametrize("written", NO_AMOUNTS)
def test_what_is_no_amount_is_no_balance(written):
    with pytest.raises(DeliveryUncertain, match=r"^the answer has no balance$"):
        calls(Wire(with_data(balance=written))).balance()


def test_refused_balance_says_why():
    with pytest.raises(exceptions.Misconfigured, match=r"^HTTP 401 Unauthorized token$"):
        calls(Wire(body("telefon_ip_401"), 401)).balance()


@pytest.mark.parametrize("provider", ALL)
def test_status_is_read(provider):
    status = provider(Wire(body("telefon_ip_status"))).status("454733")
    assert status == DeliveryStatus(words="Ok: SIP 200 OK", cost=Decimal("0.2"), currency="RUB")


@pytest.mark.parametrize("price", NO_AMOUNTS)
def test_status_without_a_price(price):
    status = calls(Wire(with_data(status_info=" Busy ", price=price))).status("168")
    assert status == DeliveryStatus(words="Busy", cost=None, currency="")


@pytest.mark.parametrize("words", [None, "", " ", 1, True, ["Ok"], {"Ok": 1}], ids=repr)
def test_status_without_words_is_uncertain(words):
    with pytest.raises(DeliveryUncertain, match=r"^the answer has no status$"):
        calls(Wire(with_data(status_info=words, status=1))).status("168")


def test_words_of_a_status_without_end_are_cut():
    status = calls(Wire(with_data(status_info="x" * 100_000))).status("168")
    assert len(status.words) == 200


def test_status_of_what_is_not_known_is_a_refusal():
    with pytest.raises(exceptions.ProviderRejected, match=r"^HTTP 400 id record not found$"):
        calls(Wire(body("telefon_ip_400_id"), 400)).status("168")


def test_status_that_failed_is_told_and_not_raised():
    status = telegrams(Wire(body("telefon_ip_telegram_not_sent"))).status("168")
    assert status.words == "not found in Telegram"


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


def test_s13_token_in_the_words_of_a_status_is_taken_out():
    status = calls(Wire(with_data(status_info=f"call of {TOKEN}: busy"))).status("168")
    assert status.words == "call of ***: busy"


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
PHONES = st.sampled_from(["79244501003", "89244501003", 79244501003, "79244501004"])
AMOUNTS = st.floats() | st.decimals().map(str) | st.integers()
DATA = st.fixed_dictionaries(
    {},
    optional={
        "phone": PHONES | JSON,
        "auth_phone": PHONES | JSON,
        "code": CODES | JSON,
        "id": st.integers(0, 999_999) | JSON,
        "status": st.sampled_from([True, 1, False]) | JSON,
        "status_info": st.just(f"Ok {TOKEN}") | JSON,
        "balance": AMOUNTS | JSON,
        "price": AMOUNTS | JSON,
    },
)
ENVELOPE = st.fixed_dictionaries(
    {},
    optional={
        "success": st.just(True) | JSON,
        "error": st.just(f"no page /{TOKEN}/") | JSON,
        "data": DATA | JSON,
    },
)
STATUSES = st.sampled_from([200, 201, 302, 400, 401, 402, 404, 429, 500]) | st.integers(200, 599)


def came_to(question: Any) -> Any:
    """Give what came of a question, or None for an error of ours; neither shows the token."""
    try:
        result = question()
    except DeliveryError as error:
        result, told = None, f"{error} {error!r}"
    else:
        told = f"{result} {result!r}"
    assert not leaks(told, TOKEN)
    return result


@budget(deadline=None, max_examples=200)
@given(ENVELOPE | JSON, STATUSES, st.sampled_from([calls, texts, telegrams]))
def test_s19_any_answer_is_a_code_or_an_error_of_ours(answer, status, provider):
    started = came_to(lambda: ask(provider(Wire(answer, status))))
    if started is not None:
        assert len(started.code) == 4
        assert started.code.isdigit()


@budget(deadline=None, max_examples=200)
@given(st.binary(max_size=200), st.integers(200, 599))
def test_s19_any_bytes_are_an_error_of_ours(answer, status):
    assert isinstance(failure(answer, status), DeliveryError)


@budget(deadline=None, max_examples=200)
@given(ENVELOPE | JSON, STATUSES)
def test_s19_any_answer_is_a_number_to_call_or_an_error_of_ours(answer, status):
    started = came_to(lambda: ask(awaits(Wire(answer, status))))
    if started is not None:
        assert len(started.call_to) == 12
        assert started.call_to.startswith("+7")
        assert started.reference
        assert not started.code


@budget(deadline=None, max_examples=500)
@given(ENVELOPE | JSON, STATUSES)
def test_s19_nobody_has_called_without_being_named(answer, status):
    if came_to(lambda: called(answer, status)):
        assert status < 300
        assert answer["success"] is True
        assert str(answer["data"]["phone"]).strip() in {"79244501003", "89244501003"}


@budget(deadline=None, max_examples=200)
@given(st.binary(max_size=200), st.integers(200, 599))
def test_s19_any_bytes_are_no_call(answer, status):
    assert not came_to(lambda: called(answer, status))


@budget(deadline=None, max_examples=200)
@given(ENVELOPE | JSON, STATUSES)
def test_s19_any_answer_is_a_balance_or_an_error_of_ours(answer, status):
    balance = came_to(calls(Wire(answer, status)).balance)
    assert balance is None or (type(balance.amount) is Decimal and balance.amount.is_finite())


@budget(deadline=None, max_examples=200)
@given(ENVELOPE | JSON, STATUSES)
def test_s19_any_answer_is_a_status_or_an_error_of_ours(answer, status):
    result = came_to(lambda: calls(Wire(answer, status)).status("168"))
    assert result is None or (result.words and (result.cost is None or result.currency == "RUB"))
