"""Issuers: what is refused, what is checked, and that the page about them is true.

What each gives, to each kind of user, is in `tests/users`: it takes apps that this site has not.
"""

import os
import re
import subprocess
import sys
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in
from django.core.checks import Error, Warning
from django.test import override_settings
from rest_framework.authentication import TokenAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from django_phone_otp.checks import check_settings
from django_phone_otp.issuers import REGISTRY, Issuer, load_issuer
from django_phone_otp.issuers.token import TokenIssuer
from django_phone_otp.models import PhoneChallenge
from django_phone_otp.providers import local
from tests.conftest import PHONE

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "issuers.md"
OPTIONAL = ("knox", "rest_framework_simplejwt", "jwt")


class OurTokenIssuer(TokenIssuer):
    pass


class ImportingIssuer(TokenIssuer):
    needs_package = "a_package_that_is_not_there"


class AnyIssuer(Issuer):
    def issue(self, request: Any, user: Any) -> dict[str, str]:
        return {}


@pytest.fixture
def log_in(post):
    """Log in by phone."""

    def run() -> Any:
        asked = post("request", phone=PHONE).json()
        return post("confirm", challenge=asked["challenge"], code=local.outbox[-1].code)

    return run


# What an issuer says of itself


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("session", ()),
        ("token", ("token",)),
        ("simplejwt", ("access", "refresh")),
        ("knox", ("token",)),
        (f"{__name__}.AnyIssuer", ()),
    ],
)
def test_issuer_names_what_it_answers(name, answers):
    assert load_issuer(name).answers == answers


# simplejwt


def claims_of_the_site(user: Any) -> Any:
    from rest_framework_simplejwt.tokens import RefreshToken

    token = RefreshToken.for_user(user)
    token["shop"] = f"of {user.pk}"
    return token


class SerializerOfTheSite:
    get_token = staticmethod(claims_of_the_site)


def nobody(user: Any) -> bool:
    return False


@pytest.mark.django_db
class TestSimpleJWT:
    """What is simplejwt's own: the rest is the same for all issuers, and tried for all."""

    @pytest.fixture(autouse=True)
    def _simplejwt(self, phone_otp):
        pytest.importorskip("rest_framework_simplejwt")
        phone_otp(TOKEN_ISSUER="simplejwt")

    def test_claims_of_the_site_are_in_both_tokens(self, settings, log_in):
        from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

        settings.SIMPLE_JWT = {"TOKEN_OBTAIN_SERIALIZER": f"{__name__}.SerializerOfTheSite"}
        body = log_in().json()
        claim = f"of {body['user']['id']}"
        assert RefreshToken(body["refresh"])["shop"] == claim
        assert AccessToken(body["access"])["shop"] == claim

    def test_rule_of_the_site_says_who_gets_tokens(self, settings, log_in):
        heard = []

        def hear(user, **_kwargs):
            heard.append(user)

        user_logged_in.connect(hear)
        settings.SIMPLE_JWT = {"USER_AUTHENTICATION_RULE": f"{__name__}.nobody"}
        try:
            refused = log_in()
        finally:
            user_logged_in.disconnect(hear)
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
        assert set(refused.json()) == {"detail", "code"}
        assert heard == []

    def test_user_who_is_refused_is_not_made(self, settings, log_in):
        settings.SIMPLE_JWT = {"USER_AUTHENTICATION_RULE": f"{__name__}.nobody"}
        log_in()
        assert not get_user_model().objects.exists()
        assert PhoneChallenge.objects.get().spent_at is None


# The check


