"""What has to hold after the run, each promise a function that tells how it was broken.

The database, the record of what the services sent, and what the people were told are three
witnesses; here they are compared.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from django.contrib.auth import get_user_model
from rest_framework.authtoken.models import Token

from django_phone_otp.models import (
    AccountLedger,
    ConfirmAttempt,
    DeliveryAttempt,
    DeviceLedger,
    PhoneChallenge,
    PhoneLedger,
    UserPhone,
)

from .people import Journal, who_am_i
from .services import PHONE_DAILY_LIMIT, Services

MAX_ATTEMPTS = 5
CODE_TTL = 300
WAITS = [1, 2]
SENDS_IN_AN_HOUR = 5
FAILURES_IN_A_DAY = 10
KILL_IS_NOTICED_SECONDS = 2.0  # a busy machine tells a client late that its server is gone

DOCUMENTED = {
    *(("request", 201, ""), ("resend", 200, ""), ("confirm", 200, ""), ("challenges", 200, "")),
    *(("confirm", 400, word) for word in ("wrong_code", "call_awaited", "expired")),
    *((name, 400, "challenge_closed") for name in ("confirm", "resend")),
    *((name, 400, "phone_not_allowed") for name in ("request", "resend")),
    *((name, 429, "too_many_requests") for name in ("request", "resend", "confirm")),
    *((name, 429, "resend_too_soon") for name in ("request", "resend")),
    *((name, 429, "locked") for name in ("request", "resend", "confirm")),
    *((name, 503, "delivery_failed") for name in ("request", "resend")),
    *((name, 503, "unavailable") for name in ("request", "resend", "confirm", "challenges")),
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that is over, swept."""

    port: int
    services: Services
    journal: Journal
    kills: list[float]
    log: Path


Breaches = Iterator[str]


def every_login_that_somebody_was_told_of_is_in_the_database(run: Run) -> Breaches:
    for login in run.journal.logins:
        told, token = login.body["user"], login.body["token"]
        row = PhoneChallenge.objects.get(public_id=login.challenge)
        seen = (row.state, row.spent_at is not None, row.user_id, row.phone)
        if seen != ("verified", True, told["id"], login.phone):
            yield f"challenge {row.pk}: {seen}"
        if not UserPhone.objects.filter(phone=login.phone, user=told["id"]).exists():
            yield f"{login.phone} does not belong to user {told['id']}"
        if not Token.objects.filter(key=token, user=told["id"]).exists():
            yield f"the token of user {told['id']} is gone"
        if who_am_i(run.port, token) != (200, {"id": told["id"]}):
            yield f"the token of user {told['id']} does not work"


def a_code_logs_in_once(run: Run) -> Breaches:
    told = Counter(each.challenge for each in run.journal.logins)
    yield from (f"{each} logged in {count} times" for each, count in told.items() if count > 1)
    right = Counter(ConfirmAttempt.objects.filter(refusal="").values_list("challenge", flat=True))
    verified = PhoneChallenge.objects.filter(state="verified").values_list("pk", flat=True)
    if right != Counter(verified):
        yield f"right answers {right}, verified {sorted(verified)}"


def a_phone_has_one_user(run: Run) -> Breaches:
    users, phones = get_user_model().objects.count(), UserPhone.objects.values_list("user", "phone")
    owners, owned = {user for user, _phone in phones}, {phone for _user, phone in phones}
    if not users == len(phones) == len(owners) == len(owned):
        yield f"{users} users, phones {sorted(phones)}"
    made = [each.body["user"] for each in run.journal.logins if each.body["user"]["created"]]
    twice = [user for user, count in Counter(each["id"] for each in made).items() if count > 1]
    yield from (f"user {user} was made more than once" for user in twice)
    for user, phone in phones:
        spent = PhoneChallenge.objects.filter(phone=phone, user=user, spent_at__isnull=False)
        if not spent.exists():
            yield f"nobody logged in as user {user}"


def no_message_goes_beyond_the_budgets_of_a_phone(run: Run) -> Breaches:
    for phone in run.services.phones():
        counters = counters_of(phone)
        yield from (
            f"{counter}: {len(counter.sends)} messages in an hour"
            for counter in counters
            if len(counter.sends) > SENDS_IN_AN_HOUR
        )
        taken = [at for counter in counters for at in counter.sends]
        # Each message was paid for before it went out.
        for number, message in enumerate(run.services.messages(phone), 1):
            paid = sum(at <= message.at.timestamp() for at in taken)
            if number > paid:
                yield f"{phone}: {number} messages sent, {paid} taken from the budgets"


def no_message_goes_out_within_the_cooldown(run: Run) -> Breaches:
    for ledger in PhoneLedger.objects.all():
        for counter in counters_of(ledger.phone):
            logins = PhoneChallenge.objects.filter(phone=ledger.phone, state="verified")
            if isinstance(counter, DeviceLedger):
                logins = logins.filter(device=counter)
            # A confirmed code ends the wait.
            ends = [each.verified_at.timestamp() for each in logins if each.verified_at]
            for before, after in pairwise(counter.sends):
                is_free = any(before <= at <= after for at in ends)
                if after - before < WAITS[0] - 0.001 and not is_free:
                    yield f"{counter}: taken again after {after - before:.3f} s"


