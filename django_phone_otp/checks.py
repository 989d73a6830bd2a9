"""System checks: each setting has its own, with an id of its own. Layer 5.

Errors are for what cannot work or is not safe, warnings for what an operator should have meant. No
check asks the database or the network; none prints a value that may be a secret.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db import models
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from .captcha import load_captcha
from .codes import MAX_CODE_LENGTH, MIN_DIGITS_COUNT
from .conf import DEFAULT_GUARDS, DEFAULT_LIMITS, GUARD_MODES, KEYS, Rate, Settings
from .exceptions import InvalidPhone
from .issuers import load_issuer
from .models.account import MAX_PHONE_DAILY_LIMIT
from .phone import KINDS, is_region, parse
from .providers import load_provider
from .providers.local import Console, LocMem

MAX_CODE_TTL_SECONDS = 600  # NIST SP 800-63B-4, 3.1.3.2: ten minutes
MAX_ATTEMPTS = 10
PROVIDER_KEYS = {
    "BACKEND",
    "OPTIONS",
    "PRIORITY",
    "REGIONS",
    "DAILY_LIMIT",
    "PHONE_DAILY_LIMIT",
}
MAX_LIMIT_COUNT = 1_000  # the ledger keeps the time of each event that counts
# The budgets of the site as a whole, which may be off.
SITE_LIMITS = ("send_region", "send_all", "fail_all")
MAX_GUARD_COUNT = 1_000_000
MAX_GUARD_SECONDS = 7 * 86_400

BACKEND = "django_phone_otp.backends.PhoneOTPBackend"

Problems = Iterator[str | CheckMessage]
_CHECKS: dict[str, tuple[str, Callable[[Any], Problems]]] = {}


def _checks_key(key: str, id_: str) -> Callable[[Callable[[Any], Problems]], Any]:
    def add(function: Callable[[Any], Problems]) -> Callable[[Any], Problems]:
        _CHECKS[key] = (f"phone_otp.{id_}", function)
        return function

    return add


def register_all() -> None:
    """Register the checks with Django; called once, when the app is ready."""
    register(check_settings, Tags.security)
    register(check_providers_exist, Tags.security)
    register(check_backend, Tags.security)
    register(check_limits_are_on, Tags.security)
    register(check_cache_counts, Tags.security)
    register(check_cache_is_shared, Tags.security, deploy=True)
    register(check_time_zone, Tags.security)


def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """Check `PHONE_OTP`: its keys, and each value."""
    given = getattr(django_settings, "PHONE_OTP", {})
    if not isinstance(given, Mapping):
        return [Error("PHONE_OTP must be a dict.", id="phone_otp.E001")]
    messages: list[CheckMessage] = [
        Error(
            f"PHONE_OTP has a key that does not exist: {key!r}.",
            hint=f"Known keys: {', '.join(KEYS)}.",
            id="phone_otp.E002",
        )
        for key in given
        if key not in KEYS
    ]
    defaults = Settings()
    for key, (id_, function) in _CHECKS.items():
        # A default may not fit either: that of TOKEN_ISSUER needs sessions.
        for problem in function(given.get(key, getattr(defaults, key.lower()))):
            if isinstance(problem, str):
                space = "" if problem.startswith("[") else " "
                problem = Error(f"PHONE_OTP['{key}']{space}{problem}", id=id_)
            messages.append(problem)
    return messages


def check_providers_exist(**_kwargs: Any) -> list[CheckMessage]:
    """Check that a site in production has something to send with."""
    given = getattr(django_settings, "PHONE_OTP", {})
    if django_settings.DEBUG or not isinstance(given, Mapping) or given.get("PROVIDERS", {}) != {}:
        return []
    return [
        Error(
            "No provider is configured: no code can be delivered while DEBUG is False. (PROVIDERS "
            "= None says that operators set them up in the admin.)",
            hint="Add one, for example PHONE_OTP = {'PROVIDERS': {'calls': {'BACKEND': "
            "'telefon-ip-flash', 'OPTIONS': {'token': '...'}}}}.",
            id="phone_otp.E003",
        )
    ]


def check_time_zone(**_kwargs: Any) -> list[CheckMessage]:
    """Check that times are aware: naive ones repeat an hour when clocks go back."""
    if django_settings.USE_TZ:
        return []
    return [
        Error(
            "USE_TZ must be True.",
            hint="Without it an hour happens twice when clocks go back, and codes live longer.",
            id="phone_otp.E006",
        )
    ]


def check_limits_are_on(**_kwargs: Any) -> list[CheckMessage]:
    """Check that nobody has switched the limits by address off for good."""
    if getattr(django_settings, "RATELIMIT_ENABLE", True):
        return []
    return [
        Warning(
            "RATELIMIT_ENABLE is False: nothing is limited by address, and no guard watches.",
            hint="Leave it out everywhere but in tests.",
            id="phone_otp.W005",
        )
    ]


def check_cache_counts(**_kwargs: Any) -> list[CheckMessage]:
    """Check that the cache exists and keeps what it is told: else every request is refused."""
    name, backend = _find_cache()
    if name not in django_settings.CACHES:
        return [
            Error(
                f"RATELIMIT_USE_CACHE names {name!r}, which is not in CACHES: every request is "
                "refused.",
                hint="Limits are counted in CACHES['default'] where it is left out.",
                id="phone_otp.E009",
            )
        ]
    if not (isinstance(backend, type) and issubclass(backend, DummyCache)):
        return []
    return [
        Error(
            f"CACHES['{name}'] keeps nothing, so nothing can be counted: every request is refused.",
            hint="Use Redis or Memcached; for tests django.core.cache.backends.locmem.LocMemCache.",
            id="phone_otp.E008",
        )
    ]


def check_cache_is_shared(**_kwargs: Any) -> list[CheckMessage]:
    """Check that processes share what is counted in the cache, and that it counts exactly."""
    name, backend = _find_cache()
    if not isinstance(backend, type):
        return []  # Django's own error, at the first use, names it
    if issubclass(backend, LocMemCache):
        id_, problem = (
            "phone_otp.W008",
            "counts for each process by itself, and forgets when it is full",
        )
    elif issubclass(backend, FileBasedCache | DatabaseCache):
        id_ = "phone_otp.W009"
        problem = "loses counts that are made at one moment, and is slow"
    else:
        return []
    return [
        Warning(
            f"CACHES['{name}'] {problem}: limits by address and guards let more through than they "
            "say.",
            hint="Use Redis or Memcached; RATELIMIT_USE_CACHE names another cache for the limits.",
            id=id_,
        )
    ]


def _find_cache() -> tuple[str, Any]:
    """Give the name and the class of the cache that limits are counted in."""
    name = str(getattr(django_settings, "RATELIMIT_USE_CACHE", "default"))
    try:
        return name, import_string(django_settings.CACHES[name]["BACKEND"])
    except (ImportError, KeyError):
        return name, None


def check_backend(**_kwargs: Any) -> list[CheckMessage]:
    """Check that the authentication backend is installed, or a subclass of it."""
    ours = import_string(BACKEND)
    for path in django_settings.AUTHENTICATION_BACKENDS:
        try:
            backend = import_string(path)
        except ImportError:
            continue  # Django's own error, at the first login, names it
        if isinstance(backend, type) and issubclass(backend, ours):
            return []
    return [
        Error(
            "AUTHENTICATION_BACKENDS has no PhoneOTPBackend: nobody can log in by phone.",
            hint=f"Add '{BACKEND}' to AUTHENTICATION_BACKENDS.",
            id="phone_otp.E004",
        )
    ]


@_checks_key("PROVIDERS", "E010")
def _check_providers(value: Any) -> Problems:
    if value is None:  # all accounts are rows
        return
    if not isinstance(value, Mapping):
        yield "must be a dict of aliases, or None."
        return
    for alias, entry in value.items():
        where = f"PHONE_OTP['PROVIDERS'][{alias!r}]"
        if not isinstance(alias, str) or not 0 < len(alias) <= 64:
            yield f"has the alias {alias!r}: it must be text of 1 to 64 characters."
        elif not isinstance(entry, Mapping) or not isinstance(entry.get("BACKEND"), str):
            yield f"['{alias}'] must be a dict with BACKEND, and OPTIONS where there are any."
        elif set(entry) - PROVIDER_KEYS:
            unknown = ", ".join(sorted(map(str, set(entry) - PROVIDER_KEYS)))
            known = ", ".join(sorted(PROVIDER_KEYS))
            yield f"['{alias}'] has keys that do not exist: {unknown}. Known: {known}."
        elif not isinstance(entry.get("OPTIONS", {}), Mapping):
            yield f"['{alias}']['OPTIONS'] must be a dict."
        else:
            yield from _check_use(alias, entry)
            yield from _check_provider(entry, where)


def _check_use(alias: str, entry: Mapping[str, Any]) -> Problems:
    regions = entry.get("REGIONS", ())
    if not _is_int(entry.get("PRIORITY", 0), -32_768, 32_767):
        yield f"['{alias}']['PRIORITY'] must be a whole number from -32768 to 32767."
    if not isinstance(regions, list | tuple) or not all(_is_region(each) for each in regions):
        yield f"['{alias}']['REGIONS'] must be a list of ISO 3166 regions such as 'RU'."
    for key, most in (("DAILY_LIMIT", 2**31 - 1), ("PHONE_DAILY_LIMIT", MAX_PHONE_DAILY_LIMIT)):
        if entry.get(key) is not None and not _is_int(entry[key], 1, most):
            yield f"['{alias}']['{key}'] must be a whole number from 1 to {most}, or None."


def _check_provider(entry: Mapping[str, Any], where: str) -> Problems:
    try:
        provider = load_provider(entry["BACKEND"], entry.get("OPTIONS", {}), setting=where)
    except ImproperlyConfigured as error:
        yield Error(str(error), id="phone_otp.E010")
        return
    if isinstance(provider, Console | LocMem) and not django_settings.DEBUG:
        yield Warning(
            f"{where} delivers nothing: {provider.key} is for development and tests.",
            id="phone_otp.W010",
        )
    if provider.has_weak_codes:
        yield Error(
            f"{where} asks for codes of {provider.code_length} digits: there must be "
            f"{MIN_DIGITS_COUNT} at least.",
            hint="NIST SP 800-63B-4, 3.1.3.2. Shorter ones are for channels that force them.",
            id="phone_otp.E007",
        )


@_checks_key("ROUTES", "E011")
def _check_routes(value: Any) -> Problems:
    if not isinstance(value, Mapping):
        yield "must be a dict of regions."
        return
    for region, aliases in value.items():
        if region != "*" and not _is_region(region):
            yield f"names {region!r}, which is neither an ISO 3166 region such as 'RU' nor '*'."
        if not isinstance(aliases, list | tuple) or not aliases:
            yield f"[{region!r}] must be a list of aliases, one at least."
        elif not all(isinstance(alias, str) for alias in aliases):
            yield f"[{region!r}] must list aliases as text."
        else:
            yield from _check_aliases(region, aliases)


def _check_aliases(region: str, aliases: Sequence[str]) -> Problems:
    known = getattr(django_settings, "PHONE_OTP", {}).get("PROVIDERS", {})
    if known is None:
        return
    for alias in aliases:
        if isinstance(known, Mapping) and alias not in known:
            yield Warning(
                f"PHONE_OTP['ROUTES'][{region!r}] names {alias!r}, which is not in PROVIDERS.",
                hint="It is used only while a provider account in the database has this alias.",
                id="phone_otp.W011",
            )


@_checks_key("DEFAULT_REGION", "E012")
def _check_default_region(value: Any) -> Problems:
    if value is not None and not _is_region(value):
        yield "must be an ISO 3166 region such as 'RU', or None."


@_checks_key("ALLOWED_REGIONS", "E013")
def _check_allowed_regions(value: Any) -> Problems:
    if value is not None and not (
        isinstance(value, list | tuple | set | frozenset) and value and all(map(_is_region, value))
    ):
        yield "must be a list of ISO 3166 regions such as ['RU', 'BY'], or None for all."


@_checks_key("DENIED_REGIONS", "E030")
def _check_denied_regions(value: Any) -> Problems:
    if not isinstance(value, list | tuple | set | frozenset) or not all(map(_is_region, value)):
        yield "must be a list of ISO 3166 regions in capitals, such as ['CU', 'LK']; [] for none."


@_checks_key("NUMBER_TYPES", "E031")
def _check_number_types(value: Any) -> Problems:
    is_list = isinstance(value, list | tuple | set | frozenset) and bool(value)
    if value is not None and not (is_list and all(each in KINDS for each in value)):
        yield f"must list some of these types, or be None for all: {', '.join(KINDS)}."


@_checks_key("GUARDS", "E032")
def _check_guards(value: Any) -> Problems:
    if not isinstance(value, Mapping):
        yield "must be a dict of guards."
        return
    for name, rules in value.items():
        known = DEFAULT_GUARDS.get(name) if isinstance(name, str) else None
        if known is None:
            yield f"names {name!r}, which is no guard. Known: {', '.join(DEFAULT_GUARDS)}."
        elif not isinstance(rules, Mapping):
            yield f"['{name}'] must be a dict with some of {', '.join(known)}."
        elif set(rules) - set(known):
            unknown = ", ".join(sorted(map(repr, set(rules) - set(known))))
            yield f"['{name}'] has no rule {unknown}. Its rules: {', '.join(known)}."
        else:
            yield from _check_guard(name, rules)


def _check_guard(name: str, rules: Mapping[str, Any]) -> Problems:
    for key, value in rules.items():
        most = MAX_GUARD_SECONDS if key in ("WINDOW", "PAUSE") else MAX_GUARD_COUNT
        if key == "MODE":
            if value not in GUARD_MODES:
                yield f"['{name}']['MODE'] must be one of {', '.join(GUARD_MODES)}."
        elif not _is_int(value, 1, most):
            yield f"['{name}']['{key}'] must be a whole number from 1 to {most}."


@_checks_key("CODE_LENGTH", "E014")
def _check_code_length(value: Any) -> Problems:
    if not _is_int(value, MIN_DIGITS_COUNT, MAX_CODE_LENGTH):
        yield f"must be a whole number from {MIN_DIGITS_COUNT} to {MAX_CODE_LENGTH}."


@_checks_key("CODE_TTL", "E015")
def _check_code_ttl(value: Any) -> Problems:
    if not _is_int(value, 30, MAX_CODE_TTL_SECONDS):
        yield f"must be whole seconds from 30 to {MAX_CODE_TTL_SECONDS} (NIST SP 800-63B-4)."


@_checks_key("MAX_ATTEMPTS", "E016")
def _check_max_attempts(value: Any) -> Problems:
    if not _is_int(value, 1, MAX_ATTEMPTS):
        yield f"must be a whole number from 1 to {MAX_ATTEMPTS}."


@_checks_key("RESEND_WAITS", "E017")
def _check_resend_waits(value: Any) -> Problems:
    is_list = isinstance(value, list | tuple) and bool(value)
    if not is_list or not all(_is_int(each, 0, 86_400) for each in value):
        yield "must be a list of whole seconds, one at least, such as [30, 60, 120]."
    elif 0 in value:
        yield Warning(
            "PHONE_OTP['RESEND_WAITS'] has a wait of 0 seconds: impatience is paid by you.",
            hint="Have people wait, 30 seconds say, before a message that costs money.",
            id="phone_otp.W017",
        )


@_checks_key("LIMITS", "E018")
def _check_limits(value: Any) -> Problems:
    if not isinstance(value, Mapping):
        yield "must be a dict of named rates."
        return
    for name, rates in value.items():
        if name not in DEFAULT_LIMITS:
            yield f"names {name!r}, which is no limit. Known: {', '.join(DEFAULT_LIMITS)}."
        elif name == "fail_phone_total":
            if not _is_int(rates, 1, 100):  # NIST SP 800-63B-4, 3.2.2: no more than 100
                yield "['fail_phone_total'] must be a whole number from 1 to 100."
        elif rates is not None or name not in SITE_LIMITS:
            yield from _check_rates(name, rates)


def _check_rates(name: str, rates: Any) -> Problems:
    listed = [rates] if isinstance(rates, str) else rates
    if not isinstance(listed, list | tuple) or not listed:
        yield f"['{name}'] must be a rate such as '5/h', or a list of rates, one at least."
        return
    for text in listed:
        try:
            rate = Rate.parse(text)
        except (TypeError, ValueError):
            yield f"['{name}'] has {text!r}: a rate is such as '5/h' or '100/10m', and 1 at least."
        else:
            if name.endswith(("_phone", "_device")) and rate.count > MAX_LIMIT_COUNT:
                yield f"['{name}'] may count to {MAX_LIMIT_COUNT} at most."


@_checks_key("SIGNUP", "E019")
def _check_signup(value: Any) -> Problems:
    if not isinstance(value, bool):
        yield "must be True or False."


@_checks_key("USER_PHONE_FIELD", "E020")
def _check_user_phone_field(value: Any) -> Problems:
    if value is None:
        return
    if not isinstance(value, str):
        yield "must be the name of a field, or None."
        return
    model = get_user_model()
    try:
        field = model._meta.get_field(value)
    except FieldDoesNotExist:
        yield f"names {value!r}, which is no field of {model._meta.label}."
        return
    if not isinstance(field, models.CharField):
        yield f"names {value!r}, which must be a CharField: a phone is text in E.164."
    elif not field.unique:
        # SECURITY: two users with one phone would each log in as whichever comes first.
        yield f"names {value!r}, which must be unique=True: a phone belongs to one user."


@_checks_key("TOKEN_ISSUER", "E021")
def _check_token_issuer(value: Any) -> Problems:
    if not isinstance(value, str):
        yield "must be the name of an issuer, as text."
        return
    try:
        load_issuer(value)
    except ImproperlyConfigured as error:
        yield Error(str(error), id="phone_otp.E021")
        return
    if value == "session" and not apps.is_installed("django.contrib.sessions"):
        yield "is 'session', which needs 'django.contrib.sessions' in INSTALLED_APPS."
    if value == "token" and not apps.is_installed("rest_framework.authtoken"):
        yield "is 'token', which needs 'rest_framework.authtoken' in INSTALLED_APPS."


@_checks_key("CAPTCHA", "E022")
def _check_captcha(value: Any) -> Problems:
    if value is None:
        return
    if not isinstance(value, Mapping) or not isinstance(value.get("BACKEND"), str):
        yield "must be a dict with BACKEND, or None."
        return
    unknown = set(value) - {"BACKEND", "OPTIONS", "ON_ERROR", "WHEN"}
    if unknown:
        yield f"has keys that do not exist: {', '.join(sorted(map(str, unknown)))}."
    if not isinstance(value.get("OPTIONS", {}), Mapping):
        yield "['OPTIONS'] must be a dict."
        return
    if value.get("ON_ERROR", "deny") not in ("deny", "allow"):
        yield "['ON_ERROR'] must be 'deny' or 'allow'."
    if value.get("WHEN", "always") not in ("always", "suspicious"):
        yield "['WHEN'] must be 'always' or 'suspicious'."
    try:
        load_captcha(value)
    except ImproperlyConfigured as error:
        yield Error(str(error), id="phone_otp.E022")


@_checks_key("MESSAGE", "E023")
def _check_message(value: Any) -> Problems:
    if value is None:
        return
    if not isinstance(value, str | Promise):
        yield "must be text, or None for the built-in one."
        return
    try:
        written = str(value).format(code="012345", site="example.org")
    except (AttributeError, LookupError, TypeError, ValueError):
        yield "may use {code} and {site} and nothing else in braces."
        return
    if "012345" not in written:
        yield "must contain {code}."


@_checks_key("WEBOTP_DOMAIN", "E024")
def _check_webotp_domain(value: Any) -> Problems:
    if value is not None and not (
        isinstance(value, str) and re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", value)
    ):
        yield "must be a bare domain such as 'example.org', or None."


@_checks_key("ANDROID_APP_HASH", "E025")
def _check_android_app_hash(value: Any) -> Problems:
    if value is not None and not (
        isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9+/]{11}", value)
    ):
        yield "must be the app's hash of 11 characters, or None."


@_checks_key("DISPATCH", "E026")
def _check_dispatch(value: Any) -> Problems:
    if value != "inline":
        yield "must be 'inline'."


@_checks_key("TRUSTED_PROXIES", "E027")
def _check_trusted_proxies(value: Any) -> Problems:
    if not _is_int(value, 0, 10):
        yield "must be the number of your own proxies, from 0 to 10."


@_checks_key("TEST_PHONES", "E028")
def _check_test_phones(value: Any) -> Problems:
    if not isinstance(value, Mapping):
        yield "must be a dict of phones."
        return
    for phone, entry in value.items():
        if not _is_e164(phone):
            yield f"names {phone!r}, which is no phone in E.164 such as '+79244501003'."
        elif not isinstance(entry, Mapping) or set(entry) != {"code", "until"}:
            yield f"[{phone!r}] must be a dict with 'code' and 'until'."
        elif not _is_digits(entry["code"]):
            yield f"[{phone!r}]['code'] must be 4 to {MAX_CODE_LENGTH} digits, as text."
        elif not _is_in_future(entry["until"]):
            # SECURITY: a fixed code is a door for whoever learns it; it must close by itself.
            yield f"[{phone!r}]['until'] must be a date such as '2027-12-31', and not in the past."


@_checks_key("RETENTION_DAYS", "E029")
def _check_retention_days(value: Any) -> Problems:
    if not _is_int(value, 1, 3_650):
        yield "must be whole days from 1 to 3650."


def _is_int(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_region(value: Any) -> bool:
    return isinstance(value, str) and is_region(value)


def _is_e164(value: Any) -> bool:
    try:
        return isinstance(value, str) and parse(value).e164 == value
    except InvalidPhone:
        return False


def _is_digits(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(rf"[0-9]{{4,{MAX_CODE_LENGTH}}}", value))


def _is_in_future(value: Any) -> bool:
    try:
        until = date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return False
    is_date = isinstance(until, date) and not isinstance(until, datetime)
    return is_date and until >= timezone.localdate()
