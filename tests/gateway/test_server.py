"""The HTTP below the protocols, and what is counted."""

import http.client
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import requests

from example_project.gateway import HOST, Gateway
from tests.gateway.conftest import PATIENCE_SECONDS, address, asker, connect

SEND = "/api/v1/authcalls/token/get_code/89244501003/"


def test_many_requests_use_one_connection(gateway):
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(20):
            assert session.post(f"{gateway.url}{SEND}", data={"sms": "true"}).status_code == 200
    assert (gateway.connection_count, gateway.request_count) == (1, 20)


def test_connection_is_closed_when_the_client_says_so(gateway):
    with closing(connect(gateway)) as connection:
        connection.request("GET", "/counts/", headers={"Connection": "close"})
        with connection.getresponse() as response:
            assert response.headers["Connection"] == "close"


def test_it_listens_on_loopback_only(gateway):
    assert gateway.url.startswith("http://127.0.0.1:")
    _host, port = address(gateway)
    # The whole of 127/8 is this machine: a server on 0.0.0.0 would answer here, too.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ("Content-Length: 70000", "", 413),
        ("Content-Length: x", "", 400),
        ("Content-Length: -1", "", 400),
        ("Transfer-Encoding: chunked", "0\r\n\r\n", 411),
        ("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1", "\xff", 400),
    ],
)
def test_unreadable_request_is_refused_and_closed(gateway, headers, body, status):
    with socket.create_connection(address(gateway), timeout=PATIENCE_SECONDS) as connection:
        request = f"POST {SEND} HTTP/1.1\r\nHost: {HOST}\r\n{headers}\r\n\r\n{body}"
        connection.sendall(request.encode("latin-1"))
        with connection.makefile("rb") as stream:
            answer = stream.read()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert gateway.message_count == 0


@pytest.mark.parametrize("path", ["/favicon.ico", "/api/", "/v2/", "/fault", "/screen"])
def test_what_is_not_served(ask, path):
    assert ask("GET", path).status == 404


@pytest.mark.parametrize("path", [SEND, "/api/v1/getBalance", "/v2/Services/VA1"])
def test_protocols_do_not_take_delete(gateway, ask, path):
    assert ask("DELETE", path).status == 405
    assert gateway.message_count == 0


# Counting


def test_actions_are_counted_whatever_comes_of_them(gateway, ask):
    auth = ("user", "secret")
    for method, path in [
        ("GET", SEND),
        ("GET", "/api/v1/authcalls/token/get_code/x/"),
        ("GET", f"/~silent{SEND}"),  # no fault, no request of a protocol
        ("GET", f"/~503{SEND}"),
        ("GET", "/api/v1/createPasswordObject"),
        ("POST", "/api/v1/mfa/sms_auth"),
        ("GET", "/api/v1/balance/"),
        ("GET", "/v2/Services/VA1"),
        ("POST", "/v2/Services/VA1/Verifications"),
        ("POST", f"/v2/Services/VA1/Verifications/VE{'0' * 32}"),
        ("POST", "/v2/Services/VA1/VerificationCheck"),
        ("GET", "/api/v1/no-such-call"),
    ]:
        ask(method, path, None, auth)
    assert gateway.count("get_code") == 3
    assert gateway.count("get_sms_code") == 0
    assert gateway.counts()["actions"] == {
        "get_code": 3,
        "createPasswordObject": 1,
        "sms_auth": 1,
        "balance": 1,
        "Services": 1,
        "Verifications": 1,
        "Verification": 1,
        "VerificationCheck": 1,
    }


def test_counts_over_http(gateway, ask):
    ask("GET", SEND)
    ask("GET", "/redirected/")
    assert ask("GET", "/counts/").json == {
        "requests": 3,
        "connections": 3,
        "messages": 1,
        "redirects_followed": 1,
        "actions": {"get_code": 1},
    }
    assert gateway.count("get_code") == 1


def test_parallel_requests_lose_no_count(gateway):
    def send_some(_: int) -> list[int]:
        with closing(connect(gateway)) as connection:
            ids = []
            for _ in range(25):
                connection.request("GET", "/api/v1/createPasswordObject?token=t&type_id=both&len=4")
                with connection.getresponse() as response:
                    ids.append(response.status)
                    response.read()
            return ids

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send_some, range(8)))
    assert gateway.count("createPasswordObject") == gateway.request_count == 200
    assert len(gateway.password_objects) == 200


# Starting and stopping


def test_stopped_gateway_keeps_its_screens_and_starts_again(gateway, ask):
    ask("GET", SEND)
    url = gateway.url
    gateway.stop()
    with pytest.raises(ConnectionRefusedError):
        ask("GET", SEND)
    gateway.start()
    assert gateway.url == url
    assert ask("GET", SEND).status == 200
    assert gateway.message_count == 2


def test_stopping_twice_is_harmless(gateway):
    gateway.stop()
    gateway.stop()


def test_stopping_closes_idle_connections(gateway):
    with closing(connect(gateway)) as connection:
        connection.request("GET", "/counts/")
        with connection.getresponse() as response:
            response.read()
        gateway.stop()
        connection.request("GET", "/counts/")
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            connection.getresponse()


def test_latency_delays_each_answer_of_a_protocol():
    with Gateway(0.1) as gateway:
        started = time.monotonic()
        assert asker(gateway)("GET", SEND).status == 200
    assert time.monotonic() - started >= 0.1


# By itself


@pytest.fixture
def run():
    """Run `python -m example_project.gateway` and give its process; it is ended in any case."""
    processes = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "example_project.gateway", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def test_it_runs_by_itself(run):
    process = run("--port", "0", "--token", "right", "--fault", "429")
    lines: list[str] = []
    while not lines or "Ctrl-C" not in lines[-1]:
        lines.append(process.stdout.readline().strip())
    url = lines[0].removeprefix("Gateway:").strip()
    host, port = url.removeprefix("http://").split(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=PATIENCE_SECONDS)) as client:
        answers = []
        for method, path in [("GET", SEND), ("DELETE", "/fault/"), ("GET", SEND)]:
            client.request(method, path)
            with client.getresponse() as response:
                answers.append((response.status, response.read()))
    process.terminate()
    assert process.wait(PATIENCE_SECONDS) == 0
    assert [status for status, _body in answers] == [429, 200, 401]
    assert f"{url}/~html" in lines
    assert sum(url in line for line in lines if "answers" in line) == 5


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--port", "0", "--fault", "x"], 2, "--fault x: 'x' is not a fault; known: latency, "),
        (["--port", "99999"], 1, "Cannot listen on 127.0.0.1:99999: "),
    ],
)
def test_it_says_why_it_does_not_start(run, arguments, status, said):
    process = run(*arguments)
    _out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == status
    assert err.startswith(said)
