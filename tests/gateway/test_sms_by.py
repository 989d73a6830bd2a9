"""The gateway speaks sms.by, on real HTTP."""

import pytest

from example_project.gateway import Gateway
from tests.gateway.conftest import asker

PHONE = "+375291234567"


@pytest.fixture
def call(ask):
    def call(action: str, method: str = "GET", token: str = "token", **params: str):
        return ask(method, f"/api/v1/{action}", token=token, **params)

    return call


@pytest.fixture
def make(call):
    def make(type_id: str = "numbers", length: int = 4, **more: str) -> str:
        got = call("createPasswordObject", type_id=type_id, len=str(length), **more)
        return str(got.json["result"]["password_object_id"])

    return make


@pytest.fixture
def send(call, make):
    def send(**params: str):
        params = {"phone": "375291234567", "message": "Code: %CODE%", **params}
        params.setdefault("password_object_id", make())
        return call("sendSmsMessageWithCode", **params)

    return send


# Password objects


def test_object_is_made_and_shown(call, make):
    id_ = make("both", 5)
    shown = call("getPasswordObject", id=id_).json["result"]
    assert shown.pop("d_create")
    assert shown == {"id": int(id_), "type_id": "both", "len": 5}


def test_objects_are_listed(call, make):
    ids = [int(make()), int(make())]
    assert [each["id"] for each in call("getPasswordObjects").json["result"]] == ids


def test_object_is_edited(call, make):
    id_ = make()
    assert call("editPasswordObject", id=id_, type_id="letters", len="16").json == {"result": "1"}
    shown = call("getPasswordObject", id=id_).json["result"]
    assert (shown["type_id"], shown["len"]) == ("letters", 16)


def test_object_is_deleted(call, make):
    id_ = make()
    assert call("deletePasswordObject", id=id_).json == {"result": "1"}
    assert call("getPasswordObjects").json == {"result": []}
    assert make() != id_


@pytest.mark.parametrize(
    ("type_id", "length"),
    [("digits", "4"), ("", "4"), ("both", "0"), ("both", "17"), ("both", "x")],
)
@pytest.mark.parametrize("action", ["createPasswordObject", "editPasswordObject"])
def test_form_of_an_object_is_checked(call, make, action, type_id, length):
    id_ = make()
    got = call(action, id=id_, type_id=type_id, len=length)
    assert got.status == 400
    assert got.json == {"error": "type_id must be letters, numbers or both, len from 1 to 16"}
    assert len(call("getPasswordObjects").json["result"]) == 1


@pytest.mark.parametrize(
    "action", ["getPasswordObject", "editPasswordObject", "deletePasswordObject"]
)
def test_object_of_another_token_is_not_found(call, make, action):
    id_ = make()
    got = call(action, token="another", id=id_, type_id="both", len="4")
    assert (got.status, got.json) == (400, {"error": "Объект пароля не найден"})
    assert call("getPasswordObjects", token="another").json == {"result": []}
    assert call("getPasswordObject", id=id_).status == 200


# Messages


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_message_holds_the_code(gateway, call, make, method):
    params = {"phone": "375291234567", "message": "Код: %CODE%, %CODE%"}
    got = call("sendSmsMessageWithCode", method, password_object_id=make(), **params)
    (message,) = gateway.screens[PHONE]
    code = got.json.pop("code")
    assert (message.kind, message.text) == ("sms", f"Код: {code}, {code}")
    assert got.json == {
        "status": "ok",
        "parts": 1,
        "len": 15,
        "sms_id": got.json["sms_id"],
        "code": message.code,
    }


def test_token_and_all_may_be_a_form(gateway, ask, make):
    form = {"token": "token", "password_object_id": make(), "phone": "375291234567"}
    got = ask("POST", "/api/v1/sendSmsMessageWithCode", form | {"message": "%CODE%"})
    assert got.json["code"] == gateway.screens[PHONE][0].text


