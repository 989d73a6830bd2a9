"""Yandex SmartCaptcha, hCaptcha and Turnstile. The bodies are files, see wire/README.md."""

import json
import logging
import re
import traceback
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from django.views.debug import ExceptionReporter
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from django_phone_otp.captcha import load_captcha
from django_phone_otp.captcha.siteverify import HCaptcha, SiteVerify, Turnstile, Yandex
from django_phone_otp.exceptions import NoAnswer, NotConnected, TransportError
from django_phone_otp.testing import Wire

WIRE = Path(__file__).parent / "wire"
SECRET = "0x4AAAAAAA-secret-of-the-site"
TOKEN = "0.token-of-the-person"
IP = "203.0.113.7"
SERVICES = [
    pytest.param(Yandex, id="yandex"),
    pytest.param(HCaptcha, id="hcaptcha"),
    pytest.param(Turnstile, id="turnstile"),
]
GOOD = {Yandex: "yandex_ok", HCaptcha: "hcaptcha_ok", Turnstile: "turnstile_ok"}
BAD = {
    Yandex: "yandex_token_expired",
    HCaptcha: "hcaptcha_expired_input_response",
    Turnstile: "turnstile_timeout_or_duplicate",
}
OURS = {
    Yandex: "yandex_secret_wrong",
    HCaptcha: "hcaptcha_invalid_input_secret",
    Turnstile: "turnstile_invalid_input_secret",
}


def body(name: str) -> bytes:
    return (WIRE / f"{name}.json").read_bytes()


def make(service: type[SiteVerify], wire: Wire, **options: Any) -> SiteVerify:
    return service({"secret": SECRET, **options}, wire)


def ask(service: type[SiteVerify], answer: Any, status: int = 200, **options: Any) -> bool:
    return make(service, Wire(answer, status), **options).verify(TOKEN, IP)


def failure(service: type[SiteVerify], answer: Any, status: int = 200) -> Exception:
    with pytest.raises((ImproperlyConfigured, TransportError)) as caught:
        ask(service, answer, status)
    return caught.value


def sent_by(service: type[SiteVerify], token: str = TOKEN, ip: str = IP, **options: Any) -> Any:
    wire = Wire(body(GOOD[service]))
    make(service, wire, **options).verify(token, ip)
    (request,) = wire.requests
    return request


def refusal_of(options: Any) -> str:
    with pytest.raises(ImproperlyConfigured) as caught:
        load_captcha({"BACKEND": "turnstile", "OPTIONS": options})
    return str(caught.value)


# What goes out


@pytest.mark.parametrize(
    ("service", "url", "form"),
    [
        pytest.param(
            Yandex,
            "https://smartcaptcha.cloud.yandex.ru/validate",
            {"secret": SECRET, "token": TOKEN, "ip": IP},
            id="yandex",
        ),
        pytest.param(
            HCaptcha,
            "https://api.hcaptcha.com/siteverify",
            {"secret": SECRET, "response": TOKEN, "remoteip": IP},
            id="hcaptcha",
        ),
        pytest.param(
            Turnstile,
            "https://challenges.cloudflare.com/turnstile/v0/siteverify",
            {"secret": SECRET, "response": TOKEN, "remoteip": IP},
            id="turnstile",
        ),
    ],
)
def test_question_on_the_wire(service, url, form):
    request = sent_by(service)
    assert (request.method, request.url, request.form) == ("POST", url, form)
    assert (request.query, request.json, request.headers, request.basic_auth) == (
        {},
        None,
        {},
        None,
    )


@pytest.mark.parametrize("service", SERVICES)
def test_an_unknown_address_is_left_out(service):
    assert list(sent_by(service, ip="").form.values()) == [SECRET, TOKEN]


@pytest.mark.parametrize("service", SERVICES)
def test_only_hcaptcha_is_told_the_site_key(service):
    form = sent_by(service, site_key="10000000-ffff").form
    assert form.get("sitekey") == ("10000000-ffff" if service is HCaptcha else None)
    assert len(form) == (4 if service is HCaptcha else 3)


@pytest.mark.parametrize("service", SERVICES)
def test_an_empty_site_key_is_left_out(service):
    assert len(sent_by(service, site_key="").form) == 3


