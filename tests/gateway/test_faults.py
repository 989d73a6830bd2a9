"""Each fault, as a client sees it, and whether the message went out."""

import http.client
import json
import socket
import threading
import time
from contextlib import closing, suppress
from urllib.parse import urlencode

import pytest

from example_project.gateway import FAULTS, HOST, Gateway
from tests.gateway.conftest import PATIENCE_SECONDS, address, asker, connect

PHONE = "+79244501003"
SEND = "/api/v1/authcalls/secret-token/get_code/89244501003/"
CREATE = "/api/v1/createPasswordObject?token=token&type_id=numbers&len=4"

DELIVERED = {
    "latency": True,
    "500": True,
    "503": False,
    "429": False,
    "404": False,
    "redirect": False,
    "no-money": False,
    "bad-token": False,
    "html": True,
    "html-500": True,
    "empty": True,
    "null": True,
    "list": True,
    "wrapped": True,
    "wrong-types": True,
    "wrong-booleans": True,
    "wrong-numbers": True,
    "no-code": True,
    "bad-json": True,
    "bad-encoding": True,
    "deep": True,
    "echo": False,
    "echo-html": True,
    "timeout": True,
    "silence": False,
    "drip": True,
    "drip-body": True,
    "reset": True,
    "close": True,
    "truncated": True,
    "huge": True,
    "odd-header": True,
}


@pytest.fixture
def fail(gateway):
    """Send one request under a fault: `fail("html")`."""

    def fail(fault: str, method: str = "GET", path: str = SEND, form=None, auth=None, **query):
        return asker(gateway, f"/~{fault}")(method, path, form, auth, **query)

    return fail


