"""System checks: each setting has one of its own, and no message shows a secret."""

import re
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import django
import pytest
from celery import Celery, current_app
from django.core.checks import CheckMessage, Error, Warning, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings
from django.utils import timezone
from django.utils.translation import gettext_lazy

from django_phone_otp import checks
from django_phone_otp.backends import PhoneOTPBackend
from django_phone_otp.captcha import Captcha
from django_phone_otp.checks import (
    check_backend,
    check_cache_counts,
    check_cache_is_shared,
    check_limits_are_on,
    check_providers_exist,
    check_settings,
)
from django_phone_otp.checks.keys import CHECKS
from django_phone_otp.conf import KEYS
from django_phone_otp.issuers import Issuer

SOURCE = "".join(each.read_text() for each in Path(checks.__file__).parent.glob("*.py"))
DOCUMENTATION = Path(__file__).resolve().parent.parent / "docs" / "settings.md"

SECRET = "4ea13fbf-f5a3-4084"
PHONE = "+79244501003"
FUTURE = date(2999, 12, 31)


class AnyCaptcha(Captcha):
    def verify(self, token: str, ip: str) -> bool:
        return True


class AnyIssuer(Issuer):
    def issue(self, request: Any, user: Any) -> dict[str, str]:
        return {}


class OurBackend(PhoneOTPBackend):
    pass


async def ask_later(**_told: Any) -> str:
    return "allow"


ACCEPTING = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"]
}
CAPTCHA = {"BACKEND": "tests.test_checks.AnyCaptcha"}


def calls(**entry: Any) -> dict[str, Any]:
    """Write PROVIDERS with one account, good but for the given part of its entry."""
    return {"calls": {"BACKEND": "telefon-ip-flash", "OPTIONS": {"token": SECRET}, **entry}}


def options(**given: Any) -> dict[str, Any]:
    return calls(OPTIONS={"token": SECRET, **given})


def phone_entry(**entry: Any) -> dict[str, Any]:
    return {PHONE: {"code": "012345", "until": FUTURE, **entry}}