def complaints(issuer: str, **settings: Any) -> list[str]:
    with override_settings(PHONE_OTP={"TOKEN_ISSUER": issuer}, **settings):
        found = check_settings()
    assert {(type(each), each.id) for each in found} <= {(Error, "phone_otp.E021")}
    return [each.msg.removeprefix("PHONE_OTP['TOKEN_ISSUER'] ") for each in found]


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("simplejwt", "rest_framework_simplejwt", "jwt"), ("knox", "knox", "knox")],
)
def test_package_that_is_missing_is_named_with_its_extra(monkeypatch, name, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    (found,) = complaints(name)
    assert found == (
        f"is '{name}', which needs the package '{package}': "
        f"pip install 'django-phone-otp[{extra}]'."
    )


@pytest.mark.parametrize(
    ("name", "app"),
    [
        ("session", "django.contrib.sessions"),
        ("token", "rest_framework.authtoken"),
        (f"{__name__}.OurTokenIssuer", "rest_framework.authtoken"),
    ],
)
def test_app_that_is_missing_is_named(settings, name, app):
    apps = [each for each in settings.INSTALLED_APPS if each != app]
    assert complaints(name, INSTALLED_APPS=apps) == [
        f"is '{name}', which needs '{app}' in INSTALLED_APPS."
    ]


def test_knox_needs_its_app():
    pytest.importorskip("knox", exc_type=ImportError)
    assert complaints("knox") == ["is 'knox', which needs 'knox' in INSTALLED_APPS."]


JWT = "rest_framework_simplejwt.authentication.JWTAuthentication"


def test_simplejwt_needs_no_app():
    pytest.importorskip("rest_framework_simplejwt")
    accepting = {"DEFAULT_AUTHENTICATION_CLASSES": [JWT]}
    assert complaints("simplejwt", REST_FRAMEWORK=accepting) == []


def test_the_session_needs_its_middleware():
    needed = "django.contrib.sessions.middleware.SessionMiddleware"
    (found,) = complaints("session", MIDDLEWARE=[])
    assert found == f"is 'session', which needs '{needed}' in MIDDLEWARE."


class MistypedIssuer(TokenIssuer):
    accepted_by = "no.such.Class"


def test_a_mistyped_class_is_accepted_by_none():
    path = f"{__name__}.MistypedIssuer"
    with override_settings(PHONE_OTP={"TOKEN_ISSUER": path}):
        (found,) = check_settings()
    assert found.id == "phone_otp.W021"


class OurTokenAuthentication(TokenAuthentication):
    keyword = "Bearer"


@pytest.mark.parametrize(
    "accepting",
    [[], ["rest_framework.authentication.SessionAuthentication"], ["no.such.Class"], None],
    ids=["none", "another", "broken", "default"],
)
def test_what_no_class_accepts_is_warned_of(accepting):
    given = {} if accepting is None else {"DEFAULT_AUTHENTICATION_CLASSES": accepting}
    with override_settings(PHONE_OTP={"TOKEN_ISSUER": "token"}, REST_FRAMEWORK=given):
        (found,) = check_settings()
    assert found == Warning(
        "PHONE_OTP['TOKEN_ISSUER'] is 'token', and no class of "
        "REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES'] accepts what it gives.",
        hint="Add 'rest_framework.authentication.TokenAuthentication', or silence this check where "
        "each view names it.",
        id="phone_otp.W021",
    )


@pytest.mark.parametrize(
    "accepting",
    [
        "rest_framework.authentication.TokenAuthentication",
        f"{__name__}.OurTokenAuthentication",
        OurTokenAuthentication,
    ],
    ids=["theirs", "ours", "class"],
)
def test_a_class_made_from_it_accepts_it_too(accepting):
    given = {"DEFAULT_AUTHENTICATION_CLASSES": [accepting]}
    assert complaints("token", REST_FRAMEWORK=given) == []


def test_issuer_of_a_site_may_need_a_package_of_its_own():
    assert complaints(f"{__name__}.ImportingIssuer") == [
        f"is '{__name__}.ImportingIssuer', which needs the package 'a_package_that_is_not_there'."
    ]


def test_app_works_without_the_optional_packages():
    code = f"""
import sys
for each in {OPTIONAL}:
    sys.modules[each] = None  # its import fails
import django
django.setup()
from django.core.management import call_command
from django_phone_otp.issuers import REGISTRY, load_issuer
call_command("check")
print(*(type(load_issuer(each)).__name__ for each in REGISTRY))
"""
    ran = run("-c", code, DJANGO_SETTINGS_MODULE="tests.settings")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "SessionIssuer TokenIssuer SimpleJWTIssuer KnoxIssuer\n"


def run(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


# The page


BLOCK = re.compile(r"^```python\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(name: str, section: str = PAGE.read_text()) -> list[str]:
    """Give the blocks of code whose first line is this file's name."""
    return [text for named, text in BLOCK.findall(section) if named == name]


SECTIONS = {
    name: section
    for section in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    for text in blocks("settings.py", section)
    for name in re.findall(r'"TOKEN_ISSUER": "(.*?)"', text)
}


def test_page_has_a_section_for_each_issuer():
    assert list(SECTIONS) == [*REGISTRY, "mysite.issuers.SignedIssuer"]


@pytest.mark.parametrize("name", list(SECTIONS))
def test_settings_and_addresses_of_the_page_are_accepted(tmp_path, name):
    section = SECTIONS[name]
    (settings,) = blocks("settings.py", section)
    (tmp_path / "site_settings.py").write_text(
        "from tests.settings import *\n"
        "DEBUG = True\n"
        "ROOT_URLCONF = 'site_urls'\n"
        "INSTALLED_APPS.remove('rest_framework.authtoken')\n" + settings
    )
    (tmp_path / "site_urls.py").write_text(
        "from django.urls import include, path\n"
        "urlpatterns = [path('api/phone/', include('django_phone_otp.urls'))]\n"
        + "".join(blocks("urls.py", section))
    )
    (tmp_path / "mysite").mkdir()
    for named, text in BLOCK.findall(section):
        if named.startswith("mysite/"):
            (tmp_path / named).write_text(text)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    ran = run("-m", "django", "check", PYTHONPATH=path, DJANGO_SETTINGS_MODULE="site_settings")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "System check identified no issues (0 silenced).\n"


def who_view(authentication: type) -> Any:
    """Make a view that shows itself to whoever is authenticated so."""

    class Who(APIView):
        authentication_classes = [authentication]
        permission_classes = [IsAuthenticated]

        def get(self, request):
            return Response({"id": request.user.pk})

    return Who.as_view()


def knock(view: Any, authorization: str) -> int:
    return view(APIRequestFactory().get("/", headers={"Authorization": authorization})).status_code


@pytest.fixture
def mysite(tmp_path, monkeypatch):
    """Import the module that the page shows."""
    (text,) = blocks("mysite/issuers.py")
    (tmp_path / "mysite").mkdir()
    (tmp_path / "mysite" / "issuers.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("mysite.issuers")
    for name in ("mysite", "mysite.issuers"):
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.django_db
class TestLogOutOfThePage:
    @pytest.fixture
    def view(self) -> Any:
        (text,) = blocks("mysite/views.py")
        names: dict[str, Any] = {"__name__": "mysite.views"}
        exec(text, names)  # noqa: S102 (our own page)
        return names["LogOut"].as_view(authentication_classes=[TokenAuthentication])

    @pytest.fixture(autouse=True)
    def tokens(self, django_user_model) -> list[str]:
        users = [django_user_model.objects.create_user(name) for name in ("ann", "bob")]
        return [Token.objects.create(user=user).key for user in users]

    def test_takes_the_token_of_the_user_and_of_nobody_else(self, view, tokens):
        request = APIRequestFactory().post("/", headers={"Authorization": f"Token {tokens[0]}"})
        assert view(request).status_code == 204
        assert [each.key for each in Token.objects.all()] == tokens[1:]

    def test_takes_none_without_a_login(self, view):
        assert view(APIRequestFactory().post("/")).status_code == 401
        assert Token.objects.count() == 2


@pytest.mark.django_db
class TestIssuerOfThePage:
    @pytest.fixture
    def token(self, clock, mysite, phone_otp, log_in) -> str:
        phone_otp(TOKEN_ISSUER="mysite.issuers.SignedIssuer")
        return log_in().json()["token"]

    @pytest.fixture
    def view(self, mysite) -> Any:
        return who_view(mysite.SignedAuthentication)

    def test_lets_in_whoever_it_gave_a_token(self, token, view):
        assert knock(view, f"Signed {token}") == 200

    @pytest.mark.parametrize("header", ["", "Signed", "Token x", "Signed x", "Signed \xe9\xff"])
    def test_lets_in_nobody_else(self, view, header):
        assert knock(view, header) == 401

    def test_lets_nobody_in_for_longer_than_it_says(self, token, view, clock):
        clock.shift(timedelta(hours=12, seconds=1))
        assert knock(view, f"Signed {token}") == 401

    def test_lets_in_no_inactive_user(self, token, view):
        get_user_model().objects.update(is_active=False)
        assert knock(view, f"Signed {token}") == 401

    def test_notes_the_login(self, token):
        assert get_user_model().objects.get().last_login is not None

    def test_answers_what_it_names(self, mysite):
        assert mysite.SignedIssuer.answers == ("token",)