def open_request(gateway: Gateway, fault: str) -> socket.socket:
    """Send the request and leave the answer unread."""
    connection = socket.create_connection(address(gateway), timeout=PATIENCE_SECONDS)
    connection.sendall(f"GET /~{fault}{SEND} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    return connection


def wait_for_the_work(gateway: Gateway) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not gateway.count("get_code"):
        assert time.monotonic() < deadline
        time.sleep(0.005)


# The table


def test_table_says_what_is_delivered():
    assert {name: fault.is_delivered for name, fault in FAULTS.items()} == DELIVERED


def test_table_says_what_each_does():
    assert all(fault.what for fault in FAULTS.values())


@pytest.mark.parametrize("fault", FAULTS)
def test_message_goes_out_as_the_table_says(gateway, fault):
    value = "=0" if FAULTS[fault].takes_seconds else ""
    with open_request(gateway, fault + value):
        wait_for_the_work(gateway)
    assert gateway.message_count == int(FAULTS[fault].is_delivered)


# Statuses


def test_latency_answers_rightly_but_late(gateway, fail):
    started = time.monotonic()
    got = fail("latency=0.2")
    assert time.monotonic() - started >= 0.2
    assert got.json["data"]["code"] == gateway.screens[PHONE][0].code


@pytest.mark.parametrize("status", ["500", "503", "429", "404"])
def test_status(fail, status):
    got = fail(status)
    assert got.status == int(status)
    assert got.json.keys() == {"detail"}


@pytest.mark.parametrize(("status", "after"), [("429", "30"), ("503", "30"), ("404", None)])
def test_status_says_when_to_come_again(fail, status, after):
    assert fail(status).headers.get("Retry-After") == after


def test_redirect_counts_who_follows(gateway, ask, fail):
    got = fail("redirect")
    assert (got.status, got.headers["Location"]) == (302, "/redirected/")
    assert gateway.redirects_followed == 0
    assert ask("GET", got.headers["Location"]).status == 200
    assert gateway.redirects_followed == 1


# The providers' own refusals

TEXT = {
    "token": "token",
    "password_object_id": "243",  # the first one that is made
    "phone": "79244501003",
    "message": "%CODE%",
}
PROTOCOLS = {
    "telefon-ip": ("GET", SEND),
    "sms-by": ("GET", f"/api/v1/sendSmsMessageWithCode?{urlencode(TEXT)}"),
    "oneconnect": ("POST", "/api/v1/mfa/sms_auth?phone_number=79244501003"),
    "twilio": ("POST", "/v2/Services/VA1/Verifications?To=%2B79244501003&Channel=sms"),
}


@pytest.mark.parametrize(
    ("protocol", "status", "word"),
    [
        ("telefon-ip", 402, "not enough money"),
        ("sms-by", 200, "Недостаточно средств"),
        ("oneconnect", 200, '"error_code": 1000'),
        ("twilio", 403, '"code": 20005'),
    ],
)
def test_no_money_is_told_in_the_protocols_words(gateway, ask, fail, protocol, status, word):
    ask("GET", CREATE)
    method, path = PROTOCOLS[protocol]
    got = fail("no-money", method, path, None, ("user", "secret"))
    assert got.status == status
    assert word in got.body.decode()
    assert gateway.message_count == 0


@pytest.mark.parametrize(
    ("path", "empty"),
    [
        ("/api/v1/authcalls/token/get_balance/", '"balance": 0.0'),
        ("/api/v1/getBalance?token=token", '"balance": "0.00000"'),
        ("/api/v1/balance", '"sms_balance": 0'),
    ],
)
def test_no_money_shows_an_empty_balance(fail, path, empty):
    assert empty in fail("no-money", "GET", path, None, ("user", "secret")).body.decode()


@pytest.mark.parametrize(
    ("protocol", "word"),
    [
        ("telefon-ip", "Unauthorized token"),
        ("sms-by", "Wrong token"),
        ("oneconnect", "Unauthorized"),
        ("twilio", "20003"),
    ],
)
def test_bad_token_is_told_in_the_protocols_words(fail, protocol, word):
    method, path = PROTOCOLS[protocol]
    got = fail("bad-token", method, path, None, ("user", "secret"))
    assert got.status == 401
    assert word in got.body.decode()


# Bodies


@pytest.mark.parametrize(("fault", "status"), [("html", 200), ("html-500", 500)])
def test_page(fail, fault, status):
    got = fail(fault)
    assert (got.status, got.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert got.body.startswith(b"<!doctype html>")


@pytest.mark.parametrize(("fault", "body"), [("empty", b""), ("null", b"null"), ("list", b"[]")])
def test_body_without_an_object(fail, fault, body):
    got = fail(fault)
    assert (got.status, got.body) == (200, body)


def test_wrapped_is_the_right_answer_in_a_list(gateway, fail):
    (right,) = fail("wrapped").json
    assert right["data"]["code"] == gateway.screens[PHONE][0].code


def test_wrong_types_are_objects(gateway, fail):
    got = fail("wrong-types").json
    assert (got["success"], got["error"]) == (True, "")
    assert got["data"] == {
        "phone": "79244501003",  # who compares phones first is led on to the code
        "code": {"value": gateway.screens[PHONE][0].code},
        "id": {"value": 1},
    }


def test_wrong_booleans(fail):
    assert fail("wrong-booleans").json["data"] == {
        "phone": "79244501003",
        "code": True,
        "id": True,
    }


def test_wrong_booleans_make_no_verdict(fail):
    auth = ("user", "secret")
    got = fail("wrong-booleans", "POST", PROTOCOLS["twilio"][1], None, auth).json
    # 1 is true, but it is not `true`.
    assert (type(got["valid"]), got["status"]) == (int, True)


def test_wrong_numbers_are_huge(fail):
    assert fail("wrong-numbers").json["data"]["code"] == 10**400


def test_wrong_types_name_no_phone_that_called(gateway, ask, fail):
    data = ask("GET", "/api/v1/authcalls/t/reverse_auth_phone_get?phone=89244501003").json["data"]
    gateway.call(from_phone=PHONE, to=data["auth_phone"])
    got = fail("wrong-types", "GET", f"/api/v1/authcalls/t/reverse_auth_phone_check/{data['id']}")
    assert got.json["data"]["phone"] == {"value": "79244501003"}


def test_wrong_types_inside_lists(ask, fail):
    ask("GET", CREATE)
    got = fail("wrong-numbers", "GET", "/api/v1/getPasswordObjects", token="token")
    assert got.json["result"][0]["id"] == 10**400


def test_no_code(fail):
    assert fail("no-code").json == {
        "success": True,
        "error": "",
        "data": {"phone": "79244501003", "id": 1},
    }


@pytest.mark.parametrize(
    ("method", "path", "left_out"),
    [
        (*PROTOCOLS["twilio"], "sid"),
        ("GET", CREATE, "password_object_id"),
        ("GET", "/api/v1/authcalls/t/reverse_auth_phone_get?phone=89244501003", "auth_phone"),
    ],
)
def test_no_code_takes_what_is_needed(ask, fail, method, path, left_out):
    auth = ("user", "secret")
    assert f'"{left_out}"' in ask(method, path, None, auth).body.decode()
    assert f'"{left_out}"' not in fail("no-code", method, path, None, auth).body.decode()


def test_bad_json_is_cut(fail):
    got = fail("bad-json")
    assert got.body.startswith(b'{"success": true')
    with pytest.raises(json.JSONDecodeError):
        _ = got.json


@pytest.mark.parametrize("path", [SEND, "/api/v1/getPasswordObjects?token=token"])
def test_bad_encoding_is_json_otherwise(fail, path):
    got = fail("bad-encoding", "GET", path)
    with pytest.raises(UnicodeDecodeError):
        _ = got.json
    assert json.loads(got.body.decode("cp1251"))["note"] == "Отправлено"


def test_deep_json(fail):
    got = fail("deep")
    assert (got.body.count(b"["), got.body.count(b"]")) == (100_000, 100_000)


# Secrets

SECRETS = ("secret-token", "api-secret", "form-secret")


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [("echo", 400, "application/json"), ("echo-html", 500, "text/html")],
)
def test_echo_repeats_every_secret(fail, fault, status, kind):
    got = fail(fault, "POST", SEND, {"key": "form-secret"}, ("user", "api-secret"))
    assert got.status == status
    assert got.headers["Content-Type"].startswith(kind)
    assert [secret for secret in SECRETS if secret not in got.body.decode()] == []
    assert "Basic " in got.body.decode()


def test_echo_repeats_the_address_in_a_header(fail):
    assert fail("echo").headers["X-Request-Url"] == f"/~echo{SEND}"


# The line


@pytest.mark.parametrize("fault", ["timeout", "silence"])
def test_no_answer_comes(gateway, fault):
    with open_request(gateway, fault) as connection:
        wait_for_the_work(gateway)
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_drip_sends_a_byte_every_half_second(gateway):
    with open_request(gateway, "drip") as connection:
        assert connection.recv(100) == b"H"
        started = time.monotonic()
        assert connection.recv(100) == b"T"
    assert time.monotonic() - started > 0.3


def test_drip_body_sends_the_head_at_once(gateway):
    with open_request(gateway, "drip-body") as connection:
        received = b""
        while b"\r\n\r\n{" not in received:
            received += connection.recv(1000)
        assert received.endswith(b"\r\n\r\n{")
        assert connection.recv(100) == b'"'


def test_reset(gateway):
    with open_request(gateway, "reset") as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)