GOOD = [
    pytest.param("PROVIDERS", {}, id="PROVIDERS-none-yet"),
    pytest.param("PROVIDERS", None, id="PROVIDERS-rows-alone"),
    pytest.param(
        "PROVIDERS",
        calls(PRIORITY=-1, REGIONS=["RU", "BY"], DAILY_LIMIT=1, PHONE_DAILY_LIMIT=None),
        id="PROVIDERS-use",
    ),
    pytest.param("PROVIDERS", calls(), id="PROVIDERS"),
    pytest.param("PROVIDERS", {"m": {"BACKEND": "locmem"}}, id="PROVIDERS-without-OPTIONS"),
    pytest.param(
        "PROVIDERS",
        calls(BACKEND="django_phone_otp.providers.telefon_ip.TelefonIPSMS"),
        id="PROVIDERS-dotted-path",
    ),
    pytest.param("ROUTES", {}, id="ROUTES-none"),
    pytest.param("ROUTES", {"RU": ["calls", "texts"], "*": ("texts",)}, id="ROUTES"),
    pytest.param("DEFAULT_REGION", None, id="DEFAULT_REGION-None"),
    pytest.param("DEFAULT_REGION", "RU", id="DEFAULT_REGION"),
    pytest.param("ALLOWED_REGIONS", None, id="ALLOWED_REGIONS-None"),
    pytest.param("ALLOWED_REGIONS", ["RU", "BY"], id="ALLOWED_REGIONS-list"),
    pytest.param("ALLOWED_REGIONS", {"RU", "BY"}, id="ALLOWED_REGIONS-set"),
    pytest.param("DENIED_REGIONS", [], id="DENIED_REGIONS-none"),
    pytest.param("DENIED_REGIONS", {"CU", "LK"}, id="DENIED_REGIONS"),
    pytest.param("NUMBER_TYPES", None, id="NUMBER_TYPES-None"),
    pytest.param("NUMBER_TYPES", ["mobile", "fixed_line_or_mobile"], id="NUMBER_TYPES"),
    pytest.param("GUARDS", {}, id="GUARDS-none"),
    pytest.param(
        "GUARDS",
        {"region": {"MODE": "shadow"}, "prefix_traffic": {"FREE": 1, "PAUSE": 604_800}},
        id="GUARDS",
    ),
    pytest.param("CODE_LENGTH", 6, id="CODE_LENGTH-least"),
    pytest.param("CODE_LENGTH", 16, id="CODE_LENGTH-most"),
    pytest.param("CODE_TTL", 30, id="CODE_TTL-least"),
    pytest.param("CODE_TTL", 600, id="CODE_TTL-most"),
    pytest.param("MAX_ATTEMPTS", 1, id="MAX_ATTEMPTS-least"),
    pytest.param("MAX_ATTEMPTS", 10, id="MAX_ATTEMPTS-most"),
    pytest.param("RESEND_WAITS", [30, 60], id="RESEND_WAITS-list"),
    pytest.param("RESEND_WAITS", (86_400,), id="RESEND_WAITS-a-day"),
    pytest.param("LIMITS", {}, id="LIMITS-none"),
    pytest.param(
        "LIMITS",
        {
            "request_ip": "5000/h",
            "confirm_ip": ["60/h", "100/10m"],
            "send_phone": ("1/m", "1000/d"),
            "fail_phone": "10/d",
            "fail_phone_total": 100,
            "send_device": "5/h",
            "fail_device": "10/d",
            "send_region": "1000000/d",
            "send_all": None,
            "fail_all": None,
        },
        id="LIMITS-all",
    ),
    pytest.param("SIGNUP", True, id="SIGNUP-open"),
    pytest.param("SIGNUP", False, id="SIGNUP-closed"),
    pytest.param("SIGNUP_HOOK", None, id="SIGNUP_HOOK-None"),
    pytest.param("SIGNUP_HOOK", "tests.test_hooks.may_sign_up", id="SIGNUP_HOOK"),
    pytest.param("SEND_HOOK", None, id="SEND_HOOK-None"),
    pytest.param("SEND_HOOK", "tests.test_hooks.before_send", id="SEND_HOOK"),
    pytest.param("USER_PHONE_FIELD", None, id="USER_PHONE_FIELD-None"),
    pytest.param("USER_PHONE_FIELD", "username", id="USER_PHONE_FIELD"),
    pytest.param("TOKEN_ISSUER", "session", id="TOKEN_ISSUER-session"),
    pytest.param("TOKEN_ISSUER", "token", id="TOKEN_ISSUER-token"),
    pytest.param("TOKEN_ISSUER", "tests.test_checks.AnyIssuer", id="TOKEN_ISSUER-dotted-path"),
    pytest.param("CAPTCHA", None, id="CAPTCHA-None"),
    pytest.param("CAPTCHA", CAPTCHA, id="CAPTCHA-least"),
    pytest.param(
        "CAPTCHA",
        {**CAPTCHA, "OPTIONS": {"secret": SECRET}, "ON_ERROR": "allow", "WHEN": "suspicious"},
        id="CAPTCHA-most",
    ),
    pytest.param("MESSAGE", None, id="MESSAGE-built-in"),
    pytest.param("MESSAGE", "{site}: {code}", id="MESSAGE"),
    pytest.param("MESSAGE", "{{{code}}}", id="MESSAGE-with-braces"),
    pytest.param("MESSAGE", gettext_lazy("Code {code}"), id="MESSAGE-translated"),
    pytest.param("WEBOTP_DOMAIN", None, id="WEBOTP_DOMAIN-None"),
    pytest.param("WEBOTP_DOMAIN", "login.example.org", id="WEBOTP_DOMAIN"),
    pytest.param("ANDROID_APP_HASH", None, id="ANDROID_APP_HASH-None"),
    pytest.param("ANDROID_APP_HASH", "FA+9qCX9VS/", id="ANDROID_APP_HASH"),
    pytest.param("DISPATCH", "inline", id="DISPATCH"),
    pytest.param("DISPATCH", "tests.fakes_queue.ListQueue", id="DISPATCH-dotted-path"),
    pytest.param("TRUSTED_PROXIES", 0, id="TRUSTED_PROXIES-none"),
    pytest.param("TRUSTED_PROXIES", 2, id="TRUSTED_PROXIES"),
    pytest.param("TEST_PHONES", {}, id="TEST_PHONES-none"),
    pytest.param("TEST_PHONES", phone_entry(), id="TEST_PHONES"),
    pytest.param("TEST_PHONES", phone_entry(until="2999-12-31"), id="TEST_PHONES-date-as-text"),
    pytest.param("RETENTION_DAYS", 1, id="RETENTION_DAYS-least"),
    pytest.param("RETENTION_DAYS", 3_650, id="RETENTION_DAYS-most"),
    pytest.param("LIFEPOS", {}, id="LIFEPOS-none"),
    pytest.param(
        "LIFEPOS",
        {"TELL_UNKNOWN": True, "TRUSTED_CALLERS": ["10.0.0.0/8", "2001:db8::1"]},
        id="LIFEPOS",
    ),
]

IDS = {
    "PROVIDERS": "phone_otp.E010",
    "ROUTES": "phone_otp.E011",
    "DEFAULT_REGION": "phone_otp.E012",
    "ALLOWED_REGIONS": "phone_otp.E013",
    "CODE_LENGTH": "phone_otp.E014",
    "CODE_TTL": "phone_otp.E015",
    "MAX_ATTEMPTS": "phone_otp.E016",
    "RESEND_WAITS": "phone_otp.E017",
    "LIMITS": "phone_otp.E018",
    "SIGNUP": "phone_otp.E019",
    "USER_PHONE_FIELD": "phone_otp.E020",
    "TOKEN_ISSUER": "phone_otp.E021",
    "CAPTCHA": "phone_otp.E022",
    "MESSAGE": "phone_otp.E023",
    "WEBOTP_DOMAIN": "phone_otp.E024",
    "ANDROID_APP_HASH": "phone_otp.E025",
    "DISPATCH": "phone_otp.E026",
    "TRUSTED_PROXIES": "phone_otp.E027",
    "TEST_PHONES": "phone_otp.E028",
    "RETENTION_DAYS": "phone_otp.E029",
    "DENIED_REGIONS": "phone_otp.E030",
    "NUMBER_TYPES": "phone_otp.E031",
    "GUARDS": "phone_otp.E032",
    "SIGNUP_HOOK": "phone_otp.E033",
    "SEND_HOOK": "phone_otp.E034",
    "LIFEPOS": "phone_otp.E035",
}

