"""Each issuer from sign-up to log-out. `test_user_models` runs this once for each user model.

Not called a test, so that the suite does not collect it: a process has one `AUTH_USER_MODEL`.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.core.checks import run_checks
from django.core.management import call_command
from django.utils import timezone
from knox.models import get_token_model
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from django_phone_otp import conf
from django_phone_otp.issuers import REGISTRY, load_issuer
from django_phone_otp.models import UserPhone
from django_phone_otp.providers import local
from tests.conftest import PHONE
from tests.users.tickets import tear_up

TICKET = "tests.users.tickets.TicketIssuer"
RANDOM = "[0-9a-f]{16}"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "issuers.md"

pytestmark = pytest.mark.django_db


@pytest.fixture(params=[*REGISTRY, TICKET])
def issuer(request, phone_otp) -> str:
    phone_otp(TOKEN_ISSUER=request.param)
    return "ticket" if request.param == TICKET else request.param


@pytest.fixture
def log_in(clock, post):
    """Log in by phone, each time a minute later: `log_in(api)` gives the answer."""

    def run(client: APIClient) -> Any:
        clock.shift(60)
        asked = post("request", client, phone=PHONE).json()
        return post("confirm", client, challenge=asked["challenge"], code=local.outbox[-1].code)

    return run


def knock(api: APIClient, path: str, word: str = "", issued: str = "") -> Any:
    """Ask who one is; gives the user's `id`, None for nobody."""
    answer = api.get(path, headers={"Authorization": f"{word} {issued}"} if word else {})
    assert answer.status_code in (200, 401, 403)
    return answer.json().get("id")


def come_back(issuer: str, api: APIClient, body: dict[str, Any]) -> Any:
    """Come back with what was issued, as a client does an hour later; gives the user's `id`."""
    match issuer:
        case "session":
            return knock(api, "/session/who/")
        case "token":
            return knock(api, "/token/who/", "Token", body["token"])
        case "knox":
            return knock(api, "/knox/who/", "Token", body["token"])
        case "simplejwt":
            refreshed = api.post("/simplejwt/refresh/", {"refresh": body["refresh"]})
            if refreshed.status_code == 401:
                return None
            return knock(api, "/simplejwt/who/", "Bearer", refreshed.json()["access"])
    return knock(api, "/ticket/who/", "Ticket", body["ticket"])


def log_out(issuer: str, api: APIClient, body: dict[str, Any]) -> None:
    """Log out as the issuer's own library has it."""
    match issuer:
        case "session":
            assert api.post("/session/logout/").status_code == 302
        case "token":
            Token.objects.get(key=body["token"]).delete()
        case "knox":
            header = {"Authorization": f"Token {body['token']}"}
            assert api.post("/knox/logout/", headers=header).status_code == 204
        case "simplejwt":
            refresh = {"refresh": body["refresh"]}
            assert api.post("/simplejwt/blacklist/", refresh).status_code == 200
        case "ticket":
            tear_up(body["ticket"])


def test_new_phone_signs_up(issuer, api, log_in):
    answer = log_in(api)
    user = get_user_model()._default_manager.get()
    pk = json.loads(json.dumps(user.pk, default=str))
    assert answer.status_code == 200
    assert answer.json()["user"] == {"id": pk, "phone": PHONE, "created": True}


def test_second_login_gives_the_same_user(issuer, api, log_in):
    first = log_in(api).json()["user"]
    assert log_in(APIClient()).json()["user"] == {**first, "created": False}
    assert get_user_model()._default_manager.count() == 1


def test_answer_holds_what_the_issuer_names(issuer, api, log_in):
    body = log_in(api).json()
    answers = load_issuer(conf.read().token_issuer).answers
    assert list(body) == ["user", *answers, "device"]


def test_is_let_in_until_logged_out(issuer, api, log_in):
    body = log_in(api).json()
    assert come_back(issuer, api, body) == body["user"]["id"]
    log_out(issuer, api, body)
    assert come_back(issuer, api, body) is None


