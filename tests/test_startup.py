"""What a worker of a site does not import. `benchmarks.startup` says what it takes."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# A site with the API of the app and nothing more, started as a server starts it, and one login.
SITE = """
import io, json, sys

from django.conf import settings
from django.urls import include, path

settings.configure(
    SECRET_KEY="startup-only-" + "k" * 50,
    ALLOWED_HOSTS=["testserver"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "rest_framework.authtoken",
        "django_phone_otp",
    ],
    AUTHENTICATION_BACKENDS=["django_phone_otp.backends.PhoneOTPBackend"],
    ROOT_URLCONF="__main__",
    PHONE_OTP={"PROVIDERS": {"memory": {"BACKEND": "locmem"}}, "TOKEN_ISSUER": "token"},
    USE_TZ=True,
)
from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
urlpatterns = [path("api/phone/", include("django_phone_otp.urls"))]

from django.contrib.auth import get_backends
from django.urls import get_resolver

get_backends(), get_resolver().url_patterns
started = sorted(sys.modules)

from django.core.management import call_command
from django.test import Client
from django_phone_otp.providers.local import outbox

call_command("migrate", verbosity=0)
before_login = set(sys.modules)
ask = lambda what, **body: Client().post(f"/api/phone/{what}/", body, "application/json").json()
asked = ask("request", phone="+79244501003")
answered = ask("confirm", challenge=asked["challenge"], code=outbox.pop().code)
print(json.dumps({
    "started": started,
    "by_login": sorted(set(sys.modules) - before_login),
    "token": answered["token"],
}))
"""


@pytest.fixture(scope="module")
def site():
    finished = subprocess.run(
        [sys.executable, "-c", SITE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


# Each with the reason why it is not needed. Of Django and DRF nothing is said: they import each
# other as they like.
NO_SUCH_ACCOUNT = "a provider is imported where an account names it"
NO_SUCH_ISSUER = "TOKEN_ISSUER names another"
NO_SUCH_QUEUE = "DISPATCH names neither"
NOT_NEEDED = {
    "cryptography": "the account is in the settings, and nothing is sealed",
    "django_phone_otp.providers.telefon_ip": NO_SUCH_ACCOUNT,
    "django_phone_otp.providers.sms_by": NO_SUCH_ACCOUNT,
    "django_phone_otp.providers.oneconnect": NO_SUCH_ACCOUNT,
    "django_phone_otp.providers.twilio_verify": NO_SUCH_ACCOUNT,
    "django_phone_otp.captcha.siteverify": "there is no captcha",
    "django_phone_otp.issuers.session": NO_SUCH_ISSUER,
    "django_phone_otp.issuers.simplejwt": NO_SUCH_ISSUER,
    "django_phone_otp.issuers.knox": NO_SUCH_ISSUER,
    "django_phone_otp.checks": "no server runs them",
    "django_phone_otp.segments": "a check counts them, and an operator's page",
    "django_phone_otp.admin": "the site has no admin",
    "django_phone_otp.web": "the site has pages of its own",
    "django_phone_otp.lifepos": "the site does not include this door",
    "django_phone_otp.openapi": "the site does not describe its API",
    "django_phone_otp.management": "commands are processes of their own",
    "django_phone_otp.testing": "it is for the tests of providers",
    "django_phone_otp.flow.health": "a command tells it",
    "django_phone_otp.flow.inspection": "an operator asks for it",
    "django_phone_otp.flow.privacy": "a command exports and erases",
    "django_phone_otp.flow.report": "the dashboard reads it",
    "django_phone_otp.flow.retention": "a command purges",
    "django_phone_otp.flow.sweep": "a timer sweeps",
    "django_phone_otp.flow.traffic": "a timer counts, and the dashboard",
    "celery": NO_SUCH_QUEUE,
    "django_tasks": NO_SUCH_QUEUE,
}


@pytest.mark.parametrize(("module", "reason"), NOT_NEEDED.items(), ids=NOT_NEEDED)
@pytest.mark.parametrize("when", ["started", "by_login"])
def test_a_worker_does_not_import(site, module, reason, when):
    imported = [each for each in site[when] if each == module or each.startswith(f"{module}.")]
    assert imported == [], reason


def test_numbering_plans_are_read_with_the_first_phone(site):
    assert "phonenumbers" not in site["started"]
    assert "phonenumbers" in site["by_login"]


def test_the_site_that_imports_so_little_logs_in(site):
    assert len(site["token"]) == 40


@pytest.mark.parametrize("module", [each for each in NOT_NEEDED if each.startswith("django_phone")])
def test_what_is_said_not_to_be_needed_exists(module):
    assert find_spec(module)