def the_limits_of_accounts_hold_exactly(run: Run) -> Breaches:
    limit, services = run.services.limit, run.services
    asked = services.small.count("get_sms_code")
    counted = list(AccountLedger.objects.filter(alias="small").values_list("sent_count", flat=True))
    if counted != [limit]:
        yield f"small: {counted} messages were counted, the limit is {limit}"
    # Fewer were asked for where a worker died between the count and the call.
    if not limit - len(run.journal.lost) <= asked <= limit:
        yield f"small: asked {asked} times, the limit is {limit}"
    if not DeliveryAttempt.objects.filter(account="small", outcome="over_budget").exists():
        yield "small: the limit was not reached"
    for phone, messages in services.shaky.newest_screens(10**9):
        count = sum(each.kind == "sms" for each in messages)  # the others are those of `telegram`
        if count > PHONE_DAILY_LIMIT:
            yield f"shaky: {count} messages to {phone}"


def no_more_codes_are_compared_than_the_budgets_allow(run: Run) -> Breaches:
    wrong = ConfirmAttempt.objects.filter(refusal="wrong_code")
    compared = Counter(wrong.values_list("challenge__public_id", flat=True))
    for row in PhoneChallenge.objects.all():
        if compared[row.public_id] > MAX_ATTEMPTS - row.attempts_left:
            yield f"challenge {row.pk}: {compared[row.public_id]} wrong, {row.attempts_left} left"
    told = Counter(run.journal.wrong)
    lost = [each for each, count in told.items() if count > compared[each]]
    yield from (f"{each}: wrong {told[each]} times, {compared[each]} counted" for each in lost)
    where = wrong.values_list("challenge__phone", "challenge__device")
    of_counters: Counter[tuple[str, int | None]] = Counter(where)
    for ledger in PhoneLedger.objects.all():
        for counter in counters_of(ledger.phone):
            device = counter.pk if isinstance(counter, DeviceLedger) else None
            count = of_counters[ledger.phone, device]
            if count > FAILURES_IN_A_DAY or count != len(counter.failures):
                yield f"{counter}: {count} wrong codes, {len(counter.failures)} in the ledger"


def no_challenge_is_stuck_in_sending(run: Run) -> Breaches:
    stuck = PhoneChallenge.objects.filter(state="sending", code_digest="")
    yield from (f"challenge {pk} is sending" for pk in stuck.values_list("pk", flat=True))
    silent = PhoneChallenge.objects.filter(deliveries__isnull=True)
    yield from (f"challenge {pk} has no delivery" for pk in silent.values_list("pk", flat=True))


def every_answer_is_documented(run: Run) -> Breaches:
    for told in run.journal.told:
        if (told.name, told.status, told.code) not in DOCUMENTED:
            yield f"{told.name}: {told.status} {told.body}"
        seconds = [told.body.get(name, 0) for name in ("expires_in", "resend_in", "retry_after")]
        if min(seconds) < 0 or (told.status == 429 and told.body["retry_after"] < 1):
            yield f"{told.name}: {told.body}"
        if told.body.get("expires_in", 0) > CODE_TTL:
            yield f"{told.name}: {told.body}"


def an_answer_is_lost_only_where_a_worker_is_killed(run: Run) -> Breaches:
    for began, ended in run.journal.lost:
        if not any(began - KILL_IS_NOTICED_SECONDS <= at <= ended for at in run.kills):
            yield f"lost after {ended - began:.3f} s, with no kill"


def no_error_is_in_the_log(run: Run) -> Breaches:
    log = run.log.read_text()
    if "Traceback" in log or "Internal Server Error" in log:
        yield log[-4_000:]


def there_was_something_to_see(run: Run) -> Breaches:
    """Fail where the run was so quiet that the other promises say nothing."""
    if not run.kills:
        yield "nobody was killed"
    if not run.journal.logins:
        yield "nobody logged in"
    if not DeliveryAttempt.objects.filter(account="shaky").exclude(outcome="sent").exists():
        yield "no service failed"


def counters_of(phone: str) -> list[PhoneLedger | DeviceLedger]:
    """List what counts for a phone: its own row, and one for each known device."""
    ledger = PhoneLedger.objects.get(phone=phone)
    return [ledger, *DeviceLedger.objects.filter(ledger=ledger)]


def messages_without_a_row(run: Run) -> int:
    """Count what was sent and no operator can see: the worker died, and it was no first message."""
    seen = Counter(
        DeliveryAttempt.objects.filter(outcome__in=("sent", "uncertain"))
        .exclude(channel="reverse_call")
        .values_list("challenge__phone", flat=True)
    )
    return sum(
        max(0, len(run.services.messages(phone)) - seen[phone]) for phone in run.services.phones()
    )


def halfway_logins() -> int:
    """Count the codes that were right and used up, and logged nobody in: the worker died."""
    return PhoneChallenge.objects.filter(state="verified", spent_at__isnull=True).count()


PROMISES: list[Callable[[Run], Breaches]] = [
    there_was_something_to_see,
    every_login_that_somebody_was_told_of_is_in_the_database,
    a_code_logs_in_once,
    a_phone_has_one_user,
    no_message_goes_beyond_the_budgets_of_a_phone,
    no_message_goes_out_within_the_cooldown,
    the_limits_of_accounts_hold_exactly,
    no_more_codes_are_compared_than_the_budgets_allow,
    no_challenge_is_stuck_in_sending,
    every_answer_is_documented,
    an_answer_is_lost_only_where_a_worker_is_killed,
    no_error_is_in_the_log,
]
