"""Metrics for Prometheus, in its default registry. Layer 5; needs the extra `metrics`.

Only listens: nothing here is called but by signals, which are sent robustly, so no login can fail
at a metric. SECURITY: labels are closed sets, or names that operators give; never a phone, an
address, a prefix or a stranger's text: each value is a time series that is kept for ever, and
whoever may read metrics may not read phones.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.signals import request_started
from django.dispatch import Signal
from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from . import signals
from .choices import Channel, DeliveryOutcome, Purpose, Refusal
from .flow.guards import WATCHING
from .flow.limits import ALARMING
from .models import DeliveryAttempt, GuardObjection, PhoneChallenge

if TYPE_CHECKING:
    from .flow.inspection import Inspection

Metric = TypeVar("Metric", Counter, Gauge, Histogram)

# In seconds. Some of the bounds of `flow.tallies`: each bucket is a time series of each account.
ANSWER_BUCKETS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
LOGIN_BUCKETS = (5, 10, 15, 20, 30, 60, 90, 120, 180, 300, 600)


try:
    # What our gauges need came with 0.18; looked for outside of all registries, and with a label:
    # one without is written as it is made, and the place for that may not be there.
    Gauge("phone_otp_probe", "", ["account"], registry=None, multiprocess_mode="mostrecent")
except ValueError:
    raise ImportError("prometheus_client is too old: 0.20 or newer is needed") from None


def _register(
    kind: Callable[..., Metric], name: str, text: str, labels: Sequence[str], **options: Any
) -> Metric:
    """Make a metric; where this module is imported a second time, the one of the first goes on."""
    try:
        return kind(f"phone_otp_{name}", text, labels, **options)
    except ValueError:
        known: Any = REGISTRY._names_to_collectors[f"phone_otp_{name}"]
        return known  # type: ignore[no-any-return]


REQUESTS = _register(
    Counter,
    "requests_total",
    "Codes asked for, by what became of it: accepted, or the refusal.",
    ("kind", "purpose", "channel", "outcome"),
)
GUARD_OBJECTIONS = _register(
    Counter,
    "guard_objections_total",
    "What guards had against messages; blocked is false for a guard in shadow.",
    ("guard", "blocked"),
)
MESSAGES = _register(
    Counter,
    "messages_total",
    "Tries to deliver a message, by outcome.",
    ("account", "provider", "channel", "region", "outcome"),
)
COST = _register(
    Counter,
    "cost_total",
    "What messages cost, where the provider told it, in units of the currency.",
    ("account", "currency"),
)
ANSWER_SECONDS = _register(
    Histogram,
    "provider_answer_seconds",
    "How long a provider took to answer.",
    ("account", "provider", "channel"),
    buckets=ANSWER_BUCKETS,
)
ANSWERS = _register(
    Counter,
    "answers_total",
    "Codes and calls that came in, by what became of them: verified, or the refusal.",
    ("purpose", "channel", "outcome"),
)
VERIFIED = _register(
    Counter,
    "verified_total",
    "Phones that were proved, by the account of the last message.",
    ("purpose", "account", "provider", "channel", "region"),
)
LOGIN_SECONDS = _register(
    Histogram,
    "sent_to_verified_seconds",
    "From the last message to the right answer.",
    ("account", "provider", "channel"),
    buckets=LOGIN_BUCKETS,
)
LOGINS = _register(
    Counter,
    "logins_total",
    "Verified challenges that logged a user in; created is true for a new user.",
    ("created",),
)
LOCKED = _register(
    Counter,
    "locked_total",
    "Challenges and phones that take no more answers after wrong codes.",
    ("scope",),
)
ALARMS = _register(Counter, "alarms_total", "Alarms of limits and guards.", ("limit",))
BREAKER_OPENED = _register(
    Counter, "breaker_opened_total", "How often an account was passed over.", ("account",)
)
# Of gauges the newest value counts, whichever process wrote it.
BREAKER_OPEN_UNTIL = _register(
    Gauge,
    "breaker_open_until_timestamp_seconds",
    "Until when an account is passed over, in seconds since the epoch; 0 once it works again.",
    ("account",),
    multiprocess_mode="mostrecent",
)
BALANCE = _register(
    Gauge,
    "balance",
    "What is left in an account as of its last inspection, in the currency, or in messages.",
    ("account", "currency"),
    multiprocess_mode="mostrecent",
)
ACCOUNT_WORKS = _register(
    Gauge,
    "account_works",
    "Whether an account worked at its last inspection.",
    ("account",),
    multiprocess_mode="mostrecent",
)


def connect() -> None:
    """Listen from now on; to call it again changes nothing."""
    signals.connect(RECEIVERS)
    request_started.connect(begin_at_zero, dispatch_uid="phone_otp.metrics")


def begin_at_zero(**_: Any) -> None:
    """Begin the series that alerts wait for: the first sample of one is no increase to Prometheus.

    At the first request of a process, so that commands leave no files behind where processes share
    a directory. The accounts are not known here, and theirs begin as they come.
    """
    request_started.disconnect(dispatch_uid="phone_otp.metrics")
    with suppress(OSError):  # no such directory: metrics cost nobody a request
        for limit in (*ALARMING, *WATCHING):
            ALARMS.labels(limit)
        for kind in ("request", "resend"):
            for purpose in (Purpose.LOGIN, Purpose.LINK):
                for channel in ("", *Channel.values):
                    for refusal in (Refusal.UNAVAILABLE, Refusal.DELIVERY_FAILED):
                        REQUESTS.labels(kind, purpose.value, channel, refusal.value)
        for word in ("true", "false"):
            LOGINS.labels(word)
        for scope in ("challenge", "phone"):
            LOCKED.labels(scope)


def count_request(
    challenge: PhoneChallenge | None,
    refusal: Refusal | None,
    purpose: str,
    channel: str | None,
    is_resend: bool,
    **_: Any,
) -> None:
    """Count a request or a resend."""
    REQUESTS.labels(
        kind="resend" if is_resend else "request",
        purpose=_known(purpose, Purpose.values),
        channel=_known(challenge.channel if challenge else channel, Channel.values),
        outcome="accepted" if refusal is None else refusal.value,
    ).inc()


def count_objection(objection: GuardObjection, **_: Any) -> None:
    """Count what a guard had against a message."""
    GUARD_OBJECTIONS.labels(guard=str(objection.guard), blocked=_as_word(objection.blocked)).inc()


def count_message(challenge: PhoneChallenge, delivery: DeliveryAttempt, **_: Any) -> None:
    """Count a try to deliver, its cost and its time."""
    asked = (delivery.account, delivery.provider, delivery.channel)
    MESSAGES.labels(*asked, challenge.region, str(delivery.outcome)).inc()
    if delivery.cost is not None:
        COST.labels(delivery.account, _as_currency(delivery.currency)).inc(float(delivery.cost))
    # What took no time was not asked: a budget was empty, or the sweep has written the attempt.
    if delivery.duration_ms or delivery.outcome == DeliveryOutcome.SENT:
        ANSWER_SECONDS.labels(*asked).observe(delivery.duration_ms / 1000)


def count_refused_answer(challenge: PhoneChallenge | None, refusal: Refusal, **_: Any) -> None:
    """Count an answer that was refused."""
    ANSWERS.labels(
        purpose=challenge.purpose if challenge else "",
        channel=challenge.channel if challenge else "",
        outcome=refusal.value,
    ).inc()


def count_verified(challenge: PhoneChallenge, **_: Any) -> None:
    """Count a phone that was proved, and how long the person took."""
    asked = (challenge.account, challenge.provider, challenge.channel)
    ANSWERS.labels(challenge.purpose, challenge.channel, "verified").inc()
    VERIFIED.labels(challenge.purpose, *asked, challenge.region).inc()
    if challenge.sent_at and challenge.verified_at:
        seconds = (challenge.verified_at - challenge.sent_at).total_seconds()
        LOGIN_SECONDS.labels(*asked).observe(seconds)


def count_login(created: bool, **_: Any) -> None:
    """Count a login."""
    LOGINS.labels(_as_word(created)).inc()


def count_locked(challenge: PhoneChallenge, **_: Any) -> None:
    """Count a challenge, or a phone, that takes no more answers."""
    LOCKED.labels("phone" if challenge.ledger.disabled_at else "challenge").inc()


def count_alarm(limit: str, **_: Any) -> None:
    """Count an alarm; its scope may be an address or a prefix, and is no label."""
    ALARMS.labels(limit).inc()


def note_opened(account: str, open_until: datetime, **_: Any) -> None:
    """Note until when an account is passed over."""
    BREAKER_OPENED.labels(account).inc()
    BREAKER_OPEN_UNTIL.labels(account).set(open_until.timestamp())


def note_closed(account: str, **_: Any) -> None:
    """Note that an account is asked in its place again."""
    BREAKER_OPEN_UNTIL.labels(account).set(0)


def note_inspection(account: str, inspection: "Inspection", **_: Any) -> None:
    """Note what an account's service said."""
    ACCOUNT_WORKS.labels(account).set(not inspection.problem)
    open_until = inspection.breaker.open_until
    BREAKER_OPEN_UNTIL.labels(account).set(open_until.timestamp() if open_until else 0)
    if inspection.balance:
        currency = _as_currency(inspection.balance.currency)
        BALANCE.labels(account, currency).set(float(inspection.balance.amount))


def _known(word: str | None, words: Sequence[str]) -> str:
    """Give a word of a closed set; empty for what a stranger has typed."""
    return str(word) if word in words else ""


def _as_word(is_so: bool) -> str:
    return "true" if is_so else "false"


def _as_currency(text: str) -> str:
    """Give a currency as ISO 4217 writes it; empty where a service tells something else."""
    is_one = len(text) == 3 and text.isascii() and text.isalpha()
    return text.upper() if is_one else ""


RECEIVERS: dict[Signal, Callable[..., None]] = {
    signals.code_requested: count_request,
    signals.guard_objected: count_objection,
    signals.code_sent: count_message,
    signals.delivery_failed: count_message,
    signals.code_rejected: count_refused_answer,
    signals.phone_verified: count_verified,
    signals.login_accepted: count_login,
    signals.phone_locked: count_locked,
    signals.alarm_raised: count_alarm,
    signals.breaker_opened: note_opened,
    signals.breaker_closed: note_closed,
    signals.account_inspected: note_inspection,
}
