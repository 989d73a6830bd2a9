"""The settings dict: its defaults, and how it is read."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_phone_otp.conf import DEFAULT_LIMITS, KEYS, GuardRules, Rate, Settings, read

# The public interface: a change here breaks somebody's site.
DEFAULTS: dict[str, Any] = {
    "PROVIDERS": {},
    "ROUTES": {},
    "DEFAULT_REGION": None,
    "ALLOWED_REGIONS": None,
    "DENIED_REGIONS": [],
    "NUMBER_TYPES": None,
    "GUARDS": {},
    "CODE_LENGTH": 6,
    "CODE_TTL": 300,
    "MAX_ATTEMPTS": 5,
    "RESEND_WAITS": [30, 60, 120, 300, 600],
    "LIMITS": {},
    "SIGNUP": True,
    "SIGNUP_HOOK": None,
    "SEND_HOOK": None,
    "USER_PHONE_FIELD": None,
    "TOKEN_ISSUER": "session",
    "CAPTCHA": None,
    "MESSAGE": None,
    "WEBOTP_DOMAIN": None,
    "ANDROID_APP_HASH": None,
    "DISPATCH": "inline",
    "TRUSTED_PROXIES": 0,
    "TEST_PHONES": {},
    "RETENTION_DAYS": 30,
    "LIFEPOS": {},
}


def test_there_are_these_keys_and_no_others():
    assert set(KEYS) == set(DEFAULTS)


@pytest.mark.parametrize("key", DEFAULTS)
def test_default(settings, key):
    settings.PHONE_OTP = {}
    value = getattr(read(), key.lower())
    assert (list(value) if key == "RESEND_WAITS" else value) == DEFAULTS[key]


def test_a_site_may_have_no_settings_at_all(settings):
    del settings.PHONE_OTP
    assert read() == Settings()


def test_a_changed_setting_counts_at_once(settings):
    settings.PHONE_OTP = {"CODE_TTL": 60}
    before = read().code_ttl
    settings.PHONE_OTP = {"CODE_TTL": 120}
    assert (before, read().code_ttl) == (60, 120)


def test_a_setting_that_is_changed_in_its_place_counts_at_once(settings):
    settings.PHONE_OTP = {"LIMITS": {"request_ip": "5/h"}}
    before = read().rates("request_ip")
    settings.PHONE_OTP["LIMITS"]["request_ip"] = ["6/h"]
    settings.PHONE_OTP["CODE_TTL"] = 60
    assert (before, read().rates("request_ip")) == ((Rate(5, 3_600),), (Rate(6, 3_600),))
    assert read().code_ttl == 60


def test_unknown_keys_are_named(settings):
    settings.PHONE_OTP = {"CODE_TTL": 60, "CODE_LIFETIME": 60, "APPLE": 1}
    with pytest.raises(ImproperlyConfigured) as caught:
        read()
    message = "PHONE_OTP has keys that do not exist: APPLE, CODE_LIFETIME. Known: PROVIDERS, ROUTES"
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("key", "named"),
    [
        pytest.param("code_ttl", "code_ttl", id="lower-case"),
        pytest.param(1, "1", id="number"),
        pytest.param("MAX_ATTEMPTS ", "MAX_ATTEMPTS ", id="blank"),
    ],
)
def test_key_that_only_looks_like_one_is_unknown(settings, key, named):
    settings.PHONE_OTP = {key: 60}
    with pytest.raises(ImproperlyConfigured, match=f"do not exist: {named}"):
        read()


# Rates


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5/s", Rate(5, 1)),
        ("5/m", Rate(5, 60)),
        ("5/h", Rate(5, 3_600)),
        ("10/d", Rate(10, 86_400)),
        ("100/10s", Rate(100, 10)),
        ("1/15m", Rate(1, 900)),
        ("3/2d", Rate(3, 172_800)),
    ],
)
def test_rate_is_read(text, rate):
    assert Rate.parse(text) == rate


@pytest.mark.parametrize(
    "text", ["", "5", "/h", "5/", "5/w", "h/5", "5 / h", "5/h ", "-5/h", "5.5/h", "5/-1h", "5/h\n"]
)
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(ValueError, match="is not a rate such as") as caught:
        Rate.parse(text)
    assert str(caught.value) == f'"{text}" is not a rate such as "5/h" or "100/10m"'


@pytest.mark.parametrize("text", ["0/h", "5/0h", "0/0s"])
def test_rate_that_allows_nothing_is_refused(text):
    with pytest.raises(ValueError, match="allows nothing") as caught:
        Rate.parse(text)
    assert str(caught.value) == f'"{text}" allows nothing'


def test_rate_is_written_in_seconds():
    assert str(Rate.parse("5/h")) == "5/3600s"


def test_written_rate_reads_the_same():
    assert Rate.parse(str(Rate(5, 900))) == Rate(5, 900)


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("request_ip", ["20/h"]),
        ("confirm_ip", ["60/h"]),
        ("send_phone", ["5/h", "10/d"]),
        ("fail_phone", ["10/d"]),
    ],
)
def test_default_rates(name, rates):
    assert Settings().rates(name) == tuple(map(Rate.parse, rates))


def test_there_are_no_other_limits():
    assert set(DEFAULT_LIMITS) == {
        "request_ip",
        "confirm_ip",
        "send_phone",
        "fail_phone",
        "fail_phone_total",
        "send_device",
        "fail_device",
        "send_region",
        "send_all",
        "fail_all",
    }


def test_a_limit_may_be_one_rate():
    assert Settings(limits={"send_phone": "1/m"}).rates("send_phone") == (Rate(1, 60),)


def test_a_limit_may_be_off():
    assert Settings(limits={"fail_all": None}).rates("fail_all") == ()


def test_a_rate_that_is_said_twice_counts_once():
    found = Settings(limits={"request_ip": ["60/h", "60/60m", "5/m"]}).rates("request_ip")
    assert found == (Rate(60, 3_600), Rate(5, 60))


def test_a_guard_keeps_the_rules_that_are_left_out():
    found = Settings(guards={"prefix_traffic": {"MODE": "block", "FREE": 3}})
    assert found.guard("prefix_traffic") == GuardRules("block", 3, 5, 3_600, 21_600)
    assert found.guard("region") == GuardRules("block")


def test_a_limit_may_be_several_rates():
    found = Settings(limits={"fail_phone": ["1/m", "2/d"]}).rates("fail_phone")
    assert found == (Rate(1, 60), Rate(2, 86_400))


def test_limits_left_out_keep_their_default():
    assert Settings(limits={"send_phone": "1/m"}).rates("request_ip") == (Rate(20, 3_600),)


def test_a_hundred_wrong_codes_in_a_row_disable_by_default():
    assert Settings().disabling_failures_count == 100


def test_fewer_wrong_codes_may_disable():
    assert Settings(limits={"fail_phone_total": 20}).disabling_failures_count == 20


# What follows from several settings


@pytest.mark.parametrize(
    ("max_attempts", "code_length", "attempts"),
    [
        pytest.param(5, 6, 5, id="six-digits"),
        pytest.param(5, 5, 5, id="five-digits"),
        pytest.param(5, 4, 3, id="four-digits"),
        pytest.param(2, 4, 2, id="four-digits-but-fewer-set"),
        pytest.param(10, 4, 3, id="four-digits-but-more-set"),
        pytest.param(10, 16, 10, id="sixteen-characters"),
    ],
)
def test_attempts(max_attempts, code_length, attempts):
    assert Settings(max_attempts=max_attempts).attempts_for(code_length) == attempts


def test_waits_climb_the_ladder_and_the_last_repeats():
    waits = [Settings().wait_after(sent_count) for sent_count in range(1, 9)]
    assert waits == [30, 60, 120, 300, 600, 600, 600, 600]


def test_ladder_of_one_step_repeats_it():
    waits = [Settings(resend_waits=[45]).wait_after(sent_count) for sent_count in (1, 2, 9)]
    assert waits == [45, 45, 45]
