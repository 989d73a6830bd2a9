"""Refusals: one envelope, whoever refuses, and a sentence in the language of the person."""

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.urls import path
from django.utils import translation
from rest_framework.authentication import TokenAuthentication
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.permissions import IsAuthenticated
from rest_framework.throttling import BaseThrottle

import django_phone_otp
from django_phone_otp.checks import check_settings
from django_phone_otp.choices import Refusal
from django_phone_otp.lifepos.answers import MEANINGS
from django_phone_otp.lifepos.checks import TokenPattern
from django_phone_otp.lifepos.urls import urlpatterns as addresses
from django_phone_otp.lifepos.views import LifePOSDoor, SendCodeView
from django_phone_otp.models import PhoneChallenge
from tests.conftest import PHONE
from tests.lifepos.conftest import told

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

CATALOGS = Path(django_phone_otp.__file__).parent / "locale"
LANGUAGES = ["en", *sorted(each.name for each in CATALOGS.iterdir())]
TAGS = {each: translation.to_language(each) for each in LANGUAGES}

# What the views below do.
told_to: dict[str, Any] = {}


class RefusingView(LifePOSDoor):
    """Refuses with what it is told to."""

    def post(self, request: Any) -> Any:
        return self.refuse(told_to["refusal"])


class RaisingView(LifePOSDoor):
    """Raises what it is told to."""

    def post(self, request: Any) -> Any:
        raise told_to["exception"]


class Patient(BaseThrottle):
    def allow_request(self, request: Any, view: Any) -> bool:
        return False

    def wait(self) -> float:
        return 7.2


class Silent(Patient):
    def wait(self) -> None:  # type: ignore[override]
        return None


members = {"permission_classes": [IsAuthenticated]}
tokens = {"authentication_classes": [TokenAuthentication], **members}

urlpatterns = [
    path("refuse", RefusingView.as_view()),
    path("raise", RaisingView.as_view()),
    path("members", SendCodeView.as_view(**members)),
    path("tokens", SendCodeView.as_view(**tokens)),
    path("patient", SendCodeView.as_view(throttle_classes=[Patient])),
    path("silent", SendCodeView.as_view(throttle_classes=[Silent])),
]


def explode(*_arguments: Any) -> Any:
    """Be an EXCEPTION_HANDLER that nobody should call."""
    raise AssertionError


@pytest.fixture
def ask(api, settings):
    """Post a phone to one of the views above: `ask("refuse")`."""
    settings.ROOT_URLCONF = __name__
    api.raise_request_exception = False
    return lambda where, **headers: api.post(
        f"/{where}", {"phone": PHONE}, format="json", headers=headers
    )


@pytest.fixture
def ask_and_raise(ask):
    """Have a view raise an exception, and give the answer."""

    def send(exception: Exception) -> Any:
        told_to["exception"] = exception
        return ask("raise")

    return send


# Every refusal, in every language


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("refusal", Refusal)
def test_a_refusal_is_told_in_the_language_of_the_person(ask, settings, refusal, language):
    tag = TAGS[language]
    settings.LANGUAGES = [(each, each) for each in TAGS.values()]
    told_to["refusal"] = refusal
    response = ask("refuse", **{"Accept-Language": tag})
    status, word = MEANINGS[refusal]
    assert told(response) == (status, word.value, refusal.value)
    with translation.override(tag):
        assert response.json()["message"] == refusal.message
    assert ("Retry-After" in response) == (status == 429)


def test_other_languages_than_english_are_other_words(ask):
    told_to["refusal"] = Refusal.WRONG_CODE
    russian = ask("refuse", **{"Accept-Language": "ru"}).json()["message"]
    assert russian == "Неверный код."


def test_without_a_middleware_for_languages_it_is_the_same(ask, settings):
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "Locale" not in each]
    told_to["refusal"] = Refusal.WRONG_CODE
    assert ask("refuse", **{"Accept-Language": "ru"}).json()["message"] == "Неверный код."


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"data": "{"}, "Искаженный запрос."),
        ({"data": "{}"}, "Обязательное поле."),
        ({"data": '{"phone": "1"}'}, "Это не номер телефона."),
    ],
)
def test_what_does_not_fit_is_told_in_the_language_of_the_person(api, arguments, expected):
    response = api.post(
        "/lifepos/auth/send-code-by-phone",
        content_type="application/json",
        headers={"Accept-Language": "ru"},
        **arguments,
    )
    assert response.json()["message"] == expected


# What the site puts here


def test_a_permission_may_be_asked_for(ask):
    response = ask("members")
    assert told(response) == (403, "NoPermissions", "permission_denied")
    assert not PhoneChallenge.objects.exists()


