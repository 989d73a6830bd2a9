"""Keys that say what messages go through, and where to. Layer 5."""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import django
from django.conf import settings as django_settings
from django.core.checks import Error, Warning
from django.core.exceptions import ImproperlyConfigured

from ..codes import MIN_DIGITS_COUNT
from ..conf import DEFAULT_GUARDS, GUARD_MODES, Settings
from ..flow.queue import load_queue
from ..models.account import MAX_PHONE_DAILY_LIMIT
from ..phone import KINDS
from ..providers import Provider, load_provider
from ..providers.local import Console, LocMem
from .keys import Problems, checks_key, is_int, is_region_name

PROVIDER_KEYS = {
    "BACKEND",
    "OPTIONS",
    "PRIORITY",
    "REGIONS",
    "DAILY_LIMIT",
    "PHONE_DAILY_LIMIT",
}
# What a queue is installed with, where it is not there already.
PACKAGES_OF_QUEUES = {"celery": "celery"}
if django.VERSION < (6, 0):
    PACKAGES_OF_QUEUES["tasks"] = "django_tasks"

MAX_GUARD_COUNT = 1_000_000
MAX_GUARD_SECONDS = 7 * 86_400


def load_accounts(given: Mapping[str, Any]) -> Iterator[tuple[str, Provider[Any]]]:
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


@checks_key("PROVIDERS", "E010")
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
    if not is_int(entry.get("PRIORITY", 0), -32_768, 32_767):
        yield f"['{alias}']['PRIORITY'] must be a whole number from -32768 to 32767."
    if not isinstance(regions, list | tuple) or not all(is_region_name(each) for each in regions):
        yield f"['{alias}']['REGIONS'] must be a list of ISO 3166 regions such as 'RU'."
    for key, most in (("DAILY_LIMIT", 2**31 - 1), ("PHONE_DAILY_LIMIT", MAX_PHONE_DAILY_LIMIT)):
        if entry.get(key) is not None and not is_int(entry[key], 1, most):
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


@checks_key("ROUTES", "E011")
def _check_routes(value: Any) -> Problems:
    if not isinstance(value, Mapping):
        yield "must be a dict of regions."
        return
    for region, aliases in value.items():
        if region != "*" and not is_region_name(region):
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


@checks_key("DEFAULT_REGION", "E012")
def _check_default_region(value: Any) -> Problems:
    if value is not None and not is_region_name(value):
        yield "must be an ISO 3166 region such as 'RU', or None."


@checks_key("ALLOWED_REGIONS", "E013")
def _check_allowed_regions(value: Any) -> Problems:
    if value is not None and not (
        isinstance(value, list | tuple | set | frozenset)
        and value
        and all(map(is_region_name, value))
    ):
        yield "must be a list of ISO 3166 regions such as ['RU', 'BY'], or None for all."


@checks_key("DENIED_REGIONS", "E030")
def _check_denied_regions(value: Any) -> Problems:
    if not isinstance(value, list | tuple | set | frozenset) or not all(map(is_region_name, value)):
        yield "must be a list of ISO 3166 regions in capitals, such as ['CU', 'LK']; [] for none."


@checks_key("NUMBER_TYPES", "E031")
def _check_number_types(value: Any) -> Problems:
    is_list = isinstance(value, list | tuple | set | frozenset) and bool(value)
    if value is not None and not (is_list and all(each in KINDS for each in value)):
        yield f"must list some of these types, or be None for all: {', '.join(KINDS)}."


@checks_key("GUARDS", "E032")
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
        elif not is_int(value, 1, most):
            yield f"['{name}']['{key}'] must be a whole number from 1 to {most}."


@checks_key("DISPATCH", "E026")
def _check_dispatch(value: Any) -> Problems:
    if not isinstance(value, str):
        yield "must be 'inline', 'tasks', 'celery', or the dotted path of a queue, as text."
        return
    package = PACKAGES_OF_QUEUES.get(value)
    if package and find_spec(package) is None:
        yield (
            f"is {value!r}, which needs the package {package!r}: "
            f"pip install 'django-phone-otp[{value}]'."
        )
        return
    try:
        load_queue(Settings(dispatch=value))
    except ImproperlyConfigured as error:
        yield Error(str(error), id="phone_otp.E026")
        return
    if value == "tasks":
        yield from _check_tasks()
    if value == "celery":
        yield from _check_celery()


def _check_tasks() -> Problems:
    """Warn of a backend of `TASKS` that leaves the work to nobody, or to the request."""
    entry = getattr(django_settings, "TASKS", {}).get("default", {})
    backend = str(entry.get("BACKEND", "ImmediateBackend"))
    if backend.endswith(("ImmediateBackend", "DummyBackend")):
        yield Warning(
            f"PHONE_OTP['DISPATCH'] is 'tasks', and the default backend of TASKS is {backend}: "
            "no worker sends the messages.",
            hint="Choose a backend with workers, such as that of django-tasks-db.",
            id="phone_otp.W038",
        )


def _check_celery() -> Problems:
    """Warn where Celery falls back to an app of its own, which knows no broker of the site's."""
    current = import_module("celery").current_app
    if current.main == "default":
        yield Warning(
            "PHONE_OTP['DISPATCH'] is 'celery', and the project has no Celery app.",
            hint="Import your Celery app in the __init__.py of your project.",
            id="phone_otp.W039",
        )
