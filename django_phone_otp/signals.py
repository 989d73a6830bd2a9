"""Signals: what a site may listen to. Layer 1.

Sent after commit, and robustly: a receiver that raises is logged by Django and changes nothing of
ours. The flow never listens to itself. No argument holds a code.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction
from django.dispatch import Signal

# challenge: PhoneChallenge, or None where a request was refused before there was one, refusal:
# Refusal, or None for a code that is on its way, purpose: str ("" where a resend names no
# challenge), channel: str or None as it was asked for, is_resend: bool, client: Client
code_requested = Signal()

# challenge: PhoneChallenge, objection: GuardObjection (its `blocked` says whether it was heeded)
guard_objected = Signal()

# challenge: PhoneChallenge, delivery: DeliveryAttempt
code_sent = Signal()

# challenge: PhoneChallenge, delivery: DeliveryAttempt (once for each try that did not certainly
# deliver; its `outcome` says why)
delivery_failed = Signal()

# challenge: PhoneChallenge or None for an unknown one, refusal: Refusal, client: Client
code_rejected = Signal()

# challenge: PhoneChallenge, client: Client
phone_verified = Signal()

# challenge: PhoneChallenge that has no tries left, or whose phone is disabled
# (`challenge.ledger.disabled_at`), client: Client
phone_locked = Signal()

# challenge: PhoneChallenge, user, created: bool (whether this login made the user)
login_accepted = Signal()

# user, phone: str in E.164, previous_phone: str or None (the primary one until then, or that whose
# place it took: its holder should hear of this)
phone_linked = Signal()

# user, phone: str in E.164 that is primary now, previous_phone: str
primary_phone_changed = Signal()

# user, phone: str in E.164
phone_unlinked = Signal()

# limit: str, such as "fail_all" or "prefix_traffic", scope: str (a region, a prefix, or ""), count:
# int; many phones are concerned, so no challenge is named. Once for each window of the limit.
alarm_raised = Signal()

# account: str (its alias), failures_count: int, open_until: datetime
breaker_opened = Signal()

# account: str (its alias)
breaker_closed = Signal()

# account: str (its alias), inspection: Inspection of its service, asked just now
account_inspected = Signal()


def connect(receivers: Mapping[Signal, Callable[..., None]]) -> None:
    """Have functions of modules listen from now on; to call it again changes nothing."""
    for signal, receiver in receivers.items():
        signal.connect(receiver, dispatch_uid=f"{receiver.__module__}.{receiver.__name__}")


def send_after_commit(signal: Signal, *, sender: type, using: str, **arguments: Any) -> None:
    """Send a signal once the open transaction is committed, or now when there is none."""
    transaction.on_commit(lambda: signal.send_robust(sender=sender, **arguments), using=using)