@pytest.mark.parametrize(
    ("type_id", "alphabet"),
    [
        ("letters", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        ("numbers", "0123456789"),
        ("both", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"),
    ],
)
def test_code_has_the_form_of_its_object(make, send, type_id, alphabet):
    code = send(password_object_id=make(type_id, 16)).json["code"]
    assert len(code) == 16
    assert set(code) <= set(alphabet)


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ("%CODE%" + "x" * 156, 1),
        ("%CODE%" + "x" * 157, 2),
        ("%CODE%" + "x" * 302, 2),
        ("%CODE%" + "x" * 303, 3),
        ("%CODE%" + "я" * 66, 1),
        ("%CODE%" + "я" * 67, 2),
        ("%CODE%" + "я" * 131, 3),
    ],
)
def test_long_message_is_paid_by_its_parts(gateway, send, message, parts):
    assert send(message=message).json["parts"] == parts
    assert gateway.balance_kopecks == 100_000 - parts * 100


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"phone": "+375291234567"}, "Incorrect phone number"),
        ({"phone": ""}, "Incorrect phone number"),
        ({"message": "no code"}, "The message must contain %CODE%"),
        ({"message": "%CODE%" + "x" * 1530}, "Message is too long"),
        ({"password_object_id": "1"}, "Объект пароля не найден"),
        ({"password_object_id": "x"}, "Объект пароля не найден"),
    ],
)
def test_bad_message_is_refused(gateway, send, params, error):
    got = send(**params)
    assert (got.status, got.json) == (400, {"error": error})
    assert gateway.message_count == 0


def test_object_of_another_token_sends_nothing(make, send):
    assert send(password_object_id=make(token="another")).status == 400


@pytest.mark.parametrize("alphaname_id", ["", "0", "7"])
def test_known_alphaname(gateway, send, alphaname_id):
    gateway.alphanames = {"7"}
    assert send(alphaname_id=alphaname_id).json["status"] == "ok"


@pytest.mark.parametrize(("known", "alphaname_id"), [({"7"}, "8"), (None, "shop")])
def test_unknown_alphaname_is_refused_with_200(gateway, send, known, alphaname_id):
    gateway.alphanames = known
    got = send(alphaname_id=alphaname_id)
    assert got.status == 200
    assert got.json == {"error": "Wrong alphaname. Check it is correct and approved."}


def test_empty_account_is_refused_with_200(gateway, send):
    gateway.balance_kopecks = 199
    got = send(message="%CODE%" + "x" * 160)
    assert (got.status, got.json) == (200, {"error": "Недостаточно средств на балансе"})
    assert gateway.message_count == 0


# The rest


def test_sent_message_is_found(gateway, call, send):
    sms_id = send().json["sms_id"]
    at = int(gateway.screens[PHONE][0].at.timestamp())
    shown = call("checkSMS", sms_id=str(sms_id)).json
    assert shown == {"sms_id": sms_id, "sent": at, "delivered": at}


@pytest.mark.parametrize("sms_id", ["1", "2208471", "x"])
def test_other_message_is_not_found(call, sms_id):
    got = call("checkSMS", sms_id=sms_id)
    assert (got.status, got.json) == (400, {"error": "not found"})


def test_call_of_another_protocol_is_no_message(gateway, call):
    gateway.deliver("call", PHONE, "0427")
    assert call("checkSMS", sms_id="2208471").status == 400


def test_balance(gateway, call):
    gateway.balance_kopecks = 287
    assert call("getBalance").json == {
        "status": "OK",
        "currency": "RUR",
        "result": [{"balance": "2.87000", "viber_balance": "0.00000"}],
    }


@pytest.mark.parametrize("action", ["getBalance", "createPasswordObject", "no-such-call"])
def test_wrong_token_is_told_nothing_else(action):
    with Gateway(tokens=["right"]) as gateway:
        got = asker(gateway)("GET", f"/api/v1/{action}", token="wrong")
    assert (got.status, got.json) == (401, {"error": "Wrong token"})


def test_unknown_call(call):
    got = call("sendViberMessage")
    assert (got.status, got.json) == (404, {"error": "Page not found"})
