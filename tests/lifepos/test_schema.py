"""The OpenAPI schema of a site that has this door open, beside the API: as told, and as it is."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from django.urls import include, path
from django.utils import translation
from hypothesis import HealthCheck, settings
from rest_framework import serializers
from rest_framework.authentication import TokenAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.test import APIClient
from schemathesis import Case

from django_phone_otp.choices import Refusal
from django_phone_otp.codes import MAX_ANSWER_LENGTH
from django_phone_otp.issuers import Issuer
from django_phone_otp.lifepos import urls, views
from django_phone_otp.lifepos.answers import MEANINGS
from django_phone_otp.lifepos.serializers import SendCodeSerializer
from django_phone_otp.providers import local
from tests.conftest import PHONE
from tests.fuzz.conftest import door  # noqa: F401 (a fixture)
from tests.lifepos.conftest import SEND, SIGN_IN, fact

pytest.importorskip("drf_spectacular", reason="the extra `schema` is not installed")

from drf_spectacular.settings import patched_settings

from django_phone_otp.lifepos import schema as described
from tests.schema.test_schema import DRF, ROOT, answers, generate, properties

DOOR = path("lifepos/", include(urls.urlpatterns))
OPERATIONS = {"sendCodeByPhone": SEND, "signInByCode": SIGN_IN}
SENDING, SIGNING_IN = OPERATIONS


def parameters(made: dict[str, Any], route: str) -> dict[str, Any]:
    return {each["name"]: each for each in made["paths"][route]["post"]["parameters"]}


def shown(made: dict[str, Any], operation_id: str) -> dict[str, dict[str, Any]]:
    """Give the examples of an operation's answers, by status."""
    found: dict[str, dict[str, Any]] = {}
    for status, response in answers(made, operation_id).items():
        for media in response.get("content", {}).values():
            names = [each["$ref"].rpartition("/")[2] for each in media["examples"].values()]
            values = [made["components"]["examples"][name]["value"] for name in names]
            found[status] = dict(zip(names, values, strict=True))
    return found


def all_shown(made: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (status, body)
        for name in OPERATIONS
        for status, bodies in shown(made, name).items()
        for body in bodies.values()
    ]


# What is told


