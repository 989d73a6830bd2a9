"""Twilio Verify v2, the provider that judges. The bodies are files, see wire/README.md."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from django_phone_otp import exceptions
from django_phone_otp.choices import Channel, Custody
from django_phone_otp.codes import Alphabet
from django_phone_otp.exceptions import (
    CodeGone,
    DeliveryError,
    DeliveryUncertain,
    InvalidRecipient,
    Misconfigured,
    PhoneOTPError,
    ProviderRejected,
    RecipientLimited,
)
from django_phone_otp.providers.base import Started, StartRequest
from django_phone_otp.providers.twilio_verify import TwilioVerify
from django_phone_otp.testing import ProviderContract, Wire

PHONE = "+79244501003"
CODE = "042718"
ACCOUNT = "AC" + "0123456789abcdef" * 2
KEY = "SK" + "89abcdef01234567" * 2
SERVICE = "VA" + "fedcba9876543210" * 2
VERIFICATION = "VE" + "0f1e2d3c4b5a6978" * 2
TOKEN = "5e1c0a7b9d2f4836a1b2c3d4e5f60718"
BASE = f"https://verify.twilio.com/v2/Services/{SERVICE}"
OPTIONS: dict[str, Any] = {
    "account_sid": ACCOUNT,
    "auth_token": TOKEN,
    "service_sid": SERVICE,
}


def body(name: str) -> bytes:
    return (Path(__file__).parent / "wire" / f"{name}.json").read_bytes()


STARTED = json.loads(body("twilio_started"))
APPROVED = json.loads(body("twilio_approved"))
PENDING = json.loads(body("twilio_wrong_code"))
REFUSED = {"code": 60200, "message": "Invalid parameter: To", "more_info": "", "status": 400}


def twilio(wire: Wire | None = None, **options: Any) -> TwilioVerify:
    parsed, problems = TwilioVerify.Options.parse({**OPTIONS, **options})
    assert parsed is not None, problems
    return TwilioVerify(parsed, wire or Wire())


def problems_of(**options: Any) -> list[str]:
    return TwilioVerify.Options.parse({**OPTIONS, **options})[1]


def start(answer: Any, status: int = 201, language: str = "en", **options: Any) -> Started:
    request = StartRequest(phone=PHONE, language=language)
    return twilio(Wire(answer, status), **options).start(request)


def check(answer: Any, status: int = 200, code: str = CODE) -> bool:
    return twilio(Wire(answer, status)).check(VERIFICATION, PHONE, code)


class TestContract(ProviderContract):
    provider_class = TwilioVerify
    options = OPTIONS
    phone = PHONE
    accepted = STARTED
    approved = APPROVED
    denied = PENDING


class TestWithAPIKeyContract(TestContract):
    options = {**OPTIONS, "api_key_sid": KEY}


class TestWithFourDigitsContract(TestContract):
    options = {**OPTIONS, "length": 4}


# Options


@pytest.mark.parametrize("missing", ["account_sid", "auth_token", "service_sid"])
def test_option_is_required(missing):
    assert problems_of(**{missing: ""}) == [f'"{missing}" is missing.']


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("account_sid", KEY, id="key-for-account"),
        pytest.param("account_sid", ACCOUNT[:-1], id="short"),
        pytest.param("account_sid", f"{ACCOUNT}\n", id="line-end"),
        pytest.param("service_sid", ACCOUNT, id="account-for-service"),
        pytest.param("service_sid", f"{SERVICE}/Verifications", id="path"),
        pytest.param("service_sid", SERVICE[:-1] + "g", id="not-hexadecimal"),
        pytest.param("api_key_sid", ACCOUNT, id="account-for-key"),
        pytest.param("api_key_sid", "SK", id="prefix-alone"),
    ],
)
def test_identifier_that_is_another_is_refused(name, value):
    prefix = {"account_sid": "AC", "service_sid": "VA", "api_key_sid": "SK"}[name]
    assert problems_of(**{name: value}) == [f'"{name}" must be {prefix} and 32 hexadecimal digits.']


def test_identifiers_may_be_written_in_capitals():
    assert problems_of(service_sid="VA" + "FEDCBA9876543210" * 2) == []


@pytest.mark.parametrize("length", [4, 6, 10])
def test_length_of_the_code_is_that_of_the_service(length):
    assert twilio(length=length).code_length == length


@pytest.mark.parametrize("length", [-6, 0, 3, 11])
def test_length_that_no_service_has_is_refused(length):
    assert problems_of(length=length) == ['"length" must be from 4 to 10.']


def test_address_without_encryption_is_refused():
    wrong = '"base_url" must be https:// with a host and at most a path.'
    assert problems_of(base_url="http://verify.twilio.com") == [wrong]


def test_several_problems_are_all_told():
    assert len(problems_of(service_sid=ACCOUNT, length=3, timeout=0)) == 3


# What it declares


def test_it_declares_itself():
    provider = twilio()
    declared = (provider.key, provider.channel, provider.custody, provider.code_length)
    assert declared == ("twilio-verify", Channel.SMS, Custody.REMOTE, 6)
    assert provider.alphabet is Alphabet.DIGITS


def test_length_is_that_of_the_account_not_of_the_class():
    twilio(length=4)
    assert twilio().code_length == 6


@pytest.mark.parametrize("phone", ["+79244501003", "+14155552345", "+375291234567"])
def test_every_number_is_supported_and_keeps_its_plus(phone):
    assert twilio().supports(phone)
    assert twilio().wire_phone(phone) == phone


def test_there_is_neither_a_balance_nor_a_status():
    assert twilio().balance() is None
    assert twilio().status(VERIFICATION) is None


# What goes out


def test_start_on_the_wire():
    wire = Wire(STARTED, 201)
    twilio(wire).start(StartRequest(phone=PHONE, language="ru"))
    (request,) = wire.requests
    assert (request.method, request.url) == ("POST", f"{BASE}/Verifications")
    assert request.form == {"To": "+79244501003", "Channel": "sms", "Locale": "ru"}
    assert (request.query, request.json) == ({}, None)
    assert request.basic_auth == (ACCOUNT, TOKEN)


def test_check_on_the_wire():
    wire = Wire(APPROVED)
    twilio(wire).check(VERIFICATION, PHONE, CODE)
    (request,) = wire.requests
    assert (request.method, request.url) == ("POST", f"{BASE}/VerificationCheck")
    assert request.form == {"VerificationSid": VERIFICATION, "Code": "042718"}
    assert (request.query, request.json) == ({}, None)
    assert request.basic_auth == (ACCOUNT, TOKEN)


def test_cancel_on_the_wire():
    wire = Wire(body("twilio_canceled"))
    twilio(wire).cancel(VERIFICATION)
    (request,) = wire.requests
    assert (request.method, request.url) == ("POST", f"{BASE}/Verifications/{VERIFICATION}")
    assert (request.form, request.basic_auth) == ({"Status": "canceled"}, (ACCOUNT, TOKEN))


def test_probe_on_the_wire():
    wire = Wire(body("twilio_service"))
    twilio(wire).probe()
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", BASE)
    assert (request.form, request.basic_auth) == (None, (ACCOUNT, TOKEN))


def test_reference_in_the_address_is_quoted():
    wire = Wire(body("twilio_canceled"))
    twilio(wire).cancel("../VE?a#b")
    assert wire.requests[0].url == f"{BASE}/Verifications/..%2FVE%3Fa%23b"


def test_api_key_takes_the_place_of_the_account():
    wire = Wire(STARTED, 201)
    twilio(wire, api_key_sid=KEY).start(StartRequest(phone=PHONE))
    assert wire.requests[0].basic_auth == (KEY, TOKEN)


def test_address_and_timeout_may_be_others():
    wire = Wire(STARTED, 201)
    given = {"base_url": "http://127.0.0.1:8000/twilio/", "timeout": 3}
    twilio(wire, **given).start(StartRequest(phone=PHONE))
    (request,) = wire.requests
    assert request.url == f"http://127.0.0.1:8000/twilio/v2/Services/{SERVICE}/Verifications"
    assert request.timeout_seconds == 3


@pytest.mark.parametrize(
    ("language", "locale"),
    [
        ("en", "en"),
        ("ru", "ru"),
        ("en-gb", "en-GB"),
        ("en_GB", "en-GB"),
        ("en-us", "en"),
        ("pt-br", "pt-BR"),
        ("pt-PT", "pt"),
        ("es-mx", "es"),
        ("nb", "nb"),
        ("zh-hans", "zh-CN"),
        ("zh-hans-sg", "zh-CN"),
        ("zh-hk", "zh-HK"),
        ("zh", "zh"),
        ("zh-hant", None),
        ("zh-hant-tw", None),
        ("be", None),
        ("sr-latn", None),
        ("english", None),
        ("", None),
    ],
)
def test_language_goes_out_where_twilio_knows_it(language, locale):
    wire = Wire(STARTED, 201)
    twilio(wire).start(StartRequest(phone=PHONE, language=language))
    form = wire.requests[0].form
    assert form is not None
    assert form.get("Locale") == locale


# Start


@pytest.mark.parametrize("status", [200, 201])
def test_verification_is_started(status):
    assert start(STARTED, status) == Started(reference=VERIFICATION, lives_seconds=600)


def test_phone_may_be_left_out_of_the_answer():
    answer = {name: value for name, value in STARTED.items() if name != "to"}
    assert start(answer).reference == VERIFICATION


@pytest.mark.parametrize(
    "to", ["+79244501004", "79244501003", "", 79244501003, True, ["+79244501003"], {}], ids=repr
)
def test_answer_about_another_phone_is_uncertain(to):
    with pytest.raises(DeliveryUncertain, match=r"^the answer is about another phone$"):
        start({**STARTED, "to": to})


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"sid": None}, id="no-sid"),
        pytest.param({"sid": ""}, id="empty-sid"),
        pytest.param({"sid": SERVICE}, id="sid-of-the-service"),
        pytest.param({"sid": VERIFICATION[:-1]}, id="short-sid"),
        pytest.param({"sid": VERIFICATION + "0"}, id="long-sid"),
        pytest.param({"sid": VERIFICATION + "\n"}, id="sid-and-line-end"),
        pytest.param({"sid": "VE" + "g" * 32}, id="sid-not-hexadecimal"),
        pytest.param({"sid": [VERIFICATION]}, id="list-of-sids"),
        pytest.param({"sid": 5}, id="number-for-sid"),
        pytest.param({"status": None}, id="no-status"),
        pytest.param({"status": 201}, id="number-for-status"),
        pytest.param({"status": "PENDING"}, id="status-in-capitals"),
        pytest.param({"status": "approved"}, id="approved"),
        pytest.param({"status": "canceled"}, id="canceled"),
        pytest.param({"status": ["pending"]}, id="list-of-statuses"),
    ],
)
def test_answer_without_a_pending_verification_is_uncertain(changes):
    with pytest.raises(DeliveryUncertain, match=r"^HTTP 201 without the fields that count$"):
        start({**STARTED, **changes})


def test_list_is_uncertain():
    with pytest.raises(DeliveryUncertain):
        start([STARTED])


def test_server_error_is_uncertain_whatever_it_says():
    with pytest.raises(DeliveryUncertain, match=r"^HTTP 503$"):
        start(STARTED, 503)


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        pytest.param(401, "twilio_20003", "Misconfigured", id="credentials"),
        pytest.param(404, "twilio_20404", "Misconfigured", id="service-or-locale"),
        pytest.param(429, "twilio_20429", "ProviderThrottled", id="account-too-fast"),
        pytest.param(400, "twilio_60200", "ProviderRejected", id="a-parameter"),
        pytest.param(429, "twilio_60203", "RecipientLimited", id="five-messages"),
        pytest.param(403, "twilio_60205", "RecipientUnreachable", id="landline"),
        pytest.param(403, "twilio_60410", "RecipientUnreachable", id="prefix-blocked"),
        pytest.param(403, "twilio_60605", "RecipientUnreachable", id="country-blocked"),
    ],
)
def test_refusal_with_a_number(status, name, kind):
    with pytest.raises(DeliveryError) as caught:
        start(body(name), status)
    assert type(caught.value) is getattr(exceptions, kind)
    message = json.loads(body(name))["message"]
    number = name.removeprefix("twilio_")
    assert str(caught.value) == f"HTTP {status} {number} {message}"


@pytest.mark.parametrize(
    ("number", "status", "kind"),
    [
        (10001, 403, "InsufficientFunds"),
        (20005, 403, "InsufficientFunds"),
        (21211, 400, "InvalidRecipient"),
        (60033, 400, "InvalidRecipient"),
        (60202, 429, "RecipientLimited"),
        (60212, 429, "RecipientLimited"),
        (60220, 403, "RecipientUnreachable"),
        (60223, 400, "Misconfigured"),
        (60238, 403, "ProviderRejected"),
        (60412, 403, "RecipientUnreachable"),
        (60436, 400, "InvalidRecipient"),
    ],
)
def test_number_of_a_refusal_says_more_than_its_status(number, status, kind):
    with pytest.raises(DeliveryError) as caught:
        start({**REFUSED, "code": number, "message": "no"}, status)
    assert type(caught.value) is getattr(exceptions, kind)
    assert str(caught.value) == f"HTTP {status} {number} no"


@pytest.mark.parametrize("status", [200, 201, 302, 400, 401, 403, 404, 429])
@pytest.mark.parametrize("number", [60203, "60203"], ids=["number", "text"])
def test_number_of_a_refusal_counts_at_any_status(number, status):
    with pytest.raises(RecipientLimited):
        start({"code": number, "message": "Max send attempts reached"}, status)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        pytest.param(400, "ProviderRejected", id="400"),
        pytest.param(401, "Misconfigured", id="401"),
        pytest.param(402, "InsufficientFunds", id="402"),
        pytest.param(403, "Misconfigured", id="403"),
        pytest.param(404, "Misconfigured", id="404"),
        pytest.param(429, "ProviderThrottled", id="429"),
        pytest.param(302, "Misconfigured", id="302"),
    ],
)
@pytest.mark.parametrize(
    "number",
    [None, 0, 60299, True, "", "sixty", "60203 ", "٦٠٢٠٣", 60203.0, -60203, [60203], {"a": 1}],
    ids=repr,
)
def test_refusal_without_a_known_number_is_judged_by_its_status(number, status, kind):
    with pytest.raises(DeliveryError) as caught:
        start({"code": number, "message": "no"}, status)
    assert type(caught.value) is getattr(exceptions, kind)


@pytest.mark.parametrize("words", ["Max send attempts reached", "landline", "Invalid phone: To"])
def test_nothing_is_concluded_from_the_words(words):
    with pytest.raises(ProviderRejected):
        start({**REFUSED, "code": 60299, "message": words}, 400)


def test_invalid_parameter_is_not_blamed_on_the_person():
    # 60200 names the parameter in its free text alone, and a wrong service SID gives it to all.
    with pytest.raises(DeliveryError) as caught:
        start(body("twilio_60200"), 400)
    assert not isinstance(caught.value, InvalidRecipient)


@pytest.mark.parametrize("number", [60203, 60299])
def test_words_without_end_are_cut(number):
    with pytest.raises(DeliveryError) as caught:
        start({"code": number, "message": "x" * 100_000}, 400)
    assert len(str(caught.value)) == 1_000


@pytest.mark.parametrize("words", [None, 5, ["no"], {"code": 1}], ids=repr)
def test_words_may_be_anything(words):
    with pytest.raises(ProviderRejected):
        start({**REFUSED, "message": words}, 400)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        pytest.param(400, "ProviderRejected", id="400"),
        pytest.param(401, "Misconfigured", id="401"),
        pytest.param(404, "Misconfigured", id="404"),
        pytest.param(429, "ProviderThrottled", id="429"),
    ],
)
def test_html_page_is_judged_by_its_status(status, kind):
    with pytest.raises(DeliveryError, match=f"^HTTP {status}$") as caught:
        start(b"<html><body>no</body></html>", status)
    assert type(caught.value) is getattr(exceptions, kind)


# Check


def test_right_code_is_approved():
    assert check(body("twilio_approved")) is True


@pytest.mark.parametrize("missing", ["valid", "to", "sid"])
def test_approval_needs_no_more_than_its_status(missing):
    answer = {name: value for name, value in APPROVED.items() if name != missing}
    assert check(answer) is True


def test_wrong_code_is_not_approved():
    assert check(body("twilio_wrong_code")) is False


def test_approval_that_is_not_valid_is_none():
    assert check(body("twilio_approved_but_not_valid")) is False


@pytest.mark.parametrize(
    "name", ["twilio_approved_another_phone", "twilio_valid_alone", "twilio_service"]
)
def test_answer_to_another_question_is_no_verdict(name):
    with pytest.raises(DeliveryUncertain):
        check(body(name))


@pytest.mark.parametrize("answer", [APPROVED, PENDING], ids=["approved", "pending"])
@pytest.mark.parametrize(
    "to", ["+79244501004", "79244501003", "", 79244501003, True, ["+79244501003"]], ids=repr
)
def test_verdict_about_another_phone_is_none(answer, to):
    with pytest.raises(DeliveryUncertain, match=r"^the answer is about another phone$"):
        check({**answer, "to": to})


@pytest.mark.parametrize("status", ["APPROVED", " approved", "ok", True, 1, ["approved"], None, {}])
def test_nothing_but_approved_is_approval(status):
    with pytest.raises(DeliveryUncertain, match=r"^HTTP 200 without the fields that count$"):
        check({**APPROVED, "status": status})


@pytest.mark.parametrize(
    "status", ["canceled", "deleted", "expired", "failed", "max_attempts_reached"]
)
def test_code_of_an_ended_verification_is_gone(status):
    with pytest.raises(CodeGone, match=f"^the verification is {status}$"):
        check({**APPROVED, "status": status})


@pytest.mark.parametrize("name", ["twilio_canceled", "twilio_max_attempts_reached"])
def test_ended_verification_is_gone(name):
    with pytest.raises(CodeGone):
        check(body(name))


@pytest.mark.parametrize("answer", [body("twilio_20404"), b"<html>", b"", APPROVED, b"null"])
def test_code_that_is_not_found_is_gone(answer):
    with pytest.raises(CodeGone, match=r"^HTTP 404$"):
        check(answer, 404)


def test_five_answers_are_all():
    with pytest.raises(RecipientLimited, match=r"^HTTP 429 60202$"):
        check(body("twilio_60202"), 429)


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        pytest.param(401, "twilio_20003", "Misconfigured", id="401"),
        pytest.param(429, "twilio_20429", "ProviderThrottled", id="429"),
        pytest.param(400, "twilio_60200", "ProviderRejected", id="400"),
        pytest.param(400, "twilio_approved", "ProviderRejected", id="400-approved"),
        pytest.param(401, "twilio_approved", "Misconfigured", id="401-approved"),
        pytest.param(403, "twilio_approved", "Misconfigured", id="403-approved"),
        pytest.param(302, "twilio_approved", "Misconfigured", id="302-approved"),
        pytest.param(400, "twilio_wrong_code", "ProviderRejected", id="400-pending"),
        pytest.param(500, "twilio_approved", "DeliveryUncertain", id="500-approved"),
        pytest.param(503, "null", "DeliveryUncertain", id="503"),
        pytest.param(200, "null", "DeliveryUncertain", id="null"),
        pytest.param(200, "twilio_60202", "RecipientLimited", id="60202-with-200"),
        pytest.param(200, "twilio_60200", "DeliveryUncertain", id="60200-with-200"),
    ],
)
def test_no_verdict(status, name, kind):
    with pytest.raises(DeliveryError) as caught:
        check(body(name), status)
    assert type(caught.value) is getattr(exceptions, kind)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (exceptions.NoAnswer("POST host: timeout"), exceptions.DeliveryUncertain),
        (exceptions.NotConnected("POST host: refused"), exceptions.ProviderUnavailable),
    ],
    ids=["no-answer", "not-connected"],
)
def test_no_answer_is_no_verdict(raised, kind):
    with pytest.raises(kind):
        check(raised)


@pytest.mark.parametrize(
    "code", ["", "123", "12345678901", "12345x", "１２３４５６", "٠٤٢٧١٨", "+42718", "4 2718"]
)
def test_what_is_no_code_is_wrong_without_asking(code):
    wire = Wire(APPROVED)
    assert twilio(wire).check(VERIFICATION, PHONE, code) is False
    assert wire.requests == []


@pytest.mark.parametrize("code", ["0427", "0427183956"])
def test_twilio_judges_every_code_that_a_service_may_have(code):
    # Also one of another length than the option says: the option may be wrong.
    assert check(APPROVED, code=code) is True


# Cancel


def test_verification_is_cancelled():
    assert twilio(Wire(body("twilio_canceled"))).cancel(VERIFICATION) is True


@pytest.mark.parametrize("answer", [body("twilio_20404"), b"<html>"], ids=["documented", "html"])
def test_verification_that_has_ended_cannot_be_cancelled(answer):
    assert twilio(Wire(answer, 404)).cancel(VERIFICATION) is False


@pytest.mark.parametrize("answer", [PENDING, APPROVED, {}], ids=["pending", "approved", "empty"])
def test_verification_that_goes_on_was_not_cancelled(answer):
    assert twilio(Wire(answer)).cancel(VERIFICATION) is False


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        pytest.param(401, "twilio_20003", "Misconfigured", id="401"),
        pytest.param(400, "twilio_canceled", "ProviderRejected", id="400-canceled"),
        pytest.param(500, "twilio_canceled", "DeliveryUncertain", id="500"),
    ],
)
def test_refused_cancellation_says_why(status, name, kind):
    with pytest.raises(DeliveryError) as caught:
        twilio(Wire(body(name), status)).cancel(VERIFICATION)
    assert type(caught.value) is getattr(exceptions, kind)


# Probe


def probe(answer: Any, status: int = 200, **options: Any) -> None:
    # mypy knows that nothing comes back; the value is looked at all the same.
    probed = twilio(Wire(answer, status), **options).probe()
    assert probed is None


def test_service_that_is_there_is_fine():
    probe(body("twilio_service"))


@pytest.mark.parametrize("length", ["6", 6])
def test_length_of_the_service_in_any_form(length):
    probe({"code_length": length})


def test_service_with_codes_of_another_length_is_misconfigured():
    words = r'^the service makes codes of 6 digits, but the option "length" is 4$'
    with pytest.raises(Misconfigured, match=words):
        probe(body("twilio_service"), length=4)


@pytest.mark.parametrize("length", [None, "", "six", True, 6.0, [6], -6], ids=repr)
def test_service_without_a_length_is_uncertain(length):
    with pytest.raises(DeliveryUncertain, match=r"^HTTP 200 without the fields that count$"):
        probe({"code_length": length})


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        pytest.param(401, "twilio_20003", "Misconfigured", id="credentials"),
        pytest.param(404, "twilio_20404", "Misconfigured", id="service"),
        pytest.param(403, "twilio_service", "Misconfigured", id="403"),
        pytest.param(429, "twilio_20429", "ProviderThrottled", id="429"),
        pytest.param(500, "twilio_service", "DeliveryUncertain", id="500"),
    ],
)
def test_refused_probe_says_why(status, name, kind):
    with pytest.raises(DeliveryError) as caught:
        probe(body(name), status)
    assert type(caught.value) is getattr(exceptions, kind)


def test_words_of_a_refused_probe_are_for_operators():
    with pytest.raises(Misconfigured, match=r"^HTTP 401 20003 Authenticate$"):
        probe(body("twilio_20003"), 401)


# Secrets


def header(user: str) -> str:
    return b64encode(f"{user}:{TOKEN}".encode()).decode()


@pytest.mark.parametrize("options", [{}, {"api_key_sid": KEY}], ids=["account", "api-key"])
@pytest.mark.parametrize("number", [60203, 60299], ids=["known", "unknown"])
@pytest.mark.parametrize(
    "written",
    [
        pytest.param(TOKEN, id="as-it-is"),
        pytest.param(TOKEN.upper(), id="in-capitals"),
        pytest.param("Basic {header}", id="header"),
        pytest.param("Basic {bare}", id="header-without-its-end"),
        pytest.param("x" * 905 + " {header}", id="where-the-words-are-cut"),
    ],
)
def test_s13_secret_that_the_service_repeats_is_taken_out(written, number, options):
    user = options.get("api_key_sid", ACCOUNT)
    spoken = written.format(header=header(user), bare=header(user).rstrip("="))
    with pytest.raises(DeliveryError) as caught:
        start({"code": number, "message": f"denied: {spoken}"}, 400, **options)
    assert not leaks(str(caught.value))


def leaks(text: str) -> bool:
    """Say whether a text shows eight characters in a row of the token, or twelve of its header."""
    told = text.lower()
    if any(TOKEN[at : at + 8] in told for at in range(len(TOKEN) - 7)):
        return True
    # From where the token begins in the header on; what is before it is no secret.
    hidden = header(ACCOUNT)[48:]
    return any(hidden[at : at + 12] in text for at in range(len(hidden) - 11))


def test_s13_redaction_keeps_the_other_words():
    words = twilio().redact(f"no service {SERVICE} for {header(ACCOUNT)}")
    assert words.rstrip("=") == f"no service {SERVICE} for ***"


@pytest.mark.parametrize("status", [200, 302, 400, 403, 404, 429, 500])
@pytest.mark.parametrize("number", [60200, 60202, 60299, None])
def test_s13_error_of_a_check_does_not_repeat_the_code(number, status):
    answer = {"code": number, "message": f"Invalid parameter: Code {CODE}", "status": CODE}
    with pytest.raises(PhoneOTPError) as caught:
        check(answer, status)
    assert CODE not in f"{caught.value} {caught.value!r}"
    assert caught.value.__cause__ is None


def test_s13_repr_of_what_goes_out_shows_neither_token_nor_code():
    wire = Wire(APPROVED)
    twilio(wire).check(VERIFICATION, PHONE, CODE)
    assert repr(wire.requests[0]) == "WireRequest(method='POST', timeout_seconds=10.0)"


# Anything


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ANSWER = st.fixed_dictionaries(
    {},
    optional={
        "sid": st.just(VERIFICATION) | JSON,
        "status": st.sampled_from(["pending", "approved", "canceled", "expired"]) | JSON,
        "valid": st.booleans() | JSON,
        "to": st.sampled_from([PHONE, "+79244501004", None]) | JSON,
        "code": st.sampled_from([20003, 20404, 60200, 60202, 60203, 60205, "60410"]) | JSON,
        "message": st.sampled_from([TOKEN, f"Basic {header(ACCOUNT)}", f"Code {CODE}"]) | JSON,
        "code_length": st.integers(4, 10) | JSON,
    },
)
STATUSES = st.sampled_from([200, 201, 302, 400, 401, 404, 429, 500]) | st.integers(200, 599)


def came_to(question: Any, *allowed: type[PhoneOTPError]) -> Any:
    """Give what came of a question, or None for an error of ours; neither shows the secret."""
    ours: tuple[type[PhoneOTPError], ...] = (DeliveryError, *allowed)
    try:
        result = question()
    except ours as error:
        result, told = None, f"{error} {error!r}"
    else:
        told = f"{result!r}"
    assert not leaks(told)
    return result


@budget(deadline=None, max_examples=300)
@given(ANSWER | JSON, STATUSES)
def test_s19_any_answer_is_a_verification_or_an_error_of_ours(answer, status):
    started = came_to(lambda: start(answer, status))
    if started is not None:
        assert started == Started(reference=VERIFICATION, lives_seconds=600)
        assert status < 500


@budget(deadline=None, max_examples=500)
@given(ANSWER | JSON, STATUSES)
def test_s19_no_code_is_right_without_approval(answer, status):
    if came_to(lambda: check(answer, status), CodeGone):
        assert status < 300
        assert answer["status"] == "approved"
        assert answer.get("valid") is not False
        assert answer.get("to") in (None, PHONE)


@budget(deadline=None, max_examples=200)
@given(st.binary(max_size=200), st.integers(200, 599))
def test_s19_any_bytes_are_neither_a_verification_nor_an_approval(answer, status):
    assert came_to(lambda: start(answer, status)) is None
    assert not came_to(lambda: check(answer, status), CodeGone)


@budget(deadline=None, max_examples=200)
@given(st.text(max_size=80))
def test_s19_any_text_may_be_typed(typed):
    assert came_to(lambda: check(PENDING, code=typed)) is False


@budget(deadline=None, max_examples=200)
@given(ANSWER | JSON, STATUSES)
def test_s19_any_answer_cancels_or_does_not(answer, status):
    result = came_to(lambda: twilio(Wire(answer, status)).cancel(VERIFICATION))
    assert result in (None, True, False)


@budget(deadline=None, max_examples=200)
@given(ANSWER | JSON, STATUSES)
def test_s19_any_answer_to_a_probe_is_fine_or_an_error_of_ours(answer, status):
    assert came_to(lambda: twilio(Wire(answer, status)).probe()) is None
