"""Accounts: which providers there are, and in what order they are tried. Layer 4.

Accounts come from `PHONE_OTP["PROVIDERS"]` and from rows; a row wins over a setting of its alias.
"""

import logging
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from ..conf import Settings
from ..exceptions import BrokenSeal, ChannelNotOffered
from ..models import ProviderAccount
from ..phone import Phone
from ..providers import REGISTRY, Provider, load_provider
from ..providers.local import Console, FixedCode, FixedCodeOptions
from ..providers.options import ProviderOptions

logger = logging.getLogger(__name__)

DEFAULT_PRIORITY = 100


@dataclass(frozen=True, slots=True)
class Account:
    """One account, ready to send: regions as ISO 3166 codes, none for all."""

    alias: str
    provider: Provider[Any]
    priority: int = DEFAULT_PRIORITY
    regions: tuple[str, ...] = ()

    def serves(self, phone: Phone) -> bool:
        """Say whether this account may be tried for a number."""
        is_in_region = not self.regions or phone.region in self.regions
        return is_in_region and self.provider.supports(phone.e164)


def find_route(phone: Phone, channel: str | None, settings: Settings) -> list[Account]:
    """Give the accounts to try, in order; empty when none serves the number.

    With a `channel` only those that offer it; raises `ChannelNotOffered` when none of the others
    does.
    """
    test_phone = _find_test_phone(phone, settings)
    if test_phone:
        return [test_phone]
    accounts = _find_accounts(settings)
    aliases = settings.routes.get(phone.region, settings.routes.get("*"))
    if aliases is None:
        ordered = sorted(accounts.values(), key=lambda each: each.priority)
    else:
        ordered = [accounts[alias] for alias in aliases if alias in accounts]
    serving = [each for each in ordered if each.serves(phone)]
    if channel is None or not serving:
        return serving
    offering = [each for each in serving if each.provider.channel == channel]
    if not offering:
        raise ChannelNotOffered(_("Codes are not sent this way to this number."))
    return offering


def find_account(alias: str, settings: Settings) -> Account | None:
    """Find the account that made a delivery, to ask it about it."""
    return _find_accounts(settings).get(alias)


def list_providers(settings: Settings) -> list[str]:
    """List the keys of all providers that come with us or have an account here."""
    used = {each.provider.key for each in _read_accounts(settings).values()}
    return sorted(used | set(REGISTRY))


def _find_accounts(settings: Settings) -> dict[str, Account]:
    accounts = _read_accounts(settings)
    if accounts:
        return accounts
    if not django_settings.DEBUG:
        raise ImproperlyConfigured("PHONE_OTP['PROVIDERS'] is empty and no account is enabled.")
    return {"console": Account("console", Console(ProviderOptions()))}


def _read_accounts(settings: Settings) -> dict[str, Account]:
    accounts = {each.alias: each for each in _read_settings(settings)}
    for row in ProviderAccount.primary():
        accounts.pop(row.alias, None)
        account = _read_row(row) if row.enabled else None
        if account:
            accounts[row.alias] = account
    return accounts


@sensitive_variables("entry")
def _read_settings(settings: Settings) -> list[Account]:
    accounts = []
    for alias, entry in settings.providers.items():
        where = f"PHONE_OTP['PROVIDERS']['{alias}']"
        provider = load_provider(entry["BACKEND"], entry.get("OPTIONS", {}), setting=where)
        accounts.append(Account(alias, provider))
    return accounts


def _read_row(row: ProviderAccount) -> Account | None:
    """Make an account from a row; a broken one is told to operators and costs nobody a login."""
    try:
        provider = load_provider(row.backend, row.options, setting=f"account '{row.alias}'")
    except (BrokenSeal, ImproperlyConfigured) as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 (a mistake of a third party's class may be any)
        reason = type(error).__name__
    else:
        return Account(row.alias, provider, row.priority, tuple(row.regions))
    logger.error("account_broken account=%s reason=%s", row.alias, reason)
    return None


@sensitive_variables("entry")
def _find_test_phone(phone: Phone, settings: Settings) -> Account | None:
    entry = settings.test_phones.get(phone.e164)
    if entry is None or _as_date(entry["until"]) < timezone.localdate():
        return None
    return Account("test-phone", FixedCode(FixedCodeOptions(code=entry["code"])))


def _as_date(value: date | str) -> date:
    return date.fromisoformat(value) if isinstance(value, str) else value
