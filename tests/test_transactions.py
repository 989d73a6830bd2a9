"""Transactions: a try counts whatever becomes of the rest, and none is open while we wait.

What is counted is committed before anybody is answered; so the flow opens its own transactions, and
says so where it is called inside somebody else's.
"""

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.db import OperationalError, connection, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from django_phone_otp import signals
from django_phone_otp.flow import confirm_code, request_code, resend_code
from django_phone_otp.issuers import Issuer
from django_phone_otp.models import ConfirmAttempt, PhoneChallenge, PhoneLedger
from django_phone_otp.providers import local
from tests.conftest import PHONE

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 30


def write_and_fail(request: HttpRequest) -> HttpResponse:
    """Write as a view of any other app would, and fail."""
    PhoneLedger.objects.create(phone=PHONE)
    raise RuntimeError("the view failed")


urlpatterns = [
    path("api/phone/", include("django_phone_otp.urls")),
    path("control/", write_and_fail),
]


class BrokenIssuer(Issuer):
    """Fails when all of the flow's work is done."""

    def issue(self, request: HttpRequest, user: Any) -> dict[str, str]:
        Token.objects.create(user=user)
        raise RuntimeError("the issuer failed")


def fail(**_kwargs: Any) -> None:
    """Receive a signal, badly."""
    raise RuntimeError("the receiver failed")


@pytest.fixture
def api() -> APIClient:
    """A client that shows an error of the site as its users see it: 500."""
    return APIClient(raise_request_exception=False)


@pytest.fixture
def _atomic_requests(settings, monkeypatch):
    settings.ROOT_URLCONF = __name__
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)


@pytest.fixture
def receive_badly() -> Iterator[Any]:
    """Connect a receiver that raises: `receive_badly(signal)`."""
    connected = []

    def connect(signal: Any) -> None:
        signal.connect(fail)
        connected.append(signal)

    yield connect
    for signal in connected:
        signal.disconnect(fail)


def ask() -> tuple[str, str]:
    """Ask for a code, and give the challenge and the code."""
    challenge = request_code(PHONE).challenge
    assert challenge
    return challenge.public_id, local.outbox[-1].code


def wrong(code: str) -> str:
    return code[:-1] + str((int(code[-1]) + 1) % 10)


def counted() -> tuple[int, int, int]:
    """Give what one wrong code changes: tries left, wrong codes of the phone, codes entered."""
    challenge = PhoneChallenge.objects.get()
    ledger = PhoneLedger.objects.get()
    return challenge.attempts_left, len(ledger.failures), ConfirmAttempt.objects.count()


# ATOMIC_REQUESTS


@pytest.mark.usefixtures("_atomic_requests")
def test_another_view_loses_what_it_wrote(api):
    # The control of the tests below: the setting is in force.
    assert api.get("/control/").status_code == 500
    assert not PhoneLedger.objects.exists()


def test_another_view_keeps_what_it_wrote_without_atomic_requests(api, settings):
    settings.ROOT_URLCONF = __name__
    assert api.get("/control/").status_code == 500
    assert PhoneLedger.objects.exists()


@pytest.mark.usefixtures("_atomic_requests")
def test_s22_wrong_code_is_counted_under_atomic_requests(post):
    challenge, code = ask()
    assert post("confirm", challenge=challenge, code=wrong(code)).status_code == 400
    assert counted() == (4, 1, 1)


@pytest.mark.usefixtures("_atomic_requests")
def test_s22_wrong_code_is_counted_when_the_rest_of_the_request_fails(post, receive_badly):
    challenge, code = ask()
    receive_badly(user_login_failed)  # Django does not catch what receivers of this one raise
    assert post("confirm", challenge=challenge, code=wrong(code)).status_code == 500
    assert counted() == (4, 1, 1)


@pytest.mark.usefixtures("_atomic_requests")
@pytest.mark.parametrize("broken", ["issuer", "receiver"])
def test_s22_right_code_is_used_up_when_the_login_fails(post, phone_otp, receive_badly, broken):
    challenge, code = ask()
    if broken == "issuer":
        phone_otp(TOKEN_ISSUER=f"{__name__}.BrokenIssuer")
    else:
        receive_badly(user_logged_in)
    assert post("confirm", challenge=challenge, code=code).status_code == 500

    stored = PhoneChallenge.objects.get()
    assert (stored.state, stored.attempts_left, stored.spent_at) == ("verified", 4, None)
    assert ConfirmAttempt.objects.get().refusal == ""
    # Spending, the new user and the token are one: all of it or nothing.
    assert not get_user_model().objects.exists()
    assert not Token.objects.exists()
    answer = post("confirm", challenge=challenge, code=code)
    assert (answer.status_code, answer.json()["code"]) == (400, "challenge_closed")


