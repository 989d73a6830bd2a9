"""Ask for a code: the way of a request, in order. Layer 4."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from re import compile as regex

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError
from django.utils import timezone, translation
from django.views.decorators.debug import sensitive_variables

from .. import conf, signals
from ..choices import DeliveryOutcome, Purpose, Refusal, State
from ..conf import Settings
from ..exceptions import NoAccountInUse
from ..models import DeliveryAttempt, PendingDelivery, PhoneChallenge
from ..phone import Phone, parse
from . import limits
from .accounts import Account, find_route, find_test_phone, load_account
from .admission import admit
from .captcha import refuse_robot, refuse_robot_again
from .client import UNKNOWN_CLIENT, Client
from .deliveries import REFUSALS
from .discretion import is_discreet, level_state
from .dispatch import close_delivery, dispatch, pretend
from .hooks import Decision, decide_about_message, may_sign_up
from .limits import Denial
from .queue import WRONG_SETTINGS, Queue, load_queue, put_in_queue
from .recognition import digest_client, digest_request, find_repeated
from .users import is_known

# What `new_public_id` makes; anything else need not reach the database, which may choke on it.
PUBLIC_ID = regex(r"[A-Za-z0-9_-]{1,32}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What became of asking: a `challenge`, or a `refusal`.

    `resend_in_seconds` is when the next message may be asked for. `retry_after_seconds` comes with
    refusals that time heals. `kept_challenge` is the challenge that stays open after
    `DELIVERY_FAILED`, so that a resend may work. `is_repeated` says that the request was answered
    before, and that nothing was sent now. `attempts` are told to operators alone, by `try_account`.
    """

    refusal: Refusal | None = None
    challenge: PhoneChallenge | None = None
    resend_in_seconds: int = 0
    retry_after_seconds: int | None = None
    kept_challenge: PhoneChallenge | None = None
    is_repeated: bool = False
    attempts: tuple[DeliveryAttempt, ...] = ()


@sensitive_variables("captcha_token")
def request_code(
    phone: str,
    *,
    purpose: str = Purpose.LOGIN,
    channel: str | None = None,
    client: Client = UNKNOWN_CLIENT,
    user: AbstractBaseUser | None = None,
    captcha_token: str = "",
    device: str = "",
    idempotency_key: str = "",
    client_key: str = "",
    tell_unknown: bool = False,
) -> Asked:
    """Ask for a code for a phone as a person types it. Writes, sends, costs money.

    `purpose` and `channel` are values of the enums of these names; a `link` needs the `user` who
    asks. `device` is what `give_device` gave to a client that has logged in with this phone before:
    it has budgets of its own. With the same `idempotency_key` the same request gets the same
    challenge for 24 hours, and one message. `client_key` is what `find_latest` finds a client's
    challenge by that keeps no identifier. With `tell_unknown` a phone that cannot log in is refused
    with `UNKNOWN_PHONE`: whoever asks learns who has an account. Raises `InvalidPhone` for what is
    no phone and `ChannelNotOffered` when no provider for this number has the channel, both with a
    message for the person.
    """
    settings = conf.read()
    if purpose == Purpose.LINK and user is None:
        raise ValueError("a challenge to link a phone needs the user who asks")
    number = parse(phone, settings.default_region)
    asked = _request(
        number,
        Purpose(purpose),
        channel,
        client,
        user if purpose == Purpose.LINK else None,
        settings,
        captcha_token=captcha_token,
        device=device,
        idempotency_key=idempotency_key,
        client_key=client_key,
        tell_unknown=tell_unknown,
    )
    return _announce(asked, purpose, channel, client)


@sensitive_variables("captcha_token")
def _request(
    number: Phone,
    purpose: Purpose,
    channel: str | None,
    client: Client,
    asker: AbstractBaseUser | None,
    settings: Settings,
    *,
    captcha_token: str,
    device: str,
    idempotency_key: str,
    client_key: str,
    tell_unknown: bool,
) -> Asked:
    """Go the way of a request whose phone could be read."""
    if not number.is_callable:
        return Asked(refusal=Refusal.PHONE_NOT_ALLOWED)
    denial = limits.count_address("request_ip", client.ip, settings)
    if denial:
        return _refuse(denial)
    digest = digest_request(
        idempotency_key,
        number.e164,
        purpose=purpose,
        channel=channel,
        user_pk=asker.pk if asker else None,
    )
    repeated = find_repeated(digest, timezone.now())
    if repeated:
        return _tell_again(repeated)
    decision = decide_about_message(number, purpose, channel, client, asker, settings)
    if decision is Decision.DENY:
        return Asked(refusal=Refusal.PHONE_NOT_ALLOWED)
    is_required = decision is Decision.CAPTCHA
    robot = refuse_robot(
        captcha_token, number.e164, device, client, settings, is_required=is_required
    )
    if robot:
        return Asked(refusal=robot)
    route = _choose_route(number, channel, settings, discreet=is_discreet(purpose, settings))
    if isinstance(route, Refusal):
        return Asked(refusal=route)
    challenge = _new_challenge(number, purpose, route[0], client, asker, settings)
    challenge.request_digest = digest
    challenge.client_digest = digest_client(client_key, number.e164) if client_key else ""
    if tell_unknown and not (is_known(number.e164, settings) or may_sign_up(challenge, settings)):
        return Asked(refusal=Refusal.UNKNOWN_PHONE)
    return _send_once(challenge, number, route, client, settings, device=device)


