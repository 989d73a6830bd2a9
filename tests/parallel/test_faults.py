"""Real servers that lose a worker, the database, the cache or the provider for a moment.

Nothing is restarted but what was lost. The same faults at each statement, in one process, are in
`tests.test_faults`; many of them at once, under load, are in `tests.stress`.
"""

import json
import os
import shutil
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from io import StringIO
from pathlib import Path
from typing import Any, Self

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.management import call_command
from django.db import connection
from django.http import HttpRequest

from django_phone_otp.issuers import Issuer
from django_phone_otp.models import ConfirmAttempt, DeliveryAttempt, PhoneChallenge, PhoneLedger
from example_project.gateway import Gateway
from example_project.gateway.exchange import Ask
from example_project.gateway.server import Reply
from tests.conftest import PHONE
from tests.databases import INHERITED
from tests.parallel.conftest import THREADS_COUNT
from tests.redis_server import RedisServer
from tests.stress.workers import find_master, find_workers, kill

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 30
TIMEOUT_SECONDS = 1.0
SLACK_SECONDS = 5.0  # for a machine that is busy with other things
UNAVAILABLE = (503, "unavailable")
LOST = (0, "")
WRONG = "000000"
MAX_MESSAGES_COUNT = 200  # more than any request sends to the database
GENEROUS = dict.fromkeys(("request_ip", "confirm_ip", "fail_all"), "1000000/h")


class DeadlyGateway(Gateway):
    """Takes the message, and then kills who sent it; `is_deadly` switches that on and off."""

    is_deadly = False
    port = 0  # where the site is

    def reply(self, ask: Ask) -> Reply:
        reply = super().reply(ask)
        if self.is_deadly:
            self.is_deadly = False
            for worker in find_workers(find_master(self.port)):
                kill(worker)
        return reply


class DeadlyIssuer(Issuer):
    """Kills the process that would log somebody in: the code was right, and nobody knows."""

    def issue(self, request: HttpRequest, user: AbstractBaseUser) -> dict[str, str]:
        kill(os.getpid())
        raise AssertionError("this process is dead")


@pytest.fixture
def gateway() -> Iterator[DeadlyGateway]:
    with DeadlyGateway() as running:
        yield running


def entry(gateway: Gateway, **options: Any) -> dict[str, Any]:
    """Write PROVIDERS with one account, whose code is ours."""
    own = {"token": "t" * 20, "own_code": True, "timeout": TIMEOUT_SECONDS, "base_url": gateway.url}
    return {"texts": {"BACKEND": "telefon-ip-sms", "OPTIONS": {**own, **options}}}


@pytest.fixture
def open_site(other_site, gateway) -> Callable[..., Any]:
    """Start a site that sends through the gateway: `with open_site() as site:`."""
    keys = {"PROVIDERS": entry(gateway), "RESEND_WAITS": [600], "LIMITS": GENEROUS}
    return lambda **changed: other_site(**{**keys, **changed})


class Browser:
    """Asks one thing after the other; a lost answer has status 0. `seconds` is what it took."""

    def __init__(self, port: int) -> None:
        self.seconds = 0.0
        self.body: dict[str, Any] = {}
        self._port = port

    def post(self, name: str, **body: str) -> tuple[int, str]:
        return self._ask("POST", name, body)

    def look(self, challenge: str) -> tuple[int, str]:
        return self._ask("GET", f"challenges/{challenge}", {})

    def _ask(self, method: str, name: str, body: dict[str, str]) -> tuple[int, str]:
        began = time.monotonic()
        client = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
        headers = {"Content-Type": "application/json"}
        try:
            client.request(method, f"/api/phone/{name}/", json.dumps(body), headers)
            response = client.getresponse()
            self.body = json.loads(response.read())
        except (OSError, HTTPException):
            return LOST
        finally:
            client.close()
            self.seconds = time.monotonic() - began
        return response.status, self.body.get("code", "")


def ask(browser: Browser, phone: str = PHONE) -> str:
    """Ask for a code, and give the challenge."""
    assert browser.post("request", phone=phone) == (201, "")
    challenge: str = browser.body["challenge"]
    return challenge


def end_wait() -> None:
    """Let a message go out again, as if the wait were over."""
    PhoneLedger.objects.update(last_sent_at=None)


