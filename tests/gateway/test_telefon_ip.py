"""The gateway speaks telefon-ip.ru, on real HTTP."""

from datetime import timedelta

import pytest
import time_machine

from example_project.gateway import Gateway
from tests.gateway.conftest import asker

PHONE = "+79244501003"
TYPED = "89244501003"
BAD_PHONE = "does not match the format 89XXXXXXXXX or phone field is missing"


def path(action: str, token: str = "token") -> str:
    return f"/api/v1/authcalls/{token}/{action}"


def refused(error: str) -> dict:
    return {"success": False, "error": error, "data": {}}


# Messages


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("ending", ["", "/"])
def test_flash_call_ends_with_the_code(gateway, ask, method, ending):
    got = ask(method, path(f"get_code/{TYPED}{ending}"), sms="true")
    (message,) = gateway.screens[PHONE]
    assert got.status == 200
    assert got.json == {
        "success": True,
        "error": "",
        "data": {"phone": "79244501003", "code": message.code, "id": message.id},
    }
    assert (message.kind, message.sender[-4:], message.text) == ("call", message.code, "")


def test_text_message_holds_the_code(gateway, ask):
    got = ask("GET", path(f"get_sms_code/{TYPED}/"))
    (message,) = gateway.screens[PHONE]
    assert (message.kind, message.text) == ("sms", f"Your code: {got.json['data']['code']}")


@pytest.mark.parametrize("action", ["get_sms_code", "get_tg_code"])
def test_own_code_is_sent(gateway, ask, action):
    got = ask("GET", path(f"{action}/{TYPED}/"), code="0734")
    assert got.json["data"]["code"] == "0734"
    assert [message.code for message in gateway.screens[PHONE]] == ["0734"]


@pytest.mark.parametrize("action", ["get_sms_code", "get_tg_code"])
def test_own_code_of_five_characters_is_refused(gateway, ask, action):
    got = ask("GET", path(f"{action}/{TYPED}/"), code="01234")
    assert (got.status, got.json) == (400, refused("code is longer than 4 characters"))
    assert gateway.message_count == 0


@pytest.mark.parametrize("phone", [TYPED, "79244501003"])
def test_telegram_message(gateway, ask, phone):
    got = ask("GET", path(f"get_tg_code/{phone}/"))
    (message,) = gateway.screens[PHONE]
    assert message.kind == "telegram"
    assert got.json["data"] == {
        "phone": "79244501003",
        "code": message.code,
        "id": message.id,
        "operator_name": "telegram",
        "channel": "telegram",
        "status": 1,
        "status_info": "Ok",
    }


@pytest.mark.parametrize("phone", ["+79244501003", "9244501003", "892445010031", "x", ""])
@pytest.mark.parametrize("action", ["get_code", "get_sms_code", "get_tg_code"])
def test_bad_phone_is_refused(gateway, ask, action, phone):
    got = ask("GET", path(f"{action}/{phone}/"))
    assert (got.status, got.json) == (400, refused(BAD_PHONE))
    assert gateway.message_count == 0


def test_flash_calls_are_not_limited_by_default(ask):
    assert {ask("GET", path(f"get_code/{TYPED}/")).status for _ in range(4)} == {200}


def test_flash_calls_may_be_limited_per_phone_and_day():
    with Gateway(flash_calls_per_phone=3) as gateway:
        ask = asker(gateway)
        ask("GET", path(f"get_sms_code/{TYPED}/"))  # a text is no call
        statuses = [ask("GET", path(f"get_code/{TYPED}/")).status for _ in range(4)]
        other = ask("GET", path("get_code/89244501004/")).status
    assert (statuses, other) == ([200, 200, 200, 400], 200)


# Who may, and who pays


@pytest.mark.parametrize("token", ["wrong", ""])
def test_wrong_token_is_told_nothing_else(token):
    with Gateway(tokens=["right"]) as gateway:
        got = asker(gateway)("GET", path("get_code/x/", token))
    assert (got.status, got.json) == (401, refused("Unauthorized token"))


def test_quoted_token_is_understood():
    with Gateway(tokens=["a/b c"]) as gateway:
        assert asker(gateway)("GET", path("get_balance/", "a%2Fb%20c")).status == 200


def test_unknown_action(ask):
    got = ask("GET", path("get_lost/"))
    assert (got.status, got.json) == (404, refused("action not found"))


@pytest.mark.parametrize("action", ["get_code", "get_sms_code", "get_tg_code"])
def test_empty_account_cannot_send(gateway, ask, action):
    gateway.balance_kopecks = 99
    got = ask("GET", path(f"{action}/{TYPED}/"))
    assert (got.status, got.json) == (402, refused("not enough money on the balance"))
    assert (gateway.message_count, gateway.balance_kopecks) == (0, 99)


