"""What the app does with a request of this month: the same decisions, at a moment of the past.

Where the app's own functions are pure they are used: phones' budgets and ladders, what an error
means. Breakers and guards keep what they know in the cache, under the clock of today: their few
lines are written again here, with their own numbers.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model

from django_phone_otp.choices import Custody, DeliveryOutcome, Guard, Purpose, Refusal, State
from django_phone_otp.conf import SHORT_CODE_LENGTH, Settings
from django_phone_otp.flow import breakers, guards, limits
from django_phone_otp.flow.accounts import Account, find_route
from django_phone_otp.flow.deliveries import CONSEQUENCES, PHONE_IS_FULL
from django_phone_otp.flow.guards import Objection
from django_phone_otp.models import (
    ConfirmAttempt,
    DeliveryAttempt,
    DeviceLedger,
    GuardObjection,
    PhoneChallenge,
)
from django_phone_otp.phone import parse

from .people import Person
from .services import Reply, Services, behaviour_of

# By which this command knows its own rows again.
MARK = "traffic-"
# After these the route goes on to the next account.
GOES_ON = {each.outcome: each.goes_on for each in (*CONSEQUENCES.values(), PHONE_IS_FULL)}
WATCHING = (Guard.REGION_TRAFFIC, Guard.ADDRESS_TRAFFIC, Guard.PREFIX_TRAFFIC)
MAX_MESSAGES = 4
PROVEN_MS = 35  # between the right code and the login
CALL_TO = "+74999999999"
WRONG_CODE_SHARE = 0.055
ANSWER_SHARE = 0.92
RESEND_SHARE = 0.6
DEVICE_SHARE = 0.7


@dataclass(slots=True)
class Made:
    """The rows that the month left behind, not yet stored."""

    people: list[Person] = field(default_factory=list)
    devices: list[DeviceLedger] = field(default_factory=list)
    challenges: list[PhoneChallenge] = field(default_factory=list)
    deliveries: list[DeliveryAttempt] = field(default_factory=list)
    confirmations: list[ConfirmAttempt] = field(default_factory=list)
    objections: list[GuardObjection] = field(default_factory=list)
    messages: Counter[str] = field(default_factory=Counter)


class Breaker:
    """One account's breaker, as `flow.breakers` has it."""

    def __init__(self) -> None:
        self._failures_count = 0
        self._open_until: datetime | None = None

    def is_open(self, at: datetime) -> bool:
        """Say whether the account is asked last."""
        return self._open_until is not None and at < self._open_until

    def note(self, outcome: DeliveryOutcome, at: datetime) -> None:
        """Count a failure, forget all of them, or neither."""
        if outcome is DeliveryOutcome.SENT:
            self._failures_count, self._open_until = 0, None
        elif outcome in breakers.FAILURES:
            self._failures_count += 1
            doublings = min(self._failures_count - breakers.FAILURES_COUNT, 10)
            if doublings >= 0:
                seconds = breakers.OPEN_SECONDS * 2**doublings
                pause = timedelta(seconds=min(seconds, breakers.MAX_OPEN_SECONDS))
                self._open_until = at + pause


class Guards:
    """The guards that watch traffic, as `flow.guards` has them."""

    def __init__(self, settings: Settings) -> None:
        self.modes = dict.fromkeys(WATCHING, "shadow")
        self._settings = settings
        self._levels: Counter[tuple[Any, ...]] = Counter()
        self._shut: dict[tuple[Guard, str], float] = {}

    def examine(self, person: Person, ip: str, at: datetime) -> list[Objection]:
        """Give what they have against a message; count it where nobody has."""
        objections: list[Objection] = []
        raised: list[tuple[Any, ...]] = []
        for guard, scope in self._scopes(person, ip):
            rules, now = self._settings.guard(guard), at.timestamp()
            window = int(now) // rules.window_seconds
            key: tuple[Any, ...] = (guard, scope, window)
            shut_until = self._shut.get((guard, scope), 0.0)
            count, free, keys = self._levels[key], rules.free, [key]
            remembered = rules.pause_seconds * (guards.MEMORY_IN_PAUSES - 1)
            if shut_until <= now < shut_until + remembered:
                after, free = (guard, scope, shut_until), 1
                count, keys = self._levels[after], [key, after]
            if now < shut_until or count >= free:
                if now >= shut_until:
                    end_of_window = (window + 1) * rules.window_seconds
                    end_of_pause = now + rules.pause_seconds
                    until = end_of_pause if rules.pause_seconds else end_of_window
                    self._shut[guard, scope] = until
                objections.append(self._object(guard, self._levels[key]))
            else:
                raised += keys
        if not any(each.blocks for each in objections):
            self._levels.update(raised)
        return objections

    def count_login(self, person: Person, ip: str, at: datetime) -> None:
        """Pay for messages with a login."""
        for guard, scope in self._scopes(person, ip):
            rules = self._settings.guard(guard)
            self._levels[guard, scope, int(at.timestamp()) // rules.window_seconds] -= (
                rules.per_login
            )
            self._shut.pop((guard, scope), None)

    def _scopes(self, person: Person, ip: str) -> Iterator[tuple[Guard, str]]:
        yield Guard.REGION_TRAFFIC, person.region
        yield Guard.ADDRESS_TRAFFIC, limits.network_of(ip)
        yield Guard.PREFIX_TRAFFIC, person.phone[: -guards.PREFIX_TAIL_LENGTH]

    def _object(self, guard: Guard, count: int) -> Objection:
        detail = f"messages that no login has paid for: {max(count, 0)}"
        denial = limits.Denial(Refusal.TOO_MANY_REQUESTS)
        return Objection(guard, self.modes[guard] == "block", detail, denial)