def taken_of(phone: str) -> int:
    return len(PhoneLedger.objects.of_phone(phone).sends)


def sweep() -> None:
    call_command("phone_otp_sweep", "--older-than", "0", stdout=StringIO())


# A worker is killed


def test_s22_worker_killed_when_the_message_was_out_keeps_the_budget(open_site, gateway):
    with open_site() as site:
        browser = Browser(site.port)
        gateway.port, gateway.is_deadly = site.port, True
        assert browser.post("request", phone=PHONE) == LOST
        assert browser.post("request", phone=PHONE) == (429, "resend_too_soon")
        assert gateway.message_count == taken_of(PHONE) == 1  # no second message for nothing
        challenge = PhoneChallenge.objects.get().public_id
        assert browser.look(challenge) == (200, "")
        assert browser.body["state"] == "sending"

        sweep()
        attempt = DeliveryAttempt.objects.get()
        assert attempt.outcome == "uncertain"
        browser.look(challenge)
        assert browser.body["state"] == "failed"
        end_wait()
        assert browser.post("resend", challenge=challenge) == (200, "")
        code = gateway.on_screen(PHONE)[-1].code
        assert browser.post("confirm", challenge=challenge, code=code) == (200, "")
    assert gateway.message_count == taken_of(PHONE) == 2


def test_s22_worker_killed_in_a_resend_leaves_the_code_before_it_good(open_site, gateway):
    # Codes of six digits: of codes of four the newest alone counts.
    connect = {"email": "o@shop.example", "api_key": "k" * 20, "length": 6, "base_url": gateway.url}
    providers = {"texts": {"BACKEND": "oneconnect", "OPTIONS": connect}}
    with open_site(PROVIDERS=providers) as site:
        browser = Browser(site.port)
        challenge = ask(browser)
        code = gateway.on_screen(PHONE)[-1].code
        end_wait()
        gateway.port, gateway.is_deadly = site.port, True
        assert browser.post("resend", challenge=challenge) == LOST
        assert gateway.message_count == taken_of(PHONE) == 2
        sweep()
        assert browser.post("confirm", challenge=challenge, code=code) == (200, "")


def test_s22_worker_killed_when_the_code_was_right_leaves_no_half_of_a_login(open_site, gateway):
    with open_site(TOKEN_ISSUER=f"{__name__}.DeadlyIssuer") as site:
        browser = Browser(site.port)
        challenge = ask(browser)
        code = gateway.on_screen(PHONE)[-1].code
        assert browser.post("confirm", challenge=challenge, code=code) == LOST
        stored = PhoneChallenge.objects.get()
        assert (stored.state, stored.attempts_left, stored.spent_at) == ("verified", 2, None)
        assert ConfirmAttempt.objects.get().refusal == ""
        assert not get_user_model().objects.exists()
        # The code was used up, and there is no wait for the next one.
        assert browser.post("confirm", challenge=challenge, code=code) == (400, "challenge_closed")
        assert browser.post("request", phone=PHONE) == (201, "")


# The database is gone for a moment


# How clients of PostgreSQL and MariaDB hang up: it may come when the person has the answer already.
GOODBYES = (b"X\x00\x00\x00\x04", b"\x01\x00\x00\x00\x01")


