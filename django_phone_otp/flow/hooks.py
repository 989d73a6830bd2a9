"""Hooks: what a site decides itself, in functions that its settings name. Layer 4.

Each is called with keyword arguments, and takes `**kwargs` for those that come later. What a hook
raises is a mistake of the site's, and goes on to it.
"""

import logging
from enum import StrEnum

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ImproperlyConfigured

from ..conf import Settings
from ..events import Event, log_event
from ..loading import load_function
from ..models import PhoneChallenge
from ..phone import Phone
from .client import Client

logger = logging.getLogger(__name__)


class Decision(StrEnum):
    """What `SEND_HOOK` says about a message, before it is paid for."""

    ALLOW = "allow"
    DENY = "deny"
    CAPTCHA = "captcha"


def decide_about_message(
    number: Phone,
    purpose: str,
    channel: str | None,
    client: Client,
    user: AbstractBaseUser | None,
    settings: Settings,
) -> Decision:
    """Ask `SEND_HOOK` whether a message may go out; without one it may.

    Raises `ImproperlyConfigured` when the hook gives what is no `Decision`.
    """
    if settings.send_hook is None:
        return Decision.ALLOW
    hook = load_function(settings.send_hook, setting="PHONE_OTP['SEND_HOOK']")
    said = hook(
        phone=number.e164,
        region=number.region,
        purpose=str(purpose),
        channel=channel,
        client=client,
        user=user,
    )
    try:
        decision = Decision(said)
    except ValueError:
        words = ", ".join(map(repr, map(str, Decision)))
        raise ImproperlyConfigured(
            f"PHONE_OTP['SEND_HOOK'] must give one of {words}, not {said!r:.50}."
        ) from None
    if decision is not Decision.ALLOW:
        is_denied = decision is Decision.DENY
        event = Event.MESSAGE_DENY_BY_HOOK if is_denied else Event.MESSAGE_CAPTCHA_BY_HOOK
        log_event(logger, event, region=number.region, purpose=purpose)
    return decision


def may_sign_up(challenge: PhoneChallenge, settings: Settings) -> bool:
    """Say whether the challenge's phone may get a user: `SIGNUP`, and then `SIGNUP_HOOK`.

    It is asked when a code is asked for, and again when the user is made.
    """
    if not settings.signup or settings.signup_hook is None:
        return settings.signup
    hook = load_function(settings.signup_hook, setting="PHONE_OTP['SIGNUP_HOOK']")
    client = Client(ip=challenge.ip or "", user_agent=challenge.user_agent)
    said = hook(phone=challenge.phone, region=challenge.region, client=client)
    # SECURITY: "deny", or what an async function gives, would be true.
    if not isinstance(said, bool):
        raise ImproperlyConfigured(
            f"PHONE_OTP['SIGNUP_HOOK'] must give True or False, not {type(said).__name__}."
        )
    return said