def test_a_site_with_both_doors_is_described_without_a_warning(tmp_path):
    options = {"ROOT_URLCONF": "tests.urls", "REST_FRAMEWORK": DRF}
    code = (
        "import sys, django; from tests import settings;"
        f"vars(settings).update({options!r});"
        "settings.INSTALLED_APPS.append('drf_spectacular'); django.setup();"
        "from django.core.management import execute_from_command_line as run; run(sys.argv)"
    )
    file = tmp_path / "openapi.json"
    command = ["spectacular", "--validate", "--fail-on-warn", "--skip-checks"]
    command += ["--format", "openapi-json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--file", file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    paths = json.loads(file.read_text())["paths"]
    names = [paths[each]["post"]["operationId"] for each in (SEND, SIGN_IN, "/api/phone/request/")]
    assert names == [SENDING, SIGNING_IN, "requestCode"]


def test_a_site_without_this_door_has_none_of_it():
    made = generate()
    names = [name for kind in made["components"].values() for name in kind]
    assert [name for name in [*names, *made["paths"]] if "lifepos" in name.lower()] == []


def test_the_api_is_described_as_it_is_without_this_door():
    made, alone = generate(DOOR), generate()
    for name, item in alone["paths"].items():
        assert made["paths"][name] == item
    for name, component in alone["components"]["schemas"].items():
        assert made["components"]["schemas"][name] == component


def test_each_view_is_described():
    assert [each.callback.cls.__name__ for each in urls.urlpatterns] == list(described.OPERATIONS)


def test_newer_openapi_is_made_without_a_warning():
    with patched_settings({"OAS_VERSION": "3.1.1"}):
        assert generate(DOOR)["openapi"] == "3.1.1"


def test_bodies_have_the_fields_of_the_document():
    made = generate(DOOR)
    schemas = made["components"]["schemas"]
    names = ["phone", "ip", "token", "captcha_type", "send_sms"]
    assert properties(made, "LifePOSSendCode") == names
    assert schemas["LifePOSSendCode"]["required"] == ["phone"]
    assert properties(made, "LifePOSSignIn") == ["phone", "ip", "confirmation_code"]
    assert schemas["LifePOSSignIn"]["required"] == ["confirmation_code", "phone"]
    assert schemas["LifePOSCaptchaType"] == {"type": "string", "enum": fact("captcha types")}


@pytest.mark.parametrize("name", ["LifePOSSendCode", "LifePOSSignIn"])
def test_a_phone_has_the_lengths_and_the_expression_of_the_document(name):
    found = generate(DOOR)["components"]["schemas"][name]["properties"]["phone"]
    assert [str(found["minLength"])] == fact("shortest phone")
    assert [str(found["maxLength"])] == fact("longest phone")
    assert [found["pattern"].replace("[0-9]", r"\d")] == [f"^{fact('expression')[0]}$"]
    assert re.search(found["pattern"], PHONE)
    assert not re.search(found["pattern"], "７９２４４５０１００３")


def test_a_code_is_some_text_and_no_long_one():
    fields = generate(DOOR)["components"]["schemas"]["LifePOSSignIn"]["properties"]
    lengths = fields["confirmation_code"]["minLength"], fields["confirmation_code"]["maxLength"]
    assert lengths == (1, MAX_ANSWER_LENGTH)


@pytest.mark.parametrize("route", OPERATIONS.values())
def test_headers_are_those_that_the_door_takes(route):
    found = parameters(generate(DOOR), route)
    kind = found.pop(views.CLIENT_TYPE)
    assert kind["schema"] == {"type": "string", "enum": fact("client types")}
    assert {views.CLIENT_IDENTIFIER, "Accept-Language"} < set(found)
    assert [name for name in found if f"`{name}`" not in headers_of_the_page()] == []
    assert not any(each.get("required") for each in found.values())


def headers_of_the_page() -> str:
    """Give the page of the documentation, with the names of headers written out."""
    page = (Path(ROOT) / "docs" / "lifepos.md").read_text()
    return re.sub(r"`(-[A-Z][\w-]+)`", r"`X-LP-Client\1`", page)


def test_code_is_one_of_the_words_of_the_document_in_its_order():
    schemas = generate(DOOR)["components"]["schemas"]
    assert list(schemas["LifePOSRefusal"]["properties"]) == fact("keys")
    assert sorted(schemas["LifePOSRefusal"]["required"]) == sorted(fact("keys"))
    assert schemas["LifePOSRefusalCode"] == {"type": "string", "enum": fact("codes")}


def test_a_code_is_sent_with_an_empty_answer():
    assert "content" not in answers(generate(DOOR), SENDING)["204"]


@pytest.mark.parametrize(
    ("operation_id", "statuses"),
    [
        (SENDING, ["204", "404", "405", "415", "422", "429", "500"]),
        (SIGNING_IN, ["200", "403", "405", "415", "422", "429", "500"]),
    ],
)
def test_each_operation_has_these_statuses(operation_id, statuses):
    assert list(answers(generate(DOOR), operation_id)) == statuses


def test_statuses_have_their_headers():
    for operation_id in OPERATIONS:
        for status, response in answers(generate(DOOR), operation_id).items():
            more = {"405": {"Allow"}, "429": {"Retry-After"}}.get(status, set())
            assert set(response["headers"]) == {"Cache-Control", "Content-Language"} | more


# No challenge that awaits a call is found here, and no phone is unlinked.
NEVER_SAID = {Refusal.CALL_AWAITED, Refusal.LAST_PHONE}


def test_each_refusal_has_an_example_under_its_status():
    found = {(status, body["code"], body["info"]) for status, body in all_shown_refusals()}
    expected = {
        (str(status), word.value, refusal.value)
        for refusal, (status, word) in MEANINGS.items()
        if refusal not in NEVER_SAID
    }
    assert expected < found
    assert {
        ("403", "NoPermissions", "permission_denied"),
        ("405", "NotAllowed", "method_not_allowed"),
        ("415", "BadRequest", "unsupported_media_type"),
        ("422", "BadRequest", "JSON parse error - Expecting value"),
        ("422", "RequestIsNotValid", "phone"),
        ("500", "InternalServerError", ""),
    } == found - expected


def all_shown_refusals() -> list[tuple[str, dict[str, Any]]]:
    return [(status, body) for status, body in all_shown(generate(DOOR)) if status != "200"]


def test_the_description_of_a_status_has_its_words():
    found = answers(generate(DOOR), SENDING)["429"]["description"]
    assert found == "Not now: `TooManyRequests`, `TrySendCodeLater`."


def test_each_example_is_as_described():
    made = json.loads(json.dumps(generate(DOOR)))
    for status, body in all_shown(made):
        name = "LifePOSTokens" if status == "200" else "LifePOSRefusal"
        shape = {"$ref": f"#/components/schemas/{name}", "components": made["components"]}
        assert jsonschema_rs.validator_for(shape).is_valid(body), body


@pytest.mark.parametrize("language", ["en", "ru"])
def test_sentences_are_those_that_the_door_says_in_that_language(api, language):
    with translation.override(language):
        found = shown(generate(DOOR), SENDING)
    headers = {"Accept-Language": language}
    refused = api.get(SEND, headers=headers).json()
    assert found["405"]["LifePOSRefusalMethodNotAllowed"] == refused
    lacking = api.post(SEND, {}, format="json", headers=headers).json()
    assert found["422"]["LifePOSRefusalFieldErrors"] == lacking


def test_refusals_of_the_flow_are_in_that_language_too():
    with translation.override("ru"):
        found = shown(generate(DOOR), SIGNING_IN)["422"]["LifePOSRefusalWrongCode"]
    assert found["message"] == "Неверный код."


# Other sites


class Open(Issuer):
    """Declares nothing, so it may give anything."""

    def issue(self, request, user):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("issuer", "keys", "required"),
    [
        ("token", ["token"], ["token"]),
        ("knox", ["token"], ["token"]),
        ("simplejwt", ["token", "refresh_token"], ["token", "refresh_token"]),
        ("tests.lifepos.test_schema.Open", ["token", "refresh_token"], ["token"]),
    ],
)
def test_a_login_gives_what_the_issuer_of_the_site_gives(phone_otp, issuer, keys, required):
    phone_otp(TOKEN_ISSUER=issuer)
    made = generate(DOOR)
    assert properties(made, "LifePOSTokens") == keys
    assert made["components"]["schemas"]["LifePOSTokens"]["required"] == required
    (example,) = shown(made, SIGNING_IN)["200"].values()
    assert list(example) == required


