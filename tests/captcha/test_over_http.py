"""A captcha over real HTTP, from the door to a service on 127.0.0.1 and back."""

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_phone_otp.captcha import load_captcha
from django_phone_otp.choices import Refusal
from django_phone_otp.exceptions import NotConnected
from django_phone_otp.flow import request_code
from django_phone_otp.providers import local
from tests.conftest import PHONE

SECRET = "0x4AAAAAAA-secret-of-the-site"
PATIENCE_SECONDS = 5


class Service(ThreadingHTTPServer):
    """A Turnstile that knows one secret, and takes each token that begins with "good" once."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/turnstile/v0/siteverify"
        self.forms: list[dict[str, str]] = []
        self.is_down = False

    def judge(self, form: dict[str, str]) -> list[str]:
        """List the error codes of a token; none for a good one."""
        if form.get("secret") != SECRET:
            return ["invalid-input-secret"]
        if any(form["response"] == seen["response"] for seen in self.forms):
            return ["timeout-or-duplicate"]
        return [] if form["response"].startswith("good") else ["invalid-input-response"]


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(parse_qsl(sent, strict_parsing=True))
        codes = self.server.judge(form)
        self.server.forms.append(form)
        body = json.dumps({"success": not codes, "error-codes": codes}).encode()
        self.send_response(503 if self.server.is_down else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def service(phone_otp) -> Iterator[Service]:
    """Run a service, and name it in the settings."""
    with Service() as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.01,))
        thread.start()
        phone_otp(CAPTCHA=captcha_at(service))
        yield service
        service.shutdown()
        thread.join(PATIENCE_SECONDS)


def captcha_at(service: Service, secret: str = SECRET, **keys: Any) -> dict[str, Any]:
    options = {"secret": secret, "url": service.url, "timeout": PATIENCE_SECONDS}
    return {"BACKEND": "turnstile", "OPTIONS": options, **keys}


@pytest.mark.django_db
@pytest.mark.parametrize("body", [{}, {"captcha_token": ""}])
def test_without_a_token_nobody_is_asked(post, service, body):
    response = post("request", phone=PHONE, **body)
    assert (response.status_code, response.json()["code"]) == (403, "captcha_required")
    assert service.forms == []


@pytest.mark.django_db
def test_a_bad_token_costs_no_message(post, service):
    response = post("request", phone=PHONE, captcha_token="bad")
    assert (response.status_code, response.json()["code"]) == (403, "captcha_failed")
    assert local.outbox == []


@pytest.mark.django_db
def test_a_good_token_lets_through_and_the_address_is_told(post, service):
    assert post("request", phone=PHONE, captcha_token="good &=+%/").status_code == 201
    sent = {"secret": SECRET, "response": "good &=+%/", "remoteip": "127.0.0.1"}
    assert service.forms == [sent]
    assert len(local.outbox) == 1


@pytest.mark.django_db
def test_a_token_counts_once(post, service):
    codes = [
        post("request", phone=phone, captcha_token="good").status_code
        for phone in (PHONE, "+79244501004")
    ]
    assert codes == [201, 403]


@pytest.mark.django_db
def test_a_resend_asks_no_captcha(post, service, clock):
    challenge = post("request", phone=PHONE, captcha_token="good").json()["challenge"]
    clock.shift(60)
    assert post("resend", challenge=challenge).status_code == 200
    assert len(service.forms) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("token", ["good", "bad"])
def test_a_service_that_is_down_lets_nobody_through(post, service, token):
    service.is_down = True
    response = post("request", phone=PHONE, captcha_token=token)
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert local.outbox == []


@pytest.mark.django_db
def test_a_service_that_is_down_lets_through_where_it_may(post, phone_otp, service):
    service.is_down = True
    phone_otp(CAPTCHA=captcha_at(service, ON_ERROR="allow"))
    assert post("request", phone=PHONE, captcha_token="good").status_code == 201


@pytest.mark.django_db
@pytest.mark.parametrize("token", ["bad", "good" * 2_000, "good\ud800"])
def test_allow_lets_no_bad_token_through(phone_otp, service, token):
    phone_otp(CAPTCHA=captcha_at(service, ON_ERROR="allow"))
    asked = request_code(PHONE, captcha_token=token)
    assert (asked.refusal, local.outbox) == (Refusal.CAPTCHA_FAILED, [])


def test_a_secret_that_is_refused_is_a_mistake_of_ours(service):
    captcha = load_captcha(captcha_at(service, secret="another"))
    with pytest.raises(ImproperlyConfigured, match="invalid-input-secret"):
        captcha.verify("good", "")


def test_a_service_that_is_gone_is_not_connected(service):
    captcha = load_captcha(captcha_at(service))
    service.shutdown()
    service.server_close()
    with pytest.raises(NotConnected):
        captcha.verify("good", "")


@pytest.mark.django_db
@pytest.mark.parametrize("is_down", [True, False])
def test_s13_no_log_has_the_secret_or_the_token(post, service, caplog, is_down):
    caplog.set_level(logging.DEBUG)
    service.is_down = is_down
    post("request", phone=PHONE, captcha_token="good-token-of-the-person")
    assert service.forms[0]["response"] == "good-token-of-the-person"
    assert ("captcha_unavailable" in caplog.text) is is_down
    assert SECRET not in caplog.text
    assert "token-of-the-person" not in caplog.text
