"""The gateway speaks Twilio Verify, on real HTTP."""

import re
from datetime import timedelta

import pytest
import time_machine

from example_project.gateway import Gateway
from tests.gateway.conftest import asker

AUTH = ("AC" + "a" * 32, "auth-token")
SERVICE = "VA" + "b" * 32
PATH = f"/v2/Services/{SERVICE}"
PHONE = "+15017122661"


def error(status: int, code: int, message: str) -> tuple[int, dict]:
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    return status, {"code": code, "message": message, "more_info": more_info, "status": status}


def not_found(rest: str) -> tuple[int, dict]:
    resource = f"/Services/{SERVICE}{rest}"
    return error(404, 20404, f"The requested resource {resource} was not found")


@pytest.fixture
def start(ask):
    def start(path: str = PATH, **form: str):
        form = {"To": PHONE, "Channel": "sms", **form}
        return ask("POST", f"{path}/Verifications", form, AUTH)

    return start


@pytest.fixture
def check(ask):
    def check(code: str, **form: str):
        form = {"Code": code, **(form or {"To": PHONE})}
        got = ask("POST", f"{PATH}/VerificationCheck", form, AUTH)
        return got.status, got.json

    return check


@pytest.fixture
def change(ask):
    def change(sid: str, status: str):
        return ask("POST", f"{PATH}/Verifications/{sid}", {"Status": status}, AUTH)

    return change


def other(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06d}"


# Sending


def test_verification_is_started(gateway, start):
    got = start()
    (message,) = gateway.screens[PHONE]
    assert got.status == 201
    assert re.fullmatch(r"VE[0-9a-f]{32}", got.json["sid"])
    assert got.json | {"sid": ""} == got.json | {
        "sid": "",
        "service_sid": SERVICE,
        "account_sid": AUTH[0],
        "to": PHONE,
        "channel": "sms",
        "status": "pending",
        "valid": False,
    }
    assert (message.kind, message.text) == ("sms", f"Your verification code is: {message.code}")
    assert re.fullmatch(r"[0-9]{6}", message.code)


def test_answer_does_not_hold_the_code(gateway, start):
    got = start()
    assert gateway.screens[PHONE][0].code.encode() not in got.body
    assert "code" not in got.json


def test_message_is_in_the_language_that_is_asked_for(gateway, start):
    start(Locale="ru")
    (message,) = gateway.screens[PHONE]
    assert message.text == f"Ваш проверочный код: {message.code}"


def test_repeated_request_sends_the_same_code(gateway, start):
    sids = {start().json["sid"] for _ in range(5)}
    messages = gateway.screens[PHONE]
    assert (len(sids), len(messages), len({each.code for each in messages})) == (1, 5, 1)


def test_sixth_message_is_refused(gateway, start):
    got = [start() for _ in range(6)][-1]
    assert (got.status, got.json) == error(429, 60203, "Max send attempts reached")
    assert gateway.message_count == 5


def test_another_phone_or_service_has_its_own_verification(start):
    sids = {
        start().json["sid"],
        start(To="+15017122662").json["sid"],
        start(f"{PATH}2").json["sid"],
    }
    assert len(sids) == 3


def test_verification_lives_for_ten_minutes_from_its_first_message(start):
    with time_machine.travel(0, tick=False) as clock:
        first = start().json["sid"]
        clock.shift(timedelta(seconds=599))
        assert start().json["sid"] == first
        clock.shift(timedelta(seconds=1))
        assert start().json["sid"] != first


@pytest.mark.parametrize("phone", ["", "15017122661", "+0501712266", "+1501712266x"])
def test_invalid_phone(gateway, start, phone):
    got = start(To=phone)
    assert (got.status, got.json) == error(400, 60200, f"Invalid parameter `To`: {phone}")
    assert gateway.message_count == 0


@pytest.mark.parametrize("channel", ["", "pigeon"])
def test_invalid_channel(start, channel):
    got = start(Channel=channel)
    assert (got.status, got.json) == error(400, 60200, f"Invalid parameter `Channel`: {channel}")


def test_landline(gateway, start):
    gateway.landlines.add(PHONE)
    got = start()
    message = "SMS is not supported by landline phone number"
    assert (got.status, got.json) == error(403, 60205, message)
    assert gateway.message_count == 0


def test_sending_takes_nothing_from_the_balance(gateway, start):
    gateway.balance_kopecks = 0
    assert start().status == 201
    assert gateway.balance_kopecks == 0


# Judging


