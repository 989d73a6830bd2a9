"""What a person may type for a code, through the API, for each provider."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import wired

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

WIRE = Path(__file__).parent / "providers" / "wire"
RUSSIAN, BELARUSIAN, GERMAN = "+79244501003", "+375291234567", "+4915112345678"
TELEFON_IP: dict[str, Any] = {"token": "0123456789abcdef"}
SMS_BY: dict[str, Any] = {"token": "0123456789abcdef", "password_object_id": 243}
DIGITS_OF_SMS_BY = {**SMS_BY, "type_id": "numbers", "len": 6}
ONECONNECT: dict[str, Any] = {"email": "a@shop.example", "api_key": "0123456789abcdef"}

FOUR_DIGITS = ["0427", "427", " 04 27 ", "04-27", "０４２７", "٠٤٢٧"]
SIX_DIGITS = ["042713", "42713", " 042 713 ", "042-713", "０４２７１３"]
CAPITALS = ["GAYXILYZOX", "gayxilyzox", "GayX Ilyz Ox", " gayx-ilyz-ox "]
MIXED = ["9Rs77NuQ", " 9Rs7 7NuQ ", "9Rs7-7NuQ"]


@pytest.fixture(autouse=True)
def _empty_wire() -> None:
    wired.answers.clear()
    wired.requests.clear()


def telefon_ip(code: Any) -> dict[str, Any]:
    data = {"phone": RUSSIAN[1:], "code": code, "id": 168}
    return {"success": True, "error": "", "data": data}


def sms_by(code: Any) -> dict[str, Any]:
    return {"status": "ok", "parts": 1, "len": 21, "sms_id": 2208471, "code": code}


def oneconnect(code: Any) -> dict[str, Any]:
    return {"code": code, "phone_number": GERMAN[1:]}


CASES = [
    pytest.param("Flash", TELEFON_IP, RUSSIAN, telefon_ip("0427"), FOUR_DIGITS, id="flash"),
    pytest.param("Flash", TELEFON_IP, RUSSIAN, telefon_ip(427), FOUR_DIGITS, id="flash-number"),
    pytest.param("SMS", TELEFON_IP, RUSSIAN, telefon_ip("0427"), FOUR_DIGITS, id="sms"),
    pytest.param("SMS", TELEFON_IP, RUSSIAN, telefon_ip(427), FOUR_DIGITS, id="sms-number"),
    pytest.param("Telegram", TELEFON_IP, RUSSIAN, telefon_ip(427), FOUR_DIGITS, id="telegram"),
    pytest.param(
        "ByPassword", DIGITS_OF_SMS_BY, BELARUSIAN, sms_by("042713"), SIX_DIGITS, id="sms-by"
    ),
    pytest.param(
        "ByPassword", DIGITS_OF_SMS_BY, BELARUSIAN, sms_by(42713), SIX_DIGITS, id="sms-by-number"
    ),
    pytest.param(
        "ByPassword",
        {**SMS_BY, "type_id": "letters", "len": 10},
        BELARUSIAN,
        sms_by("GAYXILYZOX"),
        CAPITALS,
        id="sms-by-letters",
    ),
    pytest.param(
        "ByPassword", SMS_BY, BELARUSIAN, sms_by("GAYXILYZOX"), CAPITALS, id="sms-by-of-any-kind"
    ),
    pytest.param("Connect", ONECONNECT, GERMAN, oneconnect(42713), SIX_DIGITS, id="oneconnect"),
    pytest.param(
        "Connect",
        {**ONECONNECT, "only_numbers": False, "only_uppercase": True, "length": 10},
        GERMAN,
        oneconnect("GAYXILYZOX"),
        CAPITALS,
        id="oneconnect-capitals",
    ),
    pytest.param(
        "Connect",
        {**ONECONNECT, "only_numbers": False, "length": 8},
        GERMAN,
        oneconnect("9Rs77NuQ"),
        MIXED,
        id="oneconnect-mixed",
    ),
]


@pytest.mark.parametrize(("kind", "options", "phone", "answer", "right"), CASES)
def test_a_code_logs_in_however_a_person_types_it(
    post, phone_otp, kind, options, phone, answer, right
):
    backend = {
        "BACKEND": f"tests.wired.{kind}",
        "OPTIONS": options,
        "PHONE_DAILY_LIMIT": 100,
    }
    phone_otp(PROVIDERS={"texts": backend}, RESEND_WAITS=[0], LIMITS={"send_phone": "100/h"})
    for typed in right:
        wired.answers.append(answer)
        challenge = post("request", phone=phone).json()["challenge"]
        assert post("confirm", challenge=challenge, code=typed).status_code == 200, typed


@pytest.mark.parametrize("typed", ["9rs77nuq", "9RS77NUQ"])
def test_case_counts_where_a_service_writes_both(post, phone_otp, typed):
    options = {**ONECONNECT, "only_numbers": False, "length": 8}
    phone_otp(PROVIDERS={"texts": {"BACKEND": "tests.wired.Connect", "OPTIONS": options}})
    wired.answers.append(oneconnect("9Rs77NuQ"))
    challenge = post("request", phone=GERMAN).json()["challenge"]
    assert post("confirm", challenge=challenge, code=typed).json()["code"] == "wrong_code"


@pytest.mark.parametrize("typed", SIX_DIGITS)
def test_the_judge_is_asked_about_the_code_as_it_was_sent(post, phone_otp, typed):
    started = json.loads((WIRE / "twilio_started.json").read_text())
    options = {
        "account_sid": started["account_sid"],
        "service_sid": started["service_sid"],
        "auth_token": "0123456789abcdef",
    }
    phone_otp(PROVIDERS={"texts": {"BACKEND": "tests.wired.Verify", "OPTIONS": options}})
    approved = json.loads((WIRE / "twilio_approved.json").read_text())
    wired.answers += [{**started, "to": RUSSIAN}, {**approved, "to": RUSSIAN}]
    challenge = post("request", phone=RUSSIAN).json()["challenge"]
    assert post("confirm", challenge=challenge, code=typed).status_code == 200
    assert wired.requests[-1].form == {"VerificationSid": started["sid"], "Code": "042713"}
