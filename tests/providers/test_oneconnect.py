"""oneconnect.uno: messages with its codes. The bodies are files, see wire/README.md."""

import base64
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from django_phone_otp import codes, exceptions
from django_phone_otp.choices import Channel, Custody
from django_phone_otp.codes import Alphabet
from django_phone_otp.exceptions import (
    DeliveryError,
    DeliveryUncertain,
    InsufficientFunds,
    InvalidRecipient,
    ProviderRejected,
)
from django_phone_otp.providers.base import Balance, Started, StartRequest
from django_phone_otp.providers.oneconnect import OneConnect
from django_phone_otp.testing import ProviderContract, Wire

PHONE = "+447700900123"
WIRE_PHONE = "447700900123"
EMAIL = "login@shop.example"
KEY = "c9e1b7d04f2a46d8"
BASIC = base64.b64encode(f"{EMAIL}:{KEY}".encode()).decode()
OPTIONS: dict[str, Any] = {"email": EMAIL, "api_key": KEY}


def body(name: str) -> bytes:
    return (Path(__file__).parent / "wire" / f"{name}.json").read_bytes()


ACCEPTED = json.loads(body("oneconnect_accepted"))
MIXED = {"only_numbers": False, "length": 8}
CAPITALS = {"only_numbers": False, "only_uppercase": True}


def texts(wire: Wire, **options: Any) -> OneConnect:
    parsed, problems = OneConnect.Options.parse({**OPTIONS, **options})
    assert parsed is not None, problems
    return OneConnect(parsed, wire)


def ask(provider: OneConnect) -> Started:
    return provider.start(StartRequest(phone=PHONE))


def failure(answer: Any, status: int = 200, **options: Any) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        ask(texts(Wire(answer, status), **options))
    return caught.value


def problems_of(**options: Any) -> list[str]:
    return OneConnect.Options.parse({**OPTIONS, **options})[1]


class TestContract(ProviderContract):
    provider_class = OneConnect
    options = OPTIONS
    phone = PHONE
    accepted = ACCEPTED


class TestFourDigitsContract(TestContract):
    options = {**OPTIONS, "length": 4}
    accepted = json.loads(body("oneconnect_code_like_an_error"))


class TestCapitalsContract(TestContract):
    options = {**OPTIONS, **CAPITALS}
    accepted = json.loads(body("oneconnect_accepted_capitals"))


class TestMixedContract(TestContract):
    options = {**OPTIONS, **MIXED}
    accepted = json.loads(body("oneconnect_accepted_mixed"))


class TestPlusContract(TestContract):
    options = {**OPTIONS, "plus": True}


# What goes out


def test_message_on_the_wire():
    wire = Wire(ACCEPTED)
    ask(texts(wire))
    (request,) = wire.requests
    assert request.method == "POST"
    assert request.url == "https://oneconnect.uno/api/v1/mfa/sms_auth"
    assert request.basic_auth == (EMAIL, KEY)
    assert request.form == {
        "phone_number": WIRE_PHONE,
        "only_numbers": "true",
        "only_uppercase": "false",
        "length": "6",
    }
    assert (request.query, request.json) == ({}, None)


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        pytest.param({"plus": True}, {"phone_number": PHONE}, id="plus"),
        pytest.param({"length": 4}, {"length": "4"}, id="length"),
        pytest.param({"only_numbers": False}, {"only_numbers": "false"}, id="mixed"),
        pytest.param(CAPITALS, {"only_numbers": "false", "only_uppercase": "true"}, id="capitals"),
    ],
)
def test_options_on_the_wire(options, changes):
    wire = Wire({**ACCEPTED, "code": "042719"[: options.get("length")]})
    ask(texts(wire, **options))
    plain = {"phone_number": WIRE_PHONE, "only_numbers": "true", "only_uppercase": "false"}
    assert wire.requests[0].form == {**plain, "length": "6", **changes}


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8000/sms", "http://127.0.0.1:8000/sms/"])
def test_address_may_be_another(base_url):
    wire = Wire(ACCEPTED)
    ask(texts(wire, base_url=base_url))
    assert wire.requests[0].url == "http://127.0.0.1:8000/sms/api/v1/mfa/sms_auth"


def test_timeout_is_that_of_the_options():
    wire = Wire(ACCEPTED)
    ask(texts(wire, timeout=3))
    assert wire.requests[0].timeout_seconds == 3


# What it declares