# One problem each.
BAD = [
    pytest.param("PROVIDERS", ["console"], id="PROVIDERS-list"),
    pytest.param("PROVIDERS", calls(REGIONS="RU"), id="PROVIDERS-regions-text"),
    pytest.param("PROVIDERS", calls(REGIONS=["XX"]), id="PROVIDERS-no-region"),
    pytest.param("PROVIDERS", calls(PRIORITY="first"), id="PROVIDERS-priority-text"),
    pytest.param("PROVIDERS", calls(DAILY_LIMIT=0), id="PROVIDERS-no-message-a-day"),
    pytest.param("PROVIDERS", calls(PHONE_DAILY_LIMIT=1001), id="PROVIDERS-phone-limit"),
    pytest.param("PROVIDERS", {"calls": "console"}, id="PROVIDERS-entry-text"),
    pytest.param("PROVIDERS", {"calls": {}}, id="PROVIDERS-without-BACKEND"),
    pytest.param("PROVIDERS", {"": {"BACKEND": "locmem"}}, id="PROVIDERS-no-alias"),
    pytest.param("PROVIDERS", {"a" * 65: {"BACKEND": "locmem"}}, id="PROVIDERS-long-alias"),
    pytest.param("PROVIDERS", {7: {"BACKEND": "locmem"}}, id="PROVIDERS-alias-number"),
    pytest.param("PROVIDERS", calls(BACKEND=None), id="PROVIDERS-BACKEND-None"),
    pytest.param("PROVIDERS", calls(BACKEND="nobody"), id="PROVIDERS-BACKEND-unknown"),
    pytest.param("PROVIDERS", calls(BACKEND="no.where"), id="PROVIDERS-BACKEND-no-module"),
    pytest.param("PROVIDERS", calls(BACKEND=".Provider"), id="PROVIDERS-BACKEND-malformed"),
    pytest.param("PROVIDERS", calls(BACKEND="datetime.date"), id="PROVIDERS-BACKEND-wrong-class"),
    pytest.param("PROVIDERS", calls(options={}), id="PROVIDERS-unknown-key"),
    pytest.param("PROVIDERS", calls(OPTIONS=[SECRET]), id="PROVIDERS-OPTIONS-list"),
    pytest.param("PROVIDERS", calls(OPTIONS={}), id="PROVIDERS-OPTIONS-missing"),
    pytest.param("PROVIDERS", options(tokn=SECRET), id="PROVIDERS-OPTIONS-unknown"),
    pytest.param("PROVIDERS", options(token=[SECRET]), id="PROVIDERS-OPTIONS-type"),
    pytest.param("PROVIDERS", options(timeout=0), id="PROVIDERS-OPTIONS-timeout"),
    pytest.param("PROVIDERS", options(base_url="http://example.org"), id="PROVIDERS-OPTIONS-http"),
    pytest.param("PROVIDERS", options(base_url="https://[::1"), id="PROVIDERS-OPTIONS-no-address"),
    pytest.param("ROUTES", ["calls"], id="ROUTES-list"),
    pytest.param("ROUTES", {"Russia": ["calls"]}, id="ROUTES-no-region"),
    pytest.param("ROUTES", {7: ["calls"]}, id="ROUTES-number"),
    pytest.param("ROUTES", {"RU": "calls"}, id="ROUTES-text"),
    pytest.param("ROUTES", {"RU": []}, id="ROUTES-empty"),
    pytest.param("ROUTES", {"RU": [1]}, id="ROUTES-alias-number"),
    pytest.param("DEFAULT_REGION", "Russia", id="DEFAULT_REGION-name"),
    pytest.param("DEFAULT_REGION", "ru", id="DEFAULT_REGION-lower-case"),
    pytest.param("DEFAULT_REGION", 7, id="DEFAULT_REGION-number"),
    pytest.param("DEFAULT_REGION", ["RU"], id="DEFAULT_REGION-list"),
    pytest.param("ALLOWED_REGIONS", "RU", id="ALLOWED_REGIONS-text"),
    pytest.param("ALLOWED_REGIONS", ["RU", "XX"], id="ALLOWED_REGIONS-no-region"),
    pytest.param("ALLOWED_REGIONS", [["RU"]], id="ALLOWED_REGIONS-list-in-list"),
    pytest.param("DENIED_REGIONS", "CU", id="DENIED_REGIONS-text"),
    pytest.param("DENIED_REGIONS", ["CU", "XX"], id="DENIED_REGIONS-no-region"),
    pytest.param("DENIED_REGIONS", None, id="DENIED_REGIONS-None"),
    pytest.param("NUMBER_TYPES", [], id="NUMBER_TYPES-empty"),
    pytest.param("NUMBER_TYPES", "mobile", id="NUMBER_TYPES-text"),
    pytest.param("NUMBER_TYPES", ["premium_rate"], id="NUMBER_TYPES-never-called"),
    pytest.param("GUARDS", ["region"], id="GUARDS-list"),
    pytest.param("GUARDS", {"country": {}}, id="GUARDS-unknown"),
    pytest.param("GUARDS", {7: {}}, id="GUARDS-number"),
    pytest.param("GUARDS", {"region": "shadow"}, id="GUARDS-text"),
    pytest.param("GUARDS", {"region": {"FREE": 5}}, id="GUARDS-rule-of-another"),
    pytest.param("GUARDS", {"region": {"MODE": "warn"}}, id="GUARDS-MODE"),
    pytest.param("GUARDS", {"region": {"MODE": ["off"]}}, id="GUARDS-MODE-list"),
    pytest.param("GUARDS", {"region_traffic": {"FREE": 0}}, id="GUARDS-nothing-free"),
    pytest.param("GUARDS", {"region_traffic": {"WINDOW": "1h"}}, id="GUARDS-WINDOW-text"),
    pytest.param("GUARDS", {"prefix_traffic": {"PAUSE": 604_801}}, id="GUARDS-PAUSE-long"),
    pytest.param("CODE_LENGTH", 5, id="CODE_LENGTH-short"),
    pytest.param("CODE_LENGTH", 17, id="CODE_LENGTH-long"),
    pytest.param("CODE_LENGTH", "6", id="CODE_LENGTH-text"),
    pytest.param("CODE_LENGTH", None, id="CODE_LENGTH-None"),
    pytest.param("CODE_TTL", 601, id="CODE_TTL-long"),
    pytest.param("CODE_TTL", 29, id="CODE_TTL-short"),
    pytest.param("CODE_TTL", timedelta(minutes=5), id="CODE_TTL-timedelta"),
    pytest.param("CODE_TTL", 300.0, id="CODE_TTL-float"),
    pytest.param("MAX_ATTEMPTS", 0, id="MAX_ATTEMPTS-none"),
    pytest.param("MAX_ATTEMPTS", 11, id="MAX_ATTEMPTS-many"),
    pytest.param("MAX_ATTEMPTS", True, id="MAX_ATTEMPTS-bool"),
    pytest.param("RESEND_WAITS", 30, id="RESEND_WAITS-number"),
    pytest.param("RESEND_WAITS", [], id="RESEND_WAITS-empty"),
    pytest.param("RESEND_WAITS", [-1], id="RESEND_WAITS-negative"),
    pytest.param("RESEND_WAITS", [86_401], id="RESEND_WAITS-more-than-a-day"),
    pytest.param("RESEND_WAITS", ["30"], id="RESEND_WAITS-text"),
    pytest.param("RESEND_WAITS", [30, False], id="RESEND_WAITS-bool"),
    pytest.param("LIMITS", ["5/h"], id="LIMITS-list"),
    pytest.param("LIMITS", {"send_ip": "5/h"}, id="LIMITS-unknown"),
    pytest.param("LIMITS", {"send_phone": 5}, id="LIMITS-number"),
    pytest.param("LIMITS", {"send_phone": []}, id="LIMITS-no-rate"),
    pytest.param("LIMITS", {"send_phone": [5]}, id="LIMITS-rate-number"),
    pytest.param("LIMITS", {"send_phone": "often"}, id="LIMITS-no-notation"),
    pytest.param("LIMITS", {"send_phone": "0/h"}, id="LIMITS-nothing-allowed"),
    pytest.param("LIMITS", {"send_phone": "1001/d"}, id="LIMITS-too-many-to-keep"),
    pytest.param("LIMITS", {"fail_phone": None}, id="LIMITS-None"),
    pytest.param("LIMITS", {"send_device": "1001/d"}, id="LIMITS-too-many-of-a-device"),
    pytest.param("LIMITS", {"send_all": []}, id="LIMITS-of-the-site-no-rate"),
    pytest.param("LIMITS", {"fail_phone_total": 101}, id="LIMITS-total-over-100"),
    pytest.param("LIMITS", {"fail_phone_total": 0}, id="LIMITS-total-0"),
    pytest.param("LIMITS", {"fail_phone_total": "100/d"}, id="LIMITS-total-rate"),
    pytest.param("SIGNUP", "yes", id="SIGNUP-text"),
    pytest.param("SIGNUP", None, id="SIGNUP-None"),
    pytest.param("SIGNUP", 1, id="SIGNUP-number"),
    pytest.param("SIGNUP_HOOK", len, id="SIGNUP_HOOK-function"),
    pytest.param("SIGNUP_HOOK", "tests.fakes.nobody", id="SIGNUP_HOOK-unknown"),
    pytest.param("SIGNUP_HOOK", "tests.fakes.let_others_act", id="SIGNUP_HOOK-takes-nothing"),
    pytest.param("SIGNUP_HOOK", "builtins.print", id="SIGNUP_HOOK-C"),
    pytest.param("SEND_HOOK", True, id="SEND_HOOK-bool"),
    pytest.param("SEND_HOOK", "tests.test_checks.ask_later", id="SEND_HOOK-async"),
    pytest.param("SEND_HOOK", "tests.fakes.asked", id="SEND_HOOK-no-function"),
    pytest.param("USER_PHONE_FIELD", "phone", id="USER_PHONE_FIELD-no-field"),
    pytest.param("USER_PHONE_FIELD", "email", id="USER_PHONE_FIELD-not-unique"),
    pytest.param("USER_PHONE_FIELD", 5, id="USER_PHONE_FIELD-number"),
    pytest.param("USER_PHONE_FIELD", ["username"], id="USER_PHONE_FIELD-list"),
    pytest.param("TOKEN_ISSUER", "cookie", id="TOKEN_ISSUER-unknown"),
    pytest.param("TOKEN_ISSUER", "datetime.date", id="TOKEN_ISSUER-wrong-class"),
    pytest.param("TOKEN_ISSUER", None, id="TOKEN_ISSUER-None"),
    pytest.param("TOKEN_ISSUER", 5, id="TOKEN_ISSUER-number"),
    pytest.param("TOKEN_ISSUER", ["session"], id="TOKEN_ISSUER-list"),
    pytest.param("CAPTCHA", "yandex", id="CAPTCHA-text"),
    pytest.param("CAPTCHA", {}, id="CAPTCHA-without-BACKEND"),
    pytest.param("CAPTCHA", {"BACKEND": "nobody"}, id="CAPTCHA-unknown"),
    pytest.param("CAPTCHA", {"BACKEND": "datetime.date"}, id="CAPTCHA-wrong-class"),
    pytest.param("CAPTCHA", {**CAPTCHA, "SECRET": SECRET}, id="CAPTCHA-unknown-key"),
    pytest.param("CAPTCHA", {**CAPTCHA, "ON_ERROR": "panic"}, id="CAPTCHA-ON_ERROR"),
    pytest.param("CAPTCHA", {**CAPTCHA, "ON_ERROR": ["allow"]}, id="CAPTCHA-ON_ERROR-list"),
    pytest.param("CAPTCHA", {**CAPTCHA, "WHEN": "never"}, id="CAPTCHA-WHEN"),
    pytest.param("CAPTCHA", {**CAPTCHA, "OPTIONS": SECRET}, id="CAPTCHA-OPTIONS-text"),
    pytest.param("MESSAGE", 5, id="MESSAGE-number"),
    pytest.param("MESSAGE", "Your code", id="MESSAGE-without-code"),
    pytest.param("MESSAGE", "{code} {name}", id="MESSAGE-unknown-field"),
    pytest.param("MESSAGE", "{code} {}", id="MESSAGE-field-without-name"),
    pytest.param("MESSAGE", "{code", id="MESSAGE-brace-left-open"),
    pytest.param("MESSAGE", "{code.name}", id="MESSAGE-attribute"),
    pytest.param("MESSAGE", "{code} {site[name]}", id="MESSAGE-item"),
    pytest.param("MESSAGE", "{code:d}", id="MESSAGE-format-of-numbers"),
    pytest.param("WEBOTP_DOMAIN", "https://example.org", id="WEBOTP_DOMAIN-address"),
    pytest.param("WEBOTP_DOMAIN", "example", id="WEBOTP_DOMAIN-no-dot"),
    pytest.param("WEBOTP_DOMAIN", "example.org\n", id="WEBOTP_DOMAIN-line-break"),
    pytest.param("WEBOTP_DOMAIN", True, id="WEBOTP_DOMAIN-bool"),
    pytest.param("ANDROID_APP_HASH", "FA+9qCX9VS", id="ANDROID_APP_HASH-short"),
    pytest.param("ANDROID_APP_HASH", "FA+9qCX9VS/=", id="ANDROID_APP_HASH-long"),
    pytest.param("ANDROID_APP_HASH", b"FA+9qCX9VS/", id="ANDROID_APP_HASH-bytes"),
    pytest.param("DISPATCH", "pigeon", id="DISPATCH-unknown"),
    pytest.param("DISPATCH", None, id="DISPATCH-None"),
    pytest.param("DISPATCH", ["inline"], id="DISPATCH-list"),
    pytest.param("DISPATCH", "tests.fakes_queue.Pigeon", id="DISPATCH-no-such-class"),
    pytest.param("DISPATCH", "tests.test_checks.AnyIssuer", id="DISPATCH-no-queue"),
    pytest.param("TRUSTED_PROXIES", -1, id="TRUSTED_PROXIES-negative"),
    pytest.param("TRUSTED_PROXIES", 11, id="TRUSTED_PROXIES-many"),
    pytest.param("TRUSTED_PROXIES", True, id="TRUSTED_PROXIES-bool"),
    pytest.param("TRUSTED_PROXIES", ["127.0.0.1"], id="TRUSTED_PROXIES-list"),
    pytest.param("TEST_PHONES", [PHONE], id="TEST_PHONES-list"),
    pytest.param("TEST_PHONES", {"89244501003": {}}, id="TEST_PHONES-not-E.164"),
    pytest.param("TEST_PHONES", {79244501003: {}}, id="TEST_PHONES-number"),
    pytest.param("TEST_PHONES", {PHONE: "012345"}, id="TEST_PHONES-code-alone"),
    pytest.param("TEST_PHONES", {PHONE: {"code": "012345"}}, id="TEST_PHONES-without-until"),
    pytest.param("TEST_PHONES", {PHONE: {"until": FUTURE}}, id="TEST_PHONES-without-code"),
    pytest.param("TEST_PHONES", phone_entry(name="x"), id="TEST_PHONES-unknown-key"),
    pytest.param("TEST_PHONES", phone_entry(code="012"), id="TEST_PHONES-code-short"),
    pytest.param("TEST_PHONES", phone_entry(code="0" * 17), id="TEST_PHONES-code-long"),
    pytest.param("TEST_PHONES", phone_entry(code="abcdef"), id="TEST_PHONES-code-letters"),
    pytest.param("TEST_PHONES", phone_entry(code="٠١٢٣٤٥"), id="TEST_PHONES-code-not-ASCII"),
    pytest.param("TEST_PHONES", phone_entry(code=123456), id="TEST_PHONES-code-number"),
    pytest.param("TEST_PHONES", phone_entry(until=date(2000, 1, 1)), id="TEST_PHONES-expired"),
    pytest.param("TEST_PHONES", phone_entry(until="2000-01-01"), id="TEST_PHONES-expired-text"),
    pytest.param("TEST_PHONES", phone_entry(until="soon"), id="TEST_PHONES-until-words"),
    pytest.param("TEST_PHONES", phone_entry(until=None), id="TEST_PHONES-until-None"),
    pytest.param("TEST_PHONES", phone_entry(until=30), id="TEST_PHONES-until-number"),
    pytest.param("RETENTION_DAYS", 0, id="RETENTION_DAYS-none"),
    pytest.param("RETENTION_DAYS", 3_651, id="RETENTION_DAYS-many"),
    pytest.param("RETENTION_DAYS", None, id="RETENTION_DAYS-None"),
    pytest.param("RETENTION_DAYS", timedelta(days=30), id="RETENTION_DAYS-timedelta"),
    pytest.param("LIFEPOS", [], id="LIFEPOS-list"),
    pytest.param("LIFEPOS", {"TELL": True}, id="LIFEPOS-unknown"),
    pytest.param("LIFEPOS", {"TELL_UNKNOWN": 1}, id="LIFEPOS-number"),
    pytest.param("LIFEPOS", {"TRUSTED_CALLERS": "10.0.0.0/8"}, id="LIFEPOS-text"),
    pytest.param("LIFEPOS", {"TRUSTED_CALLERS": ["10.0.0.1/8"]}, id="LIFEPOS-no-network"),
    pytest.param("LIFEPOS", {"TRUSTED_CALLERS": [167772160]}, id="LIFEPOS-integer"),
]