def try_account(
    alias: str | None,
    phone: str,
    *,
    client: Client = UNKNOWN_CLIENT,
    user: AbstractBaseUser | None = None,
) -> Asked:
    """Send a code through an account to see whether it works. Writes, sends, costs money.

    For operators: the account may be switched off, but the phone's budgets hold, and those of the
    `user` who asks. Without an `alias` the phone's route is gone along. Nobody can log in with such
    a code. Raises `InvalidPhone`, and `ImproperlyConfigured` for an account that does not exist or
    cannot be used.
    """
    settings = conf.read()
    number = parse(phone, settings.default_region)
    if alias is None:
        route = _choose_route(number, None, settings, discreet=False)
    else:
        account = load_account(alias, settings)
        serves = account.provider.supports(number.e164)
        # A test phone is sent nothing, whoever asks.
        route = (
            [find_test_phone(number, settings) or account] if serves else Refusal.PHONE_NOT_ALLOWED
        )
    if isinstance(route, Refusal):
        return Asked(refusal=route)
    if not number.is_callable:
        return Asked(refusal=Refusal.PHONE_NOT_ALLOWED)
    denial = limits.count_trial(user.pk) if user else None
    if denial:
        return _refuse(denial)
    challenge = _new_challenge(number, Purpose.TRIAL, route[0], client, user, settings)
    asked = _send(challenge, number, route, client, settings, is_awaited=True)
    asked = _announce(asked, Purpose.TRIAL, None, client)
    if challenge._state.adding:  # refused before anything was stored
        return asked
    attempts = DeliveryAttempt.objects.using(PhoneChallenge.primary().db).filter(
        challenge=challenge
    )
    return replace(asked, attempts=tuple(attempts.order_by("pk")))


@sensitive_variables("captcha_token")
def resend_code(
    public_id: str,
    *,
    channel: str | None = None,
    client: Client = UNKNOWN_CLIENT,
    user: AbstractBaseUser | None = None,
    captcha_token: str = "",
) -> Asked:
    """Ask for another code for an open challenge. Writes, sends, costs money.

    Wrong answers so far go on counting. A `link` needs the `user` who asked for it. A captcha is
    asked only where it is for the suspicious, or where `SEND_HOOK` says so. Raises
    `ChannelNotOffered`.
    """
    settings = conf.read()
    denial = limits.count_address("request_ip", client.ip, settings)
    challenge = None if denial else find_challenge(public_id, user=user)
    if challenge is None:
        refused = _refuse(denial or Denial(Refusal.UNKNOWN_CHALLENGE))
        return _announce(refused, "", channel, client, is_resend=True)
    asked = _resend(challenge, channel, client, user, settings, captcha_token=captcha_token)
    return _announce(asked, challenge.purpose, channel, client, challenge, is_resend=True)


@sensitive_variables("captcha_token")
def _resend(
    challenge: PhoneChallenge,
    channel: str | None,
    client: Client,
    user: AbstractBaseUser | None,
    settings: Settings,
    *,
    captcha_token: str = "",
    account: Account | None = None,
) -> Asked:
    """Go the way of a resend whose challenge was found; an operator has chosen the `account`."""
    denial = limits.deny_closed(challenge, settings, timezone.now())
    if denial:
        return _refuse(denial)
    number = parse(challenge.phone)
    asker = user if challenge.purpose == Purpose.LINK else None
    decision = decide_about_message(number, challenge.purpose, channel, client, asker, settings)
    if decision is Decision.DENY:
        return Asked(refusal=Refusal.PHONE_NOT_ALLOWED)
    if account is not None:
        return _send(challenge, number, [account], client, settings, is_awaited=True)
    is_required = decision is Decision.CAPTCHA
    robot = refuse_robot_again(captcha_token, challenge, client, settings, is_required=is_required)
    if robot:
        return Asked(refusal=robot)
    route = _choose_route(
        number,
        channel,
        settings,
        after=challenge.account,
        discreet=is_discreet(challenge.purpose, settings),
    )
    if isinstance(route, Refusal):
        return Asked(refusal=route)
    return _send(challenge, number, route, client, settings)


