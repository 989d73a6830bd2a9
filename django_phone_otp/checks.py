"""System checks: each setting has its own, with an id of its own. Layer 5.

Errors are for what cannot work or is not safe, warnings for what an operator should have meant. No
check asks the database or the network; none prints a value that may be a secret.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from importlib.util import find_spec
from ipaddress import ip_network
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured, ValidationError
from django.db import models
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from .captcha import load_captcha
from .choices import Channel, Custody
from .codes import MAX_CODE_LENGTH, MIN_DIGITS_COUNT
from .conf import (
    DEFAULT_GUARDS,
    DEFAULT_LIMITS,
    GUARD_MODES,
    KEYS,
    SHORT_CODE_LENGTH,
    Rate,
    Settings,
)
from .exceptions import InvalidPhone
from .flow.messages import write_sample
from .flow.users import new_user
from .issuers import load_issuer
from .loading import load_function
from .models.account import MAX_PHONE_DAILY_LIMIT
from .phone import KINDS, is_region, parse
from .providers import Provider, load_provider
from .providers.local import Console, FixedCode, LocMem
from .providers.sms_by import PLACE_OF_CODE, SMSBy
from .providers.telefon_ip import TelefonIPSMS
from .segments import Coding, count_segments

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
# What decides about the text that we write, and has to be right before that is judged.
TEXT_KEYS = ("MESSAGE", "WEBOTP_DOMAIN", "ANDROID_APP_HASH", "CODE_LENGTH")
MAX_RETRIEVER_BYTES = 140  # https://developers.google.com/identity/sms-retriever/verify
MAX_TEST_PHONE_DAYS = 366
MAX_STRANGE_COUNT = 3  # characters worth naming; more are an alphabet, and meant

BACKEND = "django_phone_otp.backends.PhoneOTPBackend"
ANY_PHONE = "+12025550123"  # one of those that belong to nobody

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
    register(check_texts)
    register(check_test_phones_end, Tags.security, deploy=True)
    register(check_new_users, Tags.security)


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


def check_new_users(**_kwargs: Any) -> list[CheckMessage]:
    """Check that the user model takes what a sign-up fills in, for the second user too."""
    given = getattr(django_settings, "PHONE_OTP", {})
    if not isinstance(given, Mapping) or not given.get("SIGNUP", True):
        return []
    phone_field = given.get("USER_PHONE_FIELD")
    if any(_check_user_phone_field(phone_field)):
        return []
    return [
        Warning(
            problem,
            hint="Give the field null=True or a function as its default, or fill it in a receiver "
            "of pre_save and silence this check; or close SIGNUP.",
            id="phone_otp.W020",
        )
        for problem in _find_gaps(phone_field)
    ]


def _find_gaps(phone_field: str | None) -> Iterator[str]:
    """Say which fields a new user lacks; nothing is stored."""
    try:
        user = new_user(ANY_PHONE, Settings(user_phone_field=phone_field))
    except ImproperlyConfigured as error:
        yield str(error)
        return
    for field in user._meta.concrete_fields:
        # Filled when it is stored: `auto_now_add`, a slug.
        is_filled_late = field.blank and type(field).pre_save is not models.Field.pre_save
        if field.primary_key or field.generated or is_filled_late:
            continue
        value = getattr(user, field.attname)
        if value is None and not field.null:
            yield f"{field} is required, and a new user has none: sign-up fails."
        elif value == "" and field.unique:
            yield f"{field} is unique, and new users have it empty: the second sign-up fails."
        elif field.name == get_user_model().USERNAME_FIELD != phone_field:
            try:
                field.run_validators(value)
            except ValidationError:
                yield f"{field} does not take the user name that a new user gets, such as {value}."


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


def check_texts(**_kwargs: Any) -> list[CheckMessage]:
    """Check how long the texts of messages are: a service charges for each segment.

    Knows the accounts of the settings alone. What cannot be written is for `check_settings` to say.
    """
    given = getattr(django_settings, "PHONE_OTP", {})
    if not isinstance(given, Mapping) or any(_has_problems(key, given) for key in TEXT_KEYS):
        return []
    settings = Settings(**{key.lower(): given[key] for key in TEXT_KEYS if key in given})
    accounts = list(_load_accounts(given))
    messages: list[CheckMessage] = []
    lengths = [_code_length(each, settings) for _, each in accounts if _sends_our_text(each)]
    for text, languages in _write_samples(max(lengths), settings) if lengths else ():
        messages += _check_our_text(text, languages, settings)
    for alias, provider in accounts:
        if isinstance(provider, SMSBy) and provider.options.message:
            code = "0" * _code_length(provider, settings)
            text = provider.options.message.replace(PLACE_OF_CODE, code)
            where = f"PHONE_OTP['PROVIDERS']['{alias}']['OPTIONS']['message']"
            messages += _check_segments(text, where, "Shorten it.")
    return messages


def _has_problems(key: str, given: Mapping[str, Any]) -> bool:
    return key in given and any(True for _ in _CHECKS[key][1](given[key]))


def _load_accounts(given: Mapping[str, Any]) -> Iterator[tuple[str, Provider[Any]]]:
    """Load what can be loaded; what is wrong with the rest is said elsewhere."""
    written = given.get("PROVIDERS")
    for alias, entry in written.items() if isinstance(written, Mapping) else ():
        options = entry.get("OPTIONS", {}) if isinstance(entry, Mapping) else None
        if not isinstance(options, Mapping) or not isinstance(entry.get("BACKEND"), str):
            continue
        try:
            provider = load_provider(entry["BACKEND"], dict(options), setting="PROVIDERS")
        except ImproperlyConfigured:
            continue
        yield str(alias), provider


def _sends_our_text(provider: Provider[Any]) -> bool:
    # telefon-ip is given the code alone, whoever makes it, and puts its own words around it.
    is_text = provider.channel == Channel.SMS and not isinstance(provider, TelefonIPSMS)
    return is_text and provider.custody is Custody.LOCAL


def _code_length(provider: Provider[Any], settings: Settings) -> int:
    return settings.code_length if provider.code_length is None else provider.code_length


def _write_samples(code_length: int, settings: Settings) -> Iterator[tuple[str, list[str]]]:
    """Write the text in each language of the site; each text comes with those that share it."""
    samples: dict[str, list[str]] = {}
    for language in _find_languages(settings.message):
        with translation.override(language):
            samples.setdefault(write_sample(code_length, settings), []).append(language)
    yield from samples.items()


def _find_languages(message: str | Promise | None) -> list[str]:
    """Give the languages that a text may differ in; one alone where it is the same in all."""
    if isinstance(message, str) or not django_settings.USE_I18N:
        return [django_settings.LANGUAGE_CODE]
    return [code for code, _name in django_settings.LANGUAGES]


def _check_our_text(
    text: str, languages: Sequence[str], settings: Settings
) -> Iterator[CheckMessage]:
    where, hint = "The text of PHONE_OTP['MESSAGE']", "Shorten it."
    if settings.message is None:
        where, hint = "The built-in text", "Set PHONE_OTP['MESSAGE'] to a shorter one."
    if languages != _find_languages(settings.message):
        where += f" in {', '.join(languages)}"
    if settings.webotp_domain or settings.android_app_hash:
        hint += " Leave out the line for autofill that no app or page of yours reads."
    yield from _check_segments(text, where, hint)
    # Nobody says of which encoding these bytes are: of the air, or of UTF-8 on the phone.
    size = max(count_segments(text).octets_count, len(text.encode(errors="replace")))
    if settings.android_app_hash and size > MAX_RETRIEVER_BYTES:
        yield Warning(
            f"{where} is {size} bytes long: Android's SMS Retriever takes "
            f"{MAX_RETRIEVER_BYTES} at most.",
            hint=f"Without that the app is not given the code. {hint}",
            id="phone_otp.W025",
        )


def _check_segments(text: str, where: str, hint: str) -> Iterator[CheckMessage]:
    found = count_segments(text)
    if found.count == 1:
        return
    if 0 < len(found.strange) <= MAX_STRANGE_COUNT:
        signs = " ".join(found.strange)
        hint += f" Without {signs} as many as {Coding.GSM7.alone_count} characters fit into one."
    yield Warning(
        f"{where} takes {found.count} messages: its length is {found.length}, and "
        f"{found.coding.alone_count} fit into one ({found.coding}).",
        hint=f"Each code is charged as {found.count} messages. {hint}",
        id="phone_otp.W023",
    )


def check_test_phones_end(**_kwargs: Any) -> list[CheckMessage]:
    """Check that the doors of reviewers close before long."""
    given = getattr(django_settings, "PHONE_OTP", {})
    if not isinstance(given, Mapping) or _has_problems("TEST_PHONES", given):
        return []
    latest = _today() + timedelta(days=MAX_TEST_PHONE_DAYS)
    return [
        Warning(
            f"PHONE_OTP['TEST_PHONES'][{phone!r}]['until'] is more than a year away.",
            hint="Until then whoever learns the code can log in. A review takes days, not years.",
            id="phone_otp.W028",
        )
        for phone, entry in given.get("TEST_PHONES", {}).items()
        if _read_date(entry["until"]) > latest
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


@_checks_key("SIGNUP_HOOK", "E033")
def _check_signup_hook(value: Any) -> Problems:
    yield from _check_hook("SIGNUP_HOOK", value, "phone_otp.E033")


@_checks_key("SEND_HOOK", "E034")
def _check_send_hook(value: Any) -> Problems:
    yield from _check_hook("SEND_HOOK", value, "phone_otp.E034")


def _check_hook(key: str, value: Any, id_: str) -> Problems:
    if value is None:
        return
    if not isinstance(value, str):
        yield "must be the dotted path of a function, or None."
        return
    try:
        load_function(value, setting=f"PHONE_OTP['{key}']")
    except ImproperlyConfigured as error:
        yield Error(str(error), id=id_)


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
        issuer = load_issuer(value)
    except ImproperlyConfigured as error:
        yield Error(str(error), id="phone_otp.E021")
        return
    if issuer.needs_package and find_spec(issuer.needs_package) is None:
        how = f": pip install 'django-phone-otp[{issuer.extra}]'" if issuer.extra else ""
        yield f"is {value!r}, which needs the package {issuer.needs_package!r}{how}."
    elif issuer.needs_app and not apps.is_installed(issuer.needs_app):
        yield f"is {value!r}, which needs {issuer.needs_app!r} in INSTALLED_APPS."


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
    languages = _find_languages(value)
    mistakes: dict[str, list[str]] = {}
    for language in languages:
        with translation.override(language):
            mistakes.setdefault(_find_mistake(str(value)), []).append(language)
    mistakes.pop("", None)
    for mistake, found in mistakes.items():
        where = "" if found == languages else f" Mend its translation into {', '.join(found)}."
        yield f"{mistake}{where}"


def _find_mistake(template: str) -> str:
    try:
        written = template.format(code="012345", site="example.org")
    except (AttributeError, LookupError, TypeError, ValueError):
        return "may use {code} and {site} and nothing else in braces."
    return "" if "012345" in written else "must contain {code}."


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
    given = getattr(django_settings, "PHONE_OTP", {})
    least = _find_least_code_length(given)
    if value and FixedCode.key in dict(_load_accounts(given)):
        yield f"is shown as the account {FixedCode.key!r}: give yours another alias."
    for phone, entry in value.items():
        if not _is_e164(phone):
            yield f"names {phone!r}, which is no phone in E.164 such as '+79244501003'."
        elif not parse(phone).is_callable:
            yield f"names {phone!r}, which nobody can log in with: such numbers get no code."
        elif not isinstance(entry, Mapping) or set(entry) != {"code", "until"}:
            yield f"[{phone!r}] must be a dict with 'code' and 'until'."
        elif not _is_digits(entry["code"], least):
            yield f"[{phone!r}]['code'] must be {least} to {MAX_CODE_LENGTH} digits, as text."
        elif not _is_in_future(entry["until"]):
            # SECURITY: a fixed code is a door for whoever learns it; it must close by itself.
            yield f"[{phone!r}]['until'] must be a date such as '2027-12-31', and not in the past."


def _find_least_code_length(given: Mapping[str, Any]) -> int:
    """Give the digits that a fixed code needs: six, or what a provider's channel forces.

    NIST SP 800-63B-4, 3.1.3.2. An app for flash calls may have no room for more than four. Accounts
    in rows are not known here.
    """
    if given.get("PROVIDERS", {}) is None:
        return SHORT_CODE_LENGTH
    forced = [type(provider).code_length for _, provider in _load_accounts(given)]
    return min([MIN_DIGITS_COUNT, *filter(None, forced)])


@_checks_key("RETENTION_DAYS", "E029")
def _check_retention_days(value: Any) -> Problems:
    if not _is_int(value, 1, 3_650):
        yield "must be whole days from 1 to 3650."


@_checks_key("LIFEPOS", "E035")
def _check_lifepos(value: Any) -> Problems:
    if not isinstance(value, Mapping):
        yield "must be a dict."
        return
    unknown = set(value) - {"TELL_UNKNOWN", "TRUSTED_CALLERS"}
    if unknown:
        yield f"has keys that do not exist: {', '.join(sorted(map(str, unknown)))}."
    if not isinstance(value.get("TELL_UNKNOWN", False), bool):
        yield "['TELL_UNKNOWN'] must be True or False."
    callers = value.get("TRUSTED_CALLERS", [])
    if not isinstance(callers, list | tuple) or not all(map(_is_network, callers)):
        yield (
            "['TRUSTED_CALLERS'] must be a list of networks, such as ['10.0.0.0/8'], and none of "
            "them everybody's."
        )


def _is_network(value: Any) -> bool:
    """Say whether this is a network with an outside.

    SECURITY: whoever is trusted chooses the address that budgets are counted by.
    """
    try:
        return isinstance(value, str) and ip_network(value).prefixlen > 0
    except ValueError:
        return False


def _is_int(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_region(value: Any) -> bool:
    return isinstance(value, str) and is_region(value)


def _is_e164(value: Any) -> bool:
    try:
        return isinstance(value, str) and parse(value).e164 == value
    except InvalidPhone:
        return False


def _is_digits(value: Any, least: int) -> bool:
    pattern = rf"[0-9]{{{least},{MAX_CODE_LENGTH}}}"
    return isinstance(value, str) and bool(re.fullmatch(pattern, value))


def _is_in_future(value: Any) -> bool:
    try:
        until = _read_date(value)
    except ValueError:
        return False
    is_date = isinstance(until, date) and not isinstance(until, datetime)
    return is_date and until >= _today()


def _read_date(value: Any) -> Any:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _today() -> date:
    """Give the date where the site is, as `flow.limits` does: both have to close on one day."""
    return timezone.localdate(timezone=timezone.get_default_timezone())
