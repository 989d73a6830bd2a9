"""The gateway speaks oneconnect.uno, on real HTTP."""

import string
from contextlib import closing

import pytest

from example_project.gateway import Gateway
from tests.gateway.conftest import asker, connect

AUTH = ("shop@example.com", "api-key")
PATH = "/api/v1/mfa/sms_auth"
PHONE = "+79244501003"


@pytest.fixture
def send(ask):
    def send(**form: str):
        return ask("POST", PATH, {"phone_number": "79244501003", **form}, AUTH)

    return send


@pytest.mark.parametrize("phone", ["79244501003", "+79244501003"])
def test_message_holds_the_code(gateway, send, phone):
    got = send(phone_number=phone)
    (message,) = gateway.screens[PHONE]
    assert (got.status, got.json) == (200, {"code": message.code, "phone_number": phone})
    assert (message.kind, message.text) == ("sms", f"Your code: {message.code}")
    assert gateway.balance_kopecks == 99_900


@pytest.mark.parametrize(
    ("form", "alphabet"),
    [
        ({"only_numbers": "true"}, string.digits),
        ({"only_numbers": "true", "only_uppercase": "true"}, string.digits),
        ({"only_uppercase": "true"}, string.ascii_uppercase + string.digits),
    ],
)
def test_code_has_the_form_that_is_asked_for(send, form, alphabet):
    code = send(length="32", **form).json["code"]
    assert len(code) == 32
    assert set(code) <= set(alphabet)


def test_code_is_four_characters_in_mixed_case_by_default(send):
    codes = [send(only_numbers="false").json["code"] for _ in range(30)]
    assert {len(code) for code in codes} == {4}
    assert any(code != code.upper() for code in codes)
    assert any(code != code.lower() for code in codes)


@pytest.mark.parametrize("phone", ["", "12", "0123456789", "phone"])
def test_invalid_phone(gateway, send, phone):
    got = send(phone_number=phone)
    assert (got.status, got.json) == (400, {"error_code": "4004"})
    assert gateway.message_count == 0


@pytest.mark.parametrize("length", ["0", "33", "x", "-1"])
def test_invalid_length(send, length):
    got = send(length=length)
    assert (got.status, got.json) == (400, {"error": "length is invalid"})


def test_empty_account(gateway, send):
    gateway.balance_kopecks = 99
    got = send()
    assert (got.status, got.json) == (200, {"error_code": 1000})
    assert gateway.message_count == 0


@pytest.mark.parametrize("auth", [None, ("shop@example.com", "wrong"), ("", "api-key")])
@pytest.mark.parametrize(("method", "path"), [("POST", PATH), ("GET", "/api/v1/balance")])
def test_strangers_are_refused(method, path, auth):
    with Gateway(tokens=["api-key"]) as gateway:
        got = asker(gateway)(method, path, None, auth)
    assert (got.status, got.json) == (401, {"error": "Unauthorized"})


@pytest.mark.parametrize("header", ["Basic", "Basic %%%", "Basic /w==", "Bearer YTpi"])
def test_broken_credentials_are_refused(gateway, header):
    with closing(connect(gateway)) as connection:
        connection.request("POST", PATH, headers={"Authorization": header})
        with connection.getresponse() as response:
            assert response.status == 401


def test_a_code_is_not_sent_by_get(gateway, ask):
    assert ask("GET", PATH, None, AUTH, phone_number="79244501003").status == 405
    assert gateway.message_count == 0


@pytest.mark.parametrize("path", ["/api/v1/balance", "/api/v1/balance/"])
def test_balance_is_a_number_of_messages(gateway, ask, path):
    gateway.balance_kopecks = 93_050
    assert ask("GET", path, None, AUTH).json == {"sms_balance": 930}


def test_balance_is_never_negative(gateway, ask):
    gateway.balance_kopecks = -100
    assert ask("GET", "/api/v1/balance", None, AUTH).json == {"sms_balance": 0}