def test_declares_itself():
    provider = texts(Wire())
    declared = (provider.key, provider.channel, provider.custody, provider.needs_preparation)
    assert declared == ("oneconnect", Channel.SMS, Custody.RETURNED, False)


@pytest.mark.parametrize(
    ("options", "alphabet", "length"),
    [
        pytest.param({}, Alphabet.DIGITS, 6, id="default"),
        pytest.param({"only_uppercase": True}, Alphabet.DIGITS, 6, id="digits-have-no-case"),
        pytest.param(CAPITALS, Alphabet.CAPITALS, 6, id="capitals"),
        pytest.param(MIXED, Alphabet.MIXED, 8, id="mixed"),
    ],
)
def test_codes_are_those_of_the_options(options, alphabet, length):
    provider = texts(Wire(), **options)
    assert (provider.alphabet, provider.code_length) == (alphabet, length)


def test_codes_are_those_of_the_account_not_of_the_class():
    texts(Wire(), **MIXED)
    assert (texts(Wire()).alphabet, texts(Wire()).code_length) == (Alphabet.DIGITS, 6)


def test_any_country_is_supported():
    assert texts(Wire()).supports(PHONE)
    assert texts(Wire()).supports("+375295550142")


@pytest.mark.parametrize(("answer", "is_right"), [("4kWz7TqB", True), ("4KWZ7TQB", False)])
def test_mixed_codes_are_compared_with_regard_to_case(answer, is_right):
    provider = texts(Wire(body("oneconnect_accepted_mixed")), **MIXED)
    digest = codes.make_digest(ask(provider).code, alphabet=provider.alphabet, bound_to="x")
    assert codes.matches_any(answer, [digest], bound_to="x") is is_right


def test_state_of_a_delivery_is_not_told():
    wire = Wire()
    assert texts(wire).status("1") is None
    assert wire.requests == []


# Options


@pytest.mark.parametrize("length", [4, 6, 16])
def test_lengths_that_are_allowed(length):
    assert problems_of(length=length) == []


@pytest.mark.parametrize("length", [-6, 0, 1, 3, 17])
def test_lengths_that_are_refused(length):
    assert problems_of(length=length) == ['"length" must be from 4 to 16.']


@pytest.mark.parametrize("email", ["a:b@shop.example", "вход@shop.example"])
def test_e_mail_that_basic_cannot_carry_is_refused(email):
    assert problems_of(email=email) == ['"email" must be ASCII without a colon.']


def test_key_that_basic_cannot_carry_is_refused():
    assert problems_of(api_key="ключ-с-сайта") == ['"api_key" must be ASCII.']


def test_key_may_have_a_colon():
    assert problems_of(api_key="a:key:with:colons") == []


def test_all_problems_are_told_at_once():
    assert len(problems_of(email=":", api_key="ключ", length=1, timeout=0)) == 4


@pytest.mark.parametrize("name", ["email", "api_key"])
def test_credentials_are_required(name):
    assert problems_of(**{name: ""}) == [f'"{name}" is missing.']


# Success


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("oneconnect_accepted", id="documented"),
        pytest.param("oneconnect_code_is_a_number", id="code-is-a-number"),
        pytest.param("oneconnect_phone_with_plus", id="phone-with-plus"),
    ],
)
@pytest.mark.parametrize("plus", [True, False], ids=["plus", "no-plus"])
def test_code_is_read(name, plus):
    assert ask(texts(Wire(body(name)), plus=plus)) == Started(code="042719")


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [
        pytest.param("oneconnect_accepted_mixed", MIXED, "4kWz7TqB", id="mixed"),
        pytest.param("oneconnect_accepted_capitals", CAPITALS, "Q7ZT4M", id="capitals"),
    ],
)
def test_code_with_letters_is_read(name, options, code):
    assert ask(texts(Wire(body(name)), **options)) == Started(code=code)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        pytest.param("042719", "042719", id="text"),
        pytest.param(" 042719\n", "042719", id="text-with-blanks"),
        pytest.param("000000", "000000", id="zeros"),
        pytest.param(42719, "042719", id="number"),
        pytest.param(7, "000007", id="small-number"),
        pytest.param(0, "000000", id="zero"),
        pytest.param(987_123, "987123", id="whole-number"),
    ],
)
def test_numeric_code_in_any_form_has_its_length(value, code):
    assert ask(texts(Wire({**ACCEPTED, "code": value}))).code == code