def send_through(
    challenge: PhoneChallenge, account: Account, client: Client, settings: Settings
) -> Asked:
    """Send another code for an open challenge through one account. Writes, sends, costs money.

    For operators, who have chosen the account from the route of the number. No address is counted
    and no captcha asked; the site's hook, guards and the phone's budgets hold, and so does what
    keeps secret who has an account. `client` is whose address guards of traffic look at.
    """
    channel, user = account.provider.channel, challenge.read_user()
    asked = _resend(challenge, channel, client, user, settings, account=account)
    return _announce(asked, challenge.purpose, channel, client, challenge, is_resend=True)


def find_challenge(
    public_id: str, *, user: AbstractBaseUser | None = None
) -> PhoneChallenge | None:
    """Find a challenge and its ledger; a `link` or `trial` only for the `user` who asked for it.

    Its state is the one that is stored. SECURITY: tell people that of `look_at_challenge`, which is
    levelled: while sign-up is closed, `sending` tells a phone with a user from one without.
    """
    if not PUBLIC_ID.fullmatch(public_id):
        return None
    found = PhoneChallenge.primary().of_public_id(public_id)
    is_personal = found is not None and found.purpose != Purpose.LOGIN
    if found and is_personal and (user is None or found.user_id != user.pk):
        return None
    return found


def seconds_until_resend(challenge: PhoneChallenge) -> int:
    """Give the seconds until another message may go to the challenge's phone, 0 for now."""
    return limits.seconds_until_send(challenge.counter, conf.read(), timezone.now())


def _choose_route(
    number: Phone, channel: str | None, settings: Settings, *, after: str = "", discreet: bool
) -> list[Account] | Refusal:
    """Find the route of a number, or say why there is none."""
    try:
        route = find_route(number, channel, settings, after=after, discreet=discreet)
    except NoAccountInUse:
        return Refusal.UNAVAILABLE
    return route or Refusal.PHONE_NOT_ALLOWED


def _new_challenge(
    number: Phone,
    purpose: Purpose,
    account: Account,
    client: Client,
    user: AbstractBaseUser | None,
    settings: Settings,
) -> PhoneChallenge:
    """Make a challenge, not yet stored, that expects a code of this account's."""
    return PhoneChallenge(
        phone=number.e164,
        region=number.region,
        purpose=purpose,
        user_id=user.pk if user else None,
        attempts_left=settings.max_attempts,
        code_length=account.code_length(settings),
        channel=account.provider.channel,
        custody=account.provider.custody,
        ip=client.ip or None,
        user_agent=client.user_agent,
        expires_at=timezone.now() + timedelta(seconds=settings.code_ttl),
    )


def _send_once(
    challenge: PhoneChallenge,
    number: Phone,
    route: Sequence[Account],
    client: Client,
    settings: Settings,
    *,
    device: str,
) -> Asked:
    """Send for a new challenge, unless the same request was faster at the same moment."""
    try:
        asked = _send(challenge, number, route, client, settings, device=device)
    except IntegrityError:
        # The challenge's own row is what may be there already; after it nothing is like that.
        is_stored = not challenge._state.adding
        repeated = None if is_stored else find_repeated(challenge.request_digest, timezone.now())
        if repeated is None:
            raise
        return _tell_again(repeated)
    if not challenge._state.adding:
        return asked
    repeated = find_repeated(challenge.request_digest, timezone.now())
    return _tell_again(repeated) if repeated else asked


def _tell_again(challenge: PhoneChallenge) -> Asked:
    """Give what became of a request to the client that repeats it; sends nothing."""
    wait = seconds_until_resend(challenge)
    if challenge.state != State.FAILED:
        shown = level_state(challenge, conf.read())
        return Asked(challenge=shown, resend_in_seconds=wait, is_repeated=True)
    attempts = DeliveryAttempt.objects.using(PhoneChallenge.primary().db)
    last = attempts.filter(challenge=challenge).order_by("pk").last()
    refusal = REFUSALS.get(DeliveryOutcome(last.outcome)) if last else None
    refusal = refusal or Refusal.DELIVERY_FAILED
    return Asked(
        refusal=refusal,
        kept_challenge=challenge if refusal is Refusal.DELIVERY_FAILED else None,
        resend_in_seconds=wait,
        retry_after_seconds=wait,
        is_repeated=True,
    )