def complaints(key: str, value: Any) -> list[CheckMessage]:
    """Check a site that is good but for one key."""
    values = {"PROVIDERS": {**calls(), "texts": {"BACKEND": "locmem"}}, key: value}
    with override_settings(PHONE_OTP=values, REST_FRAMEWORK=ACCEPTING, DEBUG=True):
        return check_settings()


@pytest.mark.parametrize(("key", "value"), GOOD)
def test_good_value(key, value):
    assert complaints(key, value) == []


@pytest.mark.parametrize(("key", "value"), BAD)
def test_bad_value_is_one_error_with_the_id_and_the_name_of_its_key(key, value):
    (found,) = complaints(key, value)
    assert isinstance(found, Error)
    assert found.id == IDS[key]
    assert f"PHONE_OTP['{key}']" in found.msg


@pytest.mark.parametrize(("key", "value"), [each for each in BAD if SECRET in repr(each.values[1])])
def test_s13_no_complaint_shows_a_secret(key, value):
    told = [f"{each} {each.hint} {each.obj}" for each in complaints(key, value)]
    assert SECRET not in " ".join(told)


@pytest.mark.parametrize(
    "code", ["0123456789012345678", "01234567a", "９８７６５４３２"], ids=["long", "letter", "wide"]
)
def test_s13_no_complaint_shows_the_code_of_a_test_phone(code):
    (found,) = complaints("TEST_PHONES", phone_entry(code=code))
    assert code not in str(found)


