"""Ask for a code: the way of a request, in order. Layer 4."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from re import compile as regex

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from .. import conf
from ..choices import Purpose, Refusal
from ..conf import Settings
from ..models import PhoneChallenge, PhoneLedger
from ..phone import Phone, parse
from . import limits
from .accounts import Account, find_route
from .captcha import refuse_robot
from .client import UNKNOWN_CLIENT, Client
from .dispatch import dispatch, withhold
from .limits import Denial
from .users import is_known

# What `new_public_id` makes; anything else need not reach the database, which may choke on it.
PUBLIC_ID = regex(r"[A-Za-z0-9_-]{1,32}")
# How often a row that others write at the same moment is read anew; each time somebody got through.
MAX_RACES = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What became of asking: a `challenge`, or a `refusal`.

    `resend_in_seconds` is when the next message may be asked for. `retry_after_seconds` comes with
    refusals that time heals. `kept_challenge` is the challenge that stays open after
    `DELIVERY_FAILED`, so that a resend may work.
    """

    refusal: Refusal | None = None
    challenge: PhoneChallenge | None = None
    resend_in_seconds: int = 0
    retry_after_seconds: int | None = None
    kept_challenge: PhoneChallenge | None = None


def request_code(
    phone: str,
    *,
    purpose: str = Purpose.LOGIN,
    channel: str | None = None,
    client: Client = UNKNOWN_CLIENT,
    user: AbstractBaseUser | None = None,
    captcha_token: str = "",
) -> Asked:
    """Ask for a code for a phone as a person types it. Writes, sends, costs money.

    `purpose` and `channel` are values of the enums of these names; a `link` needs the `user` who
    asks. Raises `InvalidPhone` for what is no phone and `ChannelNotOffered` when no provider for
    this number has the channel, both with a message for the person.
    """
    settings = conf.read()
    if purpose == Purpose.LINK and user is None:
        raise ValueError("a challenge to link a phone needs the user who asks")
    number = parse(phone, settings.default_region)
    if not _is_allowed(number, settings):
        return Asked(refusal=Refusal.PHONE_NOT_ALLOWED)
    denial = limits.count_address("request_ip", client.ip, settings)
    if denial:
        return _refuse(denial)
    robot = refuse_robot(captcha_token, client, settings)
    if robot:
        return Asked(refusal=robot)
    route = find_route(number, channel, settings)
    if not route:
        return Asked(refusal=Refusal.PHONE_NOT_ALLOWED)
    challenge = PhoneChallenge(
        phone=number.e164,
        region=number.region,
        purpose=Purpose(purpose),
        user_id=user.pk if user and purpose == Purpose.LINK else None,
        attempts_left=settings.max_attempts,
        code_length=route[0].provider.code_length or settings.code_length,
        channel=route[0].provider.channel,
        custody=route[0].provider.custody,
        ip=client.ip or None,
        user_agent=client.user_agent,
        expires_at=timezone.now() + timedelta(seconds=settings.code_ttl),
    )
    return _send(challenge, route, settings)


def resend_code(
    public_id: str,
    *,
    channel: str | None = None,
    client: Client = UNKNOWN_CLIENT,
    user: AbstractBaseUser | None = None,
) -> Asked:
    """Ask for another code for an open challenge. Writes, sends, costs money.

    Wrong answers so far go on counting. A `link` needs the `user` who asked for it. Raises
    `ChannelNotOffered`.
    """
    settings = conf.read()
    denial = limits.count_address("request_ip", client.ip, settings)
    if denial:
        return _refuse(denial)
    challenge = find_challenge(public_id, user=user)
    if challenge is None:
        return Asked(refusal=Refusal.UNKNOWN_CHALLENGE)
    denial = limits.deny_closed(challenge, settings, timezone.now())
    if denial:
        return _refuse(denial)
    route = find_route(parse(challenge.phone), channel, settings)
    if not route:
        return Asked(refusal=Refusal.PHONE_NOT_ALLOWED)
    return _send(challenge, route, settings)


def find_challenge(
    public_id: str, *, user: AbstractBaseUser | None = None
) -> PhoneChallenge | None:
    """Find a challenge and its ledger; a `link` is found only by the `user` who asked for it."""
    if not PUBLIC_ID.fullmatch(public_id):
        return None
    found = PhoneChallenge.primary().select_related("ledger").filter(public_id=public_id).first()
    if found and found.purpose == Purpose.LINK and (user is None or found.user_id != user.pk):
        return None
    return found


def seconds_until_resend(challenge: PhoneChallenge) -> int:
    """Give the seconds until another message may go to the challenge's phone, 0 for now."""
    return limits.seconds_until_send(challenge.ledger, conf.read(), timezone.now())


def _send(challenge: PhoneChallenge, route: Sequence[Account], settings: Settings) -> Asked:
    """Do what a request and a resend have in common."""
    # SECURITY: while sign-up is closed nothing may tell a phone with a user from one without.
    discreet = not settings.signup and challenge.purpose == Purpose.LOGIN
    is_wanted = not discreet or is_known(challenge.phone, settings)
    denial = _take_send(challenge, settings)
    if denial:
        return _refuse(denial)
    # Before the provider is asked: how long it takes would show in the answer.
    wait = limits.seconds_until_send(challenge.ledger, settings, timezone.now())
    if is_wanted:
        refusal = dispatch(challenge, route, settings, discreet=discreet)
    else:
        refusal = withhold(challenge, route, settings)
    if refusal:
        return Asked(
            refusal=refusal,
            kept_challenge=challenge if refusal is Refusal.DELIVERY_FAILED else None,
            resend_in_seconds=wait,
            retry_after_seconds=wait,
        )
    return Asked(challenge=challenge, resend_in_seconds=wait)


def _take_send(challenge: PhoneChallenge, settings: Settings) -> Denial | None:
    """Take one message from the phone's budget and store a new challenge, in one transaction.

    SECURITY: of any number of requests for a phone at one moment one gets through; the others read
    the ledger that it wrote and are told to wait.
    """
    ledgers = PhoneLedger.primary()
    for _ in range(MAX_RACES):
        ledger = ledgers.of_phone(challenge.phone)
        now = timezone.now()
        denial = limits.deny_send(ledger, settings, now)
        if denial:
            return denial
        with transaction.atomic(using=ledgers.db, durable=True):
            if ledgers.write(ledger, limits.after_send(ledger, settings, now)):
                challenge.ledger = ledger
                if challenge._state.adding:
                    challenge.save(force_insert=True, using=ledgers.db)
                return None
    return Denial(Refusal.UNAVAILABLE)


def _is_allowed(number: Phone, settings: Settings) -> bool:
    regions = settings.allowed_regions
    return number.is_callable and (regions is None or number.region in regions)


def _refuse(denial: Denial) -> Asked:
    return Asked(refusal=denial.refusal, retry_after_seconds=denial.retry_after_seconds)
