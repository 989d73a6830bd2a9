"""What doors have in common: what a site may replace, and the language they speak."""

from typing import Any

import pytest
from django.core.cache import cache
from django.urls import path
from django.utils import translation
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.throttling import BaseThrottle, SimpleRateThrottle

from django_phone_otp.api.serializers import RequestSerializer
from django_phone_otp.api.views import ConfirmView, PhonesView, RequestView
from django_phone_otp.models import PhoneChallenge
from django_phone_otp.providers import local
from tests.conftest import PHONE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


class TermsSerializer(RequestSerializer):
    terms = serializers.BooleanField()


class NamedConfirmView(ConfirmView):
    def show_user(self, user: Any, challenge: PhoneChallenge) -> dict[str, Any]:
        return {**super().show_user(user, challenge), "name": user.get_username()}


class AppsOnly(BasePermission):
    def has_permission(self, request: Any, view: Any) -> bool:
        return "X-App" in request.headers


class OnePerMinute(SimpleRateThrottle):
    rate = "1/min"

    def get_cache_key(self, request: Any, view: Any) -> str:
        return "everybody"


class NeverSayingWhen(BaseThrottle):
    def allow_request(self, request: Any, view: Any) -> bool:
        return False


class HeaderAuthentication(BaseAuthentication):
    def authenticate(self, request: Any) -> Any:
        from django.contrib.auth import get_user_model

        name = request.headers.get("X-User")
        return (get_user_model().objects.get(username=name), None) if name else None


urlpatterns = [
    path("terms/", RequestView.as_view(serializer_class=TermsSerializer)),
    path("apps/", RequestView.as_view(permission_classes=[AppsOnly])),
    path("one/", RequestView.as_view(throttle_classes=[OnePerMinute])),
    path("never/", RequestView.as_view(throttle_classes=[NeverSayingWhen])),
    path("request/", RequestView.as_view(authentication_classes=[HeaderAuthentication])),
    path("phones/", PhonesView.as_view(authentication_classes=[HeaderAuthentication])),
    path("confirm/", NamedConfirmView.as_view()),
]


@pytest.fixture(autouse=True)
def _own_urls(settings):
    settings.ROOT_URLCONF = __name__
    cache.clear()


@pytest.fixture
def ask(api):
    def send(where: str, **arguments: Any) -> Any:
        body = {"phone": PHONE, **arguments.pop("body", {})}
        return api.post(f"/{where}/", body, format="json", **arguments)

    return send


def test_a_serializer_may_ask_for_more(ask):
    assert ask("terms").json() == {"terms": ["This field is required."]}
    assert ask("terms", body={"terms": True}).status_code == 201


def test_a_permission_may_be_asked_for(ask):
    refused = ask("apps")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_authenticated")
    assert ask("apps", headers={"X-App": "1"}).status_code == 201


def test_what_a_throttle_refuses_is_one_of_our_refusals(ask):
    ask("one")
    refused = ask("one")
    assert (refused.status_code, refused["Retry-After"]) == (429, "60")
    assert refused.json() == {
        "detail": "Too many requests. Try again later.",
        "code": "too_many_requests",
        "retry_after": 60,
    }
    assert len(local.outbox) == 1


def test_a_throttle_need_not_say_when(ask):
    refused = ask("never")
    assert (refused.status_code, refused["Retry-After"]) == (429, "1")


def test_another_authentication_links_phones(ask, django_user_model):
    django_user_model.objects.create_user("owner")
    asked = ask("request", body={"purpose": "link"}, headers={"X-User": "owner"})
    assert asked.status_code == 201
    assert str(PhoneChallenge.objects.get().user) == "owner"


def test_and_lists_them(api, django_user_model):
    django_user_model.objects.create_user("owner")
    assert api.get("/phones/", headers={"X-User": "owner"}).json() == []
    assert api.get("/phones/").status_code == 403


def test_the_answer_may_say_more_about_the_user(ask, api):
    challenge = ask("request").json()["challenge"]
    body = {"challenge": challenge, "code": local.outbox[0].code}
    user = api.post("/confirm/", body, format="json").json()["user"]
    assert user["name"].startswith("phone-")


def test_defaults_of_the_site_hold_where_a_view_chooses_nothing(ask, monkeypatch):
    monkeypatch.setattr(ConfirmView, "throttle_classes", [NeverSayingWhen])
    assert ask("confirm", body={"challenge": "x", "code": "012345"}).status_code == 429


# The language


@pytest.mark.parametrize("middleware", [True, False], ids=["LocaleMiddleware", "none"])
def test_speaks_the_language_of_the_request(ask, settings, middleware):
    if not middleware:
        settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "Locale" not in each]
    answer = ask("request", headers={"Accept-Language": "ru-RU,ru;q=0.9"})
    assert answer.json()["hint"] == "Введите код из сообщения, которое мы вам отправили."
    assert local.outbox[0].text.endswith("— ваш код для testserver.")


def test_without_middleware_the_language_ends_with_the_request(ask, settings):
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "Locale" not in each]
    answer = ask("request", headers={"Accept-Language": "ru"})
    assert (answer["Content-Language"], answer["Vary"]) == ("ru", "Accept-Language")
    assert translation.get_language() == "en"