def test_test_phone_is_good_on_its_last_day(clock):
    assert complaints("TEST_PHONES", phone_entry(until=timezone.localdate())) == []


def test_test_phone_must_be_of_a_region_that_is_served(settings):
    settings.PHONE_OTP = {"TEST_PHONES": phone_entry(), "ALLOWED_REGIONS": ["BY"]}
    (found,) = (each for each in check_settings() if each.id == "phone_otp.E028")
    assert found.msg == (
        "PHONE_OTP['TEST_PHONES'] names '+79244501003', of a region or a type that your settings "
        "refuse."
    )
    settings.PHONE_OTP["GUARDS"] = {"region": {"MODE": "shadow"}}
    assert "phone_otp.E028" not in [each.id for each in check_settings()]


def test_test_phone_is_refused_the_day_after(clock):
    entry = phone_entry(until=timezone.localdate())
    clock.shift(86_400)
    (found,) = complaints("TEST_PHONES", entry)
    assert found.msg == (
        "PHONE_OTP['TEST_PHONES']['+79244501003']['until'] is in the past: remove the phone, or "
        "let it live longer."
    )


@pytest.mark.parametrize(
    "until",
    [
        pytest.param(datetime(2999, 12, 31, tzinfo=UTC), id="aware"),
        pytest.param(datetime.fromisoformat("2999-12-31T00:00:00"), id="naive"),
    ],
)
def test_moment_in_the_place_of_a_date_does_not_break_the_check(until):
    # Taken or refused: either is fair.
    found = {each.id for each in complaints("TEST_PHONES", phone_entry(until=until))}
    assert found <= {IDS["TEST_PHONES"]}