@pytest.mark.parametrize("by", ["To", "VerificationSid"])
def test_right_code_is_approved(gateway, start, check, by):
    values = {"To": PHONE, "VerificationSid": start().json["sid"]}
    status, body = check(gateway.screens[PHONE][0].code, **{by: values[by]})
    assert (status, body["status"], body["valid"]) == (200, "approved", True)
    assert (body["sid"], body["to"]) == (values["VerificationSid"], PHONE)


def test_wrong_code_is_pending(gateway, start, check):
    start()
    status, body = check(other(gateway.screens[PHONE][0].code))
    assert (status, body["status"], body["valid"]) == (200, "pending", False)


def test_sixth_check_is_refused_even_with_the_right_code(gateway, start, check):
    start()
    code = gateway.screens[PHONE][0].code
    assert {check(other(code))[0] for _ in range(5)} == {200}
    assert check(code) == error(429, 60202, "Max check attempts reached")


def test_fifth_check_may_be_right(gateway, start, check):
    start()
    code = gateway.screens[PHONE][0].code
    for _ in range(4):
        check(other(code))
    assert check(code)[1]["valid"] is True


def test_approved_verification_is_gone(gateway, start, check):
    sid = start().json["sid"]
    code = gateway.screens[PHONE][0].code
    check(code)
    assert check(code) == not_found("/VerificationCheck")
    assert start().json["sid"] != sid


def test_expired_verification_is_gone(gateway, start, check):
    with time_machine.travel(0, tick=False) as clock:
        start()
        clock.shift(timedelta(minutes=10))
        assert check(gateway.screens[PHONE][0].code) == not_found("/VerificationCheck")


@pytest.mark.parametrize("form", [{"To": "+15017122662"}, {"VerificationSid": "VE" + "0" * 32}])
def test_unknown_verification(gateway, start, check, form):
    start()
    assert check(gateway.screens[PHONE][0].code, **form) == not_found("/VerificationCheck")


@pytest.mark.parametrize("code", ["", "123", "12345678901", "12 456"])
def test_malformed_code(start, check, code):
    start()
    assert check(code) == error(400, 60200, "Invalid parameter: Code")


# One verification, and the service


def test_verification_is_cancelled(gateway, start, check, change):
    sid = start().json["sid"]
    got = change(sid, "canceled")
    assert (got.status, got.json["status"], got.json["valid"]) == (200, "canceled", False)
    assert check(gateway.screens[PHONE][0].code) == not_found("/VerificationCheck")
    assert change(sid, "canceled").status == 404


def test_verification_is_approved_from_outside(start, change):
    got = change(start().json["sid"], "approved")
    assert (got.status, got.json["status"], got.json["valid"]) == (200, "approved", True)


def test_other_status_is_refused(start, change):
    got = change(start().json["sid"], "pending")
    assert (got.status, got.json) == error(400, 60200, "Invalid parameter `Status`: pending")


def test_verification_is_shown(ask, start):
    sid = start().json["sid"]
    got = ask("GET", f"{PATH}/Verifications/{sid}", None, AUTH)
    assert (got.status, got.json["sid"], got.json["status"]) == (200, sid, "pending")


def test_verification_of_another_service_is_not_found(ask, start):
    sid = start().json["sid"]
    assert ask("GET", f"{PATH}2/Verifications/{sid}", None, AUTH).status == 404


def test_service(ask):
    got = ask("GET", PATH, None, AUTH)
    assert got.status == 200
    assert (got.json["sid"], got.json["code_length"]) == (SERVICE, 6)
    assert got.json["friendly_name"]


@pytest.mark.parametrize(
    ("method", "rest"), [("GET", ""), ("POST", "/Verifications"), ("POST", "/VerificationCheck")]
)
def test_unknown_service(method, rest):
    with Gateway(services=["VAothers"]) as gateway:
        got = asker(gateway)(method, PATH + rest, {"To": PHONE, "Channel": "sms"}, AUTH)
    assert (got.status, got.json) == not_found(rest)


@pytest.mark.parametrize("rest", ["/Webhooks", "/Verifications/x", "/VerificationCheck/VE1"])
def test_unknown_resource(ask, rest):
    got = ask("POST", PATH + rest, {}, AUTH)
    assert (got.status, got.json) == not_found(rest)


def test_wrong_method(ask):
    assert ask("GET", f"{PATH}/Verifications", None, AUTH).status == 405


@pytest.mark.parametrize("auth", [None, (AUTH[0], "wrong"), ("", "auth-token")])
@pytest.mark.parametrize("rest", ["", "/Verifications", "/VerificationCheck", "/x"])
def test_strangers_are_refused(auth, rest):
    with Gateway(tokens=["auth-token"]) as gateway:
        got = asker(gateway)("POST", PATH + rest, {"To": PHONE}, auth)
    assert (got.status, got.json) == error(401, 20003, "Authenticate")
