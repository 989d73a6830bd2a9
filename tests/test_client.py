"""Who asks: an address that a stranger cannot choose, and a user agent that forges no log line."""

from ipaddress import ip_address

import pytest
from django.test import RequestFactory, override_settings
from hypothesis import example, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from django_phone_otp.flow import Client
from django_phone_otp.flow.client import MAX_USER_AGENT_LENGTH

NEAREST = "198.51.100.1"
PERSON = "203.0.113.7"
STRANGER = "192.0.2.66"


def client(**meta: str) -> Client:
    return Client.from_request(RequestFactory().get("/", **meta))  # type: ignore[arg-type]


def address(forwarded: str, remote: str = NEAREST) -> str:
    return client(REMOTE_ADDR=remote, HTTP_X_FORWARDED_FOR=forwarded).ip


@pytest.fixture
def proxies(settings):
    def _proxies(count: int) -> None:
        settings.PHONE_OTP = {**settings.PHONE_OTP, "TRUSTED_PROXIES": count}

    return _proxies


# Without a proxy


@pytest.mark.parametrize(
    ("remote", "ip"),
    [
        pytest.param("203.0.113.7", "203.0.113.7", id="IPv4"),
        pytest.param("2001:db8::1", "2001:db8::1", id="IPv6"),
        pytest.param("2001:0DB8:0:0:0:0:0:1", "2001:db8::1", id="IPv6-in-another-form"),
        pytest.param("::ffff:203.0.113.7", "203.0.113.7", id="IPv4-in-IPv6"),
        pytest.param("fe80::1%eth0", "fe80::1", id="IPv6-with-zone"),
        pytest.param("", "", id="Unix-socket"),
        pytest.param("/run/app.sock", "", id="path"),
        pytest.param("unknown", "", id="word"),
        pytest.param("203.0.113.07", "", id="leading-zero"),
    ],
)
def test_address_of_the_connection(remote, ip):
    assert client(REMOTE_ADDR=remote).ip == ip


def test_environment_without_an_address():
    class Request:
        META: dict[str, str] = {}

    assert Client.from_request(Request()) == Client(ip="", user_agent="")


@pytest.mark.parametrize("forwarded", ["", STRANGER, f"{STRANGER}, {PERSON}", "garbage"])
def test_s14_forwarded_is_ignored_without_trusted_proxies(forwarded):
    assert address(forwarded) == NEAREST


@pytest.mark.parametrize(
    "header", ["HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_CLIENT_IP", "HTTP_CF_CONNECTING_IP"]
)
def test_s14_other_headers_are_ignored_always(proxies, header):
    proxies(1)
    assert client(REMOTE_ADDR=NEAREST, **{header: STRANGER}).ip == NEAREST


# Behind proxies


@pytest.mark.parametrize(
    ("count", "forwarded", "ip"),
    [
        pytest.param(1, PERSON, PERSON, id="one"),
        pytest.param(1, f"{STRANGER}, {PERSON}", PERSON, id="one-and-a-claim"),
        pytest.param(1, f"{STRANGER},{STRANGER},{PERSON}", PERSON, id="one-and-two-claims"),
        pytest.param(2, f"{PERSON}, 198.51.100.2", PERSON, id="two"),
        pytest.param(2, f"{STRANGER}, {PERSON}, 198.51.100.2", PERSON, id="two-and-a-claim"),
        pytest.param(3, f"{PERSON}, 198.51.100.3, 198.51.100.2", PERSON, id="three"),
    ],
)
def test_s14_forwarded_is_read_from_the_right_end(proxies, count, forwarded, ip):
    proxies(count)
    assert address(forwarded) == ip


