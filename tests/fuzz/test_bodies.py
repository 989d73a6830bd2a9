"""Bodies that no schema describes: JSON of any shape, and bytes that are no JSON at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_phone_otp.door import MAX_BODY_BYTES
from tests.fuzz.sites import PHONE, ROOMY, SITES
from tests.fuzz.strategies import BODIES, CHARSETS, JSON, ODD_VALUES, damaged

ENDPOINTS = list(BODIES)
TEXTS = ["phone", "purpose", "challenge", "code", "captcha_token"]
REQUIRED = ["phone", "challenge"]  # for the others null is as good as nothing
FIELDS = {
    "request": ["phone", "channel", "purpose", "captcha_token", "device"],
    "resend": ["challenge", "channel"],
    "confirm": ["challenge", "code"],
}


@st.composite
def oddities(draw: st.DrawFn, endpoint: str) -> object:
    """Make a good body with fields in it that are not; or something else than an object."""
    if not draw(st.integers(0, 9)):
        return draw(JSON)
    odd = st.sampled_from(FIELDS[endpoint]) | st.text(max_size=5)
    return draw(BODIES[endpoint]) | draw(st.dictionaries(odd, JSON, min_size=1, max_size=3))


def test_json_of_any_shape(door, repeated):
    def run(seed, settings):
        @seed
        @settings
        @given(st.data(), st.sampled_from(ENDPOINTS), st.sampled_from([*SITES, *ROOMY]))
        def ask(data, endpoint, site):
            body = data.draw(oddities(endpoint))
            with door.at(site):
                answer = door.ask("POST", f"/api/phone/{endpoint}/", dump(door.fill(body)))
            wrong = not isinstance(body, dict) or any(
                is_no_text(field, body[field])
                for field in TEXTS
                if field in FIELDS[endpoint] and field in body
            )
            assert not wrong or answer.status == 400

        ask()

    repeated(10, run)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_each_odd_value(door, endpoint):
    good = {"phone": PHONE, "challenge": "recent-0", "code": "wrong"}
    with door.at("token"):
        door.begin()
        for field in FIELDS[endpoint]:
            for value in ODD_VALUES:
                body = door.fill({**good, field: value})
                answer = door.ask("POST", f"/api/phone/{endpoint}/", dump(body))
                is_wrong = field in TEXTS and is_no_text(field, value)
                assert not is_wrong or answer.status == 400


def is_no_text(field: str, value: object) -> bool:
    return isinstance(value, bool | list | dict) or (value is None and field in REQUIRED)


def dump(body: object) -> bytes:
    return json.dumps(body).encode()


def test_bytes(door, repeated):
    def run(seed, settings):
        @seed
        @settings
        @given(
            st.data(), st.sampled_from(ENDPOINTS), st.sampled_from(ROOMY), st.sampled_from(CHARSETS)
        )
        def ask(data, endpoint, site, charset):
            with door.at(site):
                whole = dump(door.fill(data.draw(BODIES[endpoint])))
                raw = data.draw(damaged(whole) | st.binary() | st.just(recode(whole, charset)))
                kind = f"application/json; charset={charset}" if charset else "application/json"
                answer = door.ask("POST", f"/api/phone/{endpoint}/", raw, CONTENT_TYPE=kind)
            assert len(raw) <= MAX_BODY_BYTES or answer.status == 400

        ask()

    repeated(10, run)


def recode(whole: bytes, charset: str) -> bytes:
    try:
        return whole.decode().encode(charset)
    except (LookupError, UnicodeError):  # no charset, or one that bytes alone are made of
        return whole


@pytest.mark.parametrize("depth", [10, 100, 900, 1_000, 1_100, 5_000, 16_000])
def test_nesting(door, depth):
    start = '{"phone":"' + PHONE + '","challenge":"x","code":"1","rest":'
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        whole = start + opening * depth + "1" + closing * depth + "}"
        for endpoint in ENDPOINTS:
            with door.at("token"):
                answer = door.ask("POST", f"/api/phone/{endpoint}/", whole.encode())
                assert answer.status in {201, 400}
                answer = door.ask("POST", f"/api/phone/{endpoint}/", whole[: -depth - 2].encode())
                assert answer.json["code"] == "parse_error"


def padded(size: int) -> bytes:
    body = dump({"phone": PHONE, "challenge": "x", "code": "1", "rest": ""})
    return body[:-2] + b"x" * (size - len(body)) + body[-2:]


def test_a_body_just_small_enough_is_read(door):
    for size in (MAX_BODY_BYTES - 1, MAX_BODY_BYTES):
        for endpoint in ENDPOINTS:
            with door.at("token"):
                answer = door.ask("POST", f"/api/phone/{endpoint}/", padded(size))
            assert answer.json.get("code") != "parse_error"


# Django's own bound for a body is 2.5 MB, DATA_UPLOAD_MAX_MEMORY_SIZE.
@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 2_500_000, 3_000_000])
def test_a_body_that_is_too_large_is_told_so(door, size):
    for body in (padded(size), b" " * size, b"x" * size):
        for endpoint in ENDPOINTS:
            with door.at("token"):
                answer = door.ask("POST", f"/api/phone/{endpoint}/", body)
            assert answer.json == {"detail": "The body is too large.", "code": "parse_error"}