@pytest.mark.parametrize(
    "url",
    [
        "https://smartcaptcha.yandexcloud.net/validate",
        "http://127.0.0.1:8000/any/where",
        "http://localhost/",
        "http://[::1]:8000/validate",
    ],
)
def test_address_may_be_another(url):
    assert sent_by(Yandex, url=url).url == url


@pytest.mark.parametrize("service", SERVICES)
def test_an_answer_is_awaited_for_five_seconds(service):
    assert sent_by(service).timeout_seconds == 5


def test_timeout_is_that_of_the_options():
    assert sent_by(Turnstile, timeout=0.5).timeout_seconds == 0.5


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("status", [200, 500])
def test_nothing_is_asked_twice(service, status):
    wire = Wire(body(BAD[service]), status)
    captcha = make(service, wire)
    if status == 500:
        with pytest.raises(NoAnswer):
            captcha.verify(TOKEN, IP)
    else:
        assert captcha.verify(TOKEN, IP) is False
    assert len(wire.requests) == 1


@pytest.mark.parametrize("token", ["t" * 4097, "токен", "\ud800"])
def test_a_token_that_could_not_be_sent_is_bad_and_not_sent(token):
    wire = Wire(body("turnstile_ok"))
    assert make(Turnstile, wire).verify(token, IP) is False
    assert wire.requests == []


def test_a_token_of_the_greatest_length_is_sent():
    assert sent_by(Turnstile, token="t" * 4096).form["response"] == "t" * 4096


# Verdicts


@pytest.mark.parametrize(
    ("service", "answer"),
    [
        (Yandex, "yandex_ok"),
        (Yandex, "yandex_ok_with_port"),
        (Yandex, "yandex_ok_without_host"),
        (HCaptcha, "hcaptcha_ok"),
        (Turnstile, "turnstile_ok"),
    ],
)
def test_a_person_is_let_through(service, answer):
    assert ask(service, body(answer)) is True


@pytest.mark.parametrize(
    ("service", "answer"),
    [
        (Yandex, "yandex_robot"),
        (Yandex, "yandex_token_expired"),
        (Yandex, "yandex_token_expired_older"),
        (Yandex, "yandex_invalid_ip"),
        (HCaptcha, "hcaptcha_expired_input_response"),
        (HCaptcha, "hcaptcha_already_seen_response"),
        (HCaptcha, "hcaptcha_invalid_input_response"),
        (HCaptcha, "hcaptcha_invalid_or_already_seen_response"),
        (HCaptcha, "hcaptcha_bad_request"),
        (Turnstile, "turnstile_invalid_input_response"),
        (Turnstile, "turnstile_timeout_or_duplicate"),
        (Turnstile, "turnstile_bad_request"),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 403])
def test_a_bad_token_is_refused(service, answer, status):
    assert ask(service, body(answer), status) is False


@pytest.mark.parametrize("service", [HCaptcha, Turnstile])
@pytest.mark.parametrize(
    "answer",
    [
        "refused_without_reason",
        "refused_by_both",
        "refused_in_unknown_words",
        "refused_with_numbers",
        "refused_in_a_text",
    ],
)
def test_a_refusal_for_reasons_that_nobody_knows_is_one_of_the_token(service, answer):
    assert ask(service, body(answer)) is False


@pytest.mark.parametrize("service", [HCaptcha, Turnstile])
@pytest.mark.parametrize("codes", [None, 5, True, [], {"invalid-input-secret": 1}])
def test_reasons_that_are_no_list_are_none(service, codes):
    assert ask(service, {"success": False, "error-codes": codes}) is False


@pytest.mark.parametrize("message", [None, 0, [], {}, "Authentication", "authentication failed"])
def test_a_refusal_by_yandex_with_another_message_is_one_of_the_token(message):
    assert ask(Yandex, {"status": "failed", "message": message}) is False