class Wire:
    """Stands between the site and the server of the database, and can be cut.

    Both sides are sockets of the file system.
    """

    def __init__(self, server: Path, name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="phone-otp-wire-"))
        self._cut_at, self._goes_through, self._seen = 0, False, 0
        self._server, self._path = server, self.folder / name
        self._open: set[socket.socket] = set()
        self._lock = threading.RLock()
        self._listener: socket.socket | None = None

    def __enter__(self) -> Self:
        self.mend()
        return self

    def __exit__(self, *_error: object) -> None:
        self.cut()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def is_cut(self) -> bool:
        return self._listener is None

    def cut_later(self, number: int, *, goes_through: bool) -> None:
        """Cut it at the client's message of this number, over all connections from now on."""
        with self._lock:
            self._cut_at, self._goes_through, self._seen = number, goes_through, 0

    def mend(self) -> None:
        """Let connections through again, all messages of them."""
        with self._lock:
            self._cut_at = 0
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self._path))
            self._listener.listen(64)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Close all connections, and take no new ones."""
        with self._lock:
            listener, self._listener = self._listener, None
            self._path.unlink(missing_ok=True)
            for each in [*self._open, *([listener] if listener else [])]:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _address = listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server))
                with self._lock:
                    self._open |= {client, server}
                for pair in ((client, server), (server, client)):
                    arguments = (*pair, pair[0] is client)
                    threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_client: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if is_client and data not in GOODBYES and self._counts_to_the_end():
                    if self._goes_through:
                        target.sendall(data)
                        time.sleep(0.05)  # the server does it, and nobody hears of that
                    self.cut()
                    return
                target.sendall(data)
        for each in (source, target):
            with self._lock:
                self._open.discard(each)
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _counts_to_the_end(self) -> bool:
        with self._lock:
            self._seen += 1
            return self._seen == self._cut_at


class LockedFile:
    """What comes next to a lost database where it is a file: somebody else has it for himself."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._holder: sqlite3.Connection | None = None

    def cut(self) -> None:
        self._holder = sqlite3.connect(self._path, isolation_level=None)
        self._holder.execute("BEGIN EXCLUSIVE")

    def mend(self) -> None:
        if self._holder:
            self._holder.close()
            self._holder = None