def test_an_authentication_names_its_scheme(ask):
    response = ask("tokens")
    assert told(response) == (401, "Unauthorized", "not_authenticated")
    assert response["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize(("where", "seconds"), [("patient", "8"), ("silent", "1")])
def test_what_a_throttle_refuses_is_one_of_our_refusals(ask, where, seconds):
    response = ask(where)
    assert told(response) == (429, "TooManyRequests", "too_many_requests")
    assert response["Retry-After"] == seconds


def test_the_sites_own_handler_of_exceptions_knows_another_shape(ask_and_raise, settings):
    settings.REST_FRAMEWORK = {"EXCEPTION_HANDLER": f"{__name__}.explode"}
    assert told(ask_and_raise(ValidationError("no"))) == (422, "RequestIsNotValid", "")


@pytest.mark.parametrize(
    ("detail", "info"),
    [
        ("no", ""),
        ({"terms": ["no", "never"]}, "terms"),
        ({"terms": {"first": ["no"]}, "non_field_errors": ["x"]}, "terms, body"),
    ],
)
def test_errors_of_a_subclass_are_told_alike(ask_and_raise, detail, info):
    response = ask_and_raise(ValidationError(detail))
    assert told(response) == (422, "RequestIsNotValid", info)
    assert response.json()["message"] == "no"


def test_a_status_that_the_document_does_not_have_becomes_one_that_it_has(ask_and_raise):
    exception = APIException("Gone for good.", "gone")
    exception.status_code = 410
    assert told(ask_and_raise(exception))[:2] == (422, "BadRequest")


# What should not happen


@pytest.mark.parametrize("exception", [OperationalError("x"), InterfaceError("x")])
def test_a_database_out_of_reach_is_told(ask_and_raise, exception):
    assert told(ask_and_raise(exception)) == (500, "TryLater", "unavailable")


def test_a_challenge_that_was_erased_meanwhile_was_not_sent(ask_and_raise):
    response = ask_and_raise(PhoneChallenge.DoesNotExist())
    assert told(response) == (422, "ConfirmationCodeWasNotSend", "unknown_challenge")


@pytest.mark.parametrize("exception", [ZeroDivisionError("secret"), APIException("secret")])
def test_a_mistake_is_answered_in_the_envelope(ask_and_raise, exception):
    response = ask_and_raise(exception)
    assert told(response) == (500, "InternalServerError", "")
    assert response.json()["message"] == "A server error occurred."


def test_a_mistake_is_reported_once_as_django_does_it(ask_and_raise, caplog):
    reported = []

    def report(**arguments: Any) -> None:
        reported.append(arguments["request"].path)

    got_request_exception.connect(report)
    exception = ZeroDivisionError("the mistake")
    ask_and_raise(exception)
    got_request_exception.disconnect(report)
    assert reported == ["/raise"]
    (record,) = [each for each in caplog.records if each.name == "django.request"]
    assert (record.getMessage(), record.levelname) == ("Internal Server Error: /raise", "ERROR")
    assert record.exc_info
    assert record.exc_info[1] is exception
    assert vars(record)["status_code"] == 500


def test_a_clients_test_sees_the_mistake_itself(ask_and_raise, api):
    api.raise_request_exception = True
    with pytest.raises(ZeroDivisionError):
        ask_and_raise(ZeroDivisionError())


# The checks


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ("token", []),
        ("simplejwt", []),
        ("knox", []),
        ("session", ["phone_otp.E036"]),
        ("tests.lifepos.test_sign_in.Ticketing", ["phone_otp.E036"]),
        ("tests.lifepos.test_sign_in.Silent", []),  # nobody knows before
        ("no-such-issuer", []),  # E021 says so
        (1, []),
    ],
)
def test_the_issuer_is_checked(phone_otp, issuer, expected):
    phone_otp(TOKEN_ISSUER=issuer)
    found = [message for each in addresses for message in each.check()]
    assert [each.id for each in found] == expected


def test_the_complaint_names_the_setting_and_what_to_do(phone_otp):
    phone_otp(TOKEN_ISSUER="session")
    (complaint,) = (message for each in addresses for message in each.check())
    expected = "PHONE_OTP['TOKEN_ISSUER'] gives no token, which auth/sign-in-by-code answers with."
    assert complaint.msg == expected
    assert str(complaint.hint).startswith("Use 'token', 'simplejwt' or 'knox'")


@pytest.mark.parametrize(("urls", "is_found"), [("tests.urls", True), (__name__, False)])
def test_it_is_checked_where_the_addresses_are_in_use(phone_otp, settings, urls, is_found):
    settings.ROOT_URLCONF = urls
    phone_otp(TOKEN_ISSUER="session")
    assert ("phone_otp.E036" in [each.id for each in run_checks()]) == is_found


def test_settings_that_cannot_be_read_are_the_business_of_other_checks(settings):
    settings.PHONE_OTP = {"NO_SUCH_KEY": 1}
    (pattern,) = (each for each in addresses if isinstance(each, TokenPattern))
    assert pattern.check() == []


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_nobody_trusts_everybody(phone_otp, network):
    phone_otp(LIFEPOS={"TRUSTED_CALLERS": ["10.0.0.0/8", network]})
    (complaint,) = (each for each in check_settings() if each.id == "phone_otp.E035")
    assert complaint.msg.endswith("and none of them everybody's.")
