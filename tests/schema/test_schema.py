"""The OpenAPI schema: that of the example site is kept as a file, those of other sites differ."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from django.contrib.auth import get_user_model
from django.db import models
from django.test import override_settings
from django.urls import path
from django.utils import translation
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication, TokenAuthentication
from rest_framework.filters import SearchFilter
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.throttling import AnonRateThrottle

from django_phone_otp import urls
from django_phone_otp.api import views
from django_phone_otp.api.operations import OPERATIONS, THROTTLED, Refusals, say
from django_phone_otp.api.serializers import PhoneSerializer, RequestSerializer
from django_phone_otp.choices import Refusal
from django_phone_otp.door import STATUS
from tests.fuzz.described import SCHEMA_FILE, describe_answers

pytest.importorskip("drf_spectacular", reason="the extra `schema` is not installed")

from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from drf_spectacular.utils import extend_schema
from drf_spectacular.validation import validate_schema

from django_phone_otp.api import schema  # noqa: F401  # as `apps` does where it is installed

ROOT = SCHEMA_FILE.parents[1]
DRF = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
ALL_REFUSALS = sorted(
    {each for operation in OPERATIONS.values() for each in operation.refusals} | {THROTTLED},
    key=lambda each: each.name,
)


def run_command(*arguments: str, file: Path) -> subprocess.CompletedProcess[str]:
    """Run drf-spectacular's command for the example site."""
    return subprocess.run(
        [sys.executable, *arguments, "spectacular", "--validate", "--fail-on-warn", "--file", file],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "example_project.settings"},
        capture_output=True,
        text=True,
        check=False,
    )


def generate(*extra_patterns: Any) -> dict[str, Any]:
    """Give the schema of a site; it has to come without a warning, and to be one."""
    with override_settings(REST_FRAMEWORK=DRF):
        GENERATOR_STATS.reset()
        patterns = [*extra_patterns, *urls.urlpatterns]
        made: dict[str, Any] = SchemaGenerator(patterns=patterns).get_schema(public=True)
    assert not GENERATOR_STATS
    validate_schema(made)
    return made


def properties(made: dict[str, Any], name: str) -> list[str]:
    return list(made["components"]["schemas"][name]["properties"])


def answers(made: dict[str, Any], operation_id: str) -> dict[str, Any]:
    operations = [each for item in made["paths"].values() for each in item.values()]
    (found,) = [each for each in operations if each["operationId"] == operation_id]
    return dict(found["responses"])


# The file