@pytest.mark.usefixtures("_atomic_requests")
def test_whole_login_works_under_atomic_requests(post):
    challenge = post("request", phone=PHONE).json()["challenge"]
    PhoneLedger.objects.update(last_sent_at=None)
    assert post("resend", challenge=challenge).status_code == 200
    answer = post("confirm", challenge=challenge, code=local.outbox[-1].code)
    assert answer.json()["token"] == Token.objects.get().key


# The flow inside somebody's transaction


def test_request_inside_a_transaction_is_refused_before_anything_is_sent():
    with transaction.atomic(), pytest.raises(RuntimeError, match=r"durable"):
        request_code(PHONE)
    assert local.outbox == []
    assert not PhoneChallenge.objects.exists()


def test_resend_inside_a_transaction_is_refused_before_anything_is_sent():
    challenge, _code = ask()
    PhoneLedger.objects.update(last_sent_at=None)
    with transaction.atomic(), pytest.raises(RuntimeError, match=r"durable"):
        resend_code(challenge)
    assert len(local.outbox) == 1


@pytest.mark.parametrize("is_right", [True, False])
def test_answer_inside_a_transaction_is_refused(is_right):
    challenge, code = ask()
    with transaction.atomic(), pytest.raises(RuntimeError, match=r"durable"):
        confirm_code(challenge, code if is_right else wrong(code))
    assert PhoneChallenge.objects.get().state == "sent"
    assert not ConfirmAttempt.objects.exists()


# While a provider is called


