"""Reports of errors, which print what frames hold: no code and no secret is among it."""

import pytest
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.test import RequestFactory
from django.views.debug import ExceptionReporter

from django_phone_otp import conf
from django_phone_otp.providers import local
from tests.conftest import PHONE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

TOKEN = "4ea13fbf-f5a3-4084"
ACCOUNT = {"BACKEND": "telefon-ip-flash", "OPTIONS": {"token": TOKEN}}


def report(caught) -> str:
    """Write what Django mails to the admins, from the view on: before it is the test's client."""
    kind, error, frames = caught._excinfo
    while not frames.tb_frame.f_code.co_filename.endswith("api/views.py"):
        frames = frames.tb_next
    reporter = ExceptionReporter(RequestFactory().get("/"), kind, error, frames)
    return reporter.get_traceback_html()


def test_s13_a_failing_login_reports_neither_the_code_nor_a_secret(post, phone_otp):
    challenge = post("request", phone=PHONE).json()["challenge"]
    code = local.outbox[0].code
    phone_otp(PROVIDERS={"calls": ACCOUNT}, USER_PHONE_FIELD="no_such_field")
    with pytest.raises(FieldError) as caught:
        post("confirm", challenge=challenge, code=code)
    html = report(caught)
    assert "spend_challenge" in html
    assert code not in html
    assert TOKEN not in html


def test_s13_a_misconfigured_provider_reports_no_secret(post, phone_otp):
    options = {"token": TOKEN, "timeout": "soon"}
    phone_otp(PROVIDERS={"calls": {"BACKEND": "telefon-ip-flash", "OPTIONS": options}})
    with pytest.raises(ImproperlyConfigured) as caught:
        post("request", phone=PHONE)
    html = report(caught)
    assert "find_accounts" in html
    assert TOKEN not in html


def test_s13_settings_can_be_printed(phone_otp):
    phone_otp(
        PROVIDERS={"calls": ACCOUNT},
        CAPTCHA={"BACKEND": "x", "OPTIONS": {"secret": TOKEN}},
        TEST_PHONES={PHONE: {"code": TOKEN, "until": "2999-01-01"}},
    )
    assert TOKEN not in repr(conf.read())
