"""One delivery: a provider asked, what came of it, and what follows from that. Layer 4.

What an error means is told by its class alone; `CONSEQUENCES` decides what is next. From here on
everything that a provider said is fit to be stored and shown to operators.
"""

import logging
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.utils import translation
from django.views.decorators.debug import sensitive_variables

from .. import codes
from ..choices import Custody, DeliveryOutcome, Refusal
from ..conf import Settings
from ..events import Event, log_event
from ..exceptions import (
    DeliveryError,
    DeliveryUncertain,
    InsufficientFunds,
    InvalidPhone,
    InvalidRecipient,
    Misconfigured,
    ProviderRejected,
    ProviderThrottled,
    ProviderUnavailable,
    RecipientLimited,
    RecipientUnreachable,
)
from ..models import DeliveryAttempt, PhoneChallenge
from ..phone import hide, parse
from ..providers import Provider
from ..providers.base import Started, StartRequest
from ..providers.local import FixedCode
from .accounts import Account
from .messages import write_text

logger = logging.getLogger(__name__)

# As long as the columns that they are stored in.
MAX_DETAIL_LENGTH = 200
MAX_REFERENCE_LENGTH = 128
MAX_CURRENCY_LENGTH = 3
MAX_COST = Decimal(1_000_000)
COST_STEP = Decimal("0.00001")


class Consequence(NamedTuple):
    """What follows from an error: its word, whether the route goes on, what the person is told."""

    outcome: DeliveryOutcome
    goes_on: bool = True
    refusal: Refusal = Refusal.DELIVERY_FAILED
    log_level: int = logging.WARNING