@pytest.mark.parametrize(
    ("options", "statuses"),
    [
        ({"permission_classes": [IsAuthenticated]}, ["403"]),
        (
            {
                "permission_classes": [IsAuthenticated],
                "authentication_classes": [TokenAuthentication],
            },
            ["401", "403"],
        ),
    ],
    ids=["permission", "scheme"],
)
def test_permissions_of_the_site_are_told(options, statuses):
    found = answers(generate(path("send", views.SendCodeView.as_view(**options))), SENDING)
    assert [status for status in found if status in ("401", "403")] == statuses


class TermsSerializer(SendCodeSerializer):
    terms = serializers.BooleanField()


class TermsView(views.SendCodeView):
    serializer_class = TermsSerializer


def test_a_view_of_the_site_is_described_with_its_own_fields():
    made = generate(path("send", TermsView.as_view()))
    assert properties(made, "LifePOSSendCode")[-1] == "terms"


class OtherSerializer(serializers.Serializer):
    captcha_type = serializers.ChoiceField(choices=["round", "square"])


class OtherView(views.LifePOSDoor):
    serializer_class = OtherSerializer

    def post(self, request):
        raise NotImplementedError


def test_a_view_of_the_sites_own_making_is_left_to_it():
    made = generate(DOOR, path("other", OtherView.as_view()))
    assert made["paths"]["/other"]["post"]["operationId"] == "other_create"
    assert made["components"]["schemas"]["LifePOSCaptchaType"]["enum"] == fact("captcha types")


# As it is

SCHEMA = schemathesis.openapi.from_dict(
    json.loads(json.dumps(generate(DOOR))), config=schemathesis.Config.from_dict({"seed": 0})
).include(path=list(OPERATIONS.values()))


def is_taken_all_the_same(case: Case) -> bool:
    """Say whether the door takes more than the schema asks clients to send.

    A number is read as the text that it is written with, and some words as yes or no, as DRF's
    fields do; blanks around a code do not count, also where it is too long with them.
    """
    body = case.body
    if case.meta is None or case.meta.generation.mode.is_positive or not isinstance(body, dict):
        return False
    texts = [body.get(name) for name in ("phone", "token", "confirmation_code")]
    is_number = any(isinstance(each, int | float) for each in texts)
    has_blanks = any(isinstance(each, str) and each != each.strip() for each in texts)
    return is_number or has_blanks or not isinstance(body.get("send_sms"), bool | None)


@pytest.mark.long
@SCHEMA.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_the_door_is_as_it_is_described(door, case: Case):  # noqa: F811
    with door.at("token"):
        if case.meta and case.meta.generation.mode.is_positive:
            fill(case)
        response = case.call(app=door)
        if not is_taken_all_the_same(case):
            case.operation.schema.app = door  # for the checks that ask once more
            case.validate_response(response, transport_kwargs={"app": door})


def fill(case: Case) -> None:
    """Put what lives into a request that is as described."""
    body: Any = case.body
    if body["phone"] not in (PHONE, "8(924)450-10-03"):
        body["phone"] = PHONE  # not all that fits the expression is a phone
    if body.get("ip"):
        body["ip"] = "2001:db8::1"
    if case.path == SIGN_IN:
        identifier = case.headers.get(views.CLIENT_IDENTIFIER)
        headers = {views.CLIENT_IDENTIFIER: identifier} if identifier else {}
        assert APIClient().post(SEND, body, format="json", headers=headers).status_code == 204
        body["confirmation_code"] = local.outbox[-1].code