def test_access_token_needs_no_refreshing(api, log_in, phone_otp):
    phone_otp(TOKEN_ISSUER="simplejwt")
    body = log_in(api).json()
    assert knock(api, "/simplejwt/who/", "Bearer", body["access"]) == body["user"]["id"]


# What the page about issuers says of a stolen phone.
@pytest.mark.parametrize("issuer", ["session"], indirect=True)
def test_another_unusable_password_logs_out_everywhere(issuer, api, log_in):
    body = log_in(api).json()
    user = get_user_model()._default_manager.get()
    user.set_unusable_password()
    user.save()
    assert come_back(issuer, api, body) is None


def test_function_of_the_page_ends_every_token_of_a_pair(api, log_in, phone_otp):
    phone_otp(TOKEN_ISSUER="simplejwt")
    pairs = [log_in(each).json() for each in (api, APIClient())]
    log_out_everywhere(get_user_model()._default_manager.get())
    for pair in pairs:
        assert knock(api, "/simplejwt/who/", "Bearer", pair["access"]) is None
        refused = api.post("/simplejwt/refresh/", {"refresh": pair["refresh"]})
        assert (refused.status_code, refused.json()["code"]) == (401, "token_not_valid")


def test_function_of_the_page_lets_log_in_again(api, log_in, phone_otp):
    phone_otp(TOKEN_ISSUER="simplejwt")
    log_in(api)
    log_out_everywhere(get_user_model()._default_manager.get())
    body = log_in(api).json()
    assert come_back("simplejwt", api, body) == body["user"]["id"]


def log_out_everywhere(user: Any) -> None:
    """Run what the page about issuers shows."""
    text = re.search(r"^```python\n# mysite/logout\.py\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert text
    names: dict[str, Any] = {"__name__": "mysite.logout"}
    exec(text[1], names)  # noqa: S102 (our own page)
    names["log_out_everywhere"](user)


def test_inactive_user_gets_nothing(issuer, api, log_in):
    body = log_in(api).json()
    log_out(issuer, api, body)
    get_user_model()._default_manager.update(is_active=False)
    kept = [Session, Token, get_token_model(), OutstandingToken]
    rows = [each._default_manager.count() for each in kept]

    stranger = APIClient()
    answer = log_in(stranger)
    assert (answer.status_code, answer.json()["code"]) == (400, "phone_not_allowed")
    assert set(answer.json()) == {"detail", "code"}
    assert not stranger.cookies
    assert [each._default_manager.count() for each in kept] == rows


def test_login_is_announced_once(issuer, api, log_in):
    heard = []

    def hear(sender, request, user, **_kwargs):
        heard.append((sender, request.path, user.pk))

    user_logged_in.connect(hear)
    try:
        log_in(api)
    finally:
        user_logged_in.disconnect(hear)
    user = get_user_model()._default_manager.get()
    assert heard == [(get_user_model(), "/api/phone/confirm/", user.pk)]
    # One of the models has no such field.
    assert getattr(user, "last_login", None) in (timezone.now(), None)
    assert bool(user.last_login) == (user._meta.app_label != "by_nickname")


def test_new_user(api, log_in, phone_otp):
    log_in(api)
    user = get_user_model()._default_manager.get()
    names = {
        "auth": f"phone-{RANDOM}",
        "by_email": rf"phone-{RANDOM}@phone\.invalid",
        "by_nickname": "None",
        "by_phone": re.escape(PHONE),
        "by_uuid": f"phone-{RANDOM}",
    }
    assert re.fullmatch(names[user._meta.app_label], str(user.get_username()))
    assert not user.has_usable_password()
    assert getattr(user, "phone", PHONE) == PHONE
    assert UserPhone.objects.exists() != hasattr(user, "phone")


def test_nothing_is_to_be_complained_of():
    found = [each.id for each in run_checks() if not each.is_silenced()]
    assert found == ["phone_otp.W010"]


def test_no_migration_depends_on_the_user_model():
    call_command("makemigrations", "phone_otp", check=True, dry_run=True, verbosity=0)
