"""Interventions: what operators do to a challenge, or to its phone. Layer 4.

Whether somebody may is for the door to ask, and it writes down who did what, and why. Prefixes are
closed in `prefixes`.
"""

from dataclasses import replace

from .. import conf
from ..choices import Purpose, Refusal
from ..models import DeliveryAttempt, PhoneChallenge, PhoneLedger
from .accounts import Account
from .client import Client
from .request import Asked, send_through
from .ways import find_route_again

# What a person asked for himself. SECURITY: test codes have a limit of their own for each operator,
# and the permission to send them is another one.
RESENT_PURPOSES = (Purpose.LOGIN, Purpose.LINK)


def revoke_challenge(pk: int) -> bool:
    """Close a challenge, so that it neither takes an answer nor can be spent. Writes.

    Says whether it happened: a challenge that is spent, or closed already, is left as it is.
    """
    return PhoneChallenge.primary().revoke(pk)


def unlock_phone(phone: str) -> bool:
    """Lift the lock of a phone and forget its wrong codes; say whether there was a lock. Writes."""
    return PhoneLedger.primary().enable(phone)


def list_resend_accounts(challenge: PhoneChallenge) -> list[Account]:
    """List the accounts by which another code may go out for a challenge, in the route's order.

    SECURITY: those alone that its own resend could come to. One that is switched off, or left out
    of the routes, may be somebody's stand-in, where an operator would read other people's codes.
    """
    if challenge.purpose not in RESENT_PURPOSES:
        return []
    return find_route_again(challenge, conf.read())


def resend_by_operator(pk: int, alias: str) -> Asked:
    """Send another code for an open challenge through an account of `list_resend_accounts`.

    Writes, sends, costs money; call it outside transactions. What was tried is in `attempts`. The
    message counts where the request did: in the phone's budgets, and at the person's address.
    """
    challenges = PhoneChallenge.primary()
    challenge = challenges.select_related("ledger", "device").filter(pk=pk).first()
    if challenge is None:
        return Asked(refusal=Refusal.UNKNOWN_CHALLENGE)
    offered = list_resend_accounts(challenge)
    account = next((each for each in offered if each.alias == alias), None)
    if account is None:
        return Asked(refusal=Refusal.PHONE_NOT_ALLOWED)
    attempts = DeliveryAttempt.objects.using(challenges.db).filter(challenge=challenge)
    before = set(attempts.values_list("pk", flat=True))
    client = Client(ip=challenge.ip or "", user_agent=challenge.user_agent)
    asked = send_through(challenge, account, client, conf.read())
    tried = attempts.exclude(pk__in=before).order_by("pk")
    return replace(asked, attempts=tuple(tried))
