"""The captcha before a message is paid for. Layer 4."""

import logging

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from ..captcha import load_captcha
from ..choices import Refusal
from ..conf import Settings
from ..events import Event, log_event
from ..exceptions import CacheUnavailable, TransportError
from ..models import PhoneChallenge, PhoneLedger
from . import limits
from .client import Client
from .devices import find_device

logger = logging.getLogger(__name__)

# From so many messages without a login, or wrong codes of late, on a phone is suspicious.
SUSPICIOUS_MESSAGES_COUNT = 2
SUSPICIOUS_FAILURES_COUNT = 3


@sensitive_variables("token")
def refuse_robot(
    token: str,
    phone: str,
    device: str,
    client: Client,
    settings: Settings,
    *,
    is_required: bool = False,
) -> Refusal | None:
    """Ask the captcha about a request, where there is one; None lets the person through.

    With `is_required` it is asked whatever its settings say, of known devices too.
    """
    if is_required:
        return _ask(token, client, settings)
    if settings.captcha is None:
        return None
    if _is_for_suspicious(settings):
        ledger = PhoneLedger.primary().of_phone(phone)
        is_known = find_device(device, ledger) is not None
        return _refuse_suspicious(token, ledger, is_known, client, settings)
    return _ask(token, client, settings)


@sensitive_variables("token")
def refuse_robot_again(
    token: str,
    challenge: PhoneChallenge,
    client: Client,
    settings: Settings,
    *,
    is_required: bool = False,
) -> Refusal | None:
    """Ask the captcha about a resend, where it is for the suspicious; else the request had one.

    With `is_required` it is asked whatever its settings say.

    SECURITY: without this a robot would ask once, which is not suspicious, and resend ever after.
    """
    if is_required:
        return _ask(token, client, settings)
    if not _is_for_suspicious(settings):
        return None
    is_known = challenge.device is not None
    return _refuse_suspicious(token, challenge.ledger, is_known, client, settings)


def _is_for_suspicious(settings: Settings) -> bool:
    return settings.captcha is not None and settings.captcha.get("WHEN") == "suspicious"


@sensitive_variables("token")
def _refuse_suspicious(
    token: str, ledger: PhoneLedger, is_known_device: bool, client: Client, settings: Settings
) -> Refusal | None:
    """Ask the captcha if the address asks or answers much, or the phone was asked for in vain.

    A known device is above suspicion.
    """
    if is_known_device:
        return None
    now = timezone.now()
    try:
        is_suspicious = (
            limits.messages_in_vain(ledger, now) >= SUSPICIOUS_MESSAGES_COUNT
            or limits.failures_of_late(ledger, settings, now) >= SUSPICIOUS_FAILURES_COUNT
            or limits.is_busy_address(client.ip, settings)
        )
    except CacheUnavailable:
        return Refusal.UNAVAILABLE
    return _ask(token, client, settings) if is_suspicious else None


@sensitive_variables("token", "entry")
def _ask(token: str, client: Client, settings: Settings) -> Refusal | None:
    if settings.captcha is None:
        reason = "SEND_HOOK asks for one and there is none"
        log_event(logger, Event.CAPTCHA_MISCONFIGURED, reason=reason)
        return Refusal.UNAVAILABLE
    entry = settings.captcha
    if not token:
        return Refusal.CAPTCHA_REQUIRED
    try:
        is_person = load_captcha(entry).verify(token, client.ip)
    except ImproperlyConfigured as error:
        # No person can do anything about our own keys, and `ON_ERROR` is not meant for them.
        log_event(logger, Event.CAPTCHA_MISCONFIGURED, reason=error)
        return Refusal.UNAVAILABLE
    except TransportError as error:
        log_event(logger, Event.CAPTCHA_UNAVAILABLE, reason=error)
        # A message costs money: without a word to the contrary a silent service lets nobody pass.
        return None if entry.get("ON_ERROR") == "allow" else Refusal.UNAVAILABLE
    return None if is_person else Refusal.CAPTCHA_FAILED