@pytest.mark.parametrize(
    ("value", "code"),
    [
        pytest.param(" Q7ZT4M ", "Q7ZT4M", id="blanks"),
        pytest.param("042719", "042719", id="digits-alone"),
        pytest.param(942_719, "942719", id="digits-alone-as-a-number"),
    ],
)
@pytest.mark.parametrize("options", [CAPITALS, {**MIXED, "length": 6}], ids=["capitals", "mixed"])
def test_code_that_may_have_letters_in_any_form(value, code, options):
    assert ask(texts(Wire({**ACCEPTED, "code": value}), **options)).code == code


@pytest.mark.parametrize(
    "phone", [447700900123, " 447700900123 ", "+447700900123"], ids=["number", "blanks", "plus"]
)
def test_our_phone_in_any_form_is_ours(phone):
    assert ask(texts(Wire({**ACCEPTED, "phone_number": phone}))).code == "042719"


def test_any_status_that_accepts_will_do():
    assert ask(texts(Wire(ACCEPTED, status=201))).code == "042719"


@pytest.mark.parametrize("error_code", [0, "0", None, ""], ids=repr)
def test_error_number_of_success_is_none(error_code):
    # Documented for other calls of the service.
    answer = {**ACCEPTED, "error_code": error_code, "error": None, "errors": []}
    assert ask(texts(Wire(answer))).code == "042719"


# A code other than the one that was asked for


ANY_KIND = [
    pytest.param({}, id="digits"),
    pytest.param({"length": 10}, id="ten-digits"),
    pytest.param(CAPITALS, id="capitals"),
    pytest.param(MIXED, id="mixed"),
]


@pytest.mark.parametrize("options", ANY_KIND)
@pytest.mark.parametrize(
    "code",
    [
        pytest.param("0427", id="four-digits"),
        pytest.param("42719", id="five-digits"),
        pytest.param("0427190", id="seven-digits"),
        pytest.param("0" * 16, id="sixteen-digits"),
        pytest.param("QZTM", id="four-letters"),
        pytest.param("Z" * 16, id="sixteen-letters"),
        pytest.param("04271x", id="digits-and-a-letter"),
        pytest.param("4kWz7Tq", id="letters-of-both-cases"),
        pytest.param("1001", id="almost-an-error-number"),
        pytest.param("10000", id="longer-than-an-error-number"),
    ],
)
def test_any_code_for_our_phone_counts(code, options):
    # It is on its way.
    assert ask(texts(Wire({**ACCEPTED, "code": code}), **options)) == Started(code=code)


@pytest.mark.parametrize(
    ("value", "options", "code"),
    [
        pytest.param(1_042_719, {}, "1042719", id="longer-than-asked-for"),
        pytest.param(42719, {"length": 4}, "42719", id="longer-than-four"),
        pytest.param(42719, {"length": 8}, "00042719", id="zeros-for-digits"),
        pytest.param(42719, CAPITALS, "42719", id="no-zeros-for-capitals"),
        pytest.param(42719, MIXED, "42719", id="no-zeros-for-mixed"),
        pytest.param(9_999_999_999_999_999, {}, "9999999999999999", id="sixteen-digits"),
    ],
)
def test_any_number_for_our_phone_counts(value, options, code):
    assert ask(texts(Wire({**ACCEPTED, "code": value}), **options)) == Started(code=code)


# A code without a phone


@pytest.mark.parametrize("phone", [None, "", "  ", "+", 0, False, [], {}], ids=repr)
def test_digits_that_were_asked_for_need_no_phone(phone):
    assert ask(texts(Wire({**ACCEPTED, "phone_number": phone}))) == Started(code="042719")


def test_digits_that_were_asked_for_may_come_alone():
    assert ask(texts(Wire(body("oneconnect_code_alone")))) == Started(code="042719")


@pytest.mark.parametrize(
    ("code", "options"),
    [
        pytest.param("04271", {"length": 5}, id="five"),
        pytest.param(" 042719\n", {}, id="blanks"),
        pytest.param("000000", {}, id="zeros"),
        pytest.param("001000", {}, id="six-digits-that-are-1000"),
        pytest.param("042719", {"only_uppercase": True}, id="digits-have-no-case"),
        pytest.param("9" * 16, {"length": 16}, id="sixteen"),
    ],
)
def test_digits_of_the_length_that_was_asked_for_need_no_phone(code, options):
    assert ask(texts(Wire({"code": code}), **options)) == Started(code=code.strip())


