"""Signals: what a site may listen to. Layer 1.

Sent after commit, and robustly: a receiver that raises is logged by Django and changes nothing of
ours. The flow never listens to itself. No argument holds a code.
"""

from typing import Any

from django.db import transaction
from django.dispatch import Signal

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


def send_after_commit(signal: Signal, *, sender: type, using: str, **arguments: Any) -> None:
    """Send a signal once the open transaction is committed, or now when there is none."""
    transaction.on_commit(lambda: signal.send_robust(sender=sender, **arguments), using=using)