class Site:
    """The site in this month: takes requests in order, and keeps the rows they leave behind."""

    def __init__(
        self, settings: Settings, services: Services, until: datetime, rng: random.Random
    ) -> None:
        self.made = Made()
        self.guards = Guards(settings)
        self._settings = settings
        self._services = services
        self._until = until
        self._rng = rng
        self._routes: dict[tuple[str, str], list[Account]] = {}
        self._breakers: dict[str, Breaker] = {}
        self._known: set[Person] = set()

    # Requests

    def log_in(self, person: Person, at: datetime, channel: str = "") -> None:
        """Have a person ask for a code and type it, more or less well."""
        is_link = person.user is not None and self._rng.random() < 0.02
        purpose = Purpose.LINK if is_link else Purpose.LOGIN
        challenge = self._ask(person, at, channel, purpose=purpose)
        if challenge is None:
            return
        for _message in range(MAX_MESSAGES):
            if self._answer_as_person(challenge, person):
                return
            wait = self._settings.wait_after(max(1, challenge.counter.ladder_step))
            at += timedelta(seconds=wait + self._rng.uniform(2, 25))
            asks_again = self._rng.random() < RESEND_SHARE
            if not asks_again or at >= self._until or not self._resend(challenge, person, at):
                return

    def pump(self, person: Person, ip: str, at: datetime) -> None:
        """Have somebody ask for a message that is worth its money to him, and for nothing else."""
        self._ask(person, at, "", ip=ip, agent=person.user_agent)

    def guess(self, person: Person, ip: str, agent: str, at: datetime) -> None:
        """Have a bot ask for a code and try as many as it may."""
        challenge = self._ask(person, at, "", ip=ip, agent=agent)
        while challenge and challenge.state == State.SENT and challenge.attempts_left:
            at += timedelta(seconds=self._rng.uniform(0.6, 2.5))
            if at >= self._until or limits.deny_answer(challenge.counter, self._settings, at):
                return
            self._enter(challenge, person, at, is_right=False, ip=ip, agent=agent)

    # The way of a request

    def _ask(
        self,
        person: Person,
        at: datetime,
        channel: str,
        *,
        purpose: Purpose = Purpose.LOGIN,
        ip: str = "",
        agent: str = "",
    ) -> PhoneChallenge | None:
        """Admit and send; None where the request leaves nothing to answer."""
        device = None if ip else self._find_device(person, at)
        counter = device or person.ledger
        if at >= self._until or limits.deny_send(counter, self._settings, at):
            return None
        route = self._route(person, channel)
        ip = ip or person.ip
        challenge = self._new_challenge(person, route[0], at, purpose)
        challenge.ip, challenge.user_agent = ip, agent or person.user_agent
        challenge.device = device
        self._store(person, challenge, at)
        if self._is_blocked(challenge, person, at):
            challenge.state = State.CANCELLED
            return None
        self._send(challenge, route, at)
        return challenge

    def _resend(self, challenge: PhoneChallenge, person: Person, at: datetime) -> bool:
        """Send another code for a challenge; say whether somebody may answer it."""
        closed = limits.deny_closed(challenge, self._settings, at)
        if closed or limits.deny_send(challenge.counter, self._settings, at):
            return False
        if self._is_blocked(challenge, person, at):
            return False
        route = self._route(person, "")
        place = next((i for i, each in enumerate(route) if each.alias == challenge.account), -1)
        start = min(place + 1, len(route) - 1)
        self._send(challenge, [*route[start:], *route[:start]], at)
        return True

    def _is_blocked(self, challenge: PhoneChallenge, person: Person, at: datetime) -> bool:
        if challenge.device and limits.is_trusted(challenge.device, at):
            return False
        objections = self.guards.examine(person, str(challenge.ip), at)
        for each in objections:
            row = each.note(challenge)
            row.created_at = at
            self.made.objections.append(row)
        return any(each.blocks for each in objections)

    def _send(self, challenge: PhoneChallenge, route: Sequence[Account], at: datetime) -> None:
        counter = challenge.counter
        _write(counter, limits.after_send(counter, self._settings, at))
        reply, account = None, route[0]
        for account in self._walk(route, at):
            full = self._take_of_phone(account, challenge, at)
            reply = full or self._services.ask(account.alias, at)
            self._breaker(account.alias).note(reply.outcome, at)
            at += timedelta(milliseconds=reply.duration_ms)
            self._note_delivery(challenge, account, reply, at)
            if reply.outcome is DeliveryOutcome.SENT or not GOES_ON[reply.outcome]:
                break
        if reply and reply.outcome is DeliveryOutcome.SENT:
            self._record(challenge, account, at)
        elif challenge.state == State.SENDING and not challenge.code_digest:
            challenge.state, challenge.account = State.FAILED, account.alias

    def _walk(self, route: Sequence[Account], at: datetime) -> Iterator[Account]:
        passed_over = []
        for account in route:
            if self._breaker(account.alias).is_open(at):
                passed_over.append(account)
            else:
                yield account
        yield from passed_over

    def _take_of_phone(
        self, account: Account, challenge: PhoneChallenge, at: datetime
    ) -> Reply | None:
        limit = account.phone_daily_limit
        if limit is None:
            return None
        ledger, alias = challenge.ledger, account.alias
        if limits.seconds_until_account(ledger, alias, limit, at):
            words = f"{limit} messages to this phone in 24 hours"
            return Reply(DeliveryOutcome.PHONE_OVER_BUDGET, 0, words)
        _write(ledger, limits.after_account_send(ledger, alias, limit, at))
        return None

    def _note_delivery(
        self, challenge: PhoneChallenge, account: Account, reply: Reply, at: datetime
    ) -> None:
        behaviour, is_sent = behaviour_of(account.alias), reply.outcome is DeliveryOutcome.SENT
        cost = behaviour.cost if is_sent else None
        self.made.messages[account.alias] += is_sent
        self.made.deliveries.append(
            DeliveryAttempt(
                challenge=challenge,
                account=account.alias,
                provider=account.provider.key,
                channel=account.provider.channel,
                outcome=reply.outcome,
                detail=reply.detail,
                provider_ref=self._reference() if is_sent else "",
                cost=cost,
                currency=behaviour.currency if cost is not None else "",
                duration_ms=reply.duration_ms,
                created_at=at,
            )
        )

    def _record(self, challenge: PhoneChallenge, account: Account, at: datetime) -> None:
        """Take over the code of a delivery, as `record_code` does."""
        provider, length = account.provider, account.code_length(self._settings)
        both_long = min(length, challenge.code_length) > SHORT_CODE_LENGTH
        challenge.previous_code_digest = challenge.code_digest if both_long else ""
        challenge.previous_code_expires_at = challenge.expires_at
        challenge.previous_account = challenge.account
        has_digest = provider.custody in (Custody.LOCAL, Custody.RETURNED)
        # The digest of no code at all: nobody can answer it.
        nothing = f"{provider.alphabet}${length}${self._rng.randbytes(32).hex()}"
        challenge.state, challenge.sent_at = State.SENT, at
        challenge.expires_at = at + timedelta(seconds=self._settings.code_ttl)
        challenge.code_digest = nothing if has_digest else ""
        challenge.code_length = length
        most = self._settings.attempts_for(length)
        challenge.attempts_left = min(challenge.attempts_left, most)
        challenge.account, challenge.provider = account.alias, provider.key
        challenge.provider_ref = self._reference()
        challenge.channel, challenge.custody = provider.channel, provider.custody
        challenge.call_to = CALL_TO if provider.custody is Custody.PRESENCE else ""

    # The way of an answer

    def _answer_as_person(self, challenge: PhoneChallenge, person: Person) -> bool:
        """Have the person answer; say whether that is the end of it, for good or bad."""
        if challenge.state != State.SENT or challenge.sent_at is None:
            return False
        rng = self._rng
        is_there = self._services.arrives(challenge.account) and rng.random() < person.reach
        if not is_there:
            return False
        if rng.random() > ANSWER_SHARE:
            return True  # thought better of it
        seconds = self._services.seconds_to_answer(challenge.channel)
        at = challenge.sent_at + timedelta(seconds=seconds)
        while True:
            if at >= self._until or limits.deny_confirmation(challenge, self._settings, at):
                return True
            is_typed = challenge.custody != Custody.PRESENCE
            is_right = not (is_typed and rng.random() < WRONG_CODE_SHARE)
            self._enter(challenge, person, at, is_right=is_right)
            if is_right:
                self._open_door(challenge, person, at)
                return True
            at += timedelta(seconds=rng.uniform(4, 14))

    def _enter(
        self,
        challenge: PhoneChallenge,
        person: Person,
        at: datetime,
        *,
        is_right: bool,
        ip: str = "",
        agent: str = "",
    ) -> None:
        if challenge.custody != Custody.PRESENCE:
            challenge.attempts_left -= 1
        self.made.confirmations.append(
            ConfirmAttempt(
                challenge=challenge,
                refusal="" if is_right else Refusal.WRONG_CODE,
                ip=ip or person.ip,
                user_agent=agent or person.user_agent,
                created_at=at,
            )
        )
        for row, changes in limits.after_answer(challenge, is_right, self._settings, at):
            _write(row, changes)

    def _open_door(self, challenge: PhoneChallenge, person: Person, at: datetime) -> None:
        challenge.state, challenge.verified_at = State.VERIFIED, at
        self.guards.count_login(person, str(challenge.ip), at)
        if self._rng.random() < 0.004:
            return  # the page was closed before the login
        challenge.spent_at = at + timedelta(milliseconds=PROVEN_MS)
        if person.user is None:
            person.user = _new_user(self._rng, at)
            person.verified_at = at
        person.user.last_login = at
        challenge.user = person.user

    # Rows

    def _find_device(self, person: Person, at: datetime) -> DeviceLedger | None:
        """Give the device that a person's app has kept since the first login."""
        is_app = not person.user_agent.startswith("Mozilla")
        if person.user is None or not is_app or self._rng.random() > DEVICE_SHARE:
            return None
        if person.device is None:
            key = self._rng.randbytes(16).hex()
            person.device = DeviceLedger(ledger=person.ledger, key=key, created_at=at)
        return person.device

    def _new_challenge(
        self, person: Person, account: Account, at: datetime, purpose: Purpose
    ) -> PhoneChallenge:
        is_link = purpose is Purpose.LINK
        return PhoneChallenge(
            public_id=MARK + self._rng.randbytes(12).hex(),
            phone=person.phone,
            ledger=person.ledger,
            region=person.region,
            purpose=purpose,
            user=person.user if is_link else None,
            attempts_left=self._settings.max_attempts,
            code_length=account.code_length(self._settings),
            channel=account.provider.channel,
            custody=account.provider.custody,
            created_at=at,
            expires_at=at + timedelta(seconds=self._settings.code_ttl),
        )

    def _store(self, person: Person, challenge: PhoneChallenge, at: datetime) -> None:
        if person not in self._known:
            self._known.add(person)
            self.made.people.append(person)
            person.ledger.created_at = at
        if challenge.device and not challenge.device.revision:
            self.made.devices.append(challenge.device)
        self.made.challenges.append(challenge)

    def _route(self, person: Person, channel: str) -> list[Account]:
        key = (person.region, channel)
        if key not in self._routes:
            number = parse(person.phone)
            self._routes[key] = find_route(number, channel or None, self._settings, discreet=False)
        return self._routes[key]

    def _breaker(self, alias: str) -> Breaker:
        return self._breakers.setdefault(alias, Breaker())

    def _reference(self) -> str:
        return str(self._rng.randrange(10**8, 10**9))


def _write(row: Any, changes: Mapping[str, Any]) -> None:
    """Do what `Ledger.write` does, without a database."""
    row.revision += 1
    for name, value in changes.items():
        setattr(row, name, value)


def _new_user(rng: random.Random, at: datetime) -> Any:
    user = get_user_model()(username=f"{MARK}{rng.randbytes(8).hex()}", date_joined=at)
    user.set_unusable_password()
    return user
