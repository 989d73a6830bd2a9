"""The typed schema of a provider's options."""

from dataclasses import FrozenInstanceError, dataclass
from typing import Any

import pytest

from django_phone_otp.providers.options import ProviderOptions, option


@dataclass(frozen=True, kw_only=True)
class Options(ProviderOptions):
    token: str = option(secret=True, help="Access key.")
    count: int = option(default=1)
    is_loud: bool = option(default=False)
    sender: str | None = option(default=None)

    def find_problems(self) -> list[str]:
        too_many = ['"count" must be at most 9.'] if self.count > 9 else []
        return [*too_many, *super().find_problems()]


def problems_of(**given: Any) -> list[str]:
    parsed, problems = Options.parse({"token": "a-secret-key", **given})
    assert (parsed is None) is bool(problems)
    return problems


def test_options_get_their_defaults():
    parsed, _problems = Options.parse({"token": "a-secret-key"})
    assert parsed == Options(
        token="a-secret-key", count=1, is_loud=False, sender=None, base_url="", timeout=10.0
    )


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"count": 3}, id="int"),
        pytest.param({"is_loud": True}, id="bool"),
        pytest.param({"sender": "Shop"}, id="text-or-None-is-text"),
        pytest.param({"sender": None}, id="text-or-None-is-None"),
        pytest.param({"timeout": 2.5}, id="float"),
        pytest.param({"timeout": 60}, id="int-for-float"),
        pytest.param({"timeout": 0.1}, id="short"),
        pytest.param({"base_url": "https://api.example.org"}, id="https"),
        pytest.param({"base_url": "https://api.example.org:8443/prefix/"}, id="port-and-prefix"),
        pytest.param({"base_url": "http://127.0.0.1:8000"}, id="loopback"),
        pytest.param({"base_url": "http://localhost:8000"}, id="localhost"),
        pytest.param({"base_url": "http://[::1]:8000"}, id="loopback-IPv6"),
    ],
)
def test_good_options(given):
    assert problems_of(**given) == []


NO_HTTPS = '"base_url" must be https:// with a host and at most a path.'
NO_TIMEOUT = '"timeout" must be above 0 and at most 60.0 seconds.'


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        pytest.param({"count": "3"}, '"count" must be int.', id="text-for-int"),
        pytest.param({"count": True}, '"count" must be int.', id="bool-for-int"),
        pytest.param({"count": 1.0}, '"count" must be int.', id="float-for-int"),
        pytest.param({"is_loud": 1}, '"is_loud" must be bool.', id="int-for-bool"),
        pytest.param({"is_loud": "yes"}, '"is_loud" must be bool.', id="text-for-bool"),
        pytest.param({"sender": 5}, '"sender" must be str or NoneType.', id="int-for-text-or-None"),
        pytest.param({"token": None}, '"token" must be str.', id="None-for-text"),
        pytest.param({"token": b"key"}, '"token" must be str.', id="bytes-for-text"),
        pytest.param({"timeout": "10"}, '"timeout" must be float.', id="text-for-float"),
        pytest.param({"timeout": True}, '"timeout" must be float.', id="bool-for-float"),
        pytest.param({"timeout": ""}, '"timeout" must be float.', id="empty-text-for-float"),
        pytest.param({"count": ""}, '"count" must be int.', id="empty-text-for-int"),
        pytest.param({"timeout": 0}, NO_TIMEOUT, id="no-timeout"),
        pytest.param({"timeout": -1}, NO_TIMEOUT, id="negative-timeout"),
        pytest.param({"timeout": 61}, NO_TIMEOUT, id="endless-timeout"),
        pytest.param({"timeout": float("inf")}, NO_TIMEOUT, id="infinite-timeout"),
        pytest.param({"timeout": float("nan")}, NO_TIMEOUT, id="timeout-that-is-no-number"),
        pytest.param({"base_url": "http://api.example.org"}, NO_HTTPS, id="http"),
        pytest.param({"base_url": "api.example.org"}, NO_HTTPS, id="no-scheme"),
        pytest.param({"base_url": "ftp://localhost"}, NO_HTTPS, id="ftp"),
        pytest.param({"base_url": "https://"}, NO_HTTPS, id="no-host"),
        pytest.param(
            {"base_url": "http://localhost@example.org"}, NO_HTTPS, id="localhost-as-user"
        ),
        pytest.param(
            {"base_url": "http://localhost.example.org"}, NO_HTTPS, id="localhost-in-front"
        ),
        pytest.param({"base_url": "https://[::1"}, NO_HTTPS, id="broken-IPv6"),
        pytest.param({"base_url": "https://:secret@example.org"}, NO_HTTPS, id="password-alone"),
        pytest.param({"base_url": "https://example.org\n.net"}, NO_HTTPS, id="line-break"),
        pytest.param({"count": 10}, '"count" must be at most 9.', id="rule-of-the-subclass"),
    ],
)
def test_bad_option(given, problem):
    assert problems_of(**given) == [problem]


def test_missing_option_is_named():
    assert Options.parse({}) == (None, ['"token" is missing.'])


def test_empty_secret_is_missing():
    # What `os.environ.get("TOKEN", "")` gives where the variable is not set.
    assert problems_of(token="") != []


def test_unknown_option_is_named_with_those_that_exist():
    known = "base_url, count, is_loud, sender, timeout, token"
    assert problems_of(tokn="x") == [f'"tokn" is not an option; known: {known}.']


def test_all_problems_are_told_at_once():
    assert len(problems_of(tokn="x", count="3", timeout="10")) == 3


def test_s13_no_problem_shows_a_value():
    secret = "4ea13fbf-f5a3"
    given = {"token": [secret], "count": secret, "is_loud": secret, "timeout": secret}
    _parsed, problems = Options.parse({**given, "base_url": {secret: secret}, "more": secret})
    assert len(problems) == 6
    assert secret not in " ".join(problems)


def test_s13_base_url_that_is_refused_is_not_shown():
    assert "key" not in " ".join(problems_of(base_url="http://user:key@example.org"))


def test_s13_repr_does_not_show_a_secret():
    parsed, _problems = Options.parse({"token": "a-secret-key", "sender": "Shop"})
    assert repr(parsed) == (
        "Options(base_url='', timeout=10.0, count=1, is_loud=False, sender='Shop')"
    )


def test_options_do_not_change():
    with pytest.raises(FrozenInstanceError):
        Options(token="a-secret-key").token = "another"  # type: ignore[misc]


def test_option_tells_a_form_what_it_is():
    metadata = Options.__dataclass_fields__["token"].metadata
    assert dict(metadata) == {"help": "Access key.", "secret": True, "choices": ()}
