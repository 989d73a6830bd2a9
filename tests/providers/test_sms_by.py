"""sms.by: messages with its codes, and its password objects. The bodies are files, see wire/."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from django_phone_otp import codes, exceptions
from django_phone_otp.choices import Channel, Custody
from django_phone_otp.codes import Alphabet
from django_phone_otp.exceptions import DeliveryError, DeliveryUncertain, Misconfigured
from django_phone_otp.providers.base import Balance, DeliveryStatus, Started, StartRequest
from django_phone_otp.providers.sms_by import PasswordObject, SMSBy
from django_phone_otp.testing import ProviderContract, Wire
from django_phone_otp.transport import WireReply, WireRequest

PHONE = "+375295550142"
TOKEN = "8d3fa1c07be94be2a6d5"
BASE = "https://app.sms.by/api/v1"
REFERENCE = "3310562"


def body(name: str) -> bytes:
    return (Path(__file__).parent / "wire" / f"{name}.json").read_bytes()


ACCEPTED = json.loads(body("sms_by_accepted"))
SIX_DIGITS = {"type_id": "numbers", "len": 6}
TO_BE_MADE = {"password_object_id": None}


class Service(Wire):
    """A wire that answers each command with its own body."""

    def __init__(self, **answers: Any) -> None:
        super().__init__()
        self.answers = answers

    def __call__(self, request: WireRequest) -> WireReply:
        self.answer = self.answers[request.url.removeprefix(f"{BASE}/")]
        return super().__call__(request)

    @property
    def commands(self) -> list[str]:
        return [each.url.removeprefix(f"{BASE}/") for each in self.requests]


def texts(wire: Wire, **options: Any) -> SMSBy:
    given = {"token": TOKEN, "password_object_id": 517, **options}
    parsed, problems = SMSBy.Options.parse(given)
    assert parsed is not None, problems
    return SMSBy(parsed, wire)


def ask(provider: SMSBy) -> Started:
    return provider.start(StartRequest(phone=PHONE, text="Your code: %CODE%"))


def failure(answer: Any, status: int = 200, **options: Any) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        ask(texts(Wire(answer, status), **options))
    return caught.value


def outcome(call: Callable[[SMSBy], Any], provider: SMSBy) -> Any:
    """Give what a call gives, or the error of ours that it raises."""
    try:
        return call(provider)
    except DeliveryError as error:
        return error


def problems_of(**options: Any) -> list[str]:
    return SMSBy.Options.parse({"token": TOKEN, **options})[1]


class TestContract(ProviderContract):
    provider_class = SMSBy
    options = {"token": TOKEN, "password_object_id": 517}
    phone = PHONE
    accepted = ACCEPTED


class TestAnswerInAListContract(TestContract):
    accepted = json.loads(body("sms_by_accepted_in_a_list"))


class TestNumbersContract(TestContract):
    options = {**TestContract.options, **SIX_DIGITS}
    accepted = json.loads(body("sms_by_code_is_a_number"))


class TestLettersContract(TestContract):
    options = {**TestContract.options, "type_id": "letters", "len": 10}
    accepted = json.loads(body("sms_by_accepted_letters"))


class TestBothContract(TestContract):
    options = {**TestContract.options, "type_id": "both", "len": 4}
    accepted = {**ACCEPTED, "code": "Q7ZT"}


class TestAlphanameContract(TestContract):
    options = {**TestContract.options, "alphaname_id": 5059, "message": "Shop: %CODE%"}


# What goes out


def test_message_on_the_wire():
    wire = Wire(ACCEPTED)
    ask(texts(wire))
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", f"{BASE}/sendSmsMessageWithCode")
    assert request.query == {
        "token": TOKEN,
        "password_object_id": "517",
        "phone": "375295550142",
        "message": "Your code: %CODE%",
    }
    assert (request.form, request.json, request.basic_auth) == (None, None, None)


def test_a_message_of_its_own_comes_before_that_of_the_site():
    wire = Wire(ACCEPTED)
    ask(texts(wire, message="Shop: %CODE%"))
    assert wire.requests[0].query["message"] == "Shop: %CODE%"


@pytest.mark.parametrize(
    ("alphaname_id", "written"),
    [
        pytest.param(5059, "5059", id="own"),
        pytest.param(0, "0", id="that-of-the-service"),
    ],
)
def test_message_with_a_sender_name_on_the_wire(alphaname_id, written):
    wire = Wire(ACCEPTED)
    ask(texts(wire, alphaname_id=alphaname_id, message="Ваш код: %CODE%"))
    assert wire.requests[0].query["alphaname_id"] == written
    assert wire.requests[0].query["message"] == "Ваш код: %CODE%"


@pytest.mark.parametrize(
    "base_url", ["https://app.startsend.ru", "http://127.0.0.1:8000/sms/"], ids=["twin", "stand-in"]
)
def test_address_may_be_another(base_url):
    wire = Wire(ACCEPTED)
    ask(texts(wire, base_url=base_url))
    assert wire.requests[0].url == f"{base_url.rstrip('/')}/api/v1/sendSmsMessageWithCode"


def test_timeout_is_that_of_the_options():
    wire = Wire(ACCEPTED)
    ask(texts(wire, timeout=3))
    assert wire.requests[0].timeout_seconds == 3


# What it declares


def test_declares_itself():
    provider = texts(Wire())
    assert (provider.key, provider.channel, provider.custody) == (
        "sms-by",
        Channel.SMS,
        Custody.RETURNED,
    )


@pytest.mark.parametrize(
    ("options", "alphabet", "length"),
    [
        pytest.param({}, Alphabet.DIGITS, 6, id="default"),
        pytest.param({"len": 8}, Alphabet.DIGITS, 8, id="length"),
        pytest.param({"type_id": "numbers"}, Alphabet.DIGITS, 6, id="numbers"),
        pytest.param({"type_id": "letters"}, Alphabet.CAPITALS, 6, id="letters"),
        pytest.param({"type_id": "both", "len": 4}, Alphabet.CAPITALS, 4, id="both-of-four"),
    ],
)
def test_codes_of_an_object_that_is_to_be_made(options, alphabet, length):
    provider = texts(Wire(), **TO_BE_MADE, **options)
    assert (provider.alphabet, provider.code_length) == (alphabet, length)


@pytest.mark.parametrize(
    ("options", "alphabet", "length"),
    [
        pytest.param({}, Alphabet.CAPITALS, None, id="nothing-said"),
        pytest.param({"type_id": None, "len": None}, Alphabet.CAPITALS, None, id="none"),
        pytest.param({"len": 8}, Alphabet.CAPITALS, 8, id="length-alone"),
        pytest.param({"type_id": "numbers"}, Alphabet.DIGITS, 6, id="numbers-alone"),
        pytest.param({"type_id": "letters"}, Alphabet.CAPITALS, 6, id="letters-alone"),
        pytest.param({"type_id": "numbers", "len": 8}, Alphabet.DIGITS, 8, id="numbers"),
        pytest.param({"type_id": "letters", "len": 10}, Alphabet.CAPITALS, 10, id="letters"),
        pytest.param({"type_id": "both", "len": 4}, Alphabet.CAPITALS, 4, id="both"),
    ],
)
def test_codes_of_an_object_that_is_there(options, alphabet, length):
    provider = texts(Wire(), **options)
    assert (provider.alphabet, provider.code_length) == (alphabet, length)


def test_codes_are_those_of_the_account_not_of_the_class():
    texts(Wire(), type_id="letters", len=10)
    provider = texts(Wire(), **SIX_DIGITS)
    assert (provider.alphabet, provider.code_length) == (Alphabet.DIGITS, 6)
    assert (SMSBy.alphabet, SMSBy.code_length) == (Alphabet.DIGITS, None)


def test_any_country_is_supported():
    assert texts(Wire()).supports(PHONE)
    assert texts(Wire()).supports("+79244501003")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        pytest.param({"type_id": "letters", "len": 10}, "QMZRTKWBDE", id="letters"),
        pytest.param({"type_id": "both", "len": 4}, "Q7ZT", id="both"),
        pytest.param({}, "GAYXILYZOX", id="nothing-said"),  # the code of the documented answer
    ],
)
def test_letters_are_compared_without_regard_to_case(settings, options, code):
    settings.SECRET_KEY = "a-key-of-the-tests"
    provider = texts(Wire({**ACCEPTED, "code": code}), **options)
    digest = codes.make_digest(ask(provider).code, alphabet=provider.alphabet, bound_to="x")
    assert codes.matches_any(code, [digest], bound_to="x")
    assert codes.matches_any(code.lower(), [digest], bound_to="x")


# Options


@pytest.mark.parametrize("length", [4, 6, 16])
def test_lengths_that_are_allowed(length):
    assert problems_of(len=length) == []


@pytest.mark.parametrize("length", [-6, 0, 1, 3, 17])
def test_lengths_that_are_refused(length):
    assert problems_of(len=length) == ['"len" must be from 4 to 16.']


@pytest.mark.parametrize("name", ["password_object_id", "type_id", "len", "alphaname_id"])
def test_option_may_be_none(name):
    assert problems_of(**{name: None}) == []


@pytest.mark.parametrize("type_id", ["letters", "numbers", "both"])
def test_kinds_that_are_allowed(type_id):
    assert problems_of(type_id=type_id) == []


@pytest.mark.parametrize("type_id", ["digits", "", "Numbers"])
def test_kinds_that_are_refused(type_id):
    assert problems_of(type_id=type_id) == ['"type_id" must be one of letters, numbers, both.']


@pytest.mark.parametrize("message", ["Your code", "Your code: %code%", "Your code: {code}"])
def test_message_without_a_place_for_the_code_is_refused(message):
    assert problems_of(message=message) == ['"message" must contain %CODE%.']


def test_all_problems_are_told_at_once():
    assert (
        len(problems_of(len=1, message="Your code", base_url="http://app.sms.by", timeout=0)) == 4
    )


def test_token_alone_is_enough():
    assert problems_of() == []


def test_token_is_required():
    assert SMSBy.Options.parse({"token": ""})[1] == ['"token" is missing.']


# Success


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("sms_by_accepted", {}, id="nothing-said"),
        pytest.param("sms_by_accepted", SIX_DIGITS, id="documented"),
        pytest.param("sms_by_accepted_in_a_list", SIX_DIGITS, id="in-a-list"),
        pytest.param("sms_by_code_is_a_number", SIX_DIGITS, id="code-is-a-number"),
    ],
)
def test_code_and_reference_are_read(name, options):
    started = ask(texts(Wire(body(name)), **options))
    assert started == Started(code="042719", reference=REFERENCE)


@pytest.mark.parametrize(
    "options", [{}, {"type_id": "letters", "len": 10}], ids=["nothing-said", "letters"]
)
def test_code_of_letters_is_read(options):
    provider = texts(Wire(body("sms_by_accepted_letters")), **options)
    assert ask(provider) == Started(code="QMZRTKWBDE", reference=REFERENCE)


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
    assert ask(texts(Wire({**ACCEPTED, "code": value}), **SIX_DIGITS)).code == code


@pytest.mark.parametrize(
    ("options", "code"),
    [
        pytest.param({"type_id": "numbers", "len": 8}, "00042719", id="eight-digits"),
        pytest.param({"type_id": "numbers"}, "042719", id="digits"),
        pytest.param({"type_id": "both", "len": 6}, "42719", id="both"),
        pytest.param({"type_id": "letters", "len": 6}, "42719", id="letters"),
        pytest.param({"len": 6}, "42719", id="six-of-any-kind"),
        pytest.param({}, "42719", id="nothing-said"),
    ],
)
def test_lost_zeros_are_given_back_to_digits_alone(options, code):
    provider = texts(Wire(body("sms_by_code_is_a_number")), **options)
    assert ask(provider) == Started(code=code, reference=REFERENCE)


@pytest.mark.parametrize(
    ("type_id", "value", "code"),
    [
        pytest.param("letters", "QMZR", "QMZR", id="letters"),
        pytest.param("letters", "qmzr", "qmzr", id="small-letters"),
        pytest.param("both", "Q7ZT", "Q7ZT", id="both"),
        pytest.param("both", "QMZR", "QMZR", id="both-with-letters-alone"),
        pytest.param("both", "0427", "0427", id="both-with-digits-alone"),
        pytest.param("both", 4271, "4271", id="both-with-digits-alone-as-a-number"),
        pytest.param("both", " Q7ZT ", "Q7ZT", id="both-with-blanks"),
    ],
)
def test_code_with_letters_is_read(type_id, value, code):
    provider = texts(Wire({**ACCEPTED, "code": value}), type_id=type_id, len=4)
    assert ask(provider).code == code


ANY_KIND = [
    pytest.param({}, id="nothing-said"),
    pytest.param(SIX_DIGITS, id="numbers"),
    pytest.param({"type_id": "letters", "len": 6}, id="letters"),
    pytest.param({"type_id": "both", "len": 6}, id="both"),
]


@pytest.mark.parametrize("options", ANY_KIND)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("0427", id="four-digits"),
        pytest.param("0427190", id="seven-digits"),
        pytest.param("0" * 16, id="sixteen-digits"),
        pytest.param("QMZR", id="four-letters"),
        pytest.param("Z" * 16, id="sixteen-letters"),
        pytest.param("QMZRTK", id="six-letters"),
        pytest.param("q7zT4m", id="letters-of-both-cases"),
        pytest.param(1_042_719, id="long-number"),
        pytest.param(9_999_999_999_999_999, id="number-of-sixteen-digits"),
    ],
)
def test_code_of_another_kind_or_length_counts_all_the_same(value, options):
    # It is on its way.
    started = ask(texts(Wire({**ACCEPTED, "code": value}), **options))
    assert started == Started(code=str(value), reference=REFERENCE)


@pytest.mark.parametrize("sms_id", [3310562, "3310562"], ids=["number", "text"])
def test_reference_in_any_form_is_text(sms_id):
    assert ask(texts(Wire({**ACCEPTED, "sms_id": sms_id}))).reference == REFERENCE


@pytest.mark.parametrize("word", ["error", "NEW", None, 5, ["ok"]], ids=repr)
def test_word_of_the_status_says_nothing(word):
    assert ask(texts(Wire({**ACCEPTED, "status": word}))).code == "042719"


@pytest.mark.parametrize("error", [None, "", False, 0, [], {}], ids=repr)
def test_empty_error_is_none(error):
    assert ask(texts(Wire({**ACCEPTED, "error": error}))).code == "042719"


@pytest.mark.parametrize("status", [201, 400])
def test_status_of_http_is_not_the_verdict(status):
    assert ask(texts(Wire(ACCEPTED, status))).code == "042719"


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
        pytest.param("04 27 19", id="blanks-inside"),
        pytest.param("042-719", id="hyphen"),
        pytest.param("0427_19", id="underscore"),
        pytest.param("٠٤٢٧١٩", id="digits-of-another-script"),
        pytest.param("04271²", id="superscript"),
        pytest.param("КОДЫ", id="cyrillic-letters"),
        pytest.param("Ж7ZTMQ", id="cyrillic-letter"),
        pytest.param("-42719", id="sign"),
        pytest.param("%CODE%", id="place-of-the-code"),
        pytest.param(True, id="true"),
        pytest.param(False, id="false"),
        pytest.param(42719.0, id="float"),
        pytest.param(-42719, id="negative"),
        pytest.param(-4, id="small-negative"),
        pytest.param(10_000_000_000_000_000, id="number-of-seventeen-digits"),
        pytest.param(["042719"], id="list"),
        pytest.param({"code": "042719"}, id="object"),
    ],
)
def test_what_is_no_code_is_uncertain(value, options):
    error = failure({**ACCEPTED, "code": value}, **options)
    assert type(error) is DeliveryUncertain
    assert str(error) == "HTTP 200 without the number of a message and its code"


@pytest.mark.parametrize("value", [0, 7, 427, 999])
@pytest.mark.parametrize(
    "options",
    [{}, {"len": 6}, {"type_id": "letters", "len": 6}, {"type_id": "both", "len": 4}],
    ids=["nothing-said", "length-alone", "letters", "both"],
)
def test_small_number_is_no_code_unless_codes_are_digits(value, options):
    assert type(failure({**ACCEPTED, "code": value}, **options)) is DeliveryUncertain


def test_missing_code_is_uncertain():
    assert type(failure(body("sms_by_without_code"))) is DeliveryUncertain


@pytest.mark.parametrize("options", ANY_KIND)
def test_error_number_in_the_place_of_the_code_is_no_code(options):
    # With its zeros "given back" it would be "000400", which everybody can guess.
    answer = body("sms_by_error_number_in_code")
    assert type(failure(answer, **options)) is DeliveryUncertain
    assert type(failure(answer, 400, **options)) is exceptions.ProviderRejected


@pytest.mark.parametrize("sms_id", [None, "", 0, "0", -1, True, 1.5, "x", [1], "9" * 5_000])
@pytest.mark.parametrize("options", ANY_KIND)
def test_code_without_the_number_of_its_message_is_uncertain(sms_id, options):
    assert type(failure({**ACCEPTED, "sms_id": sms_id}, **options)) is DeliveryUncertain


def test_list_of_two_is_uncertain():
    error = failure([ACCEPTED, ACCEPTED])
    assert (type(error), str(error)) == (DeliveryUncertain, "HTTP 200 without a JSON object")


@pytest.mark.parametrize("answer", [[[ACCEPTED]], [None], ["042719"], [427]], ids=repr)
def test_list_without_an_object_is_uncertain(answer):
    assert type(failure(answer)) is DeliveryUncertain


# Refusals


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        pytest.param(200, "sms_by_refused", "ProviderRejected", id="200"),
        pytest.param(200, "sms_by_refused_in_russian", "ProviderRejected", id="200-in-Russian"),
        pytest.param(200, "sms_by_refused_in_a_list", "ProviderRejected", id="200-in-a-list"),
        pytest.param(200, "sms_by_object_unknown", "ProviderRejected", id="200-object-is-gone"),
        pytest.param(400, "sms_by_refused", "ProviderRejected", id="400"),
        pytest.param(400, "sms_by_refused_in_a_list", "ProviderRejected", id="400-in-a-list"),
        pytest.param(400, "sms_by_without_code", "ProviderRejected", id="400-without-words"),
        pytest.param(401, "sms_by_refused", "Misconfigured", id="401"),
        pytest.param(402, "sms_by_refused", "InsufficientFunds", id="402"),
        pytest.param(403, "sms_by_refused", "Misconfigured", id="403"),
        pytest.param(404, "sms_by_refused", "Misconfigured", id="404"),
        pytest.param(404, "null", "Misconfigured", id="404-without-an-object"),
        pytest.param(421, "sms_by_refused", "ProviderRejected", id="421"),
        pytest.param(421, "null", "ProviderRejected", id="421-without-an-object"),
        pytest.param(429, "sms_by_refused", "ProviderThrottled", id="429"),
        pytest.param(429, "null", "ProviderThrottled", id="429-without-an-object"),
        pytest.param(301, "sms_by_without_code", "Misconfigured", id="301"),
        pytest.param(500, "sms_by_refused", "DeliveryUncertain", id="500"),
        pytest.param(500, "sms_by_accepted_in_a_list", "DeliveryUncertain", id="500-in-a-list"),
        pytest.param(503, "sms_by_accepted", "DeliveryUncertain", id="503"),
        pytest.param(599, "null", "DeliveryUncertain", id="599"),
    ],
)
def test_refusal(status, name, kind):
    assert type(failure(body(name), status)) is getattr(exceptions, kind)


def test_error_beside_a_code_is_a_refusal():
    assert type(failure({**ACCEPTED, "error": "no"})) is exceptions.ProviderRejected


@pytest.mark.parametrize("status", [200, 400])
def test_words_of_the_service_are_for_operators(status):
    error = failure(body("sms_by_refused"), status)
    assert str(error) == f"HTTP {status} Wrong alphaname. Check it is correct and approved."


@pytest.mark.parametrize(
    "words", ["insufficient funds", "invalid token", "limit exceeded", "wrong phone", "not found"]
)
def test_nothing_is_concluded_from_the_words(words):
    assert type(failure({"error": words}, 400)) is exceptions.ProviderRejected


@pytest.mark.parametrize("words", [5, True, ["no"], {"code": 1}], ids=repr)
def test_words_may_be_anything(words):
    assert type(failure({"error": words})) is exceptions.ProviderRejected


def test_words_without_end_are_cut():
    assert len(str(failure({"error": "x" * 100_000}))) == 1_000


# Preparation


def test_without_a_password_object_nothing_is_sent():
    wire = Wire(ACCEPTED)
    with pytest.raises(Misconfigured) as caught:
        ask(texts(wire, password_object_id=None))
    assert str(caught.value) == "no password object yet: run manage.py phone_otp_providers"
    assert wire.requests == []


@pytest.mark.parametrize(("id", "needs"), [(None, True), (517, False)])
def test_preparation_is_needed_while_there_is_no_object(id, needs):
    assert texts(Wire(), password_object_id=id).needs_preparation is needs


@pytest.mark.parametrize(
    ("options", "made"),
    [
        pytest.param(
            {}, {"password_object_id": 517, "type_id": "numbers", "len": 6}, id="six-digits"
        ),
        pytest.param(
            {"type_id": "both", "len": 5},
            {"password_object_id": 232, "type_id": "both", "len": 5},
            id="as-the-options-say",
        ),
    ],
)
def test_object_that_is_there_is_used(options, made):
    wire = Service(getPasswordObjects=body("sms_by_objects"))
    assert texts(wire, **TO_BE_MADE, **options).prepare() == made
    assert wire.commands == ["getPasswordObjects"]


@pytest.mark.parametrize(
    ("options", "type_id", "length"),
    [
        pytest.param({}, "numbers", 6, id="none-yet"),
        pytest.param({"type_id": "letters"}, "letters", 6, id="only-of-another-kind"),
        pytest.param({"len": 5}, "numbers", 5, id="only-of-another-length"),
    ],
)
def test_object_is_made_where_none_fits(options, type_id, length):
    listed = body("sms_by_objects" if options else "sms_by_objects_none")
    wire = Service(getPasswordObjects=listed, createPasswordObject=body("sms_by_object_created"))
    made = texts(wire, **TO_BE_MADE, **options).prepare()
    assert made == {"password_object_id": 517, "type_id": type_id, "len": length}
    assert wire.commands == ["getPasswordObjects", "createPasswordObject"]
    assert wire.requests[1].query == {"token": TOKEN, "type_id": type_id, "len": str(length)}


def test_two_preparations_make_one_object():
    made: list[dict[str, Any]] = []

    def service(request: WireRequest) -> WireReply:
        if request.url.endswith("/createPasswordObject"):
            made.append({**request.query, "id": str(517 + len(made))})
            answer: Any = {"password_object_id": made[-1]["id"]}
        else:
            answer = made
        return WireReply(200, json.dumps({"result": answer}).encode())

    parsed, _problems = SMSBy.Options.parse({"token": TOKEN})
    assert parsed is not None
    kept = {"password_object_id": 517, "type_id": "numbers", "len": 6}
    assert [SMSBy(parsed, service).prepare() for _run in range(2)] == [kept, kept]
    assert len(made) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"error": "no"}, id="refusal"),
        pytest.param({"result": None}, id="null"),
        pytest.param({}, id="nothing"),
        pytest.param({"result": [{"id": 1}]}, id="unreadable-object"),
    ],
)
def test_no_object_is_made_while_the_list_cannot_be_read(answer):
    wire = Service(getPasswordObjects=answer, createPasswordObject=body("sms_by_object_created"))
    with pytest.raises(DeliveryError):
        texts(wire, password_object_id=None).prepare()
    assert wire.commands == ["getPasswordObjects"]


def test_prepared_options_make_the_provider_ready():
    wire = Service(
        getPasswordObjects=body("sms_by_objects"), sendSmsMessageWithCode=body("sms_by_accepted")
    )
    kept = texts(wire, **TO_BE_MADE).prepare()
    provider = texts(wire, **kept)
    assert (provider.needs_preparation, ask(provider).code) == (False, "042719")
    assert wire.requests[-1].query["password_object_id"] == "517"


@pytest.mark.parametrize(
    "options",
    [{}, {"len": 5}, {"type_id": "letters"}, {"type_id": "both", "len": 5}],
    ids=["default", "length", "kind", "both"],
)
def test_preparation_changes_nothing_about_the_codes(options):
    wire = Service(
        getPasswordObjects=body("sms_by_objects_none"),
        createPasswordObject=body("sms_by_object_created"),
    )
    before = texts(wire, **TO_BE_MADE, **options)
    ready = texts(wire, **before.prepare())
    assert (ready.alphabet, ready.code_length) == (before.alphabet, before.code_length)


@pytest.mark.parametrize(
    "change",
    [
        {"token": "another-token"},
        {"type_id": "both"},
        {"len": 8},
        {"base_url": "https://a.example"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_preparation_depends_on_the_account_and_on_the_codes(change):
    assert texts(Wire(), **change).prepared_for() != texts(Wire()).prepared_for()


@pytest.mark.parametrize(
    "change",
    [{"message": "%CODE%"}, {"alphaname_id": 1}, {"timeout": 5}],
    ids=lambda change: next(iter(change)),
)
def test_preparation_does_not_depend_on_the_message(change):
    assert texts(Wire(), **change).prepared_for() == texts(Wire()).prepared_for()


# Password objects

NUMBERS = PasswordObject(id=517, type_id="numbers", length=6, created_at="2021-03-19 11:03:39")
BOTH = PasswordObject(id=232, type_id="both", length=5, created_at="2021-03-18 10:53:39")


@pytest.mark.parametrize(
    "name", ["sms_by_object_created", "sms_by_object_created_id_is_text"], ids=["number", "text"]
)
def test_password_object_is_created(name):
    wire = Wire(body(name))
    assert texts(wire).create_password_object("both", 5) == 517
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", f"{BASE}/createPasswordObject")
    assert request.query == {"token": TOKEN, "type_id": "both", "len": "5"}


@pytest.mark.parametrize(
    "name", ["sms_by_objects", "sms_by_objects_numbers_are_texts"], ids=["numbers", "texts"]
)
def test_password_objects_are_listed(name):
    wire = Wire(body(name))
    assert texts(wire).list_password_objects() == [BOTH, NUMBERS]
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", f"{BASE}/getPasswordObjects")
    assert request.query == {"token": TOKEN}


def test_list_of_password_objects_may_be_empty():
    assert texts(Wire(body("sms_by_objects_none"))).list_password_objects() == []


@pytest.mark.parametrize("name", ["sms_by_object", "sms_by_object_in_a_list"])
def test_password_object_is_looked_up(name):
    wire = Wire(body(name))
    assert texts(wire).get_password_object(517) == NUMBERS
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", f"{BASE}/getPasswordObject")
    assert request.query == {"token": TOKEN, "id": "517"}


def test_another_password_object_is_not_the_one_looked_up():
    with pytest.raises(DeliveryUncertain, match=r"^HTTP 200 without this password object$"):
        texts(Wire(body("sms_by_object"))).get_password_object(232)


def test_password_object_without_a_time():
    answer = {"result": {"id": 517, "type_id": "numbers", "len": 6, "d_create": None}}
    assert texts(Wire(answer)).get_password_object(517).created_at == ""


def test_password_object_is_edited():
    wire = Wire(body("sms_by_done"))
    texts(wire).edit_password_object(517, "letters", 8)
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", f"{BASE}/editPasswordObject")
    assert request.query == {"token": TOKEN, "id": "517", "type_id": "letters", "len": "8"}


def test_password_object_is_deleted():
    wire = Wire(body("sms_by_done"))
    texts(wire).delete_password_object(517)
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", f"{BASE}/deletePasswordObject")
    assert request.query == {"token": TOKEN, "id": "517"}


@pytest.mark.parametrize("id", [None, "", 0, "0", -1, True, "x", "5 17", [517]], ids=repr)
def test_what_is_no_number_of_a_password_object_is_uncertain(id):
    with pytest.raises(DeliveryUncertain, match=r"without the number of a password object$"):
        texts(Wire({"result": {"password_object_id": id}})).create_password_object("both", 5)


@pytest.mark.parametrize("result", ["1", 1], ids=["text", "number"])
def test_confirmation_may_be_a_number(result):
    texts(Wire({"result": result})).delete_password_object(517)


@pytest.mark.parametrize("result", ["0", 0, "2", None, "", True, {}, [], "OK"], ids=repr)
def test_what_is_no_confirmation_is_uncertain(result):
    with pytest.raises(DeliveryUncertain, match=r"^HTTP 200 without a confirmation$"):
        texts(Wire({"result": result})).delete_password_object(517)


CALLS = {
    "create": lambda provider: provider.create_password_object("numbers", 6),
    "list": lambda provider: provider.list_password_objects(),
    "get": lambda provider: provider.get_password_object(517),
    "edit": lambda provider: provider.edit_password_object(517, "numbers", 6),
    "delete": lambda provider: provider.delete_password_object(517),
    "balance": lambda provider: provider.balance(),
    "status": lambda provider: provider.status(REFERENCE),
    "prepare": lambda provider: provider.prepare(),
    "start": ask,
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        pytest.param({"error": "not found"}, 200, "ProviderRejected", id="refusal-with-200"),
        pytest.param({"error": "not found"}, 400, "ProviderRejected", id="refusal-with-400"),
        pytest.param({"error": "slowly"}, 429, "ProviderThrottled", id="429"),
        pytest.param({"message": "no"}, 403, "Misconfigured", id="403"),
        pytest.param({"result": "1"}, 500, "DeliveryUncertain", id="500"),
        pytest.param({"status": "ok"}, 200, "DeliveryUncertain", id="nothing-of-use"),
        pytest.param({"result": [[]]}, 200, "DeliveryUncertain", id="empty-list"),
        pytest.param({"result": "x"}, 200, "DeliveryUncertain", id="text"),
        pytest.param(b"<html>", 200, "DeliveryUncertain", id="html"),
        pytest.param(exceptions.NotConnected("no"), 200, "ProviderUnavailable", id="no-connection"),
        pytest.param(exceptions.NoAnswer("no"), 200, "DeliveryUncertain", id="no-answer"),
    ],
)
def test_each_call_fails_alike(call, answer, status, kind):
    with pytest.raises(DeliveryError) as caught:
        CALLS[call](texts(Wire(answer, status)))
    assert type(caught.value) is getattr(exceptions, kind)


@pytest.mark.parametrize(
    "changes",
    [{"id": None}, {"id": 0}, {"id": "x"}, {"len": None}, {"len": -6}, {"type_id": None}],
    ids=repr,
)
def test_unreadable_password_object_is_uncertain(changes):
    answer = {"result": {"id": 517, "type_id": "numbers", "len": 6, **changes}}
    with pytest.raises(DeliveryUncertain):
        texts(Wire(answer)).get_password_object(517)


# Balance


def test_balance_is_money():
    wire = Wire(body("sms_by_balance"))
    assert texts(wire).balance() == Balance(amount=Decimal("12.405"), currency="RUB")
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", f"{BASE}/getBalance")
    assert request.query == {"token": TOKEN}


def test_probe_asks_for_the_balance():
    wire = Wire(body("sms_by_balance"))
    assert texts(wire).probe() == Balance(amount=Decimal("12.405"), currency="RUB")
    assert len(wire.requests) == 1


def of_account(balance: Any, currency: Any = "BYN") -> dict[str, Any]:
    return {"currency": currency, "result": [{"balance": balance, "viber_balance": "77"}]}


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        pytest.param("0.00000", "0", id="nothing"),
        pytest.param("-1.5", "-1.5", id="debt"),
        pytest.param(7, "7", id="number"),
        pytest.param(2.866, "2.866", id="fraction"),
    ],
)
def test_balance_in_any_form_is_read(value, amount):
    assert texts(Wire(of_account(value))).balance().amount == Decimal(amount)


@pytest.mark.parametrize(
    ("told", "currency"), [("BYN", "BYN"), ("byn", "BYN"), ("RUR", "RUB"), ("RUB", "RUB")]
)
def test_currency_is_that_of_iso_4217(told, currency):
    assert texts(Wire(of_account("1", told))).balance().currency == currency


def test_balance_without_a_list():
    assert texts(Wire({"currency": "BYN", "result": {"balance": "3"}})).balance().amount == 3


@pytest.mark.parametrize(
    "value",
    [None, "", "x", True, "1e9", "1_0", "٣", "NaN", float("nan"), float("inf"), "9" * 99, [1]],
    ids=lambda value: repr(value)[:9],
)
def test_what_is_no_amount_is_uncertain(value):
    with pytest.raises(DeliveryUncertain, match=r"^HTTP 200 without a balance$"):
        texts(Wire(of_account(value))).balance()


@pytest.mark.parametrize("told", [None, "", "roubles", "Br", 5, ["BYN"]], ids=repr)
def test_amount_without_a_currency_is_not_taken_for_messages(told):
    with pytest.raises(DeliveryUncertain):
        texts(Wire(of_account("1", told))).balance()


# Status


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("sms_by_sent", "sent", id="sent"),
        pytest.param("sms_by_sent_in_a_list", "sent", id="sent-in-a-list"),
        pytest.param("sms_by_delivered", "delivered", id="delivered"),
        pytest.param("sms_by_sent_and_delivered", "delivered", id="both"),
        pytest.param("sms_by_not_sent", "not sent yet", id="neither"),
    ],
)
def test_status_of_a_message(name, words):
    wire = Wire(body(name))
    assert texts(wire).status(REFERENCE) == DeliveryStatus(words=words)
    (request,) = wire.requests
    assert (request.method, request.url) == ("GET", f"{BASE}/checkSMS")
    assert request.query == {"token": TOKEN, "sms_id": REFERENCE}


def test_status_of_another_message_is_uncertain():
    with pytest.raises(DeliveryUncertain, match=r"^HTTP 200 without the state of this message$"):
        texts(Wire(body("sms_by_delivered"))).status("3310563")


def test_reference_of_a_delivery_is_what_status_asks_for():
    wire = Service(
        sendSmsMessageWithCode=body("sms_by_accepted"), checkSMS=body("sms_by_delivered")
    )
    assert texts(wire).status(ask(texts(wire)).reference).words == "delivered"


# Secrets


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [200, 400, 401, 429])
@pytest.mark.parametrize(
    "words",
    [
        pytest.param("invalid token {}", id="at-the-end"),
        pytest.param("{}: no, {}", id="twice"),
        pytest.param("x" * 985 + " {}", id="where-the-words-are-cut"),
    ],
)
def test_s13_token_that_the_service_repeats_is_taken_out(words, status, call):
    wire = Wire({"error": words.replace("{}", TOKEN)}, status)
    with pytest.raises(DeliveryError) as caught:
        CALLS[call](texts(wire))
    shown = f"{caught.value} {caught.value!r}"
    assert not any(TOKEN[start : start + 8] in shown for start in range(len(TOKEN) - 7))


def test_s13_token_that_the_service_repeats_as_it_came_is_taken_out():
    error = failure({"error": "no page ?token=eyJ%2Fa%2Bb%3D%3D"}, 404, token="eyJ/a+b==")
    assert str(error) == "HTTP 404 no page ?token=***"


def test_s13_repr_of_what_goes_out_shows_no_token():
    wire = Wire(ACCEPTED)
    ask(texts(wire))
    assert repr(wire.requests[0]) == "WireRequest(method='GET', timeout_seconds=10.0)"


def test_s13_repr_of_what_came_back_does_not_show_the_code():
    assert "042719" not in repr(ask(texts(Wire(ACCEPTED))))


@pytest.mark.parametrize("changes", [{"sms_id": None}, {"code": "042719-0"}, {"error": "no"}])
def test_s13_code_is_in_no_error(changes):
    assert "042719" not in str(failure({**ACCEPTED, **changes}))


# Anything


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(TOKEN),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
CODE = st.from_regex(r"[0-9A-Za-z]{4,16}", fullmatch=True)
CODES = st.from_regex(r"[0-9A-Za-z]{1,18}", fullmatch=True) | st.integers(-9, 10**17)
NUMBER = st.integers(0, 999) | st.integers(0, 999).map(str)
OBJECT = st.fixed_dictionaries(
    {},
    optional={
        "id": NUMBER | JSON,
        "type_id": st.sampled_from(["letters", "numbers", "both"]) | JSON,
        "len": NUMBER | JSON,
        "password_object_id": NUMBER | JSON,
        "balance": NUMBER | JSON,
    },
)
RESULT = OBJECT | st.lists(OBJECT, max_size=3) | NUMBER | JSON
ENVELOPE = st.fixed_dictionaries(
    {},
    optional={
        "status": JSON,
        "error": JSON,
        "code": CODES | JSON,
        "sms_id": NUMBER | JSON,
        "sent": NUMBER | JSON,
        "delivered": NUMBER | JSON,
        "currency": st.just("RUR") | JSON,
        "result": RESULT,
    },
)
ANSWER = ENVELOPE | st.lists(ENVELOPE, max_size=2) | JSON
DELIVERY = st.fixed_dictionaries({"code": CODES, "sms_id": NUMBER})
STATUS = st.sampled_from([200, 400]) | st.integers(200, 599)
KINDS = st.sampled_from([None, "letters", "numbers", "both"])
LENGTHS = st.none() | st.integers(4, 16)


@budget(deadline=None, max_examples=200)
@given(ANSWER | DELIVERY, STATUS, KINDS, LENGTHS)
def test_s19_any_answer_is_a_code_or_an_error_of_ours(answer, status, type_id, length):
    provider = texts(Wire(answer, status), type_id=type_id, len=length)
    came = outcome(ask, provider)
    if isinstance(came, DeliveryError):
        assert TOKEN not in f"{came} {came!r}"
        assert came.__cause__ is None
    else:
        assert re.fullmatch("[0-9A-Za-z]{4,16}", came.code)
        assert int(came.reference) > 0


@budget(deadline=None, max_examples=100)
@given(CODE, KINDS, LENGTHS)
def test_s19_any_code_that_is_on_its_way_counts_as_it_came(code, type_id, length):
    provider = texts(Wire({**ACCEPTED, "code": code}), type_id=type_id, len=length)
    assert ask(provider) == Started(code=code, reference=REFERENCE)


@budget(deadline=None, max_examples=100)
@given(st.integers(0, 10**16 - 1), st.integers(4, 16))
def test_s19_any_number_gets_the_zeros_back_that_its_length_asks_for(number, length):
    provider = texts(Wire({**ACCEPTED, "code": number}), type_id="numbers", len=length)
    assert ask(provider).code == f"{number:0{length}}"


@budget(deadline=None, max_examples=200)
@given(st.text() | JSON, KINDS, LENGTHS)
def test_s19_whatever_else_is_no_code(value, type_id, length):
    if isinstance(value, str):
        assume(not re.fullmatch("[0-9A-Za-z]{4,16}", value.strip()))
    else:
        assume(isinstance(value, bool) or not isinstance(value, int))
    error = failure({**ACCEPTED, "code": value}, type_id=type_id, len=length)
    assert type(error) is DeliveryUncertain


@budget(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(CALLS)), ANSWER, STATUS)
def test_s19_any_answer_to_any_call_is_read_or_an_error_of_ours(call, answer, status):
    came = outcome(CALLS[call], texts(Wire(answer, status)))
    assert not isinstance(came, DeliveryError) or TOKEN not in f"{came} {came!r}"


@budget(deadline=None, max_examples=200)
@given(st.binary(max_size=200), st.integers(200, 599))
def test_s19_any_bytes_are_an_error_of_ours(answer, status):
    assert isinstance(failure(answer, status), DeliveryError)