@pytest.mark.parametrize(
    ("code", "options"),
    [
        pytest.param("42719", {}, id="short"),
        pytest.param("0427190", {}, id="long"),
        pytest.param("0427", {}, id="four"),
        pytest.param("04271x", {}, id="letter"),
        pytest.param("QMZRTK", {}, id="letters"),
        pytest.param("٠٤٢٧١٩", {}, id="digits-of-another-script"),
        pytest.param("04271²", {}, id="superscript"),
        pytest.param(42719, {}, id="number"),
        pytest.param(987_123, {}, id="whole-number"),
        pytest.param(0, {}, id="zero"),
        pytest.param("Q7ZT4M", CAPITALS, id="capitals"),
        pytest.param("042719", CAPITALS, id="digits-for-capitals"),
        pytest.param("4kWz7TqB", MIXED, id="mixed"),
        pytest.param("04271904", MIXED, id="digits-for-mixed"),
        pytest.param(4271, {"length": 4}, id="whole-number-of-four"),
    ],
)
def test_anything_else_without_a_phone_is_uncertain(code, options):
    error = failure({"code": code}, **options)
    assert (type(error), str(error)) == (DeliveryUncertain, "HTTP 200 without a code")


# No code


@pytest.mark.parametrize("options", ANY_KIND)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="null"),
        pytest.param("", id="empty"),
        pytest.param("   ", id="blanks"),
        pytest.param("427", id="three-digits"),
        pytest.param("Q7Z", id="three-letters"),
        pytest.param(" 427 ", id="three-digits-with-blanks"),
        pytest.param("0" * 17, id="seventeen-digits"),
        pytest.param("Z" * 17, id="seventeen-letters"),
        pytest.param("042 719", id="blank-inside"),
        pytest.param("Q7-T4M", id="hyphen"),
        pytest.param("0427_19", id="underscore"),
        pytest.param("٠٤٢٧١٩", id="digits-of-another-script"),
        pytest.param("04271²", id="superscript"),
        pytest.param("Ж7ZT4M", id="cyrillic-letter"),
        pytest.param("-42719", id="sign"),
        pytest.param(True, id="true"),
        pytest.param(False, id="false"),
        pytest.param(42719.0, id="float"),
        pytest.param(-42719, id="negative"),
        pytest.param(-4, id="small-negative"),
        pytest.param(10_000_000_000_000_000, id="number-of-seventeen-digits"),
        pytest.param("9" * 5_000, id="endless"),
        pytest.param(["042719"], id="list"),
        pytest.param({"code": "042719"}, id="object"),
    ],
)
def test_what_is_no_code_is_uncertain(value, options):
    error = failure({**ACCEPTED, "code": value}, **options)
    assert (type(error), str(error)) == (DeliveryUncertain, "HTTP 200 without a code")


@pytest.mark.parametrize("options", [CAPITALS, {**MIXED, "length": 6}], ids=["capitals", "mixed"])
@pytest.mark.parametrize("value", [0, 7, 427, 999])
def test_small_number_is_no_code_unless_codes_are_digits(value, options):
    assert type(failure({**ACCEPTED, "code": value}, **options)) is DeliveryUncertain


def test_true_is_no_code_of_four_letters():
    error = failure({**ACCEPTED, "code": True}, only_numbers=False, length=4)
    assert type(error) is DeliveryUncertain


@pytest.mark.parametrize(
    "phone",
    [
        pytest.param("447700900124", id="another"),
        pytest.param("07700900123", id="national"),
        pytest.param("00447700900123", id="zeros-in-front"),
        pytest.param("7700900123", id="end-of-it"),
        pytest.param("++447700900123", id="two-signs"),
        pytest.param("0", id="zero"),
        pytest.param(["447700900123"], id="list"),
        pytest.param(True, id="true"),
    ],
)
def test_answer_about_another_phone_is_uncertain(phone):
    error = failure({**ACCEPTED, "phone_number": phone})
    assert type(error) is DeliveryUncertain
    assert str(error) == "the answer is about another phone"


@pytest.mark.parametrize("code", ["1000", 1000, "4004", None], ids=repr)
@pytest.mark.parametrize("length", [4, 6])
def test_answer_about_another_phone_is_uncertain_whatever_its_code(code, length):
    answer = {"code": code, "phone_number": "447700900124"}
    assert type(failure(answer, length=length)) is DeliveryUncertain


