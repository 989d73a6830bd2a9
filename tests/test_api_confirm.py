"""`confirm/`: what answering with a code gives, and what it costs to be wrong."""

from unittest.mock import ANY

import pytest
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.core.exceptions import PermissionDenied
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from django_phone_otp.models import ConfirmAttempt, PhoneChallenge, PhoneLedger, UserPhone
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import NOW, PHONE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def challenge(post) -> str:
    return post("request", phone=PHONE).json()["challenge"]


def right_code() -> str:
    return local.outbox[-1].code


def wrong_code() -> str:
    return "".join(str((int(digit) + 1) % 10) for digit in right_code())


def test_logs_a_new_phone_in_and_makes_its_user(post, challenge):
    response = post("confirm", challenge=challenge, code=right_code())
    user = get_user_model().objects.get()
    assert response.status_code == 200
    assert response.json() == {
        "user": {"id": user.pk, "phone": PHONE, "created": True},
        "token": Token.objects.get(user=user).key,
        "device": ANY,
    }
    assert UserPhone.objects.get().user == user
    assert not user.has_usable_password()
    assert PHONE not in user.username


def test_logs_a_known_phone_in(post, challenge, django_user_model):
    user = django_user_model.objects.create_user("known")
    UserPhone.objects.create(user=user, phone=PHONE)
    response = post("confirm", challenge=challenge, code=right_code())
    assert response.json()["user"] == {"id": user.pk, "phone": PHONE, "created": False}


def test_notes_the_login_on_challenge_and_user(post, challenge, django_user_model):
    post("confirm", challenge=challenge, code=right_code())
    stored = PhoneChallenge.objects.get()
    user = django_user_model.objects.get()
    assert (stored.state, stored.user) == ("verified", user)
    assert None not in (stored.verified_at, stored.spent_at)
    assert user.last_login is not None


def test_a_wrong_code_says_how_many_tries_are_left(post, challenge):
    response = post("confirm", challenge=challenge, code=wrong_code())
    assert response.status_code == 400
    assert response.json() == {
        "detail": "This code is not right.",
        "code": "wrong_code",
        "attempts_left": 4,
    }


def test_after_five_wrong_codes_the_right_one_is_refused(post, challenge):
    for left in (4, 3, 2, 1, 0):
        answer = post("confirm", challenge=challenge, code=wrong_code())
        assert (answer.json()["code"], answer.json()["attempts_left"]) == ("wrong_code", left)
    response = post("confirm", challenge=challenge, code=right_code())
    assert (response.status_code, response.json()["code"]) == (429, "locked")
    assert int(response["Retry-After"]) == response.json()["retry_after"] > 0
    assert ConfirmAttempt.objects.count() == 5