@pytest.mark.parametrize(
    ("service", "answer", "words"),
    [
        (Yandex, "yandex_secret_missing", "Authentication failed"),
        (Yandex, "yandex_secret_wrong", "Authentication failed"),
        (HCaptcha, "hcaptcha_missing_input_secret", "missing-input-secret"),
        (HCaptcha, "hcaptcha_invalid_input_secret", "invalid-input-secret"),
        (HCaptcha, "hcaptcha_sitekey_secret_mismatch", "sitekey-secret-mismatch"),
        (HCaptcha, "hcaptcha_not_using_dummy_passcode", "not-using-dummy-passcode"),
        (HCaptcha, "hcaptcha_invalid_sitekey", "invalid-sitekey"),
        (HCaptcha, "refused_for_two_reasons", "invalid-input-secret"),
        (Turnstile, "turnstile_missing_input_secret", "missing-input-secret"),
        (Turnstile, "turnstile_invalid_input_secret", "invalid-input-secret"),
        (Turnstile, "refused_for_two_reasons", "invalid-input-secret"),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 403])
def test_keys_that_are_refused_are_a_mistake_of_ours(service, answer, words, status):
    error = failure(service, body(answer), status)
    assert type(error) is ImproperlyConfigured
    setting = "PHONE_OTP['CAPTCHA']['OPTIONS']"
    assert str(error) == f"{service.service} refuses the keys in {setting}: {words}."


@pytest.mark.parametrize("code", ["sitekey-secret-mismatch", "invalid-sitekey", "invalid-remoteip"])
def test_what_only_hcaptcha_says_means_nothing_to_turnstile(code):
    assert ask(Turnstile, {"success": False, "error-codes": [code]}) is False


def test_several_mistakes_of_ours_are_told_together():
    codes = ["sitekey-secret-mismatch", "robot", "invalid-input-secret"]
    error = failure(HCaptcha, {"success": False, "error-codes": codes})
    assert str(error).endswith(": invalid-input-secret, sitekey-secret-mismatch.")


@pytest.mark.parametrize(
    ("service", "answer", "message"),
    [
        (HCaptcha, "hcaptcha_missing_remoteip", "hCaptcha: missing-remoteip"),
        (HCaptcha, "hcaptcha_invalid_remoteip", "hCaptcha: invalid-remoteip"),
        (Turnstile, "turnstile_internal_error", "Cloudflare Turnstile: internal-error"),
        (
            Yandex,
            "yandex_ok_empty_host",
            "Yandex SmartCaptcha: ok with an empty host: is the cloud blocked?",
        ),
    ],
)
def test_trouble_of_the_service_is_no_verdict(service, answer, message):
    error = failure(service, body(answer))
    assert (type(error), str(error)) == (NoAnswer, message)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "answer",
    [
        "yandex_status_is_a_bool",
        "success_is_text",
        "success_is_1",
        "success_in_a_list",
    ],
)
def test_what_only_looks_like_a_success_is_no_verdict(service, answer):
    assert type(failure(service, body(answer))) is NoAnswer


@pytest.mark.parametrize("service", SERVICES)
def test_the_success_of_another_service_is_no_verdict(service):
    others = HCaptcha if service is Yandex else Yandex
    assert type(failure(service, body(GOOD[others]))) is NoAnswer


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("status", [302, 400, 403, 429])
def test_a_success_with_an_error_of_http_is_no_verdict(service, status):
    error = failure(service, body(GOOD[service]), status)
    assert type(error) is NoAnswer
    assert str(error) == f"{service.service}: HTTP {status} without a verdict"


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("answers", [GOOD, BAD, OURS])
@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_error_is_no_verdict_whatever_it_says(service, answers, status):
    error = failure(service, body(answers[service]), status)
    assert type(error) is NoAnswer
    assert str(error) == f"{service.service}: HTTP {status} without a verdict"


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>ok</html>", id="html"),
        pytest.param(b'{"success": true, "status": "ok"', id="cut"),
        pytest.param(b"null", id="null"),
        pytest.param(b"true", id="bool"),
        pytest.param(b'"ok"', id="text"),
        pytest.param(b"1" * 5_000, id="number"),
        pytest.param(b"{}", id="empty"),
        pytest.param(b"[" * 100_000, id="deep-lists"),
        pytest.param(b'{"a":' * 100_000, id="deep-objects"),
        pytest.param('{"success": true, "status": "ok"}'.encode("utf-16"), id="utf-16"),
        pytest.param(b'{"success": true, "status": "ok", "x": "\xff"}', id="latin"),
    ],
)
def test_an_unreadable_answer_is_no_verdict(service, answer):
    error = failure(service, answer)
    assert type(error) is NoAnswer
    assert str(error) == f"{service.service}: HTTP 200 without a verdict"


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("kind", [NoAnswer, NotConnected])
def test_an_error_of_the_transport_stays_what_it_is(service, kind):
    error = failure(service, kind("POST captcha.example: timeout"))
    assert (type(error), str(error)) == (kind, "POST captcha.example: timeout")


