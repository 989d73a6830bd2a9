"""The captcha on the pages."""

import pytest

from django_phone_otp import captcha
from django_phone_otp.conf import Settings
from django_phone_otp.providers import local
from django_phone_otp.web.captcha import find_widget, read_token
from tests.conftest import PHONE
from tests.web.conftest import CODE, LOGIN, RESEND, Page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

SERVICES = {
    "yandex": ("smart-token", "smart-captcha", "https://smartcaptcha.cloud.yandex.ru/captcha.js"),
    "hcaptcha": ("h-captcha-response", "h-captcha", "https://js.hcaptcha.com/1/api.js"),
    "turnstile": (
        "cf-turnstile-response",
        "cf-turnstile",
        "https://challenges.cloudflare.com/turnstile/v0/api.js",
    ),
}
OWN = {"BACKEND": "tests.fakes.FakeCaptcha"}


def test_every_service_has_its_widget():
    assert set(SERVICES) == set(captcha.REGISTRY)


@pytest.mark.parametrize("key", SERVICES)
def test_widget_of_the_service_is_shown(browser, phone_otp, key):
    phone_otp(CAPTCHA={"BACKEND": key, "OPTIONS": {"secret": "s" * 9, "site_key": "the-key"}})
    page = Page(browser.get(LOGIN))
    _field, element, script = SERVICES[key]
    assert page.one("div", class_=element)["data-sitekey"] == "the-key"
    assert page.one("script", src=script)
    assert "s" * 9 not in page.html
    assert "Switch JavaScript on to show that you are not a robot." in page.texts("p")


@pytest.mark.parametrize("key", SERVICES)
def test_token_is_read_from_the_services_field(phone_otp, key, rf):
    phone_otp(CAPTCHA={"BACKEND": key, "OPTIONS": {"secret": "secret"}})
    field = SERVICES[key][0]
    assert read_token(rf.post(LOGIN, {field: "the-token"})) == "the-token"
    assert read_token(rf.post(LOGIN, {"captcha_token": "the-token"})) == ""


@pytest.mark.parametrize("token", ["x" * 4_097, "a\x00b", "a\nb"])
def test_what_can_be_no_token_is_none(ask, phone_otp, token):
    phone_otp(CAPTCHA=OWN)
    response = ask(captcha_token=token)
    assert response.status_code == 403
    assert "Show first that you are not a robot." in Page(response).texts("p")


def test_without_a_captcha_nothing_is_shown_and_nothing_read(ask, browser):
    assert "captcha" not in Page(browser.get(LOGIN)).html
    assert ask(captcha_token="x").status_code == 302


def test_who_passes_gets_a_code(ask, phone_otp):
    phone_otp(CAPTCHA=OWN)
    assert ask(captcha_token="human").status_code == 302
    assert local.outbox[-1].phone == PHONE


def test_who_fails_is_told_and_keeps_the_phone(ask, phone_otp):
    phone_otp(CAPTCHA=OWN)
    response = ask(captcha_token="robot")
    page = Page(response)
    assert response.status_code == 403
    assert "The check that you are not a robot failed. Try again." in page.texts("p")
    assert page.one("input", name="phone")["value"] == PHONE
    assert not local.outbox


def test_a_service_that_is_down_lets_nobody_pass(ask, phone_otp):
    phone_otp(CAPTCHA=OWN)
    assert ask(captcha_token="silence").status_code == 503


def test_keys_that_cannot_be_read_are_the_operators_business(ask, browser, phone_otp):
    phone_otp(CAPTCHA={"BACKEND": "turnstile", "OPTIONS": {}})
    assert browser.get(LOGIN).status_code == 200
    assert ask(captcha_token="x").status_code == 503


class TestSuspicious:
    """Where it is for the suspicious alone, it is shown to who is refused."""

    @pytest.fixture(autouse=True)
    def _for_the_suspicious(self, phone_otp):
        phone_otp(
            CAPTCHA={**OWN, "WHEN": "suspicious"}, RESEND_WAITS=[0], LIMITS={"request_ip": "8/h"}
        )

    def test_nobody_sees_it_at_first(self, browser, ask):
        assert "phone-otp-captcha" not in Page(browser.get(LOGIN)).html
        assert ask().status_code == 302

    def test_who_asks_in_vain_sees_it(self, ask, phone_otp):
        ask()
        ask()
        response = ask()
        assert response.status_code == 403
        page = Page(response)
        assert page.one("div", class_="phone-otp-captcha") is not None
        assert page.one("input", name="phone")["value"] == PHONE
        assert ask(captcha_token="human").status_code == 302

    def test_a_resend_shows_it_too(self, ask, browser):
        ask()
        ask()
        response = browser.post(RESEND, {"channel": "sms"})
        assert response.status_code == 403
        page = Page(response)
        assert "Show first that you are not a robot." in page.texts("p")
        assert page.all("div", class_="phone-otp-captcha")
        again = browser.post(RESEND, {"channel": "sms", "captcha_token": "human"})
        assert again.headers["Location"] == f"{CODE}?sent"


def test_a_subclass_has_the_widget_of_its_service():
    entry = {"BACKEND": "tests.web.test_captcha.OwnTurnstile", "OPTIONS": {"secret": "secret"}}
    widget = find_widget(Settings(captcha=entry))
    assert widget
    assert widget.element == "cf-turnstile"


class OwnTurnstile(captcha.siteverify.Turnstile):
    pass
