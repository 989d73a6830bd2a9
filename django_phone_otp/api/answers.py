"""What goes out: challenges and refusals as JSON. Layer 5."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.response import Response

from ..choices import Refusal, State
from ..door import STATUS
from ..flow import Answer, Asked
from ..models import PhoneChallenge

# What there is to do about a challenge that waits for no code.
_HINTS = {
    State.FAILED: Refusal.DELIVERY_FAILED,
    State.EXPIRED: Refusal.EXPIRED,
    State.LOCKED: Refusal.LOCKED,
    State.VERIFIED: Refusal.CHALLENGE_CLOSED,
    State.CANCELLED: Refusal.CHALLENGE_CLOSED,
}


def show_challenge(
    challenge: PhoneChallenge, resend_in_seconds: int, status: int = 200
) -> Response:
    """Answer with a challenge as its owner may see it."""
    now = timezone.now()
    state = challenge.state_at(now)
    body = {
        "challenge": challenge.public_id,
        "phone": challenge.masked_phone,
        "channel": challenge.channel,
        "state": state,
        "code_length": challenge.code_length,
        "expires_in": challenge.seconds_left(now),
        "resend_in": resend_in_seconds,
        "hint": _HINTS[state].message if state in _HINTS else challenge.hint,
    }
    if challenge.awaits_call:
        body["call_to"] = challenge.call_to
        if state == State.VERIFIED and challenge.spent_at is None:
            body["hint"] = _("Your call has come in.")
    return Response(body, status=status)


def refuse_asked(asked: Asked) -> Response:
    """Answer that no code was sent, and why."""
    kept = asked.kept_challenge
    extra = {"challenge": kept.public_id, "resend_in": asked.resend_in_seconds} if kept else {}
    return refuse(asked.refusal, asked.retry_after_seconds, **extra)


def refuse_answer(answer: Answer) -> Response:
    """Answer that nobody was logged in, and why."""
    extra = {} if answer.attempts_left is None else {"attempts_left": answer.attempts_left}
    return refuse(answer.refusal, answer.retry_after_seconds, **extra)


def refuse(
    refusal: Refusal | None, retry_after_seconds: int | None = None, **extra: Any
) -> Response:
    """Answer with a refusal; those that time heals say when, in the header and in the body."""
    if refusal is None:
        raise ValueError("an outcome without a challenge has a refusal")
    status = STATUS[refusal]
    body = {"detail": refusal.message, "code": refusal.value, **extra}
    headers = {}
    if status == 429:
        seconds = max(1, retry_after_seconds or 0)
        body["retry_after"] = seconds
        headers["Retry-After"] = str(seconds)
    return Response(body, status=status, headers=headers)