def test_a_code_of_four_digits_takes_three_tries(post, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(calls={"kind": "FakeCall", "code": "0427"}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    lefts = [
        post("confirm", challenge=challenge, code="1111").json()["attempts_left"] for _ in range(3)
    ]
    assert lefts == [2, 1, 0]
    assert post("confirm", challenge=challenge, code="0427").json()["code"] == "locked"


def test_a_code_works_once(post, challenge):
    assert post("confirm", challenge=challenge, code=right_code()).status_code == 200
    response = post("confirm", challenge=challenge, code=right_code())
    assert (response.status_code, response.json()["code"]) == (400, "challenge_closed")


def test_an_old_code_fails(post, clock, challenge):
    clock.shift(300)
    response = post("confirm", challenge=challenge, code=right_code())
    assert (response.status_code, response.json()["code"]) == (400, "expired")


def test_a_code_lives_until_its_last_second(post, clock, challenge):
    clock.shift(299)
    assert post("confirm", challenge=challenge, code=right_code()).status_code == 200


def test_an_unknown_challenge_is_refused(post):
    response = post("confirm", challenge="x" * 32, code="123456")
    assert (response.status_code, response.json()["code"]) == (400, "unknown_challenge")


def test_a_code_fails_on_another_challenge(post, challenge):
    other = post("request", phone="+79244501004").json()["challenge"]
    first, second = (message.code for message in local.outbox)
    expected = 200 if first == second else 400
    assert post("confirm", challenge=other, code=first).status_code == expected


@pytest.mark.parametrize("change", ["0427", " 04 27 ", "04-27", "０４２７", "427", 427])
def test_a_code_may_be_typed_as_people_type(post, phone_otp, change):
    phone_otp(PROVIDERS=fakes.providers(calls={"kind": "FakeCall", "code": "0427"}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert post("confirm", challenge=challenge, code=change).status_code == 200


def test_letters_may_be_typed_in_lower_case(post, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(texts={"kind": "FakeCapitals", "code": "GAYXILY"}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert post("confirm", challenge=challenge, code="gayxily").status_code == 200


def test_wrong_codes_of_a_day_are_counted_over_all_challenges(post, phone_otp):
    phone_otp(RESEND_WAITS=[0])
    answers = []
    for _ in range(3):
        challenge = post("request", phone=PHONE).json().get("challenge", "none")
        answers += [
            post("confirm", challenge=challenge, code=wrong_code()).json()["code"] for _ in range(4)
        ]
    assert answers.count("wrong_code") == 10
    assert answers[10:] == ["too_many_requests"] * 2


def test_with_the_days_budget_spent_the_right_code_is_refused_too(post, challenge):
    ledger = PhoneLedger.objects.get()
    ledger.write({"failures": [NOW.timestamp() - 60] * 10})
    response = post("confirm", challenge=challenge, code=right_code())
    assert response.json()["code"] == "too_many_requests"
    assert response.json()["retry_after"] == 86_340
    assert PhoneChallenge.objects.get().attempts_left == 5


def test_a_hundred_wrong_codes_in_a_row_disable_the_phone(post, challenge):
    PhoneLedger.objects.update(failures_in_row=99)
    assert post("confirm", challenge=challenge, code=wrong_code()).json()["code"] == "wrong_code"
    assert PhoneLedger.objects.get().disabled_at is not None
    assert post("confirm", challenge=challenge, code=right_code()).json()["code"] == "locked"


def test_a_right_code_starts_the_row_and_the_ladder_anew(post, challenge):
    post("confirm", challenge=challenge, code=wrong_code())
    post("confirm", challenge=challenge, code=right_code())
    ledger = PhoneLedger.objects.get()
    assert (ledger.failures_in_row, len(ledger.failures)) == (0, 1)
    assert post("request", phone=PHONE).status_code == 201


def test_an_address_answers_sixty_times_an_hour(post, challenge):
    for _ in range(60):
        assert post("confirm", challenge="x", code="1").json()["code"] == "unknown_challenge"
    response = post("confirm", challenge=challenge, code=right_code())
    assert (response.status_code, response.json()["code"]) == (429, "too_many_requests")


def test_a_cache_out_of_reach_lets_nobody_in(post, challenge, settings):
    settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
    response = post("confirm", challenge=challenge, code=right_code())
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")


def test_a_new_request_does_not_kill_the_challenge_before_it(post, challenge, phone_otp):
    first_code = right_code()
    phone_otp(RESEND_WAITS=[0])
    post("request", phone=PHONE)
    assert post("confirm", challenge=challenge, code=first_code).status_code == 200


def test_an_inactive_user_is_neither_logged_in_nor_activated(post, challenge, django_user_model):
    user = django_user_model.objects.create_user("gone", is_active=False)
    UserPhone.objects.create(user=user, phone=PHONE)
    response = post("confirm", challenge=challenge, code=right_code())
    assert (response.status_code, response.json()["code"]) == (400, "phone_not_allowed")
    user.refresh_from_db()
    assert (user.is_active, user.last_login) == (False, None)
    assert not Token.objects.exists()


def test_a_provider_that_judges_is_asked(post, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(verify={"kind": "FakeRemote", "code": "777777"}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert PhoneChallenge.objects.get().code_digest == ""
    assert post("confirm", challenge=challenge, code="111111").json()["attempts_left"] == 4
    assert post("confirm", challenge=challenge, code="777777").status_code == 200


def test_a_judge_without_a_verdict_costs_a_try_and_is_no_login(post, phone_otp, caplog):
    phone_otp(PROVIDERS=fakes.providers(verify={"kind": "FakeRemote", "code": "777777"}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    phone_otp(PROVIDERS=fakes.providers(verify={"kind": "FakeRemote", "error": "judge"}))
    response = post("confirm", challenge=challenge, code="777777")
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert PhoneChallenge.objects.get().attempts_left == 4
    assert "777777" not in caplog.text


class Heard(list):
    """Collects what a signal of Django says while a block runs."""

    def __init__(self, signal):
        self.signal = signal

    def __enter__(self):
        self.signal.connect(self.hear)
        return self

    def __exit__(self, *_exception):
        self.signal.disconnect(self.hear)

    def hear(self, **arguments):
        self.append(arguments)


def test_a_login_is_announced_with_its_request(post, challenge):
    with Heard(user_logged_in) as heard:
        post("confirm", challenge=challenge, code=right_code())
    (announced,) = heard
    assert announced["user"] == get_user_model().objects.get()
    assert announced["request"].path == "/api/phone/confirm/"


def test_a_refusal_is_announced_without_the_code(post, challenge):
    code = wrong_code()
    with Heard(user_login_failed) as heard:
        post("confirm", challenge=challenge, code=code)
    (announced,) = heard
    assert announced["request"].path == "/api/phone/confirm/"
    assert code not in str(announced["credentials"])


class TestSession:
    """With the session issuer a browser comes back by its cookie."""

    @pytest.fixture(autouse=True)
    def _session_issuer(self, phone_otp):
        phone_otp(TOKEN_ISSUER="session")

    def test_a_login_sets_the_cookie_and_nothing_else(self, post, api, challenge):
        response = post("confirm", challenge=challenge, code=right_code())
        user = get_user_model().objects.get()
        assert response.json() == {
            "user": {"id": user.pk, "phone": PHONE, "created": True},
            "device": ANY,
        }
        assert api.session[SESSION_KEY] == str(user.pk)
        assert api.session["_auth_user_backend"] == "django_phone_otp.backends.PhoneOTPBackend"

    def test_a_login_cycles_the_session_key(self, post, api, challenge):
        api.session.save()
        session = api.session
        session["cart"] = 1
        session.save()
        api.cookies["sessionid"] = session.session_key
        post("confirm", challenge=challenge, code=right_code())
        assert api.session.session_key != session.session_key
        assert api.session["cart"] == 1

    def test_a_login_that_fails_half_way_leaves_no_session(self, post, api, challenge, settings):
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"

        def refuse(**_arguments):
            raise PermissionDenied

        user_logged_in.connect(refuse)
        assert post("confirm", challenge=challenge, code=right_code()).status_code == 403
        user_logged_in.disconnect(refuse)
        assert SESSION_KEY not in api.session
        assert PhoneChallenge.objects.get().spent_at is None

    @pytest.mark.parametrize("header", ["origin", "referer"])
    def test_a_foreign_page_cannot_log_a_browser_in(self, post, challenge, header):
        browser = APIClient(enforce_csrf_checks=True)
        response = browser.post(
            "/api/phone/confirm/",
            {"challenge": challenge, "code": right_code()},
            format="json",
            headers={header: "https://evil.example"},
        )
        assert (response.status_code, response.json()["code"]) == (403, "permission_denied")
        assert not get_user_model().objects.exists()

    def test_a_page_of_ours_with_its_token_can(self, post, challenge):
        browser = APIClient(enforce_csrf_checks=True)
        browser.cookies["csrftoken"] = token = "t" * 32
        response = browser.post(
            "/api/phone/confirm/",
            {"challenge": challenge, "code": right_code()},
            format="json",
            headers={"origin": "http://testserver", "x-csrftoken": token},
        )
        assert response.status_code == 200

    def test_an_app_needs_no_token(self, post, challenge):
        app = APIClient(enforce_csrf_checks=True)
        body = {"challenge": challenge, "code": right_code()}
        assert app.post("/api/phone/confirm/", body, format="json").status_code == 200


def test_a_stale_token_does_not_keep_from_logging_in(post, challenge, api):
    api.credentials(HTTP_AUTHORIZATION="Token stale")
    assert post("confirm", challenge=challenge, code=right_code()).status_code == 200


def test_a_session_that_the_database_bars_does_not_either(post, challenge, api):
    api.cookies["sessionid"] = "a\x00b"
    assert post("confirm", challenge=challenge, code=right_code()).status_code == 200


def test_a_site_whose_drf_has_no_anonymous_user_can_log_in(post, challenge, settings):
    settings.REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}
    assert post("confirm", challenge=challenge, code=right_code()).status_code == 200
