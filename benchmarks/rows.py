"""Rows for a month of a busy site, as text for PostgreSQL's COPY: quickly made, never sent.

One line costs a few microseconds, so ten million take minutes. They lie in the tables in the order
in which requests would have written them, because plans depend on it. What people look at is made
by `example_project`; here only the numbers of rows and how they are spread have to be true.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

DAYS = 30
MINUTES = DAYS * 1_440
CODE_TTL_SECONDS = 300
# What share of a day's requests comes in each hour, where the site is.
HOURS = (6, 4, 2, 2, 2, 4, 10, 20, 34, 44, 50, 54, 56, 54, 52, 52, 54, 58, 62, 64, 58, 46, 28, 14)
WEEKDAYS = (1.0, 1.0, 1.02, 1.04, 1.1, 0.92, 0.84)

# Of a hundred phones: region, what numbers begin with, and how many digits follow.
PHONES = (
    *[("RU", "+79", 9)] * 78,
    *[("BY", "+37529", 7)] * 8,
    *[("KZ", "+7701", 7)] * 5,
    *[("UA", "+38050", 7)] * 4,
    *[("DE", "+4915", 9)] * 2,
    ("FR", "+336", 8),
    ("PL", "+4850", 7),
    ("GB", "+4477", 8),
)
SCATTER = 387_420_489  # odd, and no multiple of five: each number has a phone of its own


@dataclass(frozen=True, slots=True)
class Way:
    """An account as a challenge shows it."""

    account: str
    provider: str
    channel: str
    custody: str
    code_length: int
    cost: str
    currency: str


CALLS = Way("calls", "telefon-ip-flash", "flash_call", "returned", 4, "0.40000", "RUB")
TEXTS = Way("texts", "telefon-ip-sms", "sms", "returned", 4, "4.20000", "RUB")
REVERSE = Way("reverse", "telefon-ip-reverse", "reverse_call", "presence", 0, "0.25000", "RUB")
SMS_BY = Way("minsk", "sms-by", "sms", "returned", 6, "0.02900", "EUR")
ONECONNECT = Way("oneconnect", "oneconnect", "sms", "returned", 6, "0.04100", "EUR")
TWILIO = Way("twilio", "twilio-verify", "sms", "remote", 6, r"\N", "")
WAYS = {
    "RU": (*[CALLS] * 14, *[TEXTS] * 5, REVERSE),
    "BY": (SMS_BY, SMS_BY, SMS_BY, ONECONNECT),
    "*": (ONECONNECT, TWILIO),
}
FAILURES = (*["unreachable"] * 5, *["unavailable"] * 2, *["uncertain"] * 2, "throttled", "no_funds")
GUARDS = ("prefix_traffic", "prefix_traffic", "address_traffic", "region_traffic", "number_type")
AGENTS = tuple(
    f"Mozilla/5.0 ({system}) AppleWebKit/537.36 Chrome/{version}.0 Safari/537.36"
    for system in ("Linux; Android 14", "iPhone; CPU iPhone OS 18_1", "Windows NT 10.0; Win64")
    for version in (124, 131, 138)
)


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows there are of what."""

    challenges: int

    @property
    def phones(self) -> int:
        """Give the phones that ever asked: not all of them in this month."""
        return max(1_000, self.challenges * 4 // 10)

    @property
    def users(self) -> int:
        """Give the phones that somebody has logged in with."""
        return self.phones // 2

    @property
    def locked_one_in(self) -> int:
        """Say of how many phones one is locked."""
        return 2_000

    @property
    def device_one_in(self) -> int:
        """Say of how many phones one has a known device."""
        return 20

    @property
    def long_challenge(self) -> int:
        """Name the challenge with as many events as one can have."""
        return max(1, self.challenges - self.challenges // 20)


BUSY_PHONE = 1  # the ledger of a phone with thousands of challenges
BUSY_ONE_IN = 5_000


def phone_of(ledger: int) -> str:
    """Give the phone of a ledger."""
    _region, start, digits_count = PHONES[ledger % 100]
    modulus = 10**digits_count
    return f"{start}{ledger * SCATTER % modulus:0{digits_count}d}"


class Clock:
    """Texts of moments of the month, in whole seconds since its start: looked up, not formatted."""

    def __init__(self, until: datetime) -> None:
        self.since = until - timedelta(days=DAYS)
        self._minutes = [
            f"{self.since + timedelta(minutes=minute):%Y-%m-%d %H:%M}:"
            for minute in range(MINUTES + 60)
        ]
        self._seconds = [f"{second:02d}.{second * 15_731 % 1_000:03d}+00" for second in range(60)]

    def write(self, at: int) -> str:
        """Write a moment as COPY reads it."""
        return self._minutes[at // 60] + self._seconds[at % 60]

    def weigh_minutes(self) -> list[float]:
        """Give the share of the month's requests of each minute."""
        moments = (self.since + timedelta(minutes=minute) for minute in range(MINUTES))
        weights = [HOURS[at.hour] * WEEKDAYS[at.weekday()] for at in moments]
        total = sum(weights)
        return [each / total for each in weights]


Tables = Mapping[str, list[str]]

# In the order in which they are written below.
COLUMNS = {
    "phone_otp_phoneledger": (
        "id, revision, sends, ladder_step, last_sent_at, failures, created_at, phone, "
        "failures_in_row, disabled_at, account_sends, devices_valid_after"
    ),
    "phone_otp_deviceledger": (
        "id, revision, sends, ladder_step, last_sent_at, failures, created_at, ledger_id, key"
    ),
    "auth_user": (
        "id, password, last_login, is_superuser, username, first_name, last_name, email, "
        "is_staff, is_active, date_joined"
    ),
    "phone_otp_userphone": "user_id, phone, verified_at, made_primary_at",
    "phone_otp_phonechallenge": (
        "id, public_id, phone, ledger_id, device_id, region, purpose, user_id, state, "
        "attempts_left, code_digest, code_length, previous_code_digest, previous_code_expires_at, "
        "previous_account, previous_provider_ref, account, provider, provider_ref, channel, "
        "custody, call_to, request_digest, client_digest, ip, user_agent, created_at, sent_at, "
        "expires_at, verified_at, spent_at"
    ),
    "phone_otp_deliveryattempt": (
        "challenge_id, account, provider, channel, outcome, detail, provider_ref, cost, currency, "
        "duration_ms, created_at"
    ),
    "phone_otp_confirmattempt": "challenge_id, refusal, ip, user_agent, created_at",
    "phone_otp_guardobjection": "challenge_id, guard, blocked, detail, created_at",
}


def make_people(size: Size, clock: Clock, *, batch: int = 100_000) -> Iterator[Tables]:
    """Make phones with their ledgers, devices and users, in batches."""
    rng = random.Random(1)  # noqa: S311 (no secret)
    for first in range(1, size.phones + 1, batch):
        ledgers, devices, users, owned = [], [], [], []
        for ledger in range(first, min(first + batch, size.phones + 1)):
            phone, at = phone_of(ledger), clock.write(rng.randrange(MINUTES * 60))
            is_locked = ledger % size.locked_one_in == 7
            failures, disabled = (100, at) if is_locked else (0, r"\N")
            ledgers.append(
                f"{ledger}\t4\t[1751234567.5]\t1\t{at}\t[]\t{at}\t{phone}\t{failures}\t"
                f"{disabled}\t{{}}\t\\N\n"
            )
            if ledger % size.device_one_in == 0:
                key = f"{rng.getrandbits(64):016x}"
                devices.append(f"{ledger}\t2\t[]\t0\t{at}\t[]\t{at}\t{ledger}\t{key}\n")
            if ledger <= size.users:
                name = f"phone-{rng.getrandbits(64):016x}"
                users.append(f"{ledger}\t!\t{at}\tf\t{name}\t\t\t\tf\tt\t{at}\n")
                owned.append(f"{ledger}\t{phone}\t{at}\t\\N\n")
        yield {
            "phone_otp_phoneledger": ledgers,
            "phone_otp_deviceledger": devices,
            "auth_user": users,
            "phone_otp_userphone": owned,
        }


def make_challenges(size: Size, clock: Clock, *, batch: int = 200_000) -> Iterator[Tables]:
    """Make challenges with what belongs to them, in batches, the oldest first."""
    rng = random.Random(2)  # noqa: S311 (as above)
    made, due = 0, 0.0
    tables: dict[str, list[str]] = _no_lines()
    for minute, share in enumerate(clock.weigh_minutes()):
        due += share * size.challenges
        count = round(due) - made
        for second in sorted(rng.choices(range(60), k=count)):
            made += 1
            _add_challenge(made, minute * 60 + second, size, clock, rng, tables)
            if len(tables["phone_otp_phonechallenge"]) >= batch:
                yield tables
                tables = _no_lines()
    yield tables


def _no_lines() -> dict[str, list[str]]:
    names = ("phonechallenge", "deliveryattempt", "confirmattempt", "guardobjection")
    return {f"phone_otp_{name}": [] for name in names}


def _add_challenge(
    number: int, at: int, size: Size, clock: Clock, rng: random.Random, tables: Tables
) -> None:
    chance, draw = rng.random, rng.random()
    ledger = 1 + int(chance() * size.phones * (0.1 if draw < 0.3 else 1))
    if number % BUSY_ONE_IN == 0:
        ledger = BUSY_PHONE
    region = PHONES[ledger % 100][0]
    ways = WAYS.get(region) or WAYS["*"]
    way = ways[int(chance() * len(ways))]
    ip = f"100.{64 + ledger % 64}.{ledger // 64 % 250}.{number % 4}"
    agent = AGENTS[ledger % len(AGENTS)]
    asked = clock.write(at)
    challenge, detail = str(number), ""
    duration = int(180 * 2.2 ** rng.gauss(0, 1)) + 40

    deliveries = tables["phone_otp_deliveryattempt"]
    confirms = tables["phone_otp_confirmattempt"]

    def deliver(by: Way, outcome: str, duration_ms: int, said: str = "") -> None:
        is_sent = outcome == "sent"
        cost = by.cost if is_sent else r"\N"
        currency = by.currency if is_sent else ""
        reference = str(number * 7) if is_sent else ""
        deliveries.append(
            f"{challenge}\t{by.account}\t{by.provider}\t{by.channel}\t{outcome}\t{said}\t"
            f"{reference}\t{cost}\t{currency}\t{duration_ms}\t{asked}\n"
        )

    def confirm(seconds: int, refusal: str) -> None:
        confirms.append(f"{challenge}\t{refusal}\t{ip}\t{agent}\t{clock.write(at + seconds)}\n")

    state, tries, sent, verified, expires = "sent", 5, asked, r"\N", at + CODE_TTL_SECONDS
    if way.code_length == 4:
        tries = 3
    fate = chance()
    if fate < 0.006:  # blocked by a guard
        state, sent = "cancelled", r"\N"
        guard = GUARDS[int(chance() * len(GUARDS))]
        blocked = "messages that no login has paid for: 10"
        tables["phone_otp_guardobjection"].append(f"{challenge}\t{guard}\tt\t{blocked}\t{asked}\n")
    elif fate < 0.03:  # nothing went out
        state, sent = "failed", r"\N"
        detail = "HTTP 502: the answer cannot be read"
        deliver(way, FAILURES[int(chance() * len(FAILURES))], duration, detail)
    else:
        if fate < 0.06:  # the second account took over
            deliver(way, FAILURES[int(chance() * len(FAILURES))], 10_000, "read timeout")
            way = ways[0] if way is not ways[0] else ways[-1]
        deliver(way, "sent", duration)
        fate = chance()
        took = int(14 * 2.0 ** rng.gauss(0, 1)) + 4
        if fate < 0.74:
            if fate < 0.05:
                confirm(took, "wrong_code")
                tries -= 1
                took += 9
            confirm(took, "")
            state, verified, tries = "verified", clock.write(at + took), tries - 1
        elif fate < 0.76:
            for each in range(tries):
                confirm(took + 6 * each, "wrong_code")
            tries = 0
        elif fate < 0.762:
            state = "cancelled"
        elif fate < 0.764:
            state, sent = "sending", r"\N"

    if number == size.long_challenge:
        for each in range(10):
            deliver(way, "sent" if each % 3 else "uncertain", 900 + each, "read timeout")
        for each in range(50):
            confirm(10 + 5 * each, "wrong_code")
    spent = verified
    user = str(ledger) if state == "verified" and ledger <= size.users else r"\N"
    device = str(ledger) if ledger % size.device_one_in == 0 and fate < 0.8 else r"\N"
    digest = f"digits${way.code_length}${rng.getrandbits(256):064x}"
    if way.custody in ("remote", "presence"):
        digest = ""
    reply = f"{rng.getrandbits(256):064x}" if draw > 0.8 else r"\N"  # an idempotency key
    client = f"{rng.getrandbits(256):064x}" if draw > 0.95 else ""  # a client without identifiers
    call_to = "+78005553535" if way.custody == "presence" else ""
    purpose = "login" if draw < 0.97 else "link"
    tables["phone_otp_phonechallenge"].append(
        f"{challenge}\t{rng.getrandbits(128):032x}\t{phone_of(ledger)}\t{ledger}\t{device}\t"
        f"{region}\t{purpose}\t{user}\t{state}\t{tries}\t{digest}\t{way.code_length}\t\t\\N\t\t\t"
        f"{way.account}\t{way.provider}\t{number * 7}\t{way.channel}\t{way.custody}\t{call_to}\t"
        f"{reply}\t{client}\t{ip}\t{agent}\t{asked}\t{sent}\t{clock.write(expires)}\t{verified}\t"
        f"{spent}\n"
    )


def check_columns(models: Sequence[Any]) -> None:
    """Raise `ValueError` for a table whose columns are not those of its model any more."""
    for model in models:
        columns = {each.column for each in model._meta.concrete_fields}
        differing = columns ^ {"id", *COLUMNS[model._meta.db_table].split(", ")}
        if differing:
            names = ", ".join(sorted(differing))
            raise ValueError(f"benchmarks/rows.py and {model._meta.label} differ in: {names}")