CONSEQUENCES: dict[type[DeliveryError], Consequence] = {
    InvalidRecipient: Consequence(
        DeliveryOutcome.INVALID_RECIPIENT, False, Refusal.PHONE_NOT_ALLOWED, logging.INFO
    ),
    RecipientUnreachable: Consequence(DeliveryOutcome.UNREACHABLE, log_level=logging.INFO),
    RecipientLimited: Consequence(
        DeliveryOutcome.LIMITED, True, Refusal.TOO_MANY_REQUESTS, logging.INFO
    ),
    ProviderThrottled: Consequence(DeliveryOutcome.THROTTLED, log_level=logging.ERROR),
    InsufficientFunds: Consequence(DeliveryOutcome.NO_FUNDS, log_level=logging.ERROR),
    Misconfigured: Consequence(DeliveryOutcome.MISCONFIGURED, log_level=logging.ERROR),
    ProviderRejected: Consequence(DeliveryOutcome.REJECTED, log_level=logging.ERROR),
    ProviderUnavailable: Consequence(DeliveryOutcome.UNAVAILABLE),
    DeliveryUncertain: Consequence(DeliveryOutcome.UNCERTAIN, False),
}
# Of the account's own budgets, before its provider is asked.
PHONE_IS_FULL = Consequence(DeliveryOutcome.PHONE_OVER_BUDGET, refusal=Refusal.TOO_MANY_REQUESTS)
DAY_IS_FULL = Consequence(DeliveryOutcome.OVER_BUDGET)
REFUSALS = {
    each.outcome: each.refusal for each in (*CONSEQUENCES.values(), PHONE_IS_FULL, DAY_IS_FULL)
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What became of asking one provider; without a consequence it took the message.

    `code` is what the person may answer with, empty where we cannot judge an answer. `length` is
    the code's, known or expected. `retry_after_seconds` is when the same would work, where known.
    """

    account: Account
    length: int
    code: str = field(default="", repr=False)
    started: Started | None = field(default=None, repr=False)
    consequence: Consequence | None = None
    detail: str = ""
    duration_ms: int = 0
    retry_after_seconds: int | None = None

    @property
    def can_be_answered(self) -> bool:
        """Say whether the person has something that can be judged, or may have."""
        is_uncertain = self.outcome is DeliveryOutcome.UNCERTAIN
        return self.consequence is None or (is_uncertain and bool(self.code))

    @property
    def outcome(self) -> DeliveryOutcome:
        """Say in a word how it ended."""
        if self.consequence:
            return self.consequence.outcome
        is_test = self.account.provider.key == FixedCode.key
        return DeliveryOutcome.TEST if is_test else DeliveryOutcome.SENT


@sensitive_variables()
def deliver(account: Account, challenge: PhoneChallenge, settings: Settings) -> Delivery:
    """Ask one provider to deliver one code, once. Sends and costs money; writes nothing.

    Raises `ImproperlyConfigured` alone; every other failure is in the delivery that comes back.
    """
    provider = account.provider
    length = account.code_length(settings)
    code = codes.make_code(length) if provider.custody is Custody.LOCAL else ""
    shown = code or provider.place_of_code
    request = StartRequest(
        phone=challenge.phone,
        code=code,
        text=write_text(shown, settings) if shown else "",
        language=translation.get_language() or "en",
    )
    began = time.perf_counter()
    try:
        started, error = _start(provider, request), None
    except DeliveryError as caught:
        started, error = None, caught
    duration_ms = round((time.perf_counter() - began) * 1000)
    code = (started and started.code) or code
    delivery = Delivery(
        account=account,
        length=len(code) or length,
        code=code,
        started=started,
        consequence=_find_consequence(error, provider) if error else None,
        detail=_redact(str(error), challenge, provider, code) if error else "",
        duration_ms=duration_ms,
    )
    _log(delivery)
    return delivery


@sensitive_variables("request", "started")
def _start(provider: Provider[Any], request: StartRequest) -> Started:
    """Have the provider start; whatever goes wrong is one of our errors afterwards."""
    try:
        started = _read(provider.start(request))
    except (DeliveryError, ImproperlyConfigured):
        raise
    except Exception as error:  # noqa: BLE001 (a mistake of the provider's class may be any)
        # Nobody knows how far it came. SECURITY: neither its words nor its traceback go on, they
        # may hold the code or the secret.
        mistake = type(error).__name__
    else:
        if provider.custody is Custody.RETURNED and not started.code:
            mistake = "the provider told no code"
        elif provider.custody is Custody.PRESENCE and not started.call_to:
            mistake = "the provider told no number to call"
        else:
            return started
    raise DeliveryUncertain(mistake)


@sensitive_variables("started")
def _read(started: Started) -> Started:
    """Make what a provider gave fit to be stored; the class may be a third party's.

    A code that nobody could type is an error: it would be a digest of nothing; so is a number that
    nobody could call. All else must not cost the login: the message has gone out.
    """
    if started.code and not codes.is_code(started.code):
        raise DeliveryUncertain("the provider told what is no code")
    return Started(
        code=started.code,
        call_to=_read_number(started.call_to) if started.call_to else "",
        lives_seconds=started.lives_seconds if _is_lifetime(started.lives_seconds) else None,
        reference=fit_for_column(str(started.reference or ""), MAX_REFERENCE_LENGTH),
        cost=_fit_cost(started.cost),
        currency=fit_for_column(str(started.currency or ""), MAX_CURRENCY_LENGTH),
    )


def _read_number(text: str) -> str:
    try:
        return parse(text).e164
    except InvalidPhone:
        raise DeliveryUncertain("the provider told what is no number to call") from None


def _is_lifetime(seconds: object) -> bool:
    return isinstance(seconds, int) and seconds > 0


def _find_consequence(error: DeliveryError, provider: Provider[Any]) -> Consequence:
    """Look the class up, or the nearest of its ancestors: a provider may refine one."""
    known = (CONSEQUENCES[each] for each in type(error).__mro__ if each in CONSEQUENCES)
    consequence = next(known, CONSEQUENCES[DeliveryUncertain])
    is_uncertain = consequence.outcome is DeliveryOutcome.UNCERTAIN
    if is_uncertain and provider.custody is Custody.PRESENCE:
        return consequence._replace(goes_on=True)  # nothing can have reached the person
    return consequence


def _log(delivery: Delivery) -> None:
    if delivery.consequence:
        log_event(
            logger,
            Event.DELIVERY_FAILED,
            level=delivery.consequence.log_level,
            account=delivery.account.alias,
            outcome=delivery.consequence.outcome,
            detail=delivery.detail,
        )


def _redact(words: str, challenge: PhoneChallenge, provider: Provider[Any], code: str) -> str:
    """Make a provider's words fit for operators: no secret, code or phone, and one line."""
    words = provider.redact(words)
    if code:
        words = words.replace(code, "***")
    words = hide(words, challenge.phone)
    words = words.replace(provider.wire_phone(challenge.phone), challenge.masked_phone)
    return fit_for_column(words, MAX_DETAIL_LENGTH)


def fit_for_column(text: str, length: int) -> str:
    """Make a text of a service's fit for a column: a strange one must not cost us the login."""
    return "".join(each if each.isprintable() else " " for each in text)[:length]


def _fit_cost(cost: object) -> Decimal | None:
    if not isinstance(cost, Decimal) or not cost.is_finite() or not 0 <= cost < MAX_COST:
        return None
    return cost.quantize(COST_STEP)


def describe(delivery: Delivery, challenge: PhoneChallenge) -> DeliveryAttempt:
    """Make the row for the audit trail, not yet stored."""
    provider, started = delivery.account.provider, delivery.started or Started()
    return DeliveryAttempt(
        challenge=challenge,
        account=delivery.account.alias,
        provider=provider.key,
        channel=provider.channel,
        outcome=delivery.outcome,
        detail=delivery.detail,
        provider_ref=started.reference,
        cost=started.cost,
        currency=started.currency,
        duration_ms=delivery.duration_ms,
    )
