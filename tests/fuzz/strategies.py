"""What is sent: values that get past the first check, and values that should not.

A few words stand for what is known only while the site runs; `Door.fill` knows them: "fresh" and
"recent-2" for a challenge, "right" and "wrong" for a code, "mine" for a device.
"""

from base64 import b64encode
from io import BytesIO
from typing import Any

import schemathesis
from django.core.handlers.wsgi import WSGIRequest
from hypothesis import strategies as st

from tests.fuzz.sites import PHONE


def _digits(count: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=count, max_size=count)


PHONES = st.one_of(
    st.builds("+79{}".format, _digits(9)),
    st.builds("+7701{}".format, _digits(7)),
    st.builds("8 (912) {}-{}".format, _digits(3), _digits(4)),
    st.builds("+998 90 {}".format, _digits(7)),
    st.sampled_from([PHONE, "8 924 450-10-03", "+78005553535", "+7 809 123-45-67"]),
    st.text(max_size=41),
)
CHALLENGES = st.one_of(
    st.just("fresh"),
    st.just("fresh"),
    st.integers(0, 7).map("recent-{}".format),
    st.from_regex(r"\A[A-Za-z0-9_-]{1,32}\Z"),
    st.text(max_size=65),
)
CODES = st.one_of(
    st.sampled_from(["right", "right", "earlier", "wrong", "spaced", "arabic", "padded"]),
    _digits(6),
    st.text(max_size=65),
)
DEVICES = st.one_of(
    st.sampled_from(
        ["mine", "mine", "another's", "mine, altered", "", "a:b:c", ":::", "x" * 5_000]
    ),
    st.text(max_size=90),
)
CHANNELS = ["sms", "flash_call", "telegram", "reverse_call"]

# JSON that Python's json writes and reads, half pairs of surrogates and NaN among it.
ODD_TEXTS = ["", " ", "\0", "a\0b", "\ud800", "a\udfff", "\ufeff", "x" * 5_000]
ODD_NUMBERS = [0, -1, 2**63, 10**30, -(10**4_000), 1.5, 1e308, float("inf"), float("nan")]
ODD_VALUES: list[Any] = [*ODD_TEXTS, *ODD_NUMBERS, None, True, [], [[]], {}, {"a": "\ud800"}]
_TEXT = st.text(st.characters(), max_size=80) | st.sampled_from(
    [*ODD_TEXTS, PHONE, "login", "link", "sms"]
)
_NUMBERS = st.integers() | st.floats() | st.sampled_from(ODD_NUMBERS)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)

BODIES: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "request": st.fixed_dictionaries(
        {"phone": PHONES},
        optional={
            "channel": st.sampled_from(CHANNELS) | st.none(),
            "purpose": st.sampled_from(["login", "link"]),
            "captcha_token": st.sampled_from(["human", "robot", "silence", ""]) | st.text(),
            "device": DEVICES,
        },
    ),
    "resend": st.fixed_dictionaries(
        {"challenge": CHALLENGES}, optional={"channel": st.sampled_from(CHANNELS) | st.none()}
    ),
    "confirm": st.fixed_dictionaries({"challenge": CHALLENGES, "code": CODES}),
}

# How schemathesis makes the kinds of text that `described` names.
schemathesis.openapi.format("phone", PHONES)
schemathesis.openapi.format("challenge", CHALLENGES)
schemathesis.openapi.format("code", CODES)
schemathesis.openapi.format("device", DEVICES)

