"""What the pages say about refusals, channels and time. Layer 5."""

from collections.abc import Sequence
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from ..choices import Channel, Refusal, State
from ..durations import write_wait
from ..models import PhoneChallenge

# Why a challenge in one of these states takes no answer any more.
ENDS = {
    State.EXPIRED: Refusal.EXPIRED,
    State.LOCKED: Refusal.LOCKED,
    State.VERIFIED: Refusal.CHALLENGE_CLOSED,
    State.CANCELLED: Refusal.CHALLENGE_CLOSED,
}

# The same channel once more, and another one.
_AGAIN: dict[Channel, Promise] = {
    Channel.SMS: gettext_lazy("Send again"),
    Channel.FLASH_CALL: gettext_lazy("Call me again"),
    Channel.TELEGRAM: gettext_lazy("Send again in Telegram"),
    Channel.REVERSE_CALL: gettext_lazy("Show another number"),
}
_INSTEAD: dict[Channel, Promise] = {
    Channel.SMS: gettext_lazy("Send a text message instead"),
    Channel.FLASH_CALL: gettext_lazy("Call me instead"),
    Channel.TELEGRAM: gettext_lazy("Send it in Telegram instead"),
    Channel.REVERSE_CALL: gettext_lazy("I want to call myself"),
}


class Choice(NamedTuple):
    """A channel that may be asked for, and what its button says."""

    channel: Channel
    label: str


def write_choices(channels: Sequence[Channel], present: str) -> list[Choice]:
    """Write a button for each channel, that of the last message first."""
    ordered = sorted(channels, key=lambda each: each != present)
    return [Choice(each, str((_AGAIN if each == present else _INSTEAD)[each])) for each in ordered]


def write_wrong_code(attempts_left: int) -> str:
    """Say that a code was wrong, and how many tries are left."""
    left = ngettext("You have %(count)d more try.", "You have %(count)d more tries.", attempts_left)
    return f"{Refusal.WRONG_CODE.message} {left % {'count': attempts_left}}"


def write_expiry(seconds: int, *, is_call: bool) -> str:
    """Say how long the code, or the number to call, is good for."""
    expiry = _("The number expires %(wait)s.") if is_call else _("The code expires %(wait)s.")
    return expiry % {"wait": write_wait(seconds)}


def write_resend_wait(seconds: int) -> str:
    """Say when another message may be asked for; "" for now."""
    if not seconds:
        return ""
    return _("You can ask again %(wait)s.") % {"wait": write_wait(seconds)}


def write_mark(challenge: PhoneChallenge) -> str:
    """Write what the page of a challenge is about: with another mark it is another page."""
    return f"{challenge.channel} {challenge.code_length} {challenge.call_to}"


def write_heading(refusal: Refusal) -> str:
    """Give the heading of the page on which a challenge ends."""
    later = (Refusal.LOCKED, Refusal.TOO_MANY_REQUESTS, Refusal.UNAVAILABLE)
    return _("Try again later") if refusal in later else _("Start again")