@pytest.mark.parametrize("name", ["oneconnect_another_phone", "oneconnect_without_code"])
def test_answer_to_somebody_else_is_uncertain(name):
    assert str(failure(body(name))) == "the answer is about another phone"


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        pytest.param({"length": 4}, {"code": 4029, "message": "Too many."}, id="number"),
        pytest.param({}, {"code": "4029", "message": "Too many."}, id="number-as-text"),
        pytest.param({}, {"code": 422, "message": "No."}, id="status"),
        pytest.param(CAPITALS, {"code": "FAILED", "message": "No."}, id="word"),
        pytest.param({}, {"code": "FAILED", "message": "No."}, id="word-for-digits"),
    ],
)
def test_error_that_looks_like_a_code_is_no_code(options, answer):
    # Everybody could guess it.
    assert type(failure(answer, **options)) is DeliveryUncertain


# Errors by number


NUMBERS = [
    pytest.param(1000, InsufficientFunds, id="1000"),
    pytest.param("1000", InsufficientFunds, id="1000-as-text"),
    pytest.param(4004, InvalidRecipient, id="4004"),
    pytest.param("4004", InvalidRecipient, id="4004-as-text"),
]
PLACES = {
    "error_code": lambda number: {"error_code": number},
    "error": lambda number: {"error": number},
    "error_code-in-error": lambda number: {"error": {"error_code": number}},
    "code-in-error": lambda number: {"error": {"code": number, "message": "no"}},
}


@pytest.mark.parametrize("status", [200, 201, 301, 400, 401, 402, 404, 422, 429, 500, 503])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("number", "kind"), NUMBERS)
def test_error_number_counts_at_any_status(number, kind, place, status):
    error = failure(PLACES[place](number), status)
    assert (type(error), str(error)) == (kind, f"HTTP {status}, error {number}")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("oneconnect_no_balance", InsufficientFunds, id="no-balance"),
        pytest.param("oneconnect_invalid_phone", InvalidRecipient, id="invalid-phone"),
        pytest.param("oneconnect_error_in_code", InsufficientFunds, id="in-code"),
        pytest.param("oneconnect_error_in_error", InvalidRecipient, id="in-error"),
    ],
)
def test_error_number_is_found(name, kind):
    assert type(failure(body(name))) is kind


@pytest.mark.parametrize("place", PLACES)
def test_error_number_outweighs_a_code(place):
    assert type(failure({**ACCEPTED, **PLACES[place](1000)})) is InsufficientFunds


@pytest.mark.parametrize(
    "options",
    [{}, {"length": 4}, {**MIXED, "length": 4}],
    ids=["six-digits", "four-digits", "four-of-any-kind"],
)
@pytest.mark.parametrize("status", [200, 400, 402, 422])
@pytest.mark.parametrize(("number", "kind"), NUMBERS)
def test_error_number_without_a_phone_is_no_code(number, kind, status, options):
    # SECURITY: not with codes of four digits either, everybody could guess it.
    assert type(failure({"code": number}, status, **options)) is kind


@pytest.mark.parametrize("options", [{}, {"only_numbers": False}], ids=["digits", "mixed"])
@pytest.mark.parametrize("value", ["1000", "4004", " 1000 ", 1000, 4004], ids=repr)
def test_code_for_our_phone_may_be_like_an_error_number(value, options):
    answer = {"code": value, "phone_number": WIRE_PHONE}
    assert ask(texts(Wire(answer), length=4, **options)).code == str(value).strip()


def test_code_for_our_phone_may_be_like_an_error_number_as_documented():
    provider = texts(Wire(body("oneconnect_code_like_an_error")), length=4)
    assert ask(provider) == Started(code="1000")


@pytest.mark.parametrize("options", [*ANY_KIND, pytest.param({"length": 5}, id="five")])
@pytest.mark.parametrize(("number", "kind"), NUMBERS)
def test_code_of_another_length_is_an_error_number_for_our_phone_too(number, kind, options):
    # With zeros in front it would be a code that everybody can guess.
    assert type(failure({"code": number, "phone_number": WIRE_PHONE}, **options)) is kind


@pytest.mark.parametrize("code", ["001000", "004004"])
def test_code_with_the_zeros_of_its_length_is_no_error_number(code):
    assert ask(texts(Wire({**ACCEPTED, "code": code}))) == Started(code=code)


