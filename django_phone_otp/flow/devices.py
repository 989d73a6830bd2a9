"""Known devices: clients that have logged in with a phone before. Layer 4.

A device has budgets of its own: whatever strangers do with its phone, it is not locked out.
"""

from datetime import datetime, timedelta
from math import floor

from django.utils import timezone

from .. import devices
from ..models import DeviceLedger, PhoneChallenge, PhoneLedger

# SECURITY: each login gives a string with budgets of its own. Without an end whoever is paid for
# the messages to his number would log in again and again, and have ever more of them sent.
MAX_BUSY_DEVICES = 10
BUSY_TIME = timedelta(hours=24)


def find_device(text: str, ledger: PhoneLedger) -> DeviceLedger | None:
    """Find what counts for the client with this device string; None where it is none that counts.

    A string that is wrong, too old, revoked, of another phone, or new where ten others were used in
    the last 24 hours is as good as none: nothing is refused for it, and nobody is told.
    """
    device = devices.read_device(text, ledger.phone) if text else None
    if device is None or _is_revoked(device, ledger):
        return None
    found = DeviceLedger.primary().of_device(device.key, ledger)
    return found if _has_place(found, ledger, timezone.now()) else None


def is_busy(device: DeviceLedger, now: datetime) -> bool:
    """Say whether a device has a place among those of its phone that count."""
    return device.last_sent_at is not None and device.last_sent_at > now - BUSY_TIME


def _has_place(device: DeviceLedger, ledger: PhoneLedger, now: datetime) -> bool:
    if is_busy(device, now):
        return True
    return DeviceLedger.primary().count_busy(ledger, now - BUSY_TIME) < MAX_BUSY_DEVICES


def give_device(challenge: PhoneChallenge) -> str:
    """Write the device string for a client that has just logged in; it lives for `LIFETIME`.

    A known client keeps its name, and with it what it has used up.
    """
    key = challenge.device.key if challenge.device else devices.new_key()
    return devices.make_device(key, challenge.phone)


def _is_revoked(device: devices.Device, ledger: PhoneLedger) -> bool:
    # A string tells whole seconds: those of the second of the revocation are revoked too.
    after = ledger.devices_valid_after
    return after is not None and device.issued_at.timestamp() <= floor(after.timestamp())