def _send(
    challenge: PhoneChallenge,
    number: Phone,
    route: Sequence[Account],
    client: Client,
    settings: Settings,
    *,
    device: str = "",
    is_awaited: bool = False,
) -> Asked:
    """Do what a request and a resend have in common.

    What an operator sends `is_awaited`: it goes through no queue, for he wants to see what came of
    it.
    """
    discreet = is_discreet(challenge.purpose, settings)
    is_wanted = not discreet or _is_wanted(challenge, settings)
    queue = None if is_awaited else load_queue(settings)
    pending = _new_pending(challenge, route, is_wanted=is_wanted, is_queued=queue is not None)
    denial = admit(challenge, number, client, settings, device=device, pending=pending)
    if denial:
        return _refuse(denial)
    # Before the provider is asked: how long it takes would show in the answer.
    wait = limits.seconds_until_send(challenge.counter, settings, timezone.now())
    if queue and pending:
        denial = _hand_over(pending, queue, route, settings, discreet=discreet)
    else:
        denial = _dispatch(challenge, route, settings, is_wanted=is_wanted, pending=pending)
    if denial:
        return Asked(
            refusal=denial.refusal,
            kept_challenge=challenge if denial.refusal is Refusal.DELIVERY_FAILED else None,
            resend_in_seconds=wait,
            retry_after_seconds=max(wait, denial.retry_after_seconds or 0),
        )
    return Asked(challenge=level_state(challenge, settings), resend_in_seconds=wait)


def _new_pending(
    challenge: PhoneChallenge, route: Sequence[Account], *, is_wanted: bool, is_queued: bool
) -> PendingDelivery | None:
    """Make what a queue carries, or what tells the sweep of a resend, not yet stored.

    The first message of a challenge needs none where it is sent at once: while the challenge is
    *sending*, somebody is at it.
    """
    if not is_queued and challenge._state.adding:
        return None
    return PendingDelivery(
        route=[each.alias for each in route],
        language=translation.get_language() or "en",
        withheld=not is_wanted,
        claimed_at=None if is_queued else timezone.now(),
    )


def _hand_over(
    pending: PendingDelivery,
    queue: Queue,
    route: Sequence[Account],
    settings: Settings,
    *,
    discreet: bool,
) -> Denial | None:
    """Put a delivery into the queue; its challenge then says what the person will be sent."""
    challenge = pending.challenge
    if discreet:
        pretend(pending, route, settings)
        denial = put_in_queue(pending, queue)
        if denial and PhoneChallenge.primary().retract(challenge.pk, pending.pretended):
            challenge.state = State.FAILED
        return denial
    denial = put_in_queue(pending, queue)
    if denial is None:
        account = route[0]
        challenge.state = State.SENDING
        challenge.channel = account.provider.channel
        challenge.custody = account.provider.custody
        challenge.code_length = account.code_length(settings)
    return denial


def _dispatch(
    challenge: PhoneChallenge,
    route: Sequence[Account],
    settings: Settings,
    *,
    is_wanted: bool,
    pending: PendingDelivery | None,
) -> Denial | None:
    """Send or withhold at once; a resend that the site's settings keep from being sent is over."""
    try:
        return dispatch(challenge, route, settings, is_wanted=is_wanted, pending=pending)
    except ImproperlyConfigured:
        if pending:
            close_delivery(pending, DeliveryOutcome.MISCONFIGURED, WRONG_SETTINGS)
        raise


def _is_wanted(challenge: PhoneChallenge, settings: Settings) -> bool:
    """Say whether there is, or may be, a user for the message; the hook is asked in any case."""
    may_be = may_sign_up(challenge, settings)
    return is_known(challenge.phone, settings) or may_be


def _announce(
    asked: Asked,
    purpose: str,
    channel: str | None,
    client: Client,
    challenge: PhoneChallenge | None = None,
    *,
    is_resend: bool = False,
) -> Asked:
    """Tell listeners what became of asking, unless they were told before.

    All is committed by now. `on_commit` would open a connection to the database, also for requests
    that were refused without one.
    """
    if not asked.is_repeated:
        signals.code_requested.send_robust(
            sender=PhoneChallenge,
            challenge=challenge or asked.challenge or asked.kept_challenge,
            refusal=asked.refusal,
            purpose=str(purpose),
            channel=channel,
            is_resend=is_resend,
            client=client,
        )
    return asked


def _refuse(denial: Denial) -> Asked:
    return Asked(refusal=denial.refusal, retry_after_seconds=denial.retry_after_seconds)