@pytest.mark.parametrize("status", [400, 402, 422])
@pytest.mark.parametrize(("number", "kind"), NUMBERS)
def test_refusing_status_makes_it_an_error_number(number, kind, status):
    answer = {"code": number, "phone_number": WIRE_PHONE}
    assert type(failure(answer, status, length=4)) is kind


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("phone", [WIRE_PHONE, None])
def test_server_error_with_a_number_in_the_place_of_the_code_is_uncertain(phone, status):
    answer = {"code": 1000, "phone_number": phone}
    assert type(failure(answer, status)) is DeliveryUncertain


@pytest.mark.parametrize("value", [True, 1000.0, "1000.0", "-1000", "1000x", "01000 ", [1000]])
def test_what_is_no_error_number_is_uncertain(value):
    assert type(failure({"code": value})) is DeliveryUncertain


# Refusals


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        pytest.param(200, "ProviderRejected", id="200"),
        pytest.param(400, "ProviderRejected", id="400"),
        pytest.param(401, "Misconfigured", id="401"),
        pytest.param(402, "InsufficientFunds", id="402"),
        pytest.param(403, "Misconfigured", id="403"),
        pytest.param(404, "Misconfigured", id="404"),
        pytest.param(422, "ProviderRejected", id="422"),
        pytest.param(429, "ProviderThrottled", id="429"),
        pytest.param(301, "Misconfigured", id="301"),
        pytest.param(500, "DeliveryUncertain", id="500"),
        pytest.param(503, "DeliveryUncertain", id="503"),
    ],
)
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(body("oneconnect_errors"), id="errors"),
        pytest.param({"error": "no"}, id="error"),
        pytest.param({"error": {"message": "no"}}, id="error-is-an-object"),
        pytest.param({"error_code": 1010, "message": "no"}, id="number-of-another-call"),
        pytest.param({"error_code": "x"}, id="error-code-is-no-number"),
    ],
)
def test_refusal(answer, status, kind):
    assert type(failure(answer, status)) is getattr(exceptions, kind)


@pytest.mark.parametrize("status", [301, 400, 401, 402, 404, 422, 429, 500])
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ACCEPTED, id="code"),
        pytest.param({**ACCEPTED, "code": 422}, id="number"),
        pytest.param(body("oneconnect_another_phone"), id="another-phone"),
        pytest.param({"message": "no"}, id="message"),
        pytest.param(b"HTTP Basic: Access denied.\n", id="text"),
    ],
)
def test_without_an_error_the_status_decides(answer, status):
    assert type(failure(answer, status)) is type(failure({"error": "no"}, status))


@pytest.mark.parametrize(
    "refusal", [{"error": "no"}, {"errors": ["no"]}, {"error_code": 1}], ids=repr
)
def test_error_beside_a_code_is_a_refusal(refusal):
    assert type(failure({**ACCEPTED, **refusal})) is ProviderRejected


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(body("oneconnect_errors"), "['Length is invalid']", id="errors"),
        pytest.param({"error_code": 7, "message": "No."}, "7 No.", id="number-and-message"),
        pytest.param({"error": "No.", "status": "ERROR"}, "No.", id="error"),
    ],
)
def test_words_of_the_service_are_for_operators(answer, words):
    assert str(failure(answer)) == f"HTTP 200 {words}"
    assert str(failure(answer, 422)) == f"HTTP 422 {words}"


def test_message_with_a_status_is_for_operators():
    assert str(failure({"message": "Slowly.", "code": 5}, 429)) == "HTTP 429 Slowly."


@pytest.mark.parametrize(
    "words", ["No balance.", "1000 No balance.", "Invalid phone number.", "error 4004"]
)
def test_nothing_is_concluded_from_the_words(words):
    for answer in ({"error": words}, {"errors": [words]}, {"error_code": words}):
        assert type(failure(answer)) is ProviderRejected
    assert type(failure({"message": words})) is DeliveryUncertain


def test_words_without_end_are_cut():
    assert len(str(failure({"error": "x" * 100_000}))) == 1_000


# Balance


@pytest.mark.parametrize("count", [930, "930"], ids=["number", "text"])
def test_balance_is_in_messages(count):
    assert texts(Wire({"sms_balance": count})).balance() == Balance(amount=Decimal(930))


def test_balance_on_the_wire():
    wire = Wire(body("oneconnect_balance"))
    assert texts(wire).balance() == Balance(amount=Decimal(930), currency="")
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", "https://oneconnect.uno/api/v1/balance")
    assert (request.query, request.form, request.basic_auth) == ({}, None, (EMAIL, KEY))


