"""What `manage.py check` says to a site that includes the pages, and to no other."""

from typing import Any

import pytest
from django.core.checks import run_checks

# Django's own checks ask the database what it can do.
pytestmark = pytest.mark.django_db

TURNSTILE: dict[str, Any] = {"BACKEND": "turnstile", "OPTIONS": {"secret": "a-secret"}}


def warnings() -> list[Any]:
    return [each for each in run_checks() if each.id == "phone_otp.W037"]


def test_a_captcha_without_the_key_of_the_page_is_warned_of(phone_otp):
    phone_otp(CAPTCHA=TURNSTILE)
    (warning,) = warnings()
    assert "'site_key'" in warning.msg
    assert "a-secret" not in str(warning)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        {"BACKEND": "tests.fakes.FakeCaptcha"},
        {"BACKEND": "turnstile", "OPTIONS": {"secret": "a-secret", "site_key": "a-key"}},
        {"BACKEND": "turnstile"},
        {},
        "turnstile",
    ],
)
def test_other_captchas_are_not_warned_of(phone_otp, entry):
    phone_otp(CAPTCHA=entry)
    assert warnings() == []


def test_a_site_without_the_pages_is_not_warned(settings, phone_otp):
    settings.ROOT_URLCONF = "tests.urls"
    phone_otp(CAPTCHA=TURNSTILE)
    assert warnings() == []