WORDS = st.sampled_from(
    [
        *("success", "error-codes", "status", "message", "host", "ok", "failed"),
        *("Authentication failed. ", "invalid-input-secret", "internal-error"),
        *("invalid-remoteip", "sitekey-secret-mismatch", ""),
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text()
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner), max_leaves=5
)
OBJECTS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("success", "error-codes", "status", "message", "host"), JSON)
)
STATUSES = st.sampled_from([200, 201, 302, 400, 403, 404, 429, 500, 503])


@budget(deadline=None, max_examples=300)
@given(st.sampled_from([Yandex, HCaptcha, Turnstile]), OBJECTS | JSON | st.binary(), STATUSES)
def test_any_answer_is_a_verdict_or_one_of_two_errors(service, answer, status):
    try:
        verdict = ask(service, answer, status)
    except (ImproperlyConfigured, NoAnswer):
        return
    assert verdict in (True, False)
    if verdict:
        assert isinstance(answer, dict)
        assert answer["status"] == "ok" if service is Yandex else answer["success"] is True


# Options


@pytest.mark.parametrize("name", ["yandex", "hcaptcha", "turnstile"])
def test_each_is_reached_by_its_name(name):
    options = {"secret": SECRET, "site_key": "k", "url": "https://captcha.example/", "timeout": 3}
    captcha = load_captcha({"BACKEND": name, "OPTIONS": options})
    assert type(captcha).__name__.lower() == name
    assert type(load_captcha({"BACKEND": name, "OPTIONS": {"secret": SECRET}})) is type(captcha)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "['secret'] is missing."),
        ({"secret": ""}, "['secret'] is missing."),
        ({"secret": None}, "['secret'] is missing."),
        ({"secret": 5}, "['secret'] must be text in ASCII without spaces."),
        ({"secret": f"{SECRET}\n"}, "['secret'] must be text in ASCII without spaces."),
        ({"secret": f" {SECRET}"}, "['secret'] must be text in ASCII without spaces."),
        ({"secret": "ключ"}, "['secret'] must be text in ASCII without spaces."),
        ({"site_key": 5}, "['site_key'] must be text in ASCII without spaces."),
        ({"site_key": None}, "['site_key'] must be text in ASCII without spaces."),
        ({"sekret": SECRET}, "['sekret'] does not exist; known: secret, site_key, timeout, url."),
        ({5: SECRET}, "[5] does not exist; known: secret, site_key, timeout, url."),
        ("s", " must be a dict."),
        (None, " must be a dict."),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    given = {"secret": SECRET, **options} if options and isinstance(options, dict) else options
    assert refusal_of(given) == f"PHONE_OTP['CAPTCHA']['OPTIONS']{message}"


@pytest.mark.parametrize("timeout", ["5", None, True, 0, -1, 60.5, float("inf"), float("nan")])
def test_a_timeout_that_is_none_is_refused(timeout):
    refusal = refusal_of({"secret": SECRET, "timeout": timeout})
    expected = "must be above 0 and at most 60.0 seconds."
    assert refusal == f"PHONE_OTP['CAPTCHA']['OPTIONS']['timeout'] {expected}"


@pytest.mark.parametrize("timeout", [0.1, 5, 60])
def test_a_timeout_of_up_to_a_minute_is_accepted(timeout):
    assert sent_by(HCaptcha, timeout=timeout).timeout_seconds == timeout


