"""What an attacker may not do, through the pages. Numbers are those of the requirements."""

import json
import logging
from html import unescape
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve
from django.views.debug import SafeExceptionReporterFilter
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from django_phone_otp.devices import COOKIE_NAME
from django_phone_otp.models import ConfirmAttempt, DeviceLedger, PhoneLedger, UserPhone
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import NOW, PHONE
from tests.web.conftest import CODE, LOGIN, RESEND, STATUS, Page, challenge_of, wrong

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

# Every address of ours that takes a body.
ADDRESSES = (LOGIN, CODE, RESEND)
UNKNOWN = "+79244502003"  # ends like PHONE: even the masks are alike

UNSAFE = [
    "https://evil.example/",
    "http://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "////evil.example",
    "/\\evil.example/",
    "\\\\evil.example/",
    "\\/evil.example",
    "https:evil.example",
    "https:///evil.example",
    "http:\\\\evil.example",
    "javascript:alert(1)",
    "JavaScript:alert(1)//",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox",
    "ftp://testserver/",
    "http://testserver@evil.example/",
    "http://testserver.evil.example/",
    "http://evil.example/?http://testserver/",
    "\x08//evil.example",
    "\x00/orders/",
    "http://[::1",
    " ",
    "/" + "a" * 2_000,
]


@pytest.mark.parametrize("url", UNSAFE)
def test_a_foreign_next_is_forgotten(ask, answer, browser, url):
    page = Page(browser.get(LOGIN, {"next": url}))
    assert page.all("input", name="next") == []
    ask(next=url)
    assert browser.session["_phone_otp_login"]["next"] == ""
    assert answer().headers["Location"] == "/profile/"


@pytest.mark.parametrize(
    "url", ["/orders/", "/orders/?page=2#last", "orders/", "http://testserver/orders/", "?page=2"]
)
def test_a_next_of_this_site_is_kept_on_both_pages(ask, answer, browser, url):
    page = Page(browser.get(LOGIN, {"next": url}))
    assert page.one("input", name="next")["value"] == url
    ask(next=url)
    assert answer().headers["Location"] == url


def test_a_next_over_https_does_not_lead_out_of_it(browser):
    browser.post(LOGIN, {"phone": PHONE, "next": "http://testserver/orders/"}, secure=True)
    response = browser.post(CODE, {"code": local.outbox[-1].code}, secure=True)
    assert response.headers["Location"] == "/profile/"


def test_a_next_without_https_is_forgotten_once_there_is_https(browser):
    browser.post(LOGIN, {"phone": PHONE, "next": "http://testserver/orders/"})
    response = browser.post(CODE, {"code": local.outbox[-1].code}, secure=True)
    assert response.headers["Location"] == "/profile/"


def test_a_next_is_judged_again_before_it_is_gone_to(ask, answer, browser, settings):
    settings.ALLOWED_HOSTS = ["one.example", "two.example"]
    ask_at_one = {"phone": PHONE, "next": "http://one.example/orders/"}
    browser.post(LOGIN, ask_at_one, headers={"Host": "one.example"})
    assert browser.session["_phone_otp_login"]["next"] == "http://one.example/orders/"
    code = local.outbox[-1].code
    response = browser.post(CODE, {"code": code}, headers={"Host": "two.example"})
    assert response.headers["Location"] == "/profile/"


def test_a_next_with_line_breaks_forges_no_header(ask, answer):
    ask(next="/orders/\r\nSet-Cookie: a=b")
    response = answer()
    assert "\n" not in response.headers["Location"]
    assert "a" not in response.cookies


# Strangers


def test_s07_a_device_that_logged_in_is_not_locked_out_by_strangers(
    ask, answer, browser, clock, phone_otp
):
    phone_otp(RESEND_WAITS=[0], LIMITS={"send_phone": "2/h"})
    ask()
    answer()
    browser.session.flush()
    stranger = Client()
    stranger.post(LOGIN, {"phone": PHONE})
    assert stranger.post(LOGIN, {"phone": PHONE}).status_code == 429
    assert ask().status_code == 302
    assert answer().status_code == 302
    assert DeviceLedger.objects.count() == 1


def test_s07_the_device_of_one_phone_is_worth_nothing_for_another(ask, answer, phone_otp):
    phone_otp(RESEND_WAITS=[0])
    ask()
    answer()
    ask(UNKNOWN)
    assert not DeviceLedger.objects.exists()