# Bytes


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Damage a body that was good, once to three times."""
    raw = whole
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(raw)))
        until = draw(st.integers(at, min(len(raw), at + 20)))
        raw = raw[:at] + draw(_PIECES) + raw[until:]
    return raw


_PIECES = st.binary(max_size=8) | st.sampled_from(
    [
        b"",
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",  # half a pair of surrogates, as bytes
        b"\xef\xbb\xbf",  # BOM
        b"\xff\xfe",
        rb"\ud800",
        rb"\u0000",
        rb"\udfff\ud800",
        b'"',
        b"}",
        b"{}",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"9" * 5_000,
        b"[" * 900,
        b"[" * 5_000,
        b'{"a":' * 3_000,
        b'"phone":"+79244501003","phone":[],',
        b'"challenge":null,"code":{},',
        b" " * 16_384,
        b"x" * 20_000,
    ]
)
CHARSETS = [
    "utf-8",
    "UTF8",
    "utf-16",
    "utf-32",
    "utf-7",
    "latin-1",
    "cp1251",
    "ascii",
    "punycode",
    "idna",
    "unicode_escape",
    "raw_unicode_escape",
    "undefined",
    "bz2",
    "zlib",
    "hex",
    "rot13",
    "base64",
    "uu",
    "quopri",
    "mbcs",
    "none",
    "",
]

# Headers: latin-1, as a WSGI server hands them over

ODD_WORDS = ["\0", "\xff\xfe", "a" * 9_000, "", "a\r\nX-Forged: b", '"\\000"', "%00", ";;;", "=,=;"]
WORDS = st.text(st.characters(max_codepoint=255), max_size=60) | st.sampled_from(ODD_WORDS)
CSRF = "c" * 32


def is_read_by_django(content_type: str) -> bool:
    """Say whether Django makes a request of it; else nobody of ours is asked.

    RFC 2231 with an encoding that does not exist, and a charset with NUL, are a ValueError in
    Django's `WSGIRequest()`, before any middleware (5.2.19).
    """
    environ = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": content_type, "wsgi.input": BytesIO()}
    try:
        WSGIRequest(environ)
    except ValueError:
        return False
    return True


CONTENT_TYPES = [
    "application/json",
    "APPLICATION/JSON",
    "application/json;",
    "application/json; charset*=utf-8''utf-8",
    "application/json; charset*0=ut; charset*1=f-8",
    "application/problem+json",
    "application/*",
    "*/*",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    *(f"application/json; charset={name}" for name in CHARSETS),
]
# Keys of a session. http.cookies reads \000 between quotation marks as NUL.
SESSIONS = ['"\\000aaaaaaaaaaaa"', '"\\377\\376aaaaaaaa"', "a" * 32, "a" * 5_000, "", "\xe9" * 20]
COOKIES = [
    *(f"sessionid={key}" for key in SESSIONS),
    f"csrftoken={CSRF}",
    'csrftoken="\\000"',
    "django_language=ru",
    'django_language="\\000"',
    "django_language=" + "x" * 600,
    'messages="\\000"',
    'phone_otp_device="\\000"',
    "phone_otp_device=a:b:c",
]
AUTHORIZATIONS = [
    "Basic",
    "Basic !",
    "Basic a b",
    *(f"Basic {b64encode(raw).decode()}" for raw in (b"owner:wrong", b"\0:\0", b"\xff:\xff", b"x")),
    "Token",
    "Token a b",
    "Token \0",
    "Bearer x",
]
HEADER_VALUES: dict[str, list[str]] = {
    "CONTENT_TYPE": CONTENT_TYPES,
    "CONTENT_LENGTH": ["0", "1", "-1", "1_0", "abc", "\xb2", "20000"],
    "REMOTE_ADDR": ["unix:", "fe80::1%eth0", "::ffff:192.0.2.1"],
    "HTTP_ACCEPT": [
        "*/*",
        "text/html",
        "application/json; indent=99999999999",
        "application/json; x*=bogus''y",
        "application/json; charset*=utf-8''%00",
    ],
    "HTTP_ACCEPT_LANGUAGE": ["ru", "de, ru;q=0.1", "*", "ru;q=9e9"],
    "HTTP_AUTHORIZATION": AUTHORIZATIONS,
    "HTTP_CONTENT_ENCODING": ["gzip"],
    "HTTP_CONTENT_LENGTH": ["0"],
    "HTTP_COOKIE": COOKIES,
    "HTTP_EXPECT": ["100-continue"],
    "HTTP_HOST": ["testserver", "localhost:1", "testserver:99999", "[::1"],
    "HTTP_IF_MODIFIED_SINCE": ["Thu, 01 Jan 1970 00:00:00 GMT"],
    "HTTP_IF_NONE_MATCH": ["*"],
    "HTTP_ORIGIN": ["null", "http://testserver", "http://[::1"],
    "HTTP_RANGE": ["bytes=0-1"],
    "HTTP_REFERER": ["http://testserver/", "http://[::1"],
    "HTTP_SEC_FETCH_SITE": ["same-origin"],
    "HTTP_TRANSFER_ENCODING": ["chunked"],
    "HTTP_USER_AGENT": ["\x85" * 300],
    "HTTP_X_CSRFTOKEN": [CSRF],
    "HTTP_X_FORWARDED_FOR": [
        "203.0.113.7",
        "::1, 203.0.113.7",
        "[2001:db8::1]:443",
        "192.0.2.1:5",
        "fe80::1%x",
        "%",
        "1" * 200,
    ],
    "HTTP_X_HTTP_METHOD_OVERRIDE": ["DELETE"],
    "wsgi.url_scheme": ["https"],
}
_MANY_COOKIES = st.lists(st.sampled_from(COOKIES) | WORDS, max_size=4).map("; ".join)
_CREDENTIALS = st.binary(max_size=40).map(lambda raw: "Basic " + b64encode(raw).decode())
_FREE = {
    "CONTENT_TYPE": st.builds("application/json; charset={}".format, WORDS) | WORDS,
    "HTTP_COOKIE": _MANY_COOKIES,
    "HTTP_AUTHORIZATION": _CREDENTIALS | WORDS,
    "wsgi.url_scheme": st.just("http"),
}
HEADERS: st.SearchStrategy[dict[str, str]] = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from(values) | _FREE.get(name, WORDS)
        for name, values in HEADER_VALUES.items()
    },
).filter(lambda headers: is_read_by_django(headers.get("CONTENT_TYPE", "")))

# Addresses

METHODS = st.sampled_from(
    ["GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "QUERY", "get"]
) | st.text(st.characters(max_codepoint=255), max_size=12)
# In the address raw bytes are latin-1, and Django reads them as UTF-8.
ODD_NAMES = ["\0", "a\0b", "\xed\xa0\x80", "\xff", "..", "a\nb", "%00", "x" * 5_000]
NAMES = CHALLENGES.map(
    lambda text: text.encode(errors="replace").decode("latin-1")
) | st.sampled_from(ODD_NAMES)
QUERIES = st.one_of(
    st.just(""),
    st.sampled_from(["format=json", "format=xml", "format=%00", "a=%ff&a[]=%ED%A0%80", "&=&;="]),
    WORDS,
)
