"""What strangers send: every bad body is a 400 that says why, never a 500."""

import json

import pytest
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from django_phone_otp.door import MAX_BODY_BYTES
from tests.conftest import PHONE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

ENDPOINTS = ["request", "resend", "confirm"]


@pytest.mark.parametrize(
    "phone",
    ["", "   ", "12", "+7924", "phone", "+7 924 450 10 03 ext. 5", "+79244501003\n+1", "9" * 41],
)
def test_a_text_that_is_no_phone_is_a_field_error(post, phone):
    response = post("request", phone=phone)
    assert response.status_code == 400
    assert list(response.json()) == ["phone"]


def test_a_word_that_does_not_exist_is_answered_with_those_that_do(post):
    response = post("request", phone=PHONE, channel="pigeon")
    assert response.json() == {"channel": ["Use one of: sms, flash_call, telegram, reverse_call."]}


def test_the_error_says_what_to_do(post):
    response = post("request", phone="+7 924 450")
    assert response.json() == {"phone": ["This phone number does not exist. Check its digits."]}


@pytest.mark.parametrize("value", [None, [], {}, True, 1.5, "\x00", "\ud800", "a" * 1_000])
@pytest.mark.parametrize(
    ("endpoint", "field", "rest"),
    [
        ("request", "phone", {}),
        ("request", "channel", {"phone": PHONE}),
        ("request", "purpose", {"phone": PHONE}),
        ("request", "captcha_token", {"phone": PHONE}),
        ("resend", "challenge", {}),
        ("resend", "channel", {"challenge": "x"}),
        ("confirm", "challenge", {"code": "1"}),
        ("confirm", "code", {"challenge": "x"}),
    ],
)
def test_a_field_of_the_wrong_type_is_no_server_error(api, endpoint, field, rest, value):
    body = json.dumps({field: value, **rest})
    response = api.generic("POST", f"/api/phone/{endpoint}/", body, "application/json")
    assert response.status_code in {201, 400}, response.json()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b'"text"',
        b"{",
        b"\xff\xfe",
        b'{"phone": NaN}',
        b"[" * 5_000,
        b'{"a":' * 2_000,
        b'{"phone": ' + b"1" * 5_000 + b"}",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_body_that_is_no_object_is_a_400(api, endpoint, body):
    response = api.generic("POST", f"/api/phone/{endpoint}/", body, "application/json")
    assert response.status_code == 400


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_megabyte_is_a_400_that_says_so(api, endpoint):
    body = json.dumps({"phone": "1" * 1_000_000})
    response = api.generic("POST", f"/api/phone/{endpoint}/", body, "application/json")
    assert response.status_code == 400
    assert response.json() == {"detail": "The body is too large.", "code": "parse_error"}


def test_a_body_just_small_enough_is_read(api):
    body = json.dumps({"phone": PHONE, "rest": ""})
    body = body[:-2] + "x" * (MAX_BODY_BYTES - len(body)) + '"}'
    response = api.generic("POST", "/api/phone/request/", body, "application/json")
    assert (len(body), response.status_code) == (MAX_BODY_BYTES, 201)


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"]
)
def test_forms_are_refused(api, kind):
    response = api.generic("POST", "/api/phone/confirm/", "challenge=x&code=1", kind)
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_reading_is_refused(api, endpoint):
    response = api.get(f"/api/phone/{endpoint}/")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["x" * 500, "%00", "..", "%ED%A0%80", "я"])
def test_a_strange_challenge_in_the_address_is_unknown(api, name):
    response = api.get(f"/api/phone/challenges/{name}/")
    assert response.status_code in {400, 404}


def test_addresses_have_names():
    assert reverse("phone_otp:request") == "/api/phone/request/"
    assert reverse("phone_otp:challenge", args=["abc"]) == "/api/phone/challenges/abc/"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
BODIES = st.dictionaries(
    st.sampled_from(
        ["phone", "channel", "purpose", "captcha_token", "challenge", "code", "device"]
    ),
    JSON | st.sampled_from([PHONE, "login", "link", "sms", "x"]),
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(endpoint=st.sampled_from(ENDPOINTS), body=BODIES)
def test_no_body_is_a_server_error(endpoint, body):
    text = json.dumps(body)
    response = APIClient().generic("POST", f"/api/phone/{endpoint}/", text, "application/json")
    assert response.status_code < 500