@pytest.mark.parametrize(
    ("count", "forwarded"),
    [
        pytest.param(1, "", id="none-of-one"),
        pytest.param(2, "", id="none-of-two"),
        pytest.param(2, PERSON, id="one-of-two"),
        pytest.param(3, f"{STRANGER}, {PERSON}", id="two-of-three"),
    ],
)
def test_s14_too_few_entries_give_the_connection(proxies, count, forwarded):
    proxies(count)
    assert address(forwarded) == NEAREST


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param("", id="empty"),
        pytest.param("   ", id="blank"),
        pytest.param("unknown", id="word"),
        pytest.param("_hidden", id="obfuscated"),
        pytest.param("256.1.1.1", id="no-address"),
        pytest.param("203.0.113.7.8", id="five-parts"),
        pytest.param("203.0.113.7/24", id="network"),
        pytest.param(":::", id="colons"),
        pytest.param("[", id="bracket"),
        pytest.param("203.0.113.7\x00", id="NUL"),
    ],
)
def test_s14_what_is_no_address_gives_the_connection(proxies, entry):
    proxies(1)
    assert address(f"{STRANGER}, {entry}") == NEAREST


@pytest.mark.parametrize(
    ("entry", "ip"),
    [
        pytest.param("203.0.113.7:51234", "203.0.113.7", id="IPv4-and-port"),
        pytest.param("[2001:db8::1]", "2001:db8::1", id="IPv6-in-brackets"),
        pytest.param("[2001:db8::1]:51234", "2001:db8::1", id="IPv6-in-brackets-and-port"),
        pytest.param("2001:db8::1", "2001:db8::1", id="IPv6-bare"),
        pytest.param("2001:DB8::0:1", "2001:db8::1", id="IPv6-in-another-form"),
        pytest.param("::ffff:203.0.113.7", "203.0.113.7", id="IPv4-in-IPv6"),
        pytest.param("[::ffff:cb00:7107]:443", "203.0.113.7", id="IPv4-in-IPv6-in-brackets"),
        pytest.param("fe80::1%eth0", "fe80::1", id="IPv6-with-zone"),
        pytest.param(" 203.0.113.7 ", "203.0.113.7", id="blanks"),
    ],
)
def test_entry_in_any_form_is_one_address(proxies, entry, ip):
    proxies(1)
    assert address(f"{STRANGER},{entry}") == ip


@pytest.mark.parametrize("remote", ["", "unix:"])
def test_proxy_at_a_unix_socket(proxies, remote):
    proxies(1)
    assert address(f"{STRANGER}, {PERSON}", remote=remote) == PERSON


HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=80)
ADDRESS_LIKE = st.text("0123456789abcdef:.[]%, ", max_size=60)


@budget(deadline=None, max_examples=200)
@given(HEADER | ADDRESS_LIKE)
@example("fe80::1%" + "x" * 300)
@example("fe80::1%, 203.0.113.7")
def test_s20_any_header_gives_a_plain_address(forwarded):
    class Request:
        META = {"REMOTE_ADDR": NEAREST, "HTTP_X_FORWARDED_FOR": forwarded}

    with override_settings(PHONE_OTP={"TRUSTED_PROXIES": 1}):
        ip = Client.from_request(Request()).ip
    assert str(ip_address(ip)) == ip
    assert "%" not in ip


# The user agent


def test_user_agent_is_kept_as_it_is():
    agent = "Mozilla/5.0 (X11; Linux x86_64) Приложение/1.0"
    assert client(HTTP_USER_AGENT=agent).user_agent == agent


def test_no_user_agent_is_empty():
    assert client().user_agent == ""


@pytest.mark.parametrize(
    "control", ["\n", "\r", "\x00", "\x0b", "\x1b", "\x85", "\u2028", "\u202e", "\ud800"], ids=ascii
)
def test_s20_user_agent_has_no_line_breaks_and_no_controls(control):
    # Escaped, so that a failure can be reported: a lone surrogate cannot be printed.
    assert ascii(client(HTTP_USER_AGENT=f"a{control}b").user_agent) == "'a b'"


def test_s20_user_agent_is_cut():
    assert client(HTTP_USER_AGENT="x" * 10_000).user_agent == "x" * MAX_USER_AGENT_LENGTH


@budget(deadline=None)
@given(st.text(st.characters(exclude_categories=())))
def test_s20_any_user_agent_is_one_printable_line(agent):
    class Request:
        META = {"HTTP_USER_AGENT": agent}

    kept = Client.from_request(Request()).user_agent
    assert kept.isprintable()
    assert len(kept) == min(len(agent), MAX_USER_AGENT_LENGTH)