def test_file_is_what_the_example_site_gives(tmp_path):
    done = run_command("-m", "example_project.manage", file=tmp_path / "openapi.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    remedy = f"python -m example_project.manage spectacular --file docs/{SCHEMA_FILE.name}"
    assert (tmp_path / "openapi.yaml").read_text() == SCHEMA_FILE.read_text(), f"run {remedy}"


def test_example_site_runs_without_drf_spectacular():
    code = (
        "import sys; sys.modules['drf_spectacular'] = None;"
        "import django; django.setup();"
        "from django.core.management import call_command; call_command('check');"
        "print('django_phone_otp.api.schema' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "example_project.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["False"], done.stderr


# Nothing is forgotten


def test_each_view_is_described():
    assert [each.callback.cls.__name__ for each in urls.urlpatterns] == list(OPERATIONS)


def test_each_refusal_is_described():
    words = {word for refusals in ALL_REFUSALS for word in refusals.words}
    assert {word for word in words if isinstance(word, Refusal)} == set(Refusal)


@pytest.mark.parametrize("refusals", ALL_REFUSALS, ids=lambda each: each.name)
def test_refusals_are_described_under_their_status(refusals: Refusals):
    own = [word for word in refusals.words if isinstance(word, Refusal)]
    assert {STATUS[word] for word in own} <= {refusals.status}


def test_each_operation_describes_a_status_once():
    for operation in OPERATIONS.values():
        statuses = [each.status for each in operation.refusals]
        assert sorted(set(statuses)) == statuses


def test_no_two_kinds_of_refusals_have_one_name():
    assert len({each.name for each in ALL_REFUSALS}) == len(ALL_REFUSALS)


def list_media() -> list[dict[str, Any]]:
    found = json.loads(json.dumps(describe_answers()))["paths"].values()
    return [
        media
        for item in found
        for operation in item.values()
        for response in operation["responses"].values()
        for media in response.get("content", {}).values()
    ]


def test_each_example_is_as_described():
    document = describe_answers()
    shared = document["components"]["examples"]
    for media in list_media():
        shape = {**media["schema"], "components": document["components"]}
        judge = jsonschema_rs.validator_for(shape)
        shown = [each["$ref"].rpartition("/")[2] for each in media["examples"].values()]
        assert shown != []
        assert [name for name in shown if not judge.is_valid(shared[name]["value"])] == []


def test_each_refusal_has_an_example():
    shown = [each["value"] for each in describe_answers()["components"]["examples"].values()]
    words = {each["code"] for each in shown if "detail" in each}
    assert words >= {word.value for word in Refusal}


@pytest.mark.parametrize("refusals", ALL_REFUSALS, ids=lambda each: each.name)
def test_example_says_what_the_api_says(refusals: Refusals):
    for word in refusals.words:
        assert refusals.example_of(word)["detail"] == say(word)


# Other sites


@pytest.mark.parametrize(
    ("issuer", "keys"),
    [
        ("session", ["user", "device"]),
        ("token", ["user", "device", "token"]),
        ("simplejwt", ["user", "device", "access", "refresh"]),
        ("knox", ["user", "device", "token"]),
    ],
)
def test_login_has_what_the_issuer_of_the_site_gives(phone_otp, issuer, keys):
    phone_otp(TOKEN_ISSUER=issuer)
    assert properties(generate(), "Login") == keys


def test_session_comes_as_a_cookie(phone_otp):
    phone_otp(TOKEN_ISSUER="session")
    assert "Set-Cookie" in answers(generate(), "confirmCode")["200"]["headers"]
    phone_otp(TOKEN_ISSUER="token")
    assert "Set-Cookie" not in answers(generate(), "confirmCode")["200"]["headers"]


def test_security_is_that_of_the_site():
    phones = views.PhonesView.as_view(authentication_classes=[TokenAuthentication])
    made = generate(path("phones/", phones))
    found = made["paths"]["/phones/"]["get"]["security"]
    assert found == [{"tokenAuth": []}]
    assert made["paths"]["/request/"]["post"]["security"] == [
        {"cookieAuth": []},
        {"basicAuth": []},
        {},
    ]


@pytest.mark.parametrize(
    ("authentication", "statuses"),
    [(TokenAuthentication, ["200", "401", "403"]), (SessionAuthentication, ["200", "403"])],
)
def test_stranger_is_told_401_where_the_site_names_a_scheme(authentication, statuses):
    phones = views.PhonesView.as_view(authentication_classes=[authentication])
    found = generate(path("phones/", phones))["paths"]["/phones/"]["get"]["responses"]
    assert [each for each in found if each in ("200", "401", "403")] == statuses


def test_csrf_token_is_named_where_a_session_logs_in():
    token = views.ResendView.as_view(authentication_classes=[TokenAuthentication])
    session = views.ResendView.as_view(authentication_classes=[SessionAuthentication])
    found = [
        {
            each["name"]
            for each in generate(path("resend/", view))["paths"]["/resend/"]["post"]["parameters"]
        }
        for view in (token, session)
    ]
    assert found == [{"Accept-Language"}, {"Accept-Language", "X-CSRFToken"}]


class Hourly(AnonRateThrottle):
    rate = "5/h"


def test_throttle_of_the_site_is_told():
    assert "429" not in answers(generate(), "listPhones")
    view = views.PhonesView.as_view(throttle_classes=[Hourly])
    found = generate(path("phones/", view))["paths"]["/phones/"]["get"]["responses"]["429"]
    assert found["headers"]["Retry-After"]["required"] is True


class TermsSerializer(RequestSerializer):
    terms = serializers.BooleanField()


class TermsView(views.RequestView):
    serializer_class = TermsSerializer


def test_view_of_the_site_is_described_with_its_own_fields():
    made = generate(path("request/", TermsView.as_view()))
    assert properties(made, "CodeRequest")[-1] == "terms"
    assert "terms" in properties(made, "CodeRequestErrors")
    assert "terms" not in properties(generate(), "CodeRequest")


class OtherSerializer(serializers.Serializer):
    number = serializers.IntegerField()


def test_what_the_site_says_of_its_view_counts_alone():
    with override_settings(REST_FRAMEWORK=DRF):

        class ToldView(views.ConfirmView):
            @extend_schema(operation_id="ours", responses=OtherSerializer)
            def post(self, request):
                raise NotImplementedError

    made = generate(path("confirm/", ToldView.as_view()))
    found = made["paths"]["/confirm/"]["post"]
    assert (found["operationId"], list(found["responses"])) == ("ours", ["200"])


def test_component_may_have_another_name(monkeypatch):
    own = {"component_name": "LinkedPhone"}
    monkeypatch.setattr(PhoneSerializer, "_spectacular_annotation", own, raising=False)
    made = generate()
    assert "LinkedPhone" in made["components"]["schemas"]
    assert "Phone" not in made["components"]["schemas"]


class OtherView(views.FlowView):
    serializer_class = OtherSerializer

    def get(self, request):
        raise NotImplementedError


def test_view_of_the_sites_own_making_is_left_to_it():
    made = generate(path("other/", OtherView.as_view()))
    assert made["paths"]["/other/"]["get"]["operationId"] == "other_retrieve"


class PagedView(views.PhonesView):  # as all views are by REST_FRAMEWORK
    pagination_class = LimitOffsetPagination
    filter_backends = (SearchFilter,)


def test_lists_are_whole_whatever_the_site_pages():
    found = generate(path("phones/", PagedView.as_view()))["paths"]["/phones/"]["get"]
    shape = found["responses"]["200"]["content"]["application/json"]["schema"]
    assert shape["type"] == "array"
    assert [each["name"] for each in found["parameters"]] == ["Accept-Language"]


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        (models.BigAutoField(primary_key=True), {"type": "integer"}),
        (models.UUIDField(primary_key=True), {"type": "string", "format": "uuid"}),
        (models.CharField(primary_key=True, max_length=20), {"type": "string"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_id_of_a_user_is_what_the_model_says(monkeypatch, key, shape):
    key.set_attributes_from_name("id")
    monkeypatch.setattr(get_user_model()._meta, "pk", key)
    found = generate()["components"]["schemas"]["LoginUser"]["properties"]["id"]
    assert {name: found[name] for name in found if name != "description"} == shape


def test_newer_openapi_is_made_without_a_warning():
    with patched_settings({"OAS_VERSION": "3.1.1"}):
        found = generate()["components"]["schemas"]["Phone"]["properties"]["verified_at"]
    assert found["type"] == ["string", "null"]


def test_sentences_are_in_the_language_that_is_asked_for():
    with translation.override("ru"):
        found = generate()["components"]["examples"]["WaitLocked"]["value"]
    assert found["detail"] == "Слишком много неверных кодов. Запросите новый код позже."