@pytest.mark.parametrize("is_secure", [True, False])
def test_s07_the_device_cookie_is_kept_from_scripts(browser, is_secure):
    browser.post(LOGIN, {"phone": PHONE}, secure=is_secure)
    response = browser.post(CODE, {"code": local.outbox[-1].code}, secure=is_secure)
    cookie = response.cookies[COOKIE_NAME]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert bool(cookie["secure"]) is is_secure
    assert cookie["max-age"] == 180 * 86_400


@pytest.mark.parametrize("text", ["", "x" * 5_000, "a:b:c", "\x00"])
def test_s07_a_broken_device_cookie_harms_nobody(browser, text):
    browser.cookies[COOKIE_NAME] = text
    assert browser.post(LOGIN, {"phone": PHONE}).status_code == 302


def test_s08_a_request_is_answered_in_its_own_browser_alone(ask, answer, client):
    ask()
    response = answer(client=client)
    assert (response.status_code, response.headers["Location"]) == (302, LOGIN)
    assert not ConfirmAttempt.objects.exists()


def test_s08_a_strangers_request_leaves_the_owners_alone(ask, answer, client, clock):
    ask()
    code = local.outbox[-1].code
    clock.shift(30)
    ask(client=client)
    for _ in range(5):
        answer("000000", client=client)
    assert answer(code).status_code == 302


# Who has an account?


@pytest.fixture
def compare(phone_otp, clock, django_user_model):
    """Walk both ways, with a known and with an unknown phone, and compare what is seen."""
    phone_otp(SIGNUP=False, LIMITS={"request_ip": "1000/h", "confirm_ip": "1000/h"})

    def walk(phone):
        PhoneLedger.objects.all().delete()
        cache.clear()
        clock.move_to(NOW)
        client, seen = Client(), []

        def note(send, *arguments):
            with CaptureQueriesContext(connection) as queries:
                response = send(*arguments)
            words = response.content.decode().replace(phone, "PHONE")  # what was typed is kept
            for field in Page(response).all("input", name="csrfmiddlewaretoken"):
                words = words.replace(str(field["value"]), "TOKEN")
            cookies = {
                name: {**morsel, "expires": "", "length": len(morsel.value)}
                for name, morsel in response.cookies.items()
            }
            seen.append(
                (response.status_code, words, dict(response.headers), cookies, len(queries))
            )

        note(client.get, LOGIN)
        note(client.post, LOGIN, {"phone": phone})
        note(client.get, CODE)
        note(client.post, LOGIN, {"phone": phone})
        note(client.get, STATUS)
        note(client.post, CODE, {"code": "no code at all"})
        note(client.post, CODE, {"code": "000000"})
        note(client.post, RESEND, {"channel": "sms"})
        clock.shift(30)
        note(client.post, RESEND, {"channel": "sms"})
        note(client.get, f"{CODE}?sent")
        note(client.post, RESEND, {"channel": "pigeon"})
        for _ in range(5):
            note(client.post, CODE, {"code": "000000"})
        note(client.get, CODE)
        note(client.post, RESEND, {})
        clock.shift(60)
        note(client.post, LOGIN, {"phone": phone})
        clock.shift(300)
        note(client.get, CODE)
        note(client.post, CODE, {"code": "000000"})
        return seen

    def both(**owner):
        user = django_user_model.objects.create_user("known", **owner)
        UserPhone.objects.create(user=user, phone=PHONE)
        known, unknown = walk(PHONE), walk(UNKNOWN)
        for step, (one, other) in enumerate(zip(known, unknown, strict=True)):
            assert one == other, step
        return [each[0] for each in known]

    return both


@pytest.mark.parametrize("kind", ["memory", "Fake", "FakeCall", "FakeCapitals", "FakeJudge"])
def test_s11_known_and_unknown_phones_look_the_same_on_every_page(compare, phone_otp, kind):
    if kind != "memory":
        phone_otp(PROVIDERS=fakes.providers(one={"kind": kind, "code": "4271"}))
    statuses = compare()
    assert statuses[:4] == [200, 302, 200, 429]
    assert len(statuses) == 21


@pytest.mark.parametrize(
    "error", ["ProviderUnavailable", "InvalidRecipient", "RecipientLimited", "DeliveryUncertain"]
)
def test_s11_a_provider_in_trouble_tells_nothing_either(compare, phone_otp, error):
    phone_otp(PROVIDERS=fakes.providers(one={"error": error}, two={"kind": "FakeCall"}))
    assert compare()[:3] == [200, 302, 200]