@pytest.mark.parametrize(
    "url",
    [
        "",
        None,
        5,
        b"https://captcha.example/",
        "captcha.example",
        "//captcha.example/",
        "https:///validate",
        "http://captcha.example/validate",
        "http://127.0.0.1.captcha.example/",
        "ftp://127.0.0.1/",
        "https://user:password@captcha.example/",
        "https://@captcha.example/",
        "https://captcha.example/?key=1",
        "https://captcha.example/#part",
        "https://captcha.example:99999/",
        "https://[captcha.example/",
        "https://captcha.example/\r\nX: 1",
        "https://captcha.example/a b",
    ],
)
def test_an_address_that_is_not_safe_is_refused(url):
    refusal = refusal_of({"secret": SECRET, "url": url})
    expected = "must be https:// with a host and at most a path."
    assert refusal == f"PHONE_OTP['CAPTCHA']['OPTIONS']['url'] {expected}"


# Secrets


@pytest.mark.parametrize(
    "options",
    [
        {"secret": f"{SECRET} "},
        {"secret": [SECRET]},
        {"secret": SECRET, "site_key": [SECRET]},
        {"secret": SECRET, "timeout": SECRET},
        {"secret": SECRET, "url": f"http://captcha.example/{SECRET}"},
        {"secret": SECRET, "token": SECRET},
        SECRET,
    ],
)
def test_s13_a_refusal_of_options_shows_no_value(options):
    assert SECRET not in refusal_of(options)


def echo(service: type[SiteVerify], answers: dict[Any, str]) -> bytes:
    """Write an answer that repeats our secret and the token wherever it can."""
    answer, repeated = json.loads(body(answers[service])), f"{SECRET} {TOKEN}"
    codes = [*answer.get("error-codes", []), SECRET, TOKEN, repeated]
    message = f"{answer.get('message', '')} {repeated}"
    more = {"error-codes": codes, "message": message, "debug": repeated}
    return json.dumps({**answer, **more}).encode()


def texts_of(error: Exception) -> str:
    """Write an error in all ways: with its traceback, and as Django reports it, frames and all."""
    written = "".join(traceback.format_exception(error))
    frames = error.__traceback__
    while frames and "/django_phone_otp/captcha/" not in frames.tb_frame.f_code.co_filename:
        frames = frames.tb_next  # before them are the test's own
    reporter = ExceptionReporter(RequestFactory().get("/"), type(error), error, frames)
    return f"{error} {error!r} {written} {reporter.get_traceback_html()}"


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("answers", [GOOD, OURS])
def test_s13_an_error_shows_neither_the_secret_nor_the_token(service, answers, caplog):
    caplog.set_level(logging.DEBUG)
    status = 403 if answers is GOOD else 200
    texts = texts_of(failure(service, echo(service, answers), status)) + caplog.text
    assert "in verify" in texts
    assert SECRET not in texts
    assert TOKEN not in texts


@pytest.mark.parametrize("service", SERVICES)
def test_s13_a_service_that_breaks_down_is_not_quoted(service):
    down = {"success": False, "error-codes": ["internal-error", SECRET], "status": TOKEN}
    error = failure(service, down, 503)
    assert str(error) == f"{service.service}: HTTP 503 without a verdict"
    assert error.__cause__ is None


def test_s13_options_that_do_not_fit_are_reported_without_the_secret():
    with pytest.raises(ImproperlyConfigured) as caught:
        load_captcha({"BACKEND": "yandex", "OPTIONS": {"secret": SECRET, "timeout": "soon"}})
    texts = texts_of(caught.value)
    assert "in load_captcha" in texts
    assert SECRET not in texts


@pytest.mark.parametrize("service", SERVICES)
def test_s13_neither_the_captcha_nor_its_question_shows_the_secret(service):
    wire = Wire(body(GOOD[service]))
    captcha = make(service, wire)
    captcha.verify(TOKEN, IP)
    written = repr([captcha, wire.requests])
    assert SECRET not in written
    assert TOKEN not in written


# The files


def test_each_wire_file_has_a_provenance():
    row = re.compile(r"^\| `([\w.]+)` \| (?:documented|observed|assumed) \|", re.MULTILINE)
    described = row.findall((WIRE / "README.md").read_text(encoding="utf-8"))
    assert sorted(described) == sorted(path.name for path in WIRE.glob("*.json"))


def test_each_wire_file_is_used():
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [path.name for path in WIRE.glob("*.json") if f'"{path.stem}"' not in tests] == []
