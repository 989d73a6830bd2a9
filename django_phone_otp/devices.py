"""Device strings: what a client keeps that has logged in with a phone once. Layer 1.

Who shows one has budgets of its own, so that a stranger who burns the phone's cannot lock it out
(OWASP, "Slow Down Online Guessing Attacks with Device Cookies"). It is no credential: a code is
needed all the same. Nothing is stored when one is given out: the string is signed, and for one
phone only.
"""

import secrets
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.core.signing import BadSignature, TimestampSigner, b62_decode

LIFETIME = timedelta(days=180)
MAX_DEVICE_LENGTH = 128  # characters; ours have about 80
COOKIE_NAME = "phone_otp_device"


class Device(NamedTuple):
    """What a device string says: the `key` of the client, and when it was given out."""

    key: str
    issued_at: datetime


def new_key() -> str:
    """Make the name of a client, of 128 random bits."""
    return secrets.token_urlsafe(16)


def make_device(key: str, phone: str) -> str:
    """Write the device string of a client for a phone, as of now."""
    return _signer(phone).sign(key)


def read_device(text: str, phone: str) -> Device | None:
    """Read a device string; None where it is not ours, for another phone, or too old."""
    if len(text) > MAX_DEVICE_LENGTH or not text.isascii():
        return None
    try:
        key = _signer(phone).unsign(text, max_age=LIFETIME)
    except BadSignature:
        return None
    seconds = b62_decode(text.rsplit(":", 2)[1])
    return Device(key, datetime.fromtimestamp(seconds, UTC))


def _signer(phone: str) -> TimestampSigner:
    # SECURITY: the phone is part of the key. A string of one phone is worth nothing for another.
    return TimestampSigner(salt=f"django_phone_otp.devices.{phone}")
