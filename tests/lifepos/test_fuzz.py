"""Whatever is sent: an answer of the document, with no key beyond its three, and none of ours."""

import json
from typing import Any

import pytest
from django.core.cache import cache
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from django_phone_otp.models import PhoneChallenge, PhoneLedger
from django_phone_otp.providers import local
from tests.conftest import PHONE
from tests.fuzz.strategies import JSON, WORDS, damaged
from tests.lifepos.conftest import SEND, SIGN_IN, fact

# Many examples in one test, each of which begins with what those before it left.
MANY = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
pytestmark = [pytest.mark.django_db, pytest.mark.long]

PHONES = st.one_of(
    st.from_regex(fact("expression")[0], fullmatch=True),
    st.sampled_from([PHONE, "8(924)450-10-03", "9244501003", "88005553535"]),
    st.text(max_size=20),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "token": st.text(max_size=20),
    "ip": st.ip_addresses().map(str) | st.sampled_from(["fe80::1%eth0", "::ffff:1.2.3.4"]),
    "captcha_type": st.sampled_from(fact("captcha types")),
    "send_sms": st.booleans(),
    "confirmation_code": st.just("right") | st.text("0123456789", max_size=8),
}
ODD = st.sampled_from(["phone", *FIELDS]) | st.text(max_size=5)
BODIES = st.builds(
    lambda good, odd: {**good, **odd},
    st.fixed_dictionaries({"phone": PHONES}, optional=FIELDS),
    st.dictionaries(ODD, JSON, max_size=2) | st.just({}),
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "HTTP_ACCEPT": WORDS,
        "HTTP_ACCEPT_LANGUAGE": st.sampled_from(["ru", "kk", "*"]) | WORDS,
        "HTTP_AUTHORIZATION": WORDS,
        "HTTP_COOKIE": st.just('sessionid="\\000aaaaaaaa"') | WORDS,
        "HTTP_X_FORWARDED_FOR": WORDS,
        "HTTP_X_LP_CLIENT_IDENTIFIER": WORDS,
        "HTTP_X_LP_CLIENT_TYPE": st.sampled_from(fact("client types")) | WORDS,
        "HTTP_X_LP_ORGANIZATION_ALIAS": WORDS,
        "HTTP_USER_AGENT": WORDS,
    },
)
PATHS = st.sampled_from([SEND, SIGN_IN])
KEYS, CODES = fact("keys"), fact("codes")


def judge(response: Any) -> None:
    """Assert that this is an answer of the document."""
    status, content = response.status_code, response.content
    assert status < 500
    assert response["Cache-Control"] == "no-store"
    # Django takes a cookie away that names no session.
    assert not any(each.value for each in response.cookies.values())
    if status == 204:
        assert content == b""
        return
    body = json.loads(content)
    if status == 200:
        assert list(body) == ["token"]
        return
    assert status in (404, 405, 415, 422, 429)
    assert list(body) == KEYS
    assert body["code"] in CODES
    assert all(isinstance(each, str) for each in body.values())
    assert body["message"]
    assert ("Retry-After" in response) == (status == 429)
    assert not [each for each in local.outbox if each.code in content.decode()]


def post(path: str, body: Any, media_type: str, headers: dict[str, Any]) -> Any:
    cache.clear()
    PhoneLedger.objects.all().delete()
    if path == SIGN_IN:
        APIClient().post(SEND, {"phone": PHONE}, format="json", **headers)
    response = APIClient().generic("POST", path, body, media_type, **headers)
    judge(response)
    return response


@MANY
@given(PATHS, BODIES, HEADERS)
def test_s19_any_json(clock, path, body, headers):
    raw = json.dumps(body)
    if body.get("confirmation_code") == "right" and local.outbox:
        raw = json.dumps({**body, "confirmation_code": local.outbox[-1].code})
    response = post(path, raw.encode(), "application/json", headers)
    if path == SEND:
        assert (PhoneChallenge.objects.count() > 0) == (response.status_code == 204)


@MANY
@given(PATHS, st.data())
def test_s19_any_bytes(clock, path, data):
    whole = json.dumps(data.draw(BODIES)).encode()
    raw = data.draw(damaged(whole) | st.binary(max_size=40))
    post(path, raw, data.draw(st.sampled_from(fact("media types"))), {})


@MANY
@given(WORDS)
def test_s19_any_media_type(clock, media_type):
    body = json.dumps({"phone": PHONE}).encode()
    try:
        response = post(SEND, body, media_type.replace("\n", "").replace("\r", ""), {})
    except ValueError:  # Django's own, before any view: an encoding that does not exist
        return
    assert response.status_code in (204, 415)
