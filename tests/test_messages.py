"""The text around a code that we made."""

import pytest
from django.test import override_settings
from django.utils import translation
from django.utils.translation import gettext_lazy

from django_phone_otp.conf import Settings
from django_phone_otp.flow.messages import write_text


@pytest.fixture(autouse=True)
def _english():
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def _one_host(settings):
    settings.ALLOWED_HOSTS = ["example.org"]


def write(**given) -> str:
    return write_text("012345", Settings(**given))


def test_built_in_text_names_the_site():
    assert write() == "012345 is your code for example.org."


@pytest.mark.parametrize(
    ("hosts", "text"),
    [
        pytest.param(["a.example", "b.example"], "012345 is your code for a.example.", id="first"),
        pytest.param([".a.example"], "012345 is your code for a.example.", id="with-subdomains"),
        pytest.param(["*", "a.example"], "012345 is your code for a.example.", id="star-before"),
        pytest.param(["*"], "012345 is your code.", id="star-alone"),
        pytest.param([], "012345 is your code.", id="none"),
    ],
)
def test_site_is_the_first_host_that_is_a_name(settings, hosts, text):
    settings.ALLOWED_HOSTS = hosts
    assert write() == text


def test_site_is_that_of_the_sites_framework(settings):
    apps = [*settings.INSTALLED_APPS, "django.contrib.sites"]
    with override_settings(INSTALLED_APPS=apps, SITE_ID=1):
        from django.contrib.sites.models import SITE_CACHE, Site

        SITE_CACHE[1] = Site(pk=1, domain="shop.example", name="The Shop")
        try:
            assert write() == "012345 is your code for The Shop."
        finally:
            SITE_CACHE.clear()


def test_sites_framework_without_a_site_of_its_own(settings):
    # Such a site tells its sites apart by the request, which a message must not depend on.
    apps = [*settings.INSTALLED_APPS, "django.contrib.sites"]
    with override_settings(INSTALLED_APPS=apps):
        assert write() == "012345 is your code for example.org."


def test_template_of_the_site():
    assert write(message="{site}: {code}") == "example.org: 012345"


def test_template_may_leave_the_site_out():
    assert write(message="Code {code}") == "Code 012345"


def test_template_may_be_translated_late():
    assert write(message=gettext_lazy("Code {code}")) == "Code 012345"


def test_leading_zeros_stay():
    assert write_text("000007", Settings(message="{code}")) == "000007"


def test_android_hash_closes_the_text():
    assert write(message="{code}", android_app_hash="FA+9qCX9VS/") == "012345\nFA+9qCX9VS/"


def test_webotp_line_is_the_last():
    text = write(message="Code {code}", webotp_domain="login.example.org")
    assert text == "Code 012345\n\n@login.example.org #012345"


def test_both_lines_for_autofill():
    text = write(message="{code}", android_app_hash="FA+9qCX9VS/", webotp_domain="example.org")
    assert text == "012345\nFA+9qCX9VS/\n\n@example.org #012345"
