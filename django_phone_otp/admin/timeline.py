"""A challenge's timeline: what happened to it, event by event. Layer 5.

`tell` is a pure function over rows: no query, no clock, no request. It shows what operators may
see: phones masked, no code, no digest. Texts of strangers and services come out as text; templates
escape them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from ..choices import (
    OPEN_STATES,
    Channel,
    Custody,
    DeliveryOutcome,
    Guard,
    Purpose,
    Refusal,
    State,
)
from ..models import (
    ConfirmAttempt,
    DeliveryAttempt,
    GuardObjection,
    PendingDelivery,
    PhoneChallenge,
)
from . import numbers
from .states import find_state

# Good, bad, in doubt, done by an operator, or nothing of these.
GOOD, BAD, DOUBT, OPERATOR, PLAIN = "good", "bad", "doubt", "operator", "plain"

# Not the provider's fault, and not ours: nothing was to be sent, or the number cannot be reached.
_TONES: dict[str, str] = {
    DeliveryOutcome.SENT: GOOD,
    DeliveryOutcome.TEST: PLAIN,
    DeliveryOutcome.WITHHELD: PLAIN,
    DeliveryOutcome.UNCERTAIN: DOUBT,
}
# Events of one moment, in the order in which they follow from each other.
_ASKED, _OBJECTED, _DELIVERED, _ANSWERED, _SPENT, _ENDED, _ACTED = range(7)

Link = Callable[[Any], str]


def write_number(pk: Any) -> str:
    """Write a user by number; empty for none."""
    return "" if pk is None else f"#{pk}"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known of an event."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Happening:
    """What happened, when; `at` is None where nobody has noted the time.

    `since_start` is the time since the request, in words.
    """

    at: datetime | None
    title: str
    tone: str = PLAIN
    facts: tuple[Fact, ...] = ()
    since_start: str = ""
    rank: int = _ACTED


@dataclass(frozen=True, slots=True)
class Act:
    """What an operator did, as the admin's own log has it."""

    at: datetime
    user_pk: Any
    words: str
    is_revocation: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Trail:
    """The rows of a challenge, each kind in the order in which they were written."""

    objections: Sequence[GuardObjection] = ()
    deliveries: Sequence[DeliveryAttempt] = ()
    pending: Sequence[PendingDelivery] = ()
    answers: Sequence[ConfirmAttempt] = ()
    acts: Sequence[Act] = ()


def tell(
    challenge: PhoneChallenge, trail: Trail, now: datetime, link: Link = write_number
) -> tuple[Happening, ...]:
    """Give the events of a challenge, oldest first; those without a time come last.

    `link` writes a user by the primary key.
    """
    events = [
        _tell_request(challenge, link),
        *map(_tell_objection, trail.objections),
        *map(_tell_delivery, trail.deliveries),
        *map(_tell_pending, trail.pending),
        *(_tell_answer(each, challenge) for each in trail.answers),
        *_tell_proof(challenge, trail.answers),
        *_tell_spending(challenge, link),
        *_tell_end(challenge, trail, now),
        *(_tell_act(each, link) for each in trail.acts),
    ]
    timed = [each for each in events if each.at is not None]
    # Stable: rows of one kind and moment stay in the order in which they were written.
    timed.sort(key=lambda each: (each.at, each.rank))
    untimed = [each for each in events if each.at is None]
    return tuple(_count_from(challenge.created_at, each) for each in [*timed, *untimed])


def _count_from(start: datetime, event: Happening) -> Happening:
    if event.at is None or event.rank == _ASKED:
        return event
    seconds = max(0.0, (event.at - start).total_seconds())
    return replace(event, since_start="+" + numbers.write_milliseconds(seconds * 1_000))


def _tell_request(challenge: PhoneChallenge, link: Link) -> Happening:
    asker = None if challenge.purpose == Purpose.LOGIN else challenge.user_id
    facts = [
        (_("purpose"), str(challenge.get_purpose_display())),
        (_("region"), challenge.region),
        (_("user"), link(asker)),
        *_describe_client(challenge.ip, challenge.user_agent),
        (_("known device"), _("Yes") if challenge.device_id else ""),
        (_("door"), "LIFE POS" if challenge.client_digest else ""),
    ]
    return Happening(
        at=challenge.created_at, title=_("Code asked for"), facts=_list(facts), rank=_ASKED
    )


def _tell_objection(objection: GuardObjection) -> Happening:
    guard = (
        str(Guard(objection.guard).label) if objection.guard in Guard.values else objection.guard
    )
    words = {"guard": guard}
    if objection.blocked:
        title, tone = _("Blocked: %(guard)s") % words, BAD
    else:
        title, tone = _("Let through, in shadow: %(guard)s") % words, DOUBT
    return Happening(
        at=objection.created_at,
        title=title,
        tone=tone,
        facts=_list([(_("reason"), objection.detail)]),
        rank=_OBJECTED,
    )


