"""What the document says, word for word: lists of values, media types, statuses, keys."""

import json

import pytest

from django_phone_otp.choices import Refusal
from django_phone_otp.lifepos import words
from django_phone_otp.lifepos.answers import MEANINGS
from django_phone_otp.models import PhoneChallenge
from tests.conftest import PHONE
from tests.lifepos.conftest import SEND, fact, told

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def test_the_words_are_those_of_the_document_in_its_order():
    assert [each.value for each in words.Word] == fact("codes")


def test_the_expression_is_that_of_the_document():
    assert [words.PHONE.pattern] == fact("expression")


def test_the_lengths_are_those_of_the_document():
    assert [str(words.MIN_PHONE_LENGTH)] == fact("shortest phone")
    assert [str(words.MAX_PHONE_LENGTH)] == fact("longest phone")


def test_the_kinds_of_clients_and_captchas_are_those_of_the_document():
    assert list(words.CLIENT_TYPES) == fact("client types")
    assert list(words.CAPTCHA_TYPES) == fact("captcha types")


def test_every_refusal_has_a_status_of_the_document_and_a_word():
    assert set(MEANINGS) == set(Refusal)
    assert {str(status) for status, _word in MEANINGS.values()} < set(fact("statuses"))


def test_a_code_that_is_sent_is_answered_with_nothing(send):
    response = send(phone=PHONE, token="t", ip="203.0.113.7", send_sms=True)
    assert (response.status_code, response.content) == (204, b"")
    assert "Content-Type" not in response
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("media_type", fact("media types"))
@pytest.mark.parametrize("charset", ["", "; charset=utf-8"])
def test_a_body_may_be_of_each_media_type(api, media_type, charset):
    body = json.dumps({"phone": PHONE})
    assert api.post(SEND, body, content_type=media_type + charset).status_code == 204


@pytest.mark.parametrize(
    "media_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/json+json",
        "application/xml",
        "application/jsonx",
        "*/*",
        "application/*",
    ],
)
def test_no_other_media_type_is_read(api, media_type):
    body = json.dumps({"phone": PHONE})
    response = api.post(SEND, body, content_type=media_type)
    assert told(response) == (415, "BadRequest", "unsupported_media_type")
    assert not PhoneChallenge.objects.exists()


@pytest.mark.parametrize("kind", [*fact("client types"), ""])
def test_each_kind_of_client_is_known(send, kind):
    assert send(phone=PHONE, headers={"X-LP-Client-Type": kind}).status_code == 204


def test_another_kind_of_client_is_refused(send):
    response = send(phone=PHONE, headers={"X-LP-Client-Type": "app"})
    assert told(response) == (422, "RequestIsNotValid", "X-LP-Client-Type")
    words = ", ".join(fact("client types"))
    assert response.json()["message"] == f"Use one of: {words}."


def test_all_other_headers_are_free_text(send):
    names = ["Client-Name", "Client-OS-Name", "Client-OS-Version", "Client-Screen-Resolution"]
    names += ["Client-Model", "Organization-Alias", "Client-Extensions"]
    headers = {f"X-LP-{name}": "\xe9 {} <any>" for name in names}
    assert send(phone=PHONE, headers=headers).status_code == 204


def test_what_a_client_accepts_and_asks_for_in_the_query_changes_nothing(api):
    accept = {"Accept": "text/plain"}
    response = api.post(f"{SEND}?format=xml", {}, format="json", headers=accept)
    assert told(response) == (422, "RequestIsNotValid", "phone")
    assert response["Content-Type"] == "application/json"


def test_null_is_as_good_as_nothing(send):
    nothing = dict.fromkeys(["token", "ip", "captcha_type", "send_sms"])
    assert send(phone=PHONE, **nothing).status_code == 204


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "options"])
def test_there_is_one_method(api, method):
    response = getattr(api, method)(SEND)
    assert told(response) == (405, "NotAllowed", "method_not_allowed")
    assert response["Allow"] == "POST, OPTIONS"


@pytest.mark.parametrize(
    ("body", "info"),
    [
        (b"{", "JSON parse error - Expecting property name"),
        (b"\xff", "JSON parse error - 'utf-8' codec can't decode"),
        # How deep is too deep depends on Python: 3.13 reads on to the end, which is missing.
        (b"[" * 5_000, ""),
        (b" " * 20_000, "The body is too large."),
    ],
    ids=["broken", "bytes", "deep", "large"],
)
def test_what_is_no_json_is_refused(api, body, info):
    response = api.post(SEND, body, content_type="application/json")
    status, word, found = told(response)
    assert (status, word, found[: len(info)]) == (422, "BadRequest", info)
    assert response.json()["message"] == "Malformed request."


@pytest.mark.parametrize("body", ["[]", '"+79244501003"', "null", "1"])
def test_json_that_is_no_object_is_refused(api, body):
    response = api.post(SEND, body, content_type="application/json")
    assert told(response) == (422, "RequestIsNotValid", "body")


@pytest.mark.parametrize(
    "phone",
    ["+79244501003", "+7-924-450-10-03", "8(924)450-10-03", "89244501003", "9244501003"],
)
def test_a_phone_may_be_written_in_these_ways(send, phone):
    assert send(phone=phone).status_code == 204
    assert PhoneChallenge.objects.get().phone == PHONE


@pytest.mark.parametrize(
    "phone",
    [
        pytest.param("924450100", id="too-short"),
        pytest.param("+7-(924)-4-5-0-1-0-0-3", id="too-long"),
        pytest.param("+7 924 450 10 03", id="spaces"),
        pytest.param(" +79244501003", id="space-before"),
        pytest.param("+792445010 03", id="space-where-it-could-end"),
        pytest.param("+79244501003\n", id="line-break"),
        pytest.param("+375291234567", id="other-country"),
        pytest.param("７９２４４５０１００３", id="full-width"),
        pytest.param("+79244501003\0", id="nul"),
        pytest.param("\ud800+79244501003", id="half-a-pair"),
        pytest.param("+71234567890", id="no-phone"),
        pytest.param("", id="empty"),
        pytest.param(None, id="null"),
        pytest.param(["+79244501003"], id="list"),
        pytest.param(True, id="bool"),
    ],
)
def test_what_is_no_phone_of_the_document_is_refused(send, phone):
    assert told(send(phone=phone)) == (422, "RequestIsNotValid", "phone")
    assert not PhoneChallenge.objects.exists()


@pytest.mark.parametrize(
    ("region", "typed", "expected"),
    [
        (None, "9244501003", PHONE),
        ("BY", "375291234567", "+375291234567"),
        ("BY", "89244501003", PHONE),
        ("BY", "+79244501003", PHONE),
        ("KZ", "7012223344", "+77012223344"),
    ],
)
def test_a_number_without_a_country_is_one_of_the_sites_region(
    send, phone_otp, region, typed, expected
):
    phone_otp(DEFAULT_REGION=region)
    assert send(phone=typed).status_code == 204
    assert PhoneChallenge.objects.get().phone == expected


def test_fields_that_do_not_fit_are_named_in_order(send):
    response = send(phone="1", ip="no", captcha_type="Turnstile", send_sms="maybe")
    assert told(response) == (422, "RequestIsNotValid", "phone, ip, captcha_type, send_sms")
    assert response.json()["message"] == "This is not a phone number."