def test_several_problems_are_told_at_once():
    values = {"CODE_TTL": 0, "MAX_ATTEMPTS": 0, "PROVIDERS": {"a": {}, "b": {}}}
    with override_settings(PHONE_OTP=values):
        found = [each.id for each in check_settings()]
    assert sorted(str(each) for each in found) == [
        IDS["PROVIDERS"],
        IDS["PROVIDERS"],
        IDS["CODE_TTL"],
        IDS["MAX_ATTEMPTS"],
    ]


def test_wrong_providers_do_not_hide_what_is_wrong_with_the_routes(settings):
    settings.PHONE_OTP = {"PROVIDERS": [], "ROUTES": {"RU": ["calls"], "XX": ["calls"]}}
    found = {each.id for each in check_settings()}
    assert found >= {IDS["PROVIDERS"], IDS["ROUTES"]}


# The dict as a whole


@pytest.mark.parametrize("value", [None, [], "console", 5], ids=repr)
def test_settings_that_are_no_dict(settings, value):
    settings.PHONE_OTP = value
    assert check_settings() == [Error("PHONE_OTP must be a dict.", id="phone_otp.E001")]


def test_site_without_settings_is_fine(settings):
    del settings.PHONE_OTP
    assert check_settings() == []


@pytest.mark.parametrize("key", ["CODE_LIFETIME", "code_ttl", "CODE_TTL ", 5], ids=repr)
def test_unknown_key_is_named_with_those_that_exist(settings, key):
    settings.PHONE_OTP = {key: 60}
    (found,) = check_settings()
    assert found.id == "phone_otp.E002"
    assert found.msg == f"PHONE_OTP has a key that does not exist: {key!r}."
    assert found.hint == f"Known keys: {', '.join(KEYS)}."


