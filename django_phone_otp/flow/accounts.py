"""Accounts: which providers there are, and in what order they are tried. Layer 4.

Accounts come from `PHONE_OTP["PROVIDERS"]` and from rows; a row wins over a setting of its alias.
Both are read at use: a change counts in every process from its next request on.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from ..choices import Custody
from ..conf import Settings
from ..events import Event, log_event
from ..exceptions import BrokenSeal, ChannelNotOffered, NoAccountInUse
from ..models import AccountLedger, ProviderAccount
from ..phone import Phone
from ..providers import REGISTRY, Provider, load_provider
from ..providers.local import Console, FixedCode, FixedCodeOptions
from ..providers.options import ProviderOptions
from . import limits

logger = logging.getLogger(__name__)

DEFAULT_PRIORITY = 100


class Account(NamedTuple):
    """One account, ready to send: regions as ISO 3166 codes, none for all.

    `daily_limit` are the messages of a day, `phone_daily_limit` those to one phone in 24 hours.
    """

    alias: str
    provider: Provider[Any]
    priority: int = DEFAULT_PRIORITY
    regions: tuple[str, ...] = ()
    daily_limit: int | None = None
    phone_daily_limit: int | None = None

    def serves(self, phone: Phone) -> bool:
        """Say whether this account may be tried for a number."""
        if self.regions and phone.region not in self.regions:
            return False
        try:
            return self.provider.supports(phone.e164)
        except Exception as error:  # noqa: BLE001 (a mistake of a third party's class may be any)
            log_event(logger, Event.ACCOUNT_BROKEN, account=self.alias, reason=_explain(error))
            return False

    def code_length(self, settings: Settings) -> int:
        """Give the length of its codes; 0 where there is no code."""
        length = self.provider.code_length
        return settings.code_length if length is None else length


@dataclass(frozen=True, slots=True)
class Entry:
    """What is written about an account: in the settings or in a row, usable or not.

    `account` is None for one that cannot be used; `problem` then says why, to operators.
    """

    alias: str
    backend: str
    is_row: bool
    enabled: bool = True
    account: Account | None = field(default=None, repr=False)
    problem: str = ""


def find_route(
    phone: Phone, channel: str | None, settings: Settings, *, after: str = "", discreet: bool
) -> list[Account]:
    """Give the accounts to try, in order; empty when none serves the number.

    With a `channel` only those that offer it; raises `ChannelNotOffered` when none of the others
    does, and `NoAccountInUse` when there is nothing to send with. The accounts behind the one
    `after` come first: a person who asks again was not reached by it. With `discreet` those are
    left out that could not be imitated for an unknown phone: nobody can invent a number to call.
    """
    test_phone = find_test_phone(phone, settings)
    if test_phone:
        return [test_phone]
    accounts = find_accounts(settings)
    if not accounts:
        log_event(logger, Event.NO_ACCOUNT_IN_USE)
        raise NoAccountInUse("every account is switched off or broken")
    aliases = settings.routes.get(phone.region, settings.routes.get("*"))
    if aliases is None:
        ordered = sorted(accounts.values(), key=lambda each: each.priority)
    else:
        ordered = [accounts[alias] for alias in aliases if alias in accounts]
    serving = [each for each in ordered if each.serves(phone)]
    if discreet:
        serving = [each for each in serving if each.provider.custody is not Custody.PRESENCE]
    if channel is not None and serving:
        serving = [each for each in serving if each.provider.channel == channel]
        if not serving:
            raise ChannelNotOffered(_("Codes are not sent this way to this number."))
    return _move_on(serving, after)


def _move_on(route: Sequence[Account], after: str) -> list[Account]:
    """Begin behind an account; at the end of the route its last one stays the first to try."""
    place = next((place for place, each in enumerate(route) if each.alias == after), -1)
    start = min(place + 1, len(route) - 1) if route else 0
    return [*route[start:], *route[:start]]


def find_account(alias: str, settings: Settings) -> Account | None:
    """Find the account that made a delivery, to ask it about it."""
    return find_accounts(settings).get(alias)


def load_account(alias: str, settings: Settings) -> Account:
    """Load one account for an operator, switched off or not; raises `ImproperlyConfigured`."""
    entries = {each.alias: each for each in list_entries(settings)}
    if alias not in entries:
        existing = ", ".join(sorted(entries)) or "none"
        raise ImproperlyConfigured(f'There is no account "{alias}". Accounts: {existing}.')
    account = entries[alias].account
    if account is None:
        raise ImproperlyConfigured(entries[alias].problem)
    return next(add_kept_options([account]))


def list_entries(settings: Settings) -> list[Entry]:
    """List all accounts, those too that are switched off or cannot be used."""
    rows = ProviderAccount.primary().in_order()
    entries = [*_list_settings(settings), *map(read_row, rows)]
    return list({each.alias: each for each in entries}.values())


def list_providers(settings: Settings) -> list[str]:
    """List the keys of all providers that come with us or have an account here."""
    accounts = [each.account for each in list_entries(settings)]
    known = {*REGISTRY, FixedCode.key}
    return sorted({each.provider.key for each in accounts if each} | known)


def add_kept_options(accounts: Sequence[Account]) -> Iterator[Account]:
    """Give the accounts with what was made for them at their services, where that is needed."""
    aliases = [each.alias for each in accounts if each.provider.needs_preparation]
    ledgers = AccountLedger.primary().filter(alias__in=aliases) if aliases else ()
    found = {each.alias: each for each in ledgers}
    for account in accounts:
        ledger = found.get(account.alias)
        yield _with_kept(account, ledger) if ledger else account


def _with_kept(account: Account, ledger: AccountLedger) -> Account:
    provider = account.provider
    try:
        kept = ledger.kept_options(provider.prepared_for())
        options = replace(provider.options, **kept)
    except (BrokenSeal, TypeError) as error:  # the latter: kept for an older schema
        log_event(logger, Event.ACCOUNT_BROKEN, account=account.alias, reason=_explain(error))
        return account
    return account._replace(provider=type(provider)(options)) if kept else account


def find_accounts(settings: Settings) -> dict[str, Account]:
    """Give the accounts that can be used, by their aliases.

    A broken row is told to operators and costs nobody a login; a broken setting is a mistake of the
    site's code, and raised.
    """
    entries = list_entries(settings)
    if not entries and django_settings.DEBUG:
        return {"console": Account("console", Console(ProviderOptions()))}
    if not entries and settings.providers is not None:  # else the operators have yet to add one
        raise ImproperlyConfigured("PHONE_OTP['PROVIDERS'] is empty and there is no account.")
    usable = []
    for entry in entries:
        if entry.problem and not entry.is_row:
            raise ImproperlyConfigured(entry.problem)
        if entry.problem and entry.enabled:
            log_event(logger, Event.ACCOUNT_BROKEN, account=entry.alias, reason=entry.problem)
        if entry.account and entry.enabled:
            usable.append(entry.account)
    return {each.alias: each for each in add_kept_options(usable)}


@sensitive_variables("written")
def _list_settings(settings: Settings) -> Iterator[Entry]:
    for alias, written in (settings.providers or {}).items():
        backend = written["BACKEND"]
        setting = f"PHONE_OTP['PROVIDERS']['{alias}']"
        try:
            provider = load_provider(backend, written.get("OPTIONS", {}), setting=setting)
        except Exception as error:  # noqa: BLE001 (as above)
            yield Entry(alias, backend, is_row=False, problem=_explain(error))
            continue
        account = Account(
            alias=alias,
            provider=provider,
            priority=written.get("PRIORITY", DEFAULT_PRIORITY),
            regions=tuple(written.get("REGIONS", ())),
            daily_limit=written.get("DAILY_LIMIT"),
            phone_daily_limit=_phone_limit(written, provider),
        )
        yield Entry(alias, backend, is_row=False, account=account)


@sensitive_variables("written")
def _phone_limit(written: Mapping[str, Any], provider: Provider[Any]) -> int | None:
    limit: int | None = written.get("PHONE_DAILY_LIMIT")
    return provider.phone_daily_limit if limit is None else limit


def read_row(row: ProviderAccount) -> Entry:
    """Read what a row says about an account."""
    account, problem = _load_row(row)
    return Entry(row.alias, row.backend, True, row.enabled, account, problem)


@sensitive_variables("keys")
def _load_row(row: ProviderAccount) -> tuple[Account | None, str]:
    """Make an account from a row, or say why it cannot be made."""
    setting = f"account '{row.alias}'"
    keys = (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)
    try:
        provider = _open_provider(row.alias, row.backend, row.sealed_options, keys)
    except Exception as error:  # noqa: BLE001 (as above)
        return None, _explain(error)
    regions = row.regions
    if not isinstance(regions, list) or not all(isinstance(each, str) for each in regions):
        return None, f"{setting}: regions must be a list of texts"
    limit = row.phone_daily_limit
    account = Account(
        alias=row.alias,
        provider=provider,
        priority=row.priority,
        regions=tuple(regions),
        daily_limit=row.daily_limit,
        phone_daily_limit=provider.phone_daily_limit if limit is None else limit,
    )
    return account, ""


@lru_cache
@sensitive_variables()
def _open_provider(
    alias: str, backend: str, sealed_options: str, _keys: tuple[str, ...]
) -> Provider[Any]:
    """Make the provider of a row, once for all that it says; `_keys` are those that open it."""
    options = ProviderAccount(alias=alias, sealed_options=sealed_options).options
    return load_provider(backend, options, setting=f"account '{alias}'")


def _explain(error: Exception) -> str:
    """Say what is wrong with an account; words that are not ours may hold a secret."""
    is_ours = isinstance(error, BrokenSeal | ImproperlyConfigured)
    return str(error) if is_ours else type(error).__name__


@sensitive_variables("entry", "options")
def find_test_phone(phone: Phone, settings: Settings) -> Account | None:
    """Give the account of a test phone, which sends nothing; None from the day after its last.

    Raises `ImproperlyConfigured` for an entry that cannot be read: not every server checks its
    settings when it starts.
    """
    entry = settings.test_phones.get(phone.e164)
    if entry is None:
        return None
    setting = f"PHONE_OTP['TEST_PHONES']['{phone.e164}']"
    try:
        # SECURITY: what has no end would be open for ever.
        if _as_date(entry["until"]) < limits.today():
            return None
        options, problems = FixedCodeOptions.parse({"code": entry["code"]})
    except (KeyError, TypeError, ValueError):
        raise ImproperlyConfigured(f"{setting} must have 'code' and 'until'.") from None
    if options is None:
        raise ImproperlyConfigured(f"{setting}: {' '.join(problems)}")
    return Account(FixedCode.key, FixedCode(options))


def _as_date(value: date | str) -> date:
    return date.fromisoformat(value) if isinstance(value, str) else value
