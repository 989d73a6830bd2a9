"""The state of a challenge as operators see it. Layer 5.

It differs from what a person is told in one thing: where no code ever went out a person hears in
the end that it is too old, and an operator that it failed, or that nothing was heard of it.
"""

from datetime import datetime

from django.db.models import Q

from ..choices import State
from ..models import PhoneChallenge
from ..models.challenge import PhoneChallengeQuerySet

# How good each is, for the colour beside the word.
TONES = {
    State.SENDING: "busy",
    State.SENT: "busy",
    State.FAILED: "bad",
    State.VERIFIED: "good",
    State.CANCELLED: "quiet",
    State.EXPIRED: "quiet",
    State.LOCKED: "bad",
}
_HAS_CODE = Q(state=State.SENT) | (Q(state=State.SENDING) & ~Q(code_digest=""))


def find_state(challenge: PhoneChallenge, now: datetime) -> State:
    """Give the state for operators."""
    is_sending = challenge.state == State.SENDING and not challenge.code_digest
    if is_sending or challenge.state == State.FAILED:
        return State(challenge.state)
    return challenge.state_at(now)


def in_state(
    challenges: PhoneChallengeQuerySet, state: str, now: datetime
) -> PhoneChallengeQuerySet:
    """Choose the challenges that `find_state` gives this state for."""
    if state == State.FAILED:
        return challenges.filter(state=state)
    if state == State.SENDING:
        waiting = challenges.filter(state=state)
        return waiting.filter(Q(code_digest="") | Q(expires_at__gt=now, attempts_left__gt=0))
    found = challenges.in_state(state, now)
    return found.filter(_HAS_CODE) if state in (State.EXPIRED, State.LOCKED) else found