def test_last_money_is_enough(gateway, ask):
    gateway.balance_kopecks = 100
    assert ask("GET", path(f"get_code/{TYPED}/")).status == 200
    assert gateway.balance_kopecks == 0


# Status and balance


def test_status_of_a_message(gateway, ask):
    id_ = ask("GET", path(f"get_code/{TYPED}/")).json["data"]["id"]
    (message,) = gateway.screens[PHONE]
    assert ask("GET", path(f"get_status/{id_}/")).json["data"] == {
        "id": id_,
        "created_at": f"{message.at:%Y-%m-%dT%H:%M:%S}",
        "phone": TYPED,
        "status": 1,
        "status_info": "Ok: SIP 200 OK",
        "price": 1.0,
    }


@pytest.mark.parametrize("id_", ["1", "0", "x", "9" * 30])
def test_status_of_nothing(ask, id_):
    got = ask("GET", path(f"get_status/{id_}/"))
    assert (got.status, got.json) == (400, refused("id record not found"))


def test_balance(ask):
    ask("GET", path(f"get_code/{TYPED}/"))
    data = ask("GET", path("get_balance/")).json["data"]
    assert data == {"balance": 999.0, "price": 1.0, "balance_limit": 0.0}


# Reverse calls


def number_to_call(ask) -> tuple[str, int]:
    data = ask("GET", path("reverse_auth_phone_get"), phone=TYPED).json["data"]
    assert data.keys() == {"auth_phone", "id", "url_image", "url_link"}
    return data["auth_phone"], data["id"]


def check(ask, id_: int):
    return ask("GET", path(f"reverse_auth_phone_check/{id_}"))


def test_reverse_call_gives_a_number(ask):
    number, _id = number_to_call(ask)
    assert number.startswith("7800")
    assert len(number) == 11


def test_reverse_call_is_not_found_before_the_person_called(ask):
    _number, id_ = number_to_call(ask)
    got = check(ask, id_)
    assert (got.status, got.json) == (400, refused("id record not found"))


def test_reverse_call_names_the_phone_that_called(gateway, ask):
    number, id_ = number_to_call(ask)
    assert gateway.call(from_phone=PHONE, to=f"+{number}")
    got = check(ask, id_)
    assert (got.status, got.json["data"]) == (200, {"phone": "79244501003", "id": id_})


def test_reverse_call_names_another_phone_that_called(gateway, ask):
    number, id_ = number_to_call(ask)
    gateway.call(from_phone="+79244501004", to=number)
    assert check(ask, id_).json["data"]["phone"] == "79244501004"


def test_reverse_call_of_the_right_phone_stays(gateway, ask):
    number, id_ = number_to_call(ask)
    for phone in ("+79244501004", PHONE, "+79244501005"):
        gateway.call(from_phone=phone, to=number)
    assert check(ask, id_).json["data"]["phone"] == "79244501003"


def test_reverse_call_counts_for_its_own_number_only(gateway, ask):
    (number, first), (_number, second) = number_to_call(ask), number_to_call(ask)
    gateway.call(from_phone=PHONE, to=number)
    assert (check(ask, first).status, check(ask, second).status) == (200, 400)


@pytest.mark.parametrize(("seconds", "is_alive"), [(119, True), (120, False)])
def test_number_of_a_reverse_call_lives_for_two_minutes(gateway, ask, seconds, is_alive):
    with time_machine.travel(0, tick=False) as clock:
        number, id_ = number_to_call(ask)
        clock.shift(timedelta(seconds=seconds))
        assert gateway.call(from_phone=PHONE, to=number) is is_alive
        assert (check(ask, id_).status == 200) is is_alive


def test_reverse_call_of_a_bad_phone_is_refused(ask):
    got = ask("GET", path("reverse_auth_phone_get"), phone="+375291234567")
    assert (got.status, got.json) == (400, refused(BAD_PHONE))


def test_reverse_call_costs_money(gateway, ask):
    gateway.balance_kopecks = 150
    number_to_call(ask)
    assert ask("GET", path("reverse_auth_phone_get"), phone=TYPED).status == 402


def test_nobody_answers_at_other_numbers(gateway):
    assert gateway.call(from_phone=PHONE, to="+78005553535") is False


def test_calling_takes_phones(gateway):
    with pytest.raises(ValueError, match="a phone is written as"):
        gateway.call(from_phone="me", to="+78005553535")