def test_balance_may_be_nothing():
    assert texts(Wire({"sms_balance": 0})).balance() == Balance(amount=Decimal(0))


def test_balance_like_an_error_number_is_a_balance():
    assert texts(Wire({"sms_balance": 1000})).balance() == Balance(amount=Decimal(1000))


def test_probe_asks_for_the_balance():
    wire = Wire(body("oneconnect_balance"))
    assert texts(wire).probe() == Balance(amount=Decimal(930))
    assert [each.method for each in wire.requests] == ["GET"]


@pytest.mark.parametrize("count", [None, "", "x", True, -1, 1.5, "9" * 99, [930], {}], ids=repr)
def test_what_is_no_balance_is_uncertain(count):
    with pytest.raises(DeliveryUncertain, match=r"^HTTP 200 without a balance$"):
        texts(Wire({"sms_balance": count})).balance()


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        pytest.param({"error_code": 1000}, 200, "InsufficientFunds", id="error-number"),
        pytest.param({"code": 1000}, 200, "InsufficientFunds", id="error-number-in-code"),
        pytest.param({"error": "no"}, 200, "ProviderRejected", id="error"),
        pytest.param(b"HTTP Basic: Access denied.\n", 401, "Misconfigured", id="401"),
        pytest.param({"message": "no"}, 403, "Misconfigured", id="403"),
        pytest.param({"sms_balance": 930}, 500, "DeliveryUncertain", id="500"),
        pytest.param([{"sms_balance": 930}], 200, "DeliveryUncertain", id="list"),
        pytest.param(exceptions.NotConnected("no"), 200, "ProviderUnavailable", id="no-connection"),
        pytest.param(exceptions.NoAnswer("no"), 200, "DeliveryUncertain", id="no-answer"),
    ],
)
def test_balance_that_is_not_told(answer, status, kind):
    with pytest.raises(DeliveryError) as caught:
        texts(Wire(answer, status)).balance()
    assert type(caught.value) is getattr(exceptions, kind)


# Secrets


def leaks(text: str, secret: str) -> bool:
    """Say whether a text shows so much as eight characters of a secret in a row."""
    return any(secret[start : start + 8] in text for start in range(len(secret) - 7))


@pytest.mark.parametrize("status", [200, 401, 422])
@pytest.mark.parametrize(
    "words",
    [
        pytest.param("no such key {}", id="at-the-end"),
        pytest.param("{}: unauthorized, {}", id="twice"),
        pytest.param("x" * 985 + " {}", id="where-the-words-are-cut"),
    ],
)
@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(KEY, id="key"),
        pytest.param(f"Basic {BASIC}", id="header"),
        pytest.param(BASIC.rstrip("="), id="header-without-padding"),
        pytest.param(quote(BASIC, safe=""), id="header-in-an-address"),
    ],
)
@pytest.mark.parametrize("name", ["error", "errors", "message", "error_code"])
def test_s13_credentials_that_the_service_repeats_are_taken_out(shown, words, status, name):
    answer = {"error": "no", name: words.replace("{}", shown)}
    error = f"{failure(answer, status)}"
    assert not leaks(error, KEY)
    assert not leaks(error, BASIC)


@pytest.mark.parametrize("key", ["k~~~~~~~?>", "k~~~~~~~~?>", "k~~~~~~~~~?>"])
def test_s13_header_with_signs_that_addresses_quote_is_taken_out(key):
    basic = base64.b64encode(f"{EMAIL}:{key}".encode()).decode()
    assert "/" in basic or "+" in basic
    quoted = quote(basic, safe="")
    for written in (basic, quoted, quoted.replace("%2F", "%2f").replace("%2B", "%2b")):
        shown = str(failure({"error": f"a {written} b"}, api_key=key))
        assert re.fullmatch(r"HTTP 200 a \*\*\*(=|%3D)* b", shown)


def test_s13_repr_of_what_goes_out_shows_no_credentials():
    wire = Wire(ACCEPTED)
    ask(texts(wire))
    assert repr(wire.requests[0]) == "WireRequest(method='POST', timeout_seconds=10.0)"