@contextmanager
def wire_to_database(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> Iterator[Any]:
    """Have the servers that are started now reach their database over a wire."""
    written = json.loads(os.environ[INHERITED])
    written.update(changed)
    if connection.vendor == "sqlite":
        written["OPTIONS"] = {"timeout": 0.05}
        monkeypatch.setenv(INHERITED, json.dumps(written))
        locked = LockedFile(str(connection.settings_dict["NAME"]))
        try:
            yield locked
        finally:
            locked.mend()
        return
    if connection.vendor == "postgresql":
        name = f".s.PGSQL.{written['PORT'] or 5432}"
        server = Path(written["HOST"]) / name
    else:
        name, server = "socket", Path(written["HOST"])
    with Wire(server, name) as wire:
        written["HOST"] = str(wire.folder if connection.vendor == "postgresql" else wire._path)
        monkeypatch.setenv(INHERITED, json.dumps(written))
        yield wire


@pytest.mark.parametrize(
    "kept", [{}, {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}], ids=["fresh", "kept"]
)
def test_s15_a_lost_database_is_503_and_comes_back_by_itself(
    open_site, gateway, monkeypatch, tmp_path, kept
):
    with wire_to_database(monkeypatch, **kept) as wire, open_site() as site:
        browser = Browser(site.port)
        challenge = ask(browser)
        code = gateway.on_screen(PHONE)[-1].code
        assert browser.post("confirm", challenge=challenge, code=WRONG) == (400, "wrong_code")
        wire.cut()
        for _ in range(THREADS_COUNT):
            assert browser.post("request", phone="+79244501004") == UNAVAILABLE
            assert browser.post("resend", challenge=challenge) == UNAVAILABLE
            assert browser.post("confirm", challenge=challenge, code=WRONG) == UNAVAILABLE
            assert browser.post("confirm", challenge=challenge, code=code) == UNAVAILABLE
            assert browser.look(challenge) == UNAVAILABLE
        assert gateway.message_count == 1
        wire.mend()
        assert browser.post("confirm", challenge=challenge, code=WRONG) == (400, "wrong_code")
        assert browser.body["attempts_left"] == 1  # of three: those from before count, no others
        assert browser.post("confirm", challenge=challenge, code=code) == (200, "")
        assert browser.post("request", phone="+79244501004") == (201, "")
    log = (tmp_path / "log").read_text()
    assert "database_unavailable error=OperationalError" in log
    assert "Traceback" not in log


if connection.vendor != "sqlite":  # it has no connection that could be cut

    @pytest.mark.parametrize("goes_through", [False, True], ids=["before", "after"])
    def test_s22_a_request_cut_at_any_message_sends_nothing_that_is_not_counted(
        open_site, gateway, monkeypatch, goes_through
    ):
        seen = []
        with wire_to_database(monkeypatch) as wire, open_site() as site:
            browser = Browser(site.port)
            for number in range(1, MAX_MESSAGES_COUNT):
                phone = f"+7924450{number:04}"
                wire.cut_later(number, goes_through=goes_through)
                seen.append(browser.post("request", phone=phone))
                assert len(gateway.on_screen(phone)) <= taken_of(phone) <= 1
                if not wire.is_cut:
                    break
                wire.mend()
        assert seen == [UNAVAILABLE] * (len(seen) - 1) + [(201, "")]
        assert gateway.message_count > 1  # some of those went out

    @pytest.mark.parametrize("goes_through", [False, True], ids=["before", "after"])
    def test_s22_a_login_cut_at_any_message_happens_once_or_not_at_all(
        open_site, gateway, monkeypatch, goes_through
    ):
        seen = []
        with wire_to_database(monkeypatch) as wire, open_site() as site:
            browser = Browser(site.port)
            for number in range(1, MAX_MESSAGES_COUNT):
                phone = f"+7924450{number:04}"
                challenge = ask(browser, phone)
                code = gateway.on_screen(phone)[-1].code
                wire.cut_later(number, goes_through=goes_through)
                first = browser.post("confirm", challenge=challenge, code=code)
                if not wire.is_cut:
                    break
                wire.mend()
                assert first == UNAVAILABLE
                second = browser.post("confirm", challenge=challenge, code=code)
                seen.append(second)
                spent = PhoneChallenge.objects.get(public_id=challenge).spent_at
                assert second in {(200, ""), (400, "challenge_closed")}
                assert spent or second == (400, "challenge_closed")
                # Where the code was used up by a login that failed, there is no wait for the next.
                assert second == (200, "") or browser.post("request", phone=phone) == (201, "")
        assert first == (200, "")
        assert set(seen) == {(200, ""), (400, "challenge_closed")}


# The cache is gone for a moment


def test_s15_a_lost_cache_is_503_and_comes_back_by_itself(
    open_site, gateway, monkeypatch, tmp_path
):
    with RedisServer() as redis:
        monkeypatch.setenv("PHONE_OTP_TEST_CACHES", json.dumps(redis.caches))
        with open_site() as site:
            browser = Browser(site.port)
            challenge = ask(browser)
            code = gateway.on_screen(PHONE)[-1].code
            end_wait()
            redis.stop()
            assert browser.post("request", phone="+79244501004") == UNAVAILABLE
            assert browser.post("resend", challenge=challenge) == UNAVAILABLE
            assert browser.post("confirm", challenge=challenge, code=code) == UNAVAILABLE
            assert browser.look(challenge) == (200, "")  # counts nothing
            assert (gateway.message_count, taken_of(PHONE), taken_of("+79244501004")) == (1, 1, 0)
            assert PhoneChallenge.objects.get().attempts_left == 3
            redis.start()
            assert browser.post("confirm", challenge=challenge, code=code) == (200, "")
            assert browser.post("request", phone="+79244501004") == (201, "")
    log = (tmp_path / "log").read_text()
    assert "cache_unavailable limit=request_ip error=ConnectionError" in log
    assert "cache_unavailable limit=confirm_ip error=ConnectionError" in log
    assert "Traceback" not in log


# The provider hangs


def test_s15_workers_are_free_again_when_a_provider_hangs(open_site, gateway):
    with open_site() as site:
        gateway.order("timeout")
        began = time.monotonic()
        # More than there are threads in the whole site: every one of them waits for the provider.
        crowd = [("request", {"phone": f"+7924450{number:04}"}) for number in range(40)]
        answers = site(crowd)
        assert time.monotonic() - began < 40 / THREADS_COUNT * TIMEOUT_SECONDS + SLACK_SECONDS
        assert {(each.status, each.body["state"]) for each in answers} == {(201, "sending")}
        assert gateway.message_count == 40

        gateway.order("")
        browser = Browser(site.port)
        # The message did come in, and logs in.
        challenge = PhoneChallenge.objects.get(phone="+79244500000").public_id
        code = gateway.on_screen("+79244500000")[-1].code
        assert browser.post("confirm", challenge=challenge, code=code) == (200, "")
        assert browser.seconds < SLACK_SECONDS
        assert browser.post("request", phone=PHONE) == (201, "")
        assert browser.body["state"] == "sent"