# A provider


def test_production_without_a_provider_says_what_to_add(settings):
    settings.PHONE_OTP, settings.DEBUG = {}, False
    (found,) = check_providers_exist()
    assert (type(found), found.id) == (Error, "phone_otp.E003")
    assert found.msg == (
        "No provider is configured: no code can be delivered while DEBUG is False. "
        "(PROVIDERS = None says that operators set them up in the admin.)"
    )
    assert "PHONE_OTP = {'PROVIDERS': {'calls': {'BACKEND': 'telefon-ip-flash'" in str(found.hint)


def test_what_it_says_to_add_is_good(settings):
    settings.PHONE_OTP, settings.DEBUG = {}, False
    (found,) = check_providers_exist()
    added: dict[str, Any] = {}
    hint = str(found.hint)
    exec(hint[hint.index("PHONE_OTP =") :].removesuffix("."), added)  # noqa: S102 (that is the test)
    settings.PHONE_OTP = added["PHONE_OTP"]
    assert [*check_providers_exist(), *check_settings()] == []


def test_development_without_a_provider_is_fine(settings):
    settings.PHONE_OTP, settings.DEBUG = {}, True
    assert check_providers_exist() == []


@pytest.mark.parametrize("providers", [calls(), None], ids=["settings", "rows-alone"])
def test_production_with_a_provider_is_fine(settings, providers):
    settings.PHONE_OTP, settings.DEBUG = {"PROVIDERS": providers}, False
    assert check_providers_exist() == []


@pytest.mark.parametrize("backend", ["console", "locmem"])
def test_provider_that_delivers_nothing_is_warned_of_in_production(settings, backend):
    settings.PHONE_OTP = {"PROVIDERS": {"texts": {"BACKEND": backend}}}
    settings.DEBUG = False
    message = (
        f"PHONE_OTP['PROVIDERS']['texts'] delivers nothing: {backend} is for development and tests."
    )
    assert check_settings() == [Warning(message, id="phone_otp.W010")]


@pytest.mark.parametrize("backend", ["console", "locmem"])
def test_provider_that_delivers_nothing_is_fine_in_development(settings, backend):
    settings.PHONE_OTP = {"PROVIDERS": {"texts": {"BACKEND": backend}}}
    settings.DEBUG = True
    assert check_settings() == []


def test_wait_of_zero_is_warned_of():
    (found,) = complaints("RESEND_WAITS", [0, 30])
    assert (type(found), found.id) == (Warning, "phone_otp.W017")
    assert found.msg.startswith("PHONE_OTP['RESEND_WAITS'] has a wait of 0 seconds")


def test_alias_that_only_the_database_may_have_is_warned_of():
    (found,) = complaints("ROUTES", {"RU": ["calls", "abroad"]})
    assert (type(found), found.id) == (Warning, "phone_otp.W011")
    assert found.msg == "PHONE_OTP['ROUTES']['RU'] names 'abroad', which is not in PROVIDERS."


TASKS = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"


@pytest.mark.parametrize(
    "tasks",
    [
        None,
        {},
        {"default": {"BACKEND": f"{TASKS}.backends.immediate.ImmediateBackend"}},
        {"default": {"BACKEND": f"{TASKS}.backends.dummy.DummyBackend"}},
    ],
    ids=["none", "empty", "immediate", "dummy"],
)
def test_tasks_without_workers_are_warned_of(settings, tasks):
    if tasks is None:
        del settings.TASKS
    else:
        settings.TASKS = tasks
    (complaint,) = complaints("DISPATCH", "tasks")
    assert (type(complaint), complaint.id) == (Warning, "phone_otp.W038")
    assert "no worker sends the messages" in complaint.msg
    assert complaint.hint
    assert "django-tasks-db" in complaint.hint


def test_tasks_with_workers_are_fine(settings):
    settings.TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
    assert complaints("DISPATCH", "tasks") == []


def test_celery_without_an_app_of_the_sites_is_warned_of():
    (complaint,) = complaints("DISPATCH", "celery")
    assert (type(complaint), complaint.id) == (Warning, "phone_otp.W039")
    assert complaint.hint
    assert "__init__.py" in complaint.hint


def test_celery_with_an_app_of_the_sites_is_fine():
    before = current_app._get_current_object()
    with Celery("site"):
        assert complaints("DISPATCH", "celery") == []
    before.set_current()


# Newer Djangos have tasks of their own.
@pytest.mark.parametrize("name", ["celery", "tasks"] if django.VERSION < (6, 0) else ["celery"])
def test_a_package_that_is_not_installed_is_named(monkeypatch, name):
    package = {"celery": "celery", "tasks": "django_tasks"}[name]
    monkeypatch.setitem(sys.modules, package, None)
    (complaint,) = complaints("DISPATCH", name)
    assert complaint.id == "phone_otp.E026"
    assert f"pip install 'django-phone-otp[{name}]'" in complaint.msg


def test_limits_that_are_switched_off_are_warned_of(settings):
    settings.RATELIMIT_ENABLE = False
    (found,) = check_limits_are_on()
    assert (type(found), found.id) == (Warning, "phone_otp.W005")
    assert "RATELIMIT_ENABLE is False" in found.msg


@pytest.mark.parametrize("value", [None, True], ids=["left-out", "on"])
def test_limits_that_are_on_are_fine(settings, value):
    if value is not None:
        settings.RATELIMIT_ENABLE = value
    assert check_limits_are_on() == []


