"""The captcha before a message is paid for. Layer 4."""

import logging

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from ..captcha import load_captcha
from ..choices import Refusal
from ..conf import Settings
from ..exceptions import CacheUnavailable, TransportError
from ..models import PhoneLedger
from . import limits
from .client import Client
from .devices import find_device

logger = logging.getLogger(__name__)

# From so many messages without a login, or wrong codes of late, on a phone is suspicious.
SUSPICIOUS_MESSAGES_COUNT = 2
SUSPICIOUS_FAILURES_COUNT = 3


@sensitive_variables("token", "entry")
def refuse_robot(
    token: str, phone: str, device: str, client: Client, settings: Settings
) -> Refusal | None:
    """Ask the captcha of the settings, where there is one; None lets the person through."""
    entry = settings.captcha
    if entry is None:
        return None
    try:
        if entry.get("WHEN") == "suspicious" and not _is_suspicious(
            phone, device, client, settings
        ):
            return None
        if not token:
            return Refusal.CAPTCHA_REQUIRED
        is_person = load_captcha(entry).verify(token, client.ip)
    except CacheUnavailable:
        return Refusal.UNAVAILABLE
    except ImproperlyConfigured as error:
        # No person can do anything about our own keys, and `ON_ERROR` is not meant for them.
        logger.error("captcha_misconfigured reason=%s", error)
        return Refusal.UNAVAILABLE
    except TransportError as error:
        logger.error("captcha_unavailable reason=%s", error)
        # A message costs money: without a word to the contrary a silent service lets nobody pass.
        return None if entry.get("ON_ERROR") == "allow" else Refusal.UNAVAILABLE
    return None if is_person else Refusal.CAPTCHA_FAILED


def _is_suspicious(phone: str, device: str, client: Client, settings: Settings) -> bool:
    """Say whether the address asks or answers much, or the phone was asked for in vain of late.

    A known device is above suspicion. Raises `CacheUnavailable`.
    """
    ledger = PhoneLedger.primary().of_phone(phone)
    if find_device(device, ledger):
        return False
    now = timezone.now()
    return (
        limits.messages_in_vain(ledger, now) >= SUSPICIOUS_MESSAGES_COUNT
        or limits.failures_of_late(ledger, settings, now) >= SUSPICIOUS_FAILURES_COUNT
        or limits.is_busy_address(client.ip, settings)
    )