def test_s13_repr_of_what_came_back_does_not_show_the_code():
    assert "042719" not in repr(ask(texts(Wire(ACCEPTED))))


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        pytest.param({"phone_number": "", "code": 1_042_719}, 200, id="no-phone"),
        pytest.param({"code": "042719-0"}, 200, id="no-code"),
        pytest.param({"phone_number": "1"}, 200, id="another-phone"),
        pytest.param({"error": "no"}, 200, id="error"),
        pytest.param({"message": "no"}, 422, id="status"),
    ],
)
def test_s13_code_is_in_no_error(changes, status):
    assert "042719" not in str(failure({**ACCEPTED, **changes}, status))


# Anything


SECRET = st.sampled_from([KEY, BASIC, f"Basic {BASIC}"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | SECRET,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NUMBER = st.sampled_from([0, "0", 1000, "1000", 4004, "4004", 422])
CODE = st.from_regex(r"[0-9A-Za-z]{4,16}", fullmatch=True)
DIGITS = st.from_regex(r"[0-9]{4,16}", fullmatch=True)
CODES = st.from_regex(r"[0-9A-Za-z]{1,18}", fullmatch=True) | DIGITS | st.integers(-9, 10**17)
PHONES = st.sampled_from([WIRE_PHONE, PHONE, int(WIRE_PHONE), "447700900124"])
ERROR = NUMBER | JSON
ANSWER = (
    st.fixed_dictionaries(
        {},
        optional={
            "code": CODES | NUMBER | JSON,
            "phone_number": PHONES | JSON,
            "error_code": ERROR,
            "error": ERROR | st.dictionaries(st.sampled_from(["error_code", "code"]), ERROR),
            "errors": JSON,
            "message": JSON,
            "sms_balance": NUMBER | JSON,
        },
    )
    | JSON
)
DELIVERY = st.fixed_dictionaries(
    {"code": CODES | NUMBER}, optional={"phone_number": PHONES | st.none()}
)
STATUS = st.sampled_from([200, 422]) | st.integers(200, 599)
KINDS = st.sampled_from([{}, {"only_numbers": False}, CAPITALS])
LENGTHS = st.integers(4, 16)
ERROR_NUMBERS = {"1000", "4004"}


def is_error_number(code: str) -> bool:
    return code.lstrip("0") in ERROR_NUMBERS


def outcome(provider: OneConnect, *, of_balance: bool) -> Any:
    """Give what a call gives, or the error of ours that it raises."""
    try:
        return provider.balance() if of_balance else ask(provider)
    except DeliveryError as error:
        return error


@budget(deadline=None, max_examples=400)
@given(ANSWER | DELIVERY, STATUS, KINDS, LENGTHS, st.booleans())
def test_s19_any_answer_is_read_or_an_error_of_ours(answer, status, kind, length, of_balance):
    came = outcome(texts(Wire(answer, status), **kind, length=length), of_balance=of_balance)
    if isinstance(came, DeliveryError):
        assert not any(leaks(f"{came} {came!r}", secret) for secret in (KEY, BASIC))
        assert came.__cause__ is None
    elif isinstance(came, Started):
        assert re.fullmatch("[0-9A-Za-z]{4,16}", came.code)
        assert came.code not in ERROR_NUMBERS or length == 4
    else:
        assert came.amount >= 0


@budget(deadline=None, max_examples=200)
@given(CODE | DIGITS, st.sampled_from([WIRE_PHONE, PHONE, int(WIRE_PHONE)]), KINDS, LENGTHS)
def test_s19_any_code_for_our_phone_counts_as_it_came(code, phone, kind, length):
    assume(not is_error_number(code) or len(code) == length)
    provider = texts(Wire({"code": code, "phone_number": phone}), **kind, length=length)
    assert ask(provider) == Started(code=code)


@budget(deadline=None, max_examples=400)
@given(CODES | DIGITS | NUMBER | JSON, KINDS, st.sampled_from([4, 6]) | LENGTHS)
def test_s19_without_a_phone_only_the_digits_that_were_asked_for_count(value, kind, length):
    code = value.strip() if isinstance(value, str) else ""
    is_asked_for = bool(re.fullmatch(f"[0-9]{{{length}}}", code)) and not kind
    came = outcome(texts(Wire({"code": value}), **kind, length=length), of_balance=False)
    if is_asked_for and length > 4:
        assert came == Started(code=code)
    else:
        assert type(came) in {DeliveryUncertain, InsufficientFunds, InvalidRecipient}


@budget(deadline=None, max_examples=200)
@given(st.binary(max_size=200), st.integers(200, 599))
def test_s19_any_bytes_are_an_error_of_ours(answer, status):
    assert isinstance(failure(answer, status), DeliveryError)