def test_s11_an_account_that_is_switched_off_looks_like_none(compare):
    assert compare(is_active=False)[:3] == [200, 302, 200]


# Codes and secrets


def test_s13_no_code_stands_in_page_session_or_log(ask, answer, browser, caplog, clock):
    caplog.set_level(logging.DEBUG)
    pages = [ask(), browser.get(CODE)]
    first = local.outbox[-1].code
    guess = wrong(first)
    pages += [answer(guess), answer(f"Code {guess} or {first}"), browser.get(CODE)]
    clock.shift(30)
    pages += [browser.post(RESEND, {"channel": "sms"}), browser.get(CODE)]
    second = local.outbox[-1].code
    sessions = [json.dumps(each.get_decoded()) for each in Session.objects.all()]
    pages.append(answer(second))
    sessions += [json.dumps(each.get_decoded()) for each in Session.objects.all()]
    seen = [each.content.decode() + str(each.headers) + str(each.cookies) for each in pages]
    for text in [*seen, *sessions, caplog.text]:
        for code in (first, second, guess):
            assert code not in unescape(text)


def test_s13_the_challenge_stands_in_no_page_and_no_address(ask, browser):
    response = ask()
    public_id = challenge_of(browser)
    for each in (response, browser.get(CODE), browser.get(STATUS), browser.get(LOGIN)):
        assert public_id not in each.content.decode() + str(each.headers)


@pytest.mark.parametrize("path", ADDRESSES)
def test_s13_reports_of_errors_hide_all_that_was_posted(rf, path):
    request = rf.post(path, {"phone": PHONE, "code": "123456", "smart-token": "a-token"})
    request.session = SessionStore()
    request._dont_enforce_csrf_checks = True
    resolve(path).func(request)
    hidden = SafeExceptionReporterFilter().get_post_parameters(request)
    assert set(hidden.values()) == {SafeExceptionReporterFilter.cleansed_substitute}


# Sessions


def test_s16_a_login_cycles_the_session_key(ask, answer, browser):
    ask()
    before = browser.session.session_key
    answer()
    assert browser.session.session_key != before
    assert not Session.objects.filter(session_key=before).exists()


def test_s16_a_login_takes_nothing_over_from_another_user(ask, answer, browser, django_user_model):
    browser.force_login(django_user_model.objects.create_user("other"))
    session = browser.session
    session["basket"] = "theirs"
    session.save()
    ask(next="/orders/")
    response = answer()
    assert response.headers["Location"] == "/orders/"
    assert "basket" not in browser.session


def test_s16_a_login_keeps_what_a_visitor_has_chosen(ask, answer, browser):
    ask()
    session = browser.session
    session["basket"] = "mine"
    session.save()
    answer()
    assert browser.session["basket"] == "mine"


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("has_middleware", [True, False])
def test_s16_a_foreign_page_can_post_nothing(path, has_middleware, settings):
    if not has_middleware:
        csrf = "django.middleware.csrf.CsrfViewMiddleware"
        settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if each != csrf]
    client = Client(enforce_csrf_checks=True)
    assert client.post(path, {"phone": PHONE, "code": "123456"}).status_code == 403
    assert not local.outbox


def test_s16_our_own_pages_can(settings):
    client = Client(enforce_csrf_checks=True)
    token = Page(client.get(LOGIN)).one("input", name="csrfmiddlewaretoken")["value"]
    assert client.post(LOGIN, {"phone": PHONE, "csrfmiddlewaretoken": token}).status_code == 302


def test_s16_a_session_that_the_database_bars_is_taken_for_none(browser, django_assert_num_queries):
    browser.cookies["sessionid"] = "\x00" * 32
    with django_assert_num_queries(0):
        assert browser.get(CODE).headers["Location"] == LOGIN
    assert browser.post(LOGIN, {"phone": PHONE}).status_code == 302


def test_s16_a_login_that_fails_half_way_leaves_no_session(ask, answer, browser):
    def fail(**_: object) -> None:
        raise ZeroDivisionError

    ask()
    user_logged_in.connect(fail)
    try:
        with pytest.raises(ZeroDivisionError):
            answer()
    finally:
        user_logged_in.disconnect(fail)
    assert SESSION_KEY not in browser.session
    assert not UserPhone.objects.exists()