def test_close(gateway):
    with open_request(gateway, "close") as connection:
        assert connection.recv(1) == b""


def test_truncated_is_shorter_than_it_says(gateway, fail):
    with pytest.raises(http.client.IncompleteRead) as caught:
        fail("truncated")
    assert caught.value.expected == 100
    assert json.loads(caught.value.partial)["data"]["code"] == gateway.screens[PHONE][0].code


def test_huge_goes_on_and_on(gateway):
    with closing(connect(gateway)) as connection:
        connection.request("GET", f"/~huge{SEND}")
        with connection.getresponse() as response:
            assert response.headers["Transfer-Encoding"] == "chunked"
            received = response.read(5_000_000)
    assert len(received) == 5_000_000
    assert json.loads(received)["data"]["code"] == gateway.screens[PHONE][0].code


def test_odd_header_precedes_the_right_answer(gateway):
    with open_request(gateway, "odd-header") as connection, connection.makefile("rb") as stream:
        assert stream.readline() == b"HTTP/1.1 103 Early Hints\r\n"
        while stream.readline() != b"\r\n":
            pass
        assert stream.readline() == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("fault", ["timeout", "silence", "drip", "huge"])
def test_client_that_hangs_up_ends_it(gateway, fault):
    with open_request(gateway, fault):
        wait_for_the_work(gateway)
    wait_until_all_are_closed(gateway)


def wait_until_all_are_closed(gateway: Gateway) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while gateway.open_connection_count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(
    "fault", ["latency=3600", "timeout", "silence", "drip", "drip-body", "huge"]
)
def test_stopping_ends_it_at_once(fault):
    before = set(threading.enumerate())
    with Gateway() as gateway, open_request(gateway, fault) as connection:
        wait_for_the_work(gateway)
        hanging = set(threading.enumerate()) - before
        assert len(hanging) == 2  # the server and the connection
        started = time.monotonic()
        gateway.stop()
        for thread in hanging:
            thread.join(PATIENCE_SECONDS)
        assert time.monotonic() - started < 1
        read_to_the_end(connection)


def read_to_the_end(connection: socket.socket) -> None:
    with suppress(ConnectionError):
        while connection.recv(1_000_000):
            pass


@pytest.mark.parametrize("fault", ["html", "empty", "deep", "echo", "500", "latency=0", "redirect"])
def test_connection_is_kept_after_a_whole_answer(gateway, fault):
    with closing(connect(gateway)) as connection:
        connection.connect()
        kept = connection.sock
        for path in (f"/~{fault}{SEND}", SEND):
            connection.request("GET", path)
            with connection.getresponse() as response:
                response.read()
        assert connection.sock is kept
    assert gateway.connection_count == 1