def _tell_delivery(delivery: DeliveryAttempt) -> Happening:
    cost, milliseconds = delivery.cost, delivery.duration_ms
    facts = [
        # The sweep closes what a dead process has left: it cannot know whom that one was asking.
        (_("account"), delivery.account or _("not known")),
        (_("provider"), delivery.provider),
        (_("channel"), _label(Channel, delivery.channel)),
        (_("answered in"), numbers.write_milliseconds(milliseconds) if milliseconds else ""),
        (_("provider's words"), delivery.detail),
        (_("provider's reference"), delivery.provider_ref),
        (_("cost"), "" if cost is None else numbers.write_money(cost, delivery.currency)),
    ]
    return Happening(
        at=delivery.created_at,
        title=_("Delivery: %(outcome)s") % {"outcome": _label(DeliveryOutcome, delivery.outcome)},
        tone=_TONES.get(delivery.outcome, BAD),
        facts=_list(facts),
        rank=_DELIVERED,
    )


def _tell_pending(pending: PendingDelivery) -> Happening:
    facts = [
        (_("route"), ", ".join(pending.route)),
        (_("withheld"), _("Yes") if pending.withheld else ""),
    ]
    return Happening(
        at=pending.claimed_at or pending.queued_at,
        title=_("Being sent") if pending.claimed_at else _("Waits for a worker"),
        tone=DOUBT,
        facts=_list(facts),
        rank=_DELIVERED,
    )


def _tell_answer(answer: ConfirmAttempt, challenge: PhoneChallenge) -> Happening:
    is_call = challenge.custody == Custody.PRESENCE
    facts = _describe_client(answer.ip, answer.user_agent)
    if not answer.refusal:
        title = _("The call came in: verified") if is_call else _("Right code: verified")
        return Happening(
            at=answer.created_at, title=title, tone=GOOD, facts=_list(facts), rank=_ANSWERED
        )
    told = (_("told"), _label(Refusal, answer.refusal))
    return Happening(
        at=answer.created_at,
        title=_("Wrong code"),
        tone=BAD,
        facts=_list([told, *facts]),
        rank=_ANSWERED,
    )


def _tell_proof(
    challenge: PhoneChallenge, answers: Iterable[ConfirmAttempt]
) -> Iterator[Happening]:
    """Tell that it was verified, where no answer does."""
    if challenge.verified_at and all(each.refusal for each in answers):
        yield Happening(at=challenge.verified_at, title=_("Verified"), tone=GOOD, rank=_ANSWERED)


def _tell_spending(challenge: PhoneChallenge, link: Link) -> Iterator[Happening]:
    if challenge.spent_at is None:
        return
    if challenge.user_id is None:
        title, tone = _("Spent: nobody was logged in"), DOUBT
    elif challenge.purpose == Purpose.LINK:
        title, tone = _("Spent: phone linked"), GOOD
    else:
        title, tone = _("Spent: logged in"), GOOD
    user = [(_("user"), link(challenge.user_id))]
    yield Happening(at=challenge.spent_at, title=title, tone=tone, facts=_list(user), rank=_SPENT)


def _tell_end(challenge: PhoneChallenge, trail: Trail, now: datetime) -> Iterator[Happening]:
    """Tell what follows from clock and numbers, or was written without its time."""
    state = find_state(challenge, now)
    if state == State.LOCKED:
        wrong = [each.created_at for each in trail.answers if each.refusal]
        at = max(wrong, default=None)
        yield Happening(at=at, title=_("Locked: no tries left"), tone=BAD, rank=_ENDED)
    elif state == State.EXPIRED:
        yield Happening(at=challenge.expires_at, title=_("Expired"), rank=_ENDED)
    elif state in OPEN_STATES and challenge.expires_at <= now:
        yield Happening(
            at=challenge.expires_at,
            title=_("Closed to answers: no code ever went out"),
            tone=BAD,
            rank=_ENDED,
        )
    elif state == State.CANCELLED and not any(each.is_revocation for each in trail.acts):
        blocked = [each.created_at for each in trail.objections if each.blocked]
        if blocked and not trail.deliveries:
            yield Happening(at=max(blocked), title=_("Closed: nothing was sent"), rank=_ENDED)
        else:
            yield Happening(at=None, title=_("Closed"), rank=_ENDED)


def _tell_act(act: Act, link: Link) -> Happening:
    user = [(_("operator"), link(act.user_pk))]
    return Happening(at=act.at, title=act.words, tone=OPERATOR, facts=_list(user), rank=_ACTED)


def _describe_client(ip: str | None, user_agent: str) -> list[tuple[str, str]]:
    return [(_("address"), ip or ""), (_("client"), user_agent)]


def _label(words: Any, value: str) -> str:
    """Give the label of a word; what is no such word, an older version's say, as it is."""
    return str(words(value).label) if value in words.values else value


def _list(facts: Iterable[tuple[str, str]]) -> tuple[Fact, ...]:
    """Make facts, and leave out what is not known."""
    return tuple(Fact(name, value) for name, value in facts if value)
