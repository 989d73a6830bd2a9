"""Dispatch: along the route until one provider has taken the message. Layer 4.

What an error means is told by its class alone; the table below decides what is next. Providers are
called outside transactions; what came of it is written in one.
"""

import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils import timezone, translation
from django.views.decorators.debug import sensitive_variables

from .. import codes, signals
from ..choices import Custody, DeliveryOutcome, Refusal, State
from ..conf import Settings
from ..exceptions import (
    DeliveryError,
    DeliveryUncertain,
    InsufficientFunds,
    InvalidRecipient,
    Misconfigured,
    ProviderRejected,
    ProviderThrottled,
    ProviderUnavailable,
    RecipientLimited,
    RecipientUnreachable,
)
from ..models import DeliveryAttempt, IssuedCode, PhoneChallenge
from ..providers import Provider
from ..providers.base import Started, StartRequest
from .accounts import Account
from .messages import write_text

logger = logging.getLogger(__name__)

MAX_DETAIL_LENGTH = 200
MAX_REFERENCE_LENGTH = 128
MAX_CURRENCY_LENGTH = 3
MAX_COST = Decimal(1_000_000)
COST_STEP = Decimal("0.00001")


@dataclass(frozen=True, slots=True)
class Consequence:
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Try:
    """One provider asked; without a consequence it took the message.

    `code` is what the person may answer with, empty where we cannot judge an answer. `length` is
    the code's, known or expected.
    """

    account: Account
    length: int
    code: str = field(default="", repr=False)
    started: Started | None = field(default=None, repr=False)
    consequence: Consequence | None = None
    detail: str = ""
    duration_ms: int = 0

    @property
    def can_be_answered(self) -> bool:
        """Say whether the person has something that can be judged, or may have."""
        is_uncertain = self.consequence is CONSEQUENCES[DeliveryUncertain]
        return self.consequence is None or (is_uncertain and bool(self.code))


def dispatch(
    challenge: PhoneChallenge, route: Sequence[Account], settings: Settings, *, discreet: bool
) -> Refusal | None:
    """Send one code for a challenge. Sends, costs money, writes; call it outside transactions.

    Gives None when a message went out, or may have gone out with a code that we know; `challenge`
    then shows the new state. Gives the refusal when nothing went out, or nothing that could be
    answered. With `discreet` whatever happens looks like a message that went out, as `withhold`
    does; only the attempts tell the truth, to operators.
    """
    tries: list[_Try] = []
    for account in route:
        tries.append(_try_account(account, challenge, settings))
        consequence = tries[-1].consequence
        if consequence is None or not consequence.goes_on:
            break
    shown = _pretend(tries[-1], route, settings) if discreet else tries[-1]
    return _record(challenge, shown, [_describe(each, challenge) for each in tries], settings)


def withhold(
    challenge: PhoneChallenge, route: Sequence[Account], settings: Settings
) -> Refusal | None:
    """Do all that a discreet `dispatch` does, but send nothing.

    SECURITY: for unknown phones while sign-up is closed. State, body and number of queries are the
    same, and no answer matches: there is a digest, of nothing.
    """
    nothing = _Try(account=route[0], length=0, consequence=CONSEQUENCES[ProviderRejected])
    attempt = _describe(nothing, challenge)
    attempt.outcome = DeliveryOutcome.WITHHELD
    return _record(challenge, _pretend(nothing, route, settings), [attempt], settings)


def _pretend(tried: _Try, route: Sequence[Account], settings: Settings) -> _Try:
    """Make a try look like one that went out, and where it cannot be answered, unanswerable."""
    account = tried.account if tried.can_be_answered else route[0]
    return replace(
        tried,
        account=account,
        length=account.provider.code_length or settings.code_length,
        code=tried.code if tried.can_be_answered else secrets.token_hex(),
        consequence=None,
    )


@sensitive_variables()
def _try_account(account: Account, challenge: PhoneChallenge, settings: Settings) -> _Try:
    provider = account.provider
    length = provider.code_length or settings.code_length
    code = codes.make_code(length) if provider.custody is Custody.LOCAL else ""
    request = StartRequest(
        phone=challenge.phone,
        code=code,
        text=write_text(code, settings) if code else "",
        language=translation.get_language() or "en",
    )
    began = time.perf_counter()
    try:
        started, error = _start(provider, request), None
    except DeliveryError as caught:
        started, error = None, caught
    duration_ms = round((time.perf_counter() - began) * 1000)
    code = (started and started.code) or code
    tried = _Try(
        account=account,
        length=len(code) or length,
        code=code,
        started=started,
        consequence=_find_consequence(error) if error else None,
        detail=_redact(str(error), challenge, provider, code) if error else "",
        duration_ms=duration_ms,
    )
    _log(tried)
    return tried


