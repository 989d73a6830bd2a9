"""The captcha before a message is paid for. Layer 4."""

import logging

from ..captcha import load_captcha
from ..choices import Refusal
from ..conf import Settings
from ..exceptions import TransportError
from .client import Client

logger = logging.getLogger(__name__)


def refuse_robot(token: str, client: Client, settings: Settings) -> Refusal | None:
    """Ask the captcha of the settings, where there is one; None lets the person through."""
    entry = settings.captcha
    if entry is None:
        return None
    if not token:
        return Refusal.CAPTCHA_REQUIRED
    try:
        is_person = load_captcha(entry).verify(token, client.ip)
    except TransportError as error:
        logger.error("captcha_unavailable reason=%s", error)
        # A message costs money: without a word to the contrary a silent service lets nobody pass.
        return None if entry.get("ON_ERROR") == "allow" else Refusal.UNAVAILABLE
    return None if is_person else Refusal.CAPTCHA_FAILED
