"""Inspection: whether accounts work, and what is left in them. Layer 4.

Asks the services, which costs nothing; sends no message.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import ROUND_DOWN, Decimal
from typing import Any

from django.db import DatabaseError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from .. import conf, signals
from ..conf import Settings
from ..events import Event, log_event
from ..exceptions import DeliveryError
from ..models import AccountLedger, DeliveryAttempt, ProviderAccount
from ..providers import Provider
from ..providers.base import Balance
from .accounts import Account, Entry, add_kept_options, list_entries, load_account
from .breakers import Breaker, read_breakers
from .deliveries import MAX_CURRENCY_LENGTH, MAX_DETAIL_LENGTH, fit_for_column

logger = logging.getLogger(__name__)

# As the column has it; what is left is never rounded up.
MAX_BALANCE = Decimal(10_000_000_000)
BALANCE_STEP = Decimal("0.0001")


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """How an account does; without a `problem` it works, or is switched off and was not asked.

    `made` are the options that had to be made at the service, and are kept from now on; secrets
    among them are masked.
    """

    entry: Entry
    breaker: Breaker
    balance: Balance | None = None
    made: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    was_asked: bool = False

    @property
    def is_broken(self) -> bool:
        """Say whether an account that is to be used cannot be."""
        return self.entry.enabled and bool(self.problem)


def inspect_accounts(
    settings: Settings, *, alias: str | None = None, prepare: bool = True
) -> Iterator[Inspection]:
    """Ask each account's service whether all is well; only one account's with an `alias`.

    What they say is kept, to be looked at without asking again. With `prepare`, what has to be
    there before the first message is made, or found, once. Writes. Accounts that are switched off
    are listed; only one that is named by its `alias` is asked.
    """
    entries = [each for each in list_entries(settings) if alias in (None, each.alias)]
    breakers = read_breakers([each.alias for each in entries])
    for entry in entries:
        is_asked = entry.enabled or alias is not None
        inspection = _inspect(entry, breakers[entry.alias], prepare, is_asked)
        if inspection.was_asked:
            _store(inspection)
            signals.account_inspected.send_robust(
                sender=ProviderAccount, account=entry.alias, inspection=inspection
            )
        yield inspection


def find_problems(entries: Sequence[Entry], ledgers: Mapping[str, AccountLedger]) -> dict[str, str]:
    """Say what is wrong with each account, empty where nothing is known; asks no service.

    It is what stands in the way of using it, or what its service said last: so says the dashboard,
    and so says health. Of one that is switched off no service's word counts.
    """
    in_use = [each.account for each in entries if each.account and each.enabled]
    unprepared = {
        each.alias for each in add_kept_options(in_use) if each.provider.needs_preparation
    }
    problems = {each.alias: each.problem for each in entries}
    for entry in entries:
        ledger = ledgers.get(entry.alias)
        if entry.enabled and not entry.problem and ledger:
            problems[entry.alias] = ledger.problem
        if entry.alias in unprepared and not problems[entry.alias]:
            problems[entry.alias] = _("choose “Check reachability and balance” first")
    return problems


def _inspect(entry: Entry, breaker: Breaker, prepare: bool, is_asked: bool) -> Inspection:
    if entry.account is None or not is_asked:
        return Inspection(entry=entry, breaker=breaker, problem=entry.problem)
    provider = entry.account.provider
    made: dict[str, Any] = {}
    balance = None
    try:
        made = prepare_account(entry.account) if prepare else {}
        balance = _read_balance(provider)
        problem = _("no money in the account") if balance and balance.amount <= 0 else ""
    except DeliveryError as error:
        problem = f"{type(error).__name__}: {_write(str(error), provider)}"
    except Exception as error:  # noqa: BLE001 (SECURITY: a provider's class may put a secret into it)
        problem = type(error).__name__
    return Inspection(
        entry=entry,
        breaker=breaker,
        balance=balance,
        made=_mask_secrets(made, provider),
        problem=problem,
        was_asked=True,
    )


def _store(inspection: Inspection) -> None:
    """Keep what the service said in the account's ledger; that fails alone."""
    ledgers = AccountLedger.primary()
    balance = inspection.balance
    said = {
        "inspected_at": timezone.now(),
        "balance": _fit_balance(balance.amount) if balance else None,
        "currency": balance.currency if balance else "",
        "problem": fit_for_column(inspection.problem, MAX_DETAIL_LENGTH),
    }
    try:
        with transaction.atomic(using=ledgers.db):
            ledgers.update_or_create(alias=inspection.entry.alias, defaults=said)
    except DatabaseError as error:
        log_event(
            logger,
            Event.INSPECTION_NOT_KEPT,
            account=inspection.entry.alias,
            error=type(error).__name__,
        )


def _fit_balance(amount: object) -> Decimal | None:
    """Fit an amount into its column; the class that gave it may be a third party's."""
    if not isinstance(amount, Decimal) or not amount.is_finite() or abs(amount) >= MAX_BALANCE:
        return None
    return amount.quantize(BALANCE_STEP, ROUND_DOWN)


def prepare_account(account: Account) -> dict[str, Any]:
    """Make what the account needs at its service before the first message, and keep it.

    Gives what was made, nothing where there was nothing to make. Writes; raises a `DeliveryError`.
    """
    if not needs_preparation(account):
        return {}
    made = account.provider.prepare()
    AccountLedger.primary().keep(account.alias, made, account.provider.prepared_for())
    return made


def needs_preparation(account: Account) -> bool:
    """Say whether something has to be made at the service before the account can be used."""
    (known,) = add_kept_options([account])
    return known.provider.needs_preparation


def ask_status(attempt: DeliveryAttempt) -> str:
    """Ask the service what became of a delivery; empty where it does not tell."""
    if not attempt.provider_ref:
        return ""
    try:
        provider = load_account(attempt.account, conf.read()).provider
        status = provider.status(attempt.provider_ref)
        if status is None:
            return ""
        words = _write(status.words, provider)
        currency = _write(status.currency, provider, MAX_CURRENCY_LENGTH)
        return f"{words} ({status.cost} {currency})" if status.cost is not None else words
    except Exception:  # noqa: BLE001 (as above; the message went out, and this is a courtesy)
        return ""


def describe(inspection: Inspection) -> str:
    """Say in a few words how an account does, in the active language."""
    if inspection.entry.enabled:
        return _describe(inspection)
    off = _("switched off")
    return f"{off}; {_describe(inspection)}" if inspection.was_asked else off


def _describe(inspection: Inspection) -> str:
    if inspection.problem:
        return _("BROKEN: %(problem)s") % {"problem": inspection.problem}
    balance = inspection.balance
    if balance is None:
        return _("works")
    if balance.currency:
        return _("works, %(amount)s %(currency)s left") % {
            "amount": balance.amount,
            "currency": balance.currency,
        }
    return _("works, %(count)s messages left") % {"count": balance.amount}


def _read_balance(provider: Provider[Any]) -> Balance | None:
    """Probe a service, and make what it tells fit to be shown; the class may be a third party's."""
    balance = provider.probe()
    if balance is None:
        return None
    currency = _write(balance.currency, provider, MAX_CURRENCY_LENGTH)
    return Balance(amount=balance.amount, currency=currency)


def _mask_secrets(made: dict[str, Any], provider: Provider[Any]) -> dict[str, Any]:
    hidden = {each.name for each in fields(provider.options) if each.metadata.get("secret")}
    return {name: "***" if name in hidden else value for name, value in made.items()}


def _write(words: str, provider: Provider[Any], length: int = MAX_DETAIL_LENGTH) -> str:
    return fit_for_column(provider.redact(words), length)
