"""Discretion: while sign-up is closed, nobody learns which phones have users. Layer 4."""

from ..choices import Purpose, State
from ..conf import Settings
from ..models import PhoneChallenge


def is_discreet(purpose: str, settings: Settings) -> bool:
    """Say whether nothing may tell a phone with a user from one without.

    SECURITY: while sign-up is closed, to all or to those whom the site's hook does not let in,
    anybody could else ask who has an account.
    """
    is_open = settings.signup and settings.signup_hook is None
    return not is_open and purpose == Purpose.LOGIN


def level_state(challenge: PhoneChallenge, settings: Settings) -> PhoneChallenge:
    """Show a message that is on its way as one that went out, where nothing may tell the two apart.

    SECURITY: only that of a known phone takes the time of a provider.
    """
    if challenge.state == State.SENDING and is_discreet(challenge.purpose, settings):
        challenge.state = State.SENT
    return challenge