def cache_of(path: str) -> dict[str, Any]:
    return {"BACKEND": f"django.core.cache.backends.{path}", "LOCATION": "unused"}


@pytest.mark.parametrize(
    ("backend", "id_"),
    [
        ("locmem.LocMemCache", "phone_otp.W008"),
        ("filebased.FileBasedCache", "phone_otp.W009"),
        ("db.DatabaseCache", "phone_otp.W009"),
    ],
)
def test_cache_that_counts_badly_is_warned_of(settings, backend, id_):
    settings.CACHES = {"default": cache_of(backend)}
    (found,) = check_cache_is_shared()
    assert (type(found), found.id) == (Warning, id_)
    assert found.msg.startswith("CACHES['default'] ")


def test_cache_that_keeps_nothing_is_an_error(settings):
    settings.CACHES = {"default": cache_of("dummy.DummyCache")}
    (found,) = check_cache_counts()
    assert (type(found), found.id) == (Error, "phone_otp.E008")


def test_cache_that_is_checked_is_the_one_that_counts(settings):
    settings.RATELIMIT_USE_CACHE = "limits"
    settings.CACHES = {
        "default": cache_of("dummy.DummyCache"),
        "limits": cache_of("redis.RedisCache"),
    }
    assert check_cache_counts() + check_cache_is_shared() == []


def test_cache_of_a_class_that_does_not_exist_is_for_django_to_name(settings):
    settings.CACHES = {"default": {"BACKEND": "no.such.Cache"}}
    assert check_cache_counts() + check_cache_is_shared() == []


def test_cache_that_is_not_there_is_an_error(settings):
    settings.RATELIMIT_USE_CACHE = "limits"
    (found,) = check_cache_counts()
    assert (type(found), found.id) == (Error, "phone_otp.E009")
    assert "'limits'" in found.msg


def test_token_issuer_needs_its_app(settings):
    apps = [each for each in settings.INSTALLED_APPS if each != "rest_framework.authtoken"]
    with override_settings(INSTALLED_APPS=apps):
        (found,) = complaints("TOKEN_ISSUER", "token")
    assert found.msg == (
        "PHONE_OTP['TOKEN_ISSUER'] is 'token', "
        "which needs 'rest_framework.authtoken' in INSTALLED_APPS."
    )


# The backend


def test_missing_backend_is_an_error(settings):
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    assert check_backend() == [
        Error(
            "AUTHENTICATION_BACKENDS has no PhoneOTPBackend: nobody can log in by phone.",
            hint="Add 'django_phone_otp.backends.PhoneOTPBackend' to AUTHENTICATION_BACKENDS.",
            id="phone_otp.E004",
        )
    ]


@pytest.mark.parametrize(
    "backends",
    [
        pytest.param(["django_phone_otp.backends.PhoneOTPBackend"], id="ours"),
        pytest.param(["tests.test_checks.OurBackend"], id="subclass"),
        pytest.param(["no.such.Backend", "tests.test_checks.OurBackend"], id="beside-a-broken-one"),
    ],
)
def test_backend_that_is_there_is_fine(settings, backends):
    settings.AUTHENTICATION_BACKENDS = backends
    assert check_backend() == []


# Through Django


# Django's own checks of models look at the database where it is PostgreSQL.
@pytest.mark.django_db
def test_django_runs_the_checks(settings):
    settings.PHONE_OTP = {"CODE_TTL": 601, "TOKEN_ISSUER": "token"}
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    ours = {each.id for each in run_checks() if str(each.id).startswith("phone_otp.")}
    assert ours == {"phone_otp.E003", "phone_otp.E004", "phone_otp.E015", "phone_otp.W021"}


@pytest.mark.django_db
def test_manage_py_check_fails_with_the_name_of_the_key(settings):
    settings.PHONE_OTP = {**settings.PHONE_OTP, "CODE_TTL": 601}
    with pytest.raises(SystemCheckError, match=r"\(phone_otp\.E015\) PHONE_OTP\['CODE_TTL'\]"):
        call_command("check")


# All of them


def _ids_in_the_source() -> set[str]:
    found = re.findall(r'"(?:phone_otp\.)?([EW]\d{3})"', SOURCE)
    return {f"phone_otp.{each}" for each in found}


def test_s02_a_code_may_live_for_ten_minutes_and_no_longer():
    assert complaints("CODE_TTL", 600) == []
    (found,) = complaints("CODE_TTL", 601)
    assert found.id == "phone_otp.E015"


def test_every_key_has_a_check_with_good_and_bad_values_here():
    assert {each.values[0] for each in GOOD} == set(KEYS)
    assert {each.values[0] for each in BAD} == set(KEYS)
    assert IDS.keys() == set(KEYS)


def test_every_key_has_an_id_of_its_own():
    assert {key: id_ for key, (id_, _check) in CHECKS.items()} == IDS
    assert len(set(IDS.values())) == len(IDS)


@pytest.mark.parametrize("id_", sorted(_ids_in_the_source() - set(IDS.values())))
def test_other_ids_stand_in_one_place_each(id_):
    assert SOURCE.count(f'"{id_}"') == 1


@pytest.mark.parametrize("id_", sorted(_ids_in_the_source()))
def test_every_id_is_documented(id_):
    assert DOCUMENTATION.exists(), "there is no docs/settings.md"
    assert re.search(rf"\b({re.escape(id_)}|{id_.rpartition('.')[2]})\b", DOCUMENTATION.read_text())