class Gateway(ThreadingHTTPServer):
    """A telefon-ip.ru that holds its answer back until it is told to go on."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _GatewayHandler)
        self.was_asked = threading.Event()
        self.may_answer = threading.Event()

    @property
    def options(self) -> dict[str, Any]:
        """Give the options of an account at this gateway."""
        url = f"http://127.0.0.1:{self.server_address[1]}"
        return {"token": "token-of-the-test", "base_url": url, "timeout": PATIENCE_SECONDS}


class _GatewayHandler(BaseHTTPRequestHandler):
    server: Gateway

    def do_GET(self) -> None:
        self.server.was_asked.set()
        self.server.may_answer.wait(PATIENCE_SECONDS)
        data = {"phone": PHONE.removeprefix("+"), "code": "0427", "id": 168}
        body = json.dumps({"success": True, "error": "", "data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def gateway(phone_otp) -> Iterator[Gateway]:
    with Gateway() as gateway:
        thread = threading.Thread(target=gateway.serve_forever, args=(0.01,))
        thread.start()
        account = {"BACKEND": "telefon-ip-flash", "OPTIONS": gateway.options}
        phone_otp(PROVIDERS={"calls": account})
        yield gateway
        gateway.may_answer.set()
        gateway.shutdown()
        thread.join(PATIENCE_SECONDS)


@pytest.fixture
def elsewhere() -> Iterator[Any]:
    """Call a function in another thread, which has another connection to the database."""

    def call(function: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        yield lambda *args, **kwargs: pool.submit(call, *args, **kwargs)


def is_a_transaction_open_elsewhere() -> bool:
    """Look from this connection at the others to this database; there must be one to look at."""
    look = {"sqlite": _look_sqlite, "postgresql": _look_postgresql, "mysql": _look_mariadb}
    with connection.cursor() as cursor:
        return look[connection.vendor](cursor)


def _look_sqlite(cursor: Any) -> bool:
    # There is no server to ask. But nobody gets the file for himself while somebody else is in a
    # transaction, be it for reading.
    cursor.execute("PRAGMA busy_timeout")
    (patience,) = cursor.fetchone()
    cursor.execute("PRAGMA busy_timeout = 0")
    try:
        cursor.execute("BEGIN EXCLUSIVE")
    except OperationalError:
        return True
    else:
        cursor.execute("ROLLBACK")
        return False
    finally:
        cursor.execute(f"PRAGMA busy_timeout = {patience}")


def _look_postgresql(cursor: Any) -> bool:
    cursor.execute(
        """
        SELECT xact_start IS NOT NULL FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend'
        AND pid <> pg_backend_pid()
        """
    )
    others = [is_open for (is_open,) in cursor.fetchall()]
    assert others
    return any(others)


def _look_mariadb(cursor: Any) -> bool:
    cursor.execute(
        """
        SELECT id FROM information_schema.processlist
        WHERE db = database() AND id <> connection_id()
        """
    )
    others = {number for (number,) in cursor.fetchall()}
    assert others
    # Not from the table `innodb_trx`: it shows what was, for a tenth of a second.
    cursor.execute("SHOW ENGINE INNODB STATUS")
    ((_type, _name, status),) = cursor.fetchall()
    listed = status.partition("LIST OF TRANSACTIONS")[2].split("---TRANSACTION")
    active = [each for each in listed if re.match(r"[^,]*, ACTIVE", each)]
    return any(int(re.findall(r"thread id (\d+)", each)[0]) in others for each in active)


@pytest.mark.parametrize("writes", [True, False])
def test_open_transaction_of_another_thread_is_seen(elsewhere, writes):
    # The control of the tests below.
    began, may_end = threading.Event(), threading.Event()

    def stay_in_transaction() -> None:
        with transaction.atomic():
            if writes:
                PhoneLedger.objects.create(phone=PHONE)
            assert list(PhoneLedger.objects.values_list("phone")) == [(PHONE,)] * writes
            began.set()
            may_end.wait(PATIENCE_SECONDS)

    staying = elsewhere(stay_in_transaction)
    assert began.wait(PATIENCE_SECONDS)
    try:
        assert is_a_transaction_open_elsewhere()
    finally:
        may_end.set()
    staying.result(PATIENCE_SECONDS)


def look_while_the_provider_is_called(gateway: Gateway, asking: Future) -> tuple[Any, bool]:
    """Give the challenge as another connection sees it, and whether a transaction is open."""
    assert gateway.was_asked.wait(PATIENCE_SECONDS)
    seen = PhoneChallenge.objects.get()
    is_open = is_a_transaction_open_elsewhere()
    assert not asking.done()
    gateway.may_answer.set()
    return seen, is_open


def test_no_transaction_is_open_while_a_provider_is_called(gateway, elsewhere, post):
    asking = elsewhere(post, "request", phone=PHONE)
    seen, is_open = look_while_the_provider_is_called(gateway, asking)
    assert not is_open
    assert seen.state == "sending"
    assert len(PhoneLedger.objects.get().sends) == 1
    assert asking.result(PATIENCE_SECONDS).json()["state"] == "sent"


@pytest.mark.usefixtures("_atomic_requests")
@pytest.mark.parametrize("endpoint", ["request", "resend"])
def test_none_is_open_under_atomic_requests_either(gateway, elsewhere, post, endpoint):
    body = {"phone": PHONE}
    if endpoint == "resend":
        gateway.may_answer.set()
        body = {"challenge": post("request", phone=PHONE).json()["challenge"]}
        PhoneLedger.objects.update(last_sent_at=None)
        gateway.was_asked.clear()
        gateway.may_answer.clear()
    asking = elsewhere(post, endpoint, **body)
    _seen, is_open = look_while_the_provider_is_called(gateway, asking)
    assert not is_open
    assert asking.result(PATIENCE_SECONDS).json()["state"] == "sent"


def test_answer_to_the_code_before_is_taken_while_a_provider_is_called(gateway, elsewhere, post):
    # A person who types the first code while the second is on its way waits for nobody.
    gateway.may_answer.set()
    challenge = post("request", phone=PHONE).json()["challenge"]
    PhoneLedger.objects.update(last_sent_at=None)
    gateway.was_asked.clear()
    gateway.may_answer.clear()
    asking = elsewhere(post, "resend", challenge=challenge)
    assert gateway.was_asked.wait(PATIENCE_SECONDS)

    assert post("confirm", challenge=challenge, code="0427").status_code == 200
    gateway.may_answer.set()
    late = asking.result(PATIENCE_SECONDS)
    assert (late.status_code, late.json()["code"]) == (400, "challenge_closed")


# Receivers of signals


@pytest.mark.parametrize("name", ["code_sent", "delivery_failed"])
def test_failing_receiver_does_not_undo_a_message(post, phone_otp, receive_badly, name):
    receive_badly(getattr(signals, name))
    if name == "delivery_failed":
        failing = {"BACKEND": "tests.fakes.Fake", "OPTIONS": {"error": "ProviderUnavailable"}}
        phone_otp(PROVIDERS={"failing": failing, "memory": {"BACKEND": "locmem"}})
    assert post("request", phone=PHONE).status_code == 201
    assert PhoneChallenge.objects.get().state == "sent"
    assert len(PhoneLedger.objects.get().sends) == 1


@pytest.mark.parametrize("name", ["code_rejected", "phone_locked"])
def test_s22_failing_receiver_does_not_undo_the_count_of_a_try(post, receive_badly, name):
    challenge, code = ask()
    PhoneChallenge.objects.update(attempts_left=1)
    receive_badly(getattr(signals, name))
    assert post("confirm", challenge=challenge, code=wrong(code)).status_code == 400
    assert counted() == (0, 1, 1)


def test_failing_receiver_does_not_undo_a_login(post, receive_badly):
    challenge, code = ask()
    receive_badly(signals.phone_verified)
    answer = post("confirm", challenge=challenge, code=code)
    assert answer.status_code == 200
    assert answer.json()["token"] == Token.objects.get().key
    assert PhoneChallenge.objects.get().state == "verified"


def test_failing_receiver_does_not_undo_a_link(api, post, receive_badly):
    user = get_user_model().objects.create_user("somebody")
    api.force_authenticate(user)
    challenge = post("request", phone=PHONE, purpose="link").json()["challenge"]
    receive_badly(signals.phone_linked)
    answer = post("confirm", challenge=challenge, code=local.outbox[-1].code)
    assert answer.status_code == 200
    assert list(user.verified_phones.values_list("phone")) == [(PHONE,)]
