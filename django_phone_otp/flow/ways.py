"""Ways: how a challenge can be sent again, and what its code looks like. Layer 4."""

from dataclasses import dataclass

from .. import conf
from ..choices import Channel
from ..codes import Alphabet
from ..conf import Settings
from ..exceptions import NoAccountInUse
from ..models import PhoneChallenge
from ..phone import parse
from .accounts import Account, find_route
from .discretion import is_discreet


@dataclass(frozen=True, kw_only=True, slots=True)
class Ways:
    """The `channels` of a challenge's route, in its order; alphabet and lengths of its codes.

    Two lengths where the code before came by another account, and still counts.
    """

    channels: tuple[Channel, ...]
    alphabet: Alphabet
    code_lengths: frozenset[int]


def find_ways(challenge: PhoneChallenge) -> Ways:
    """Find how a challenge can be sent again, and how it is answered. Sends nothing.

    SECURITY: what a code looks like is read off the accounts. The digests would tell a message that
    was withheld from one that went out.
    """
    settings = conf.read()
    route = find_route_again(challenge, settings)
    senders = {challenge.account, challenge.previous_account} - {""}
    found = [each for each in route if each.alias in senders]
    lengths = {challenge.code_length, *(each.code_length(settings) for each in found)} - {0}
    # Letters where an account is gone: with them everything can be typed.
    has_letters = len(found) < len(senders) or any(
        each.provider.alphabet is not Alphabet.DIGITS for each in found
    )
    return Ways(
        channels=tuple(dict.fromkeys(Channel(each.provider.channel) for each in route)),
        alphabet=Alphabet.MIXED if has_letters else Alphabet.DIGITS,
        code_lengths=frozenset(lengths),
    )


def find_route_again(challenge: PhoneChallenge, settings: Settings) -> list[Account]:
    """Find the accounts that a resend may come to, in the route's order."""
    discreet = is_discreet(challenge.purpose, settings)
    try:
        return find_route(parse(challenge.phone), None, settings, discreet=discreet)
    except NoAccountInUse:
        return []