# Whatever is sent

FIELDS = st.dictionaries(
    st.sampled_from(["phone", "code", "channel", "next", "captcha_token", "odd"]),
    st.text(max_size=60) | st.sampled_from([PHONE, "sms", "0" * 9_000, "\x00", "٠١٢٣٤٥", *UNSAFE]),
    max_size=4,
)


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("has_asked", [True, False])
@budget(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(fields=FIELDS, address=st.sampled_from(["", "?next=//evil.example", "?sent", "?\x00=%00"]))
def test_s19_whatever_is_posted_nothing_breaks(phone_otp, path, has_asked, fields, address):
    cache.clear()
    PhoneLedger.objects.all().delete()
    client = Client()
    if has_asked:
        client.post(LOGIN, {"phone": PHONE})
    fields = {name: text.encode(errors="replace").decode() for name, text in fields.items()}
    response = client.post(path + address, fields)
    assert response.status_code in (200, 302, 400, 429)
    assert "evil.example" not in response.headers.get("Location", "")


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\xff\xfe\x00", "application/x-www-form-urlencoded"),
        (b"phone=%00&code=%ff%fe&=", "application/x-www-form-urlencoded"),
        (b"{]", "application/json"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"\x00", "text/plain"),
    ],
)
def test_s19_a_body_of_any_kind_is_answered(browser, path, body, content_type):
    response = browser.post(path, body, content_type=content_type)
    assert response.status_code in (302, 400)


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize(
    "fields",
    [
        {"phone": r"\ud800"},
        {"phone": PHONE, "next": r"/x\ud800"},
        {"phone": PHONE, r"odd\ud800": "1"},
        {"code": r"\udfff", "channel": r"\udfff"},
    ],
    ids=str,
)
def test_s19_halves_of_characters_are_refused_before_anything_is_done(browser, ask, path, fields):
    ask()
    asked = len(local.outbox)
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in fields.items()
    ]
    kind = "multipart/form-data; boundary=x; charset=unicode_escape"
    body = "".join([*parts, "--x--\r\n"]).encode()
    response = browser.generic("POST", path, body, content_type=kind)
    assert response.status_code == 400
    assert len(local.outbox) == asked
    assert browser.session["_phone_otp_login"]["next"] == ""


def test_s19_a_file_is_no_phone(browser):
    response = browser.post(LOGIN, {"phone": SimpleUploadedFile("phone", b"+79244501003")})
    assert Page(response).errors == ["Enter your phone number."]


@pytest.mark.parametrize("path", [*ADDRESSES, STATUS])
@pytest.mark.parametrize("method", ["put", "patch", "delete", "trace"])
def test_s19_other_methods_are_refused(browser, ask, path, method):
    ask()
    assert getattr(browser, method)(path).status_code == 405


def test_s19_the_status_is_only_looked_at(browser, ask):
    ask()
    assert browser.post(STATUS).status_code == 405


# Transactions


@pytest.fixture
def atomic_requests(settings):
    django_settings.DATABASES["default"]["ATOMIC_REQUESTS"] = True
    yield
    django_settings.DATABASES["default"]["ATOMIC_REQUESTS"] = False


@pytest.mark.parametrize("path", [*ADDRESSES, STATUS])
def test_s22_no_transaction_is_open_around_a_page(path):
    view: Any = resolve(path).func
    assert "default" in view._non_atomic_requests


@pytest.mark.django_db(transaction=True)
def test_s22_an_error_takes_back_no_try(ask, answer, atomic_requests):
    def fail(**_: object) -> None:
        raise ZeroDivisionError

    ask()
    user_login_failed.connect(fail)
    try:
        with pytest.raises(ZeroDivisionError):
            answer(wrong(local.outbox[-1].code))
    finally:
        user_login_failed.disconnect(fail)
    assert ConfirmAttempt.objects.count() == 1


# Nothing works


def test_s15_a_database_out_of_reach_is_told(browser, ask):
    ask()

    def fail(*_: object) -> None:
        raise OperationalError

    with connection.execute_wrapper(fail):
        responses = [browser.get(CODE), browser.post(LOGIN, {"phone": PHONE})]
    for response in responses:
        page = Page(response)
        assert response.status_code == 503
        assert page.texts("h1") == ["Try again later"]
        assert page.texts("p") == ["The service is not available right now. Try again later."]
        assert page.one("a")["href"] == LOGIN