@sensitive_variables("request", "started")
def _start(provider: Provider[Any], request: StartRequest) -> Started:
    """Have the provider start; whatever goes wrong is one of our errors afterwards."""
    try:
        started: Any = provider.start(request)  # a third party's class may give anything
        is_sound = isinstance(started, Started) and isinstance(started.reference, str)
        has_code = is_sound and isinstance(started.code, str) and codes.is_code(started.code)
    except (DeliveryError, ImproperlyConfigured):
        raise
    except Exception as error:  # noqa: BLE001 (a mistake of the provider's class may be any)
        # Nobody knows how far it came. SECURITY: neither its words nor its traceback go on, they
        # may hold the code or the secret.
        mistake = type(error).__name__
    else:
        needs_code = provider.custody is Custody.RETURNED
        if has_code or (is_sound and not needs_code and started.code == ""):
            return cast(Started, started)
        mistake = "the provider told no code" if is_sound else "the provider told nothing"
    raise DeliveryUncertain(mistake)


def _find_consequence(error: DeliveryError) -> Consequence:
    """Look the class up, or the nearest of its ancestors: a provider may refine one."""
    known = (CONSEQUENCES[each] for each in type(error).__mro__ if each in CONSEQUENCES)
    return next(known, CONSEQUENCES[DeliveryUncertain])


def _log(tried: _Try) -> None:
    if tried.consequence:
        logger.log(
            tried.consequence.log_level,
            "delivery_failed account=%s outcome=%s detail=%s",
            tried.account.alias,
            tried.consequence.outcome.value,
            tried.detail,
        )


def _redact(words: str, challenge: PhoneChallenge, provider: Provider[Any], code: str) -> str:
    """Make a provider's words fit for operators: no secret, code or phone, and one line."""
    words = provider.redact(words)
    if code:
        words = words.replace(code, "***")
    phone = challenge.phone
    for written in (phone, provider.wire_phone(phone), phone.removeprefix("+")):
        words = words.replace(written, challenge.masked_phone)
    return _clean(words, MAX_DETAIL_LENGTH)


def _clean(text: str, length: int) -> str:
    """Make a text of a service's fit for a column: a strange one must not cost us the login."""
    return "".join(each if each.isprintable() else " " for each in text)[:length]


def _clean_cost(cost: Decimal | None) -> Decimal | None:
    if cost is None or not cost.is_finite() or not 0 <= cost < MAX_COST:
        return None
    return cost.quantize(COST_STEP)


def _describe(tried: _Try, challenge: PhoneChallenge) -> DeliveryAttempt:
    provider, started = tried.account.provider, tried.started or Started()
    return DeliveryAttempt(
        challenge=challenge,
        account=tried.account.alias,
        provider=provider.key,
        channel=provider.channel,
        outcome=tried.consequence.outcome if tried.consequence else DeliveryOutcome.SENT,
        detail=tried.detail,
        provider_ref=_clean(started.reference, MAX_REFERENCE_LENGTH),
        cost=_clean_cost(started.cost),
        currency=_clean(started.currency, MAX_CURRENCY_LENGTH),
        duration_ms=tried.duration_ms,
    )


def _record(
    challenge: PhoneChallenge,
    last: _Try,
    attempts: Sequence[DeliveryAttempt],
    settings: Settings,
) -> Refusal | None:
    """Write what the tries came to, in one transaction, and give what the person is told."""
    challenges = PhoneChallenge.primary()
    refusal = None
    with transaction.atomic(using=challenges.db, durable=True):
        if last.consequence and not last.can_be_answered:
            challenges.mark_failed(challenge)
            refusal = last.consequence.refusal
        elif not challenges.record_code(challenge, _issue(challenge, last, settings)):
            refusal = Refusal.CHALLENGE_CLOSED  # answered or cancelled while we were sending
        DeliveryAttempt.objects.using(challenges.db).bulk_create(attempts)
        for attempt in attempts:
            _announce(challenge, attempt, using=challenges.db)
    return refusal


@sensitive_variables("digest")
def _issue(challenge: PhoneChallenge, tried: _Try, settings: Settings) -> IssuedCode:
    provider, now = tried.account.provider, timezone.now()
    digest = ""
    if tried.code:
        digest = codes.make_digest(
            tried.code, alphabet=provider.alphabet, bound_to=challenge.bound_to
        )
    return IssuedCode(
        state=State.SENDING if tried.consequence else State.SENT,
        sent_at=None if tried.consequence else now,
        expires_at=now + timedelta(seconds=settings.code_ttl),
        code_digest=digest,
        code_length=tried.length,
        attempts_left=settings.attempts_for(tried.length),
        account=tried.account.alias,
        provider=provider.key,
        provider_ref=_clean((tried.started or Started()).reference, MAX_REFERENCE_LENGTH),
        channel=provider.channel,
        custody=provider.custody,
    )


def _announce(challenge: PhoneChallenge, attempt: DeliveryAttempt, *, using: str) -> None:
    if attempt.outcome == DeliveryOutcome.WITHHELD:
        return
    went_out = attempt.outcome == DeliveryOutcome.SENT
    signals.send_after_commit(
        signals.code_sent if went_out else signals.delivery_failed,
        sender=PhoneChallenge,
        using=using,
        challenge=challenge,
        delivery=attempt,
    )
