"""`phone_otp_health`: what it takes for a drop, what chance, and what else it tells."""

import io
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.utils import timezone

from django_phone_otp.choices import Span
from django_phone_otp.flow.dispatch import close_delivery
from django_phone_otp.flow.health import Comparison, Share, Trouble
from django_phone_otp.flow.traffic import STATE_KEY, count_traffic
from django_phone_otp.models import (
    AccountLedger,
    PendingDelivery,
    PhoneChallenge,
    ProviderAccount,
    TrafficCount,
)
from tests import fakes
from tests.conftest import NOW
from tests.rows import make_challenge, make_ledger

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

HOUR = timedelta(hours=1)
LAST = NOW - 2 * HOUR  # the last hour whose answers have come in: the clock stands at its end + 1 h
LATER = timedelta(minutes=20)


@pytest.fixture(autouse=True)
def _counted(settings: Any) -> None:
    """What is counted is fresh: the rows of a test are not counted anew from challenges."""
    settings.TIME_ZONE = "UTC"
    cache.set(STATE_KEY, (NOW.timestamp(), 3_600))


def write_hour(start: datetime, sent: int, verified: int, **columns: Any) -> None:
    TrafficCount.objects.create(
        **{
            "span": Span.HOUR,
            "starts_at": start,
            "account": "memory",
            "channel": "sms",
            "region": "RU",
            "requested_count": sent,
            "sent_count": sent,
            "verified_count": verified,
            "counted_at": start + HOUR + LATER,
            **columns,
        }
    )


def write_days(sent: int, verified: int, **columns: Any) -> None:
    """Write the same hour of each of the seven days before."""
    for days in range(1, 8):
        write_hour(LAST - timedelta(days=days), sent, verified, **columns)


def make_pending(challenge: PhoneChallenge, age: timedelta, **columns: Any) -> PendingDelivery:
    """Store a delivery that was put into the queue so long ago."""
    return PendingDelivery.objects.create(
        challenge=challenge, route=["memory"], language="en", queued_at=NOW - age, **columns
    )


def run(*arguments: str) -> tuple[int, str]:
    """Give the exit status and what is written, the error with it."""
    out = io.StringIO()
    try:
        call_command("phone_otp_health", *arguments, stdout=out)
    except CommandError as error:
        return error.returncode, f"{out.getvalue()}CommandError: {error}\n"
    return 0, out.getvalue()


def run_json(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    with suppress(CommandError):
        call_command("phone_otp_health", "--json", *arguments, stdout=out)
    told: dict[str, Any] = json.loads(out.getvalue())
    return told


def troubles() -> list[tuple[str, str]]:
    return [(each["problem"], each["subject"]) for each in run_json()["problems"]]


# Chance


@pytest.mark.parametrize(
    ("verified", "sent", "least", "most"),
    [
        # R. G. Newcombe, Stat. Med. 17 (1998), table I: the score method.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (0, 0, 0.0, 1.0),
        (20, 20, 0.8389, 1.0),
        (25, 20, 0.8389, 1.0),  # more than were sent, as far as anybody knows
    ],
)
def test_the_bounds_of_a_conversion(verified, sent, least, most):
    assert Share(verified, sent).bounds == pytest.approx((least, most), abs=0.0001)


def compare(now: tuple[int, int], before: tuple[int, int]) -> Comparison:
    return Comparison(subject="", now=Share(*now), before=Share(*before))


@pytest.mark.parametrize(
    ("now", "before", "percent"),
    [((40, 100), (80, 100), 50), ((80, 100), (80, 100), 0), ((80, 100), (40, 100), -100)],
)
def test_a_drop_is_a_part_of_what_was(now, before, percent):
    assert compare(now, before).drop_percent == pytest.approx(percent)


@pytest.mark.parametrize(
    ("now", "before"), [((0, 0), (8, 10)), ((8, 10), (0, 0)), ((1, 9), (0, 9))]
)
def test_nothing_drops_from_nothing(now, before):
    assert compare(now, before).drop_percent is None
    assert not compare(now, before).has_dropped(30, 1)


@pytest.mark.parametrize(
    ("now", "has_dropped"),
    [
        # Before, 560 of 700: 76.9 % at the least. Less 30 % of it: 53.8 %.
        ((10, 30), True),  # 51.2 % at the most
        ((11, 30), False),  # 54.5 %: a drop by half, and too few to be certain
        ((44, 100), True),
        ((45, 100), False),
        ((507, 1_000), True),  # of many a drop of hardly more is certain
        ((508, 1_000), False),
        ((0, 29), False),  # fewer than are compared
        ((0, 30), True),
    ],
)
def test_only_a_certain_drop_is_one(now, has_dropped):
    assert compare(now, (560, 700)).has_dropped(30, 30) is has_dropped


def test_days_before_with_too_little_traffic_are_no_measure():
    assert not compare((0, 100), (29, 29)).has_dropped(30, 30)
    assert compare((0, 100), (30, 30)).has_dropped(30, 30)


# What is compared


def test_all_is_well():
    write_days(100, 80)
    write_hour(LAST, 100, 80)
    assert run() == (0, "All is well.\n")


def test_silence_can_be_asked_for():
    write_days(100, 80)
    write_hour(LAST, 100, 80)
    assert run("-v", "0") == (0, "")


def test_a_drop_is_told_with_its_numbers():
    write_days(100, 80)
    write_hour(LAST, 100, 40)
    words = "the conversion fell by 50%, to 40% (40 of 100) from 80% (560 of 700)."
    subjects = ("All messages", "Account memory", "text message", "Region RU")
    told = "".join(f"{each}: {words}\n" for each in subjects)
    assert run() == (1, f"{told}CommandError: 4 problems.\n")


def test_what_dropped_alone_is_told_alone():
    for account, region in (("calls", "RU"), ("texts", "BY")):
        write_days(1_000, 800, account=account, region=region)
    write_hour(LAST, 1_000, 800, account="calls", region="RU")
    write_hour(LAST, 100, 30, account="texts", region="BY")
    assert troubles() == [
        ("conversion_dropped", "account texts"),
        ("conversion_dropped", "region BY"),
    ]


def test_small_numbers_raise_no_alarm():
    write_days(4, 3)
    write_hour(LAST, 10, 0)
    assert troubles() == []


def test_the_limits_can_be_set():
    write_days(100, 80)
    write_hour(LAST, 20, 8)
    assert run("--min-sent", "21")[0] == 0
    assert run("--min-sent", "20", "--max-drop", "20")[0] == 1
    assert run("--min-sent", "20", "--max-drop", "50")[0] == 0


@pytest.mark.parametrize(("hours", "status"), [("1", 0), ("2", 1)])
def test_more_hours_can_be_taken_together(hours, status):
    write_days(100, 80)
    write_hour(LAST, 100, 80)
    for days in range(8):
        write_hour(LAST - HOUR - timedelta(days=days), 400, 320 if days else 40)
    assert run("--hours", hours)[0] == status


@pytest.mark.parametrize("hour", [LAST + HOUR, LAST - HOUR, LAST - timedelta(days=8)])
def test_other_hours_do_not_count(hour):
    write_days(100, 80)
    write_hour(LAST, 100, 80)
    write_hour(hour, 1_000, 0)
    assert troubles() == []


@pytest.mark.parametrize(("minutes", "since"), [(14, "10:00"), (15, "11:00")])
def test_an_hour_is_looked_at_once_its_answers_have_come_in(clock, minutes, since):
    clock.shift(timedelta(minutes=minutes))
    assert run_json()["since"] == f"2026-03-01T{since}:00+00:00"


def test_nobody_logs_in_any_more():
    write_days(25, 20)
    write_hour(LAST, 0, 0)
    status, told = run()
    assert (status, told.splitlines()[0]) == (
        1,
        "Nobody has logged in during these hours; on the days before about 20 people did.",
    )


def test_nobody_logs_in_at_night():
    write_days(25, 19)
    write_hour(LAST, 0, 0)
    assert run() == (0, "All is well.\n")


def test_the_same_hours_are_those_of_the_sites_clocks(settings, clock):
    """The clocks went forward: 10 o'clock was an hour later by UTC on the days before."""
    settings.TIME_ZONE = "Europe/Berlin"
    now = datetime(2026, 3, 29, 11, 0, tzinfo=UTC)
    clock.move_to(now)
    cache.set(STATE_KEY, (now.timestamp(), 3_600))
    write_hour(now - 2 * HOUR, 100, 80)
    for days in range(1, 8):
        write_hour(now - HOUR - timedelta(days=days), 100, 10)
    assert run_json()["conversions"][0]["sent_before"] == 700


@pytest.mark.parametrize(
    ("minutes", "is_behind"), [(44, True), (45, False)], ids=["too early", "in time"]
)
def test_the_short_hour_at_the_end_of_a_day_is_fresh_after_its_own_end(
    settings, clock, minutes, is_behind
):
    """The clocks went back by half an hour, so the day ends with half of one."""
    settings.TIME_ZONE = "Australia/Lord_Howe"
    last = datetime(2026, 4, 5, 13, 0, tzinfo=UTC)
    clock.move_to(last + timedelta(minutes=50))
    write_hour(last - HOUR, 100, 80)
    write_hour(last, 50, 40, counted_at=last + timedelta(minutes=minutes))
    told = run_json()
    assert (told["since"], told["until"]) == (
        "2026-04-05T12:00:00+00:00",
        "2026-04-05T13:30:00+00:00",
    )
    assert told["conversions"][0]["sent"] == 150
    assert (("traffic_behind", "") in troubles()) is is_behind


@pytest.mark.parametrize(
    "day", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)]
)
def test_the_hours_in_which_the_clocks_change_are_as_long_as_others(settings, clock, day):
    settings.TIME_ZONE = "Europe/Berlin"  # at one o'clock by UTC
    clock.move_to(day + 2 * HOUR + LATER)
    for number, sent in enumerate((100, 50, 1_000)):
        write_hour(day + number * HOUR, sent, sent // 2)
    (told, *_parts) = run_json("--hours", "2")["conversions"]
    assert (told["sent"], told["sent_before"]) == (150, 0)


# Tries to deliver


def write_tries(now: dict[str, int], before: dict[str, int], account: str = "calls") -> None:
    """Write what became of tries, now and on each day before, while another account takes over."""
    write_days(100, 80)
    write_hour(LAST, 100, 80)
    write_days(0, 0, account=account, details={"outcomes": before})
    write_hour(LAST, 0, 0, account=account, details={"outcomes": now})


def test_an_account_whose_tries_all_fail_is_told_though_another_takes_over():
    write_tries({"unavailable": 12}, {"sent": 99, "unavailable": 1})
    status, told = run()
    assert (status, told.splitlines()[0]) == (
        1,
        "calls: 100% of the tries to deliver failed (12 of 12), on the days before 1% (7 of 700).",
    )
    assert troubles() == [("deliveries_failing", "calls")]


@pytest.mark.parametrize(
    ("now", "is_failing"),
    [
        ({"unavailable": 4}, True),  # as many as a breaker lets through in an hour
        ({"unavailable": 3}, False),
        ({"sent": 1, "unavailable": 4}, True),  # 62.4 % at the most went out
        ({"sent": 2, "unavailable": 4}, False),  # 70.0 %
        ({"sent": 50, "rejected": 50}, True),
        ({"sent": 65, "rejected": 35}, False),
        ({"uncertain": 20}, True),
        ({"over_budget": 20, "phone_over_budget": 20}, False),
        ({"withheld": 20, "test": 20}, False),
    ],
    ids=str,
)
def test_only_tries_that_certainly_fail_more_than_before_are_told(now, is_failing):
    write_tries(now, {"sent": 99, "unavailable": 1})
    assert (troubles() == [("deliveries_failing", "calls")]) is is_failing


def test_what_failed_before_too_is_no_news():
    write_tries({"unavailable": 12}, {"unavailable": 12})
    assert troubles() == []


@pytest.mark.parametrize(("a_day", "is_failing"), [(4, False), (5, True)])
def test_few_tries_on_the_days_before_are_no_measure(a_day, is_failing):
    write_tries({"unavailable": 12}, {"sent": a_day})
    assert bool(troubles()) is is_failing


def test_tries_of_all_accounts_together_are_not_compared():
    write_tries({"unavailable": 12}, {"sent": 100}, account="")
    assert troubles() == []


def test_json_tells_the_tries_of_each_account():
    write_tries({"sent": 9, "unavailable": 1}, {"sent": 10})
    assert run_json()["deliveries"] == [
        {"account": "calls", "tried": 10, "failed": 1, "tried_before": 70, "failed_before": 0}
    ]


@pytest.mark.parametrize("outcome", ["unavailable", "misconfigured"])
def test_what_no_account_was_asked_for_is_held_against_none(outcome):
    cache.delete(STATE_KEY)
    challenge = make_challenge(NOW - LAST, make_ledger(HOUR), region="RU", account="memory")
    assert close_delivery(make_pending(challenge, NOW - LAST), outcome, "no worker took it")
    assert run_json()["deliveries"] == [
        {"account": "memory", "tried": 1, "failed": 0, "tried_before": 0, "failed_before": 0}
    ]


# Whether breakers can be seen


def warn(*arguments: str) -> str:
    error = io.StringIO()
    with suppress(CommandError):
        call_command("phone_otp_health", *arguments, stdout=io.StringIO(), stderr=error)
    return error.getvalue()


def test_a_cache_of_one_process_is_told_for_it_hides_breakers():
    assert warn() == (
        "The cache is of this process alone: which accounts are passed over in the others cannot "
        "be seen from here.\n"
    )
    assert warn("-v", "0") == ""
    assert run_json()["sees_breakers"] is False


def test_of_a_cache_that_is_shared_nothing_is_told(settings, tmp_path):
    backend = "django.core.cache.backends.filebased.FileBasedCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": tmp_path}}
    assert warn() == ""
    assert run_json()["sees_breakers"] is True


# Whether it was counted


def test_traffic_that_nobody_counted():
    TrafficCount.objects.all().delete()
    assert run()[1].splitlines()[0] == (
        "Traffic has not been counted up to 2026-03-01 11:00: run phone_otp_count_traffic."
    )


@pytest.mark.parametrize(("minutes", "is_behind"), [(14, True), (15, False)])
def test_an_hour_that_was_counted_before_its_answers_came_in(minutes, is_behind):
    write_days(100, 80)
    counted_at = LAST + HOUR + timedelta(minutes=minutes)
    write_hour(LAST, 100, 0, counted_at=counted_at)
    assert (troubles() == [("traffic_behind", "")]) is is_behind


def test_a_later_count_that_was_stopped_before_it_came_to_the_hour():
    write_days(100, 80)
    write_hour(LAST, 100, 0, counted_at=LAST + HOUR)
    write_hour(LAST + HOUR, 100, 80)
    assert troubles() == [("traffic_behind", "")]


def test_an_hour_in_which_nobody_asked_need_not_be_counted():
    write_hour(LAST + HOUR, 100, 80, counted_at=LAST + HOUR + LATER)
    assert troubles() == []


def test_what_is_due_is_counted_first():
    cache.delete(STATE_KEY)
    make_challenge(NOW - LAST, make_ledger(HOUR), region="RU", account="memory")
    told = run_json()
    assert told["problems"] == []
    assert told["conversions"][0]["sent"] == 1


def test_an_hour_counted_just_before_its_answers_came_in_is_counted_again(clock):
    make_challenge(timedelta(minutes=38), make_ledger(HOUR), region="RU", account="memory")
    clock.shift(timedelta(minutes=14))
    count_traffic(timezone.now())
    clock.shift(timedelta(minutes=6))
    told = run_json()
    assert (told["since"], told["problems"]) == ("2026-03-01T11:00:00+00:00", [])
    assert told["conversions"][0]["sent"] == 1


# Accounts, guards, deliveries


@pytest.fixture
def _well() -> None:
    write_days(100, 80)
    write_hour(LAST, 100, 80)


@pytest.mark.usefixtures("_well")
class TestOthers:
    def test_an_account_that_cannot_be_used(self):
        ProviderAccount.objects.create(alias="texts", backend="nothing")
        assert troubles() == [("account_broken", "texts")]

    def test_an_account_that_is_switched_off_may_be_broken(self):
        ProviderAccount.objects.create(alias="texts", backend="nothing", enabled=False)
        assert troubles() == []

    def test_an_account_whose_service_found_something_wrong(self):
        AccountLedger.objects.create(alias="memory", problem="no money", inspected_at=LAST)
        assert run()[1].splitlines()[0] == "memory is broken: no money (2026-03-01 10:00)"

    def test_no_account(self, phone_otp):
        phone_otp(PROVIDERS=None)
        assert troubles() == [("no_account", "")]

    def test_the_console_needs_no_account(self, phone_otp, settings):
        settings.DEBUG = True
        phone_otp(PROVIDERS=None)
        assert troubles() == []

    def test_a_breaker_that_is_open(self, phone_otp, post, clock):
        phone_otp(RESEND_WAITS=[0], LIMITS={"send_phone": "99/h"})
        phone_otp(PROVIDERS=fakes.providers(shaky={"error": "ProviderUnavailable"}))
        for _ in range(5):
            post("request", phone="+79244501003")
        assert run()[1].splitlines()[0] == "shaky keeps failing: 5 times in a row."
        clock.shift(61)  # half open
        assert troubles() == [("breaker_open", "shaky")]

    def test_a_delivery_that_its_worker_has_left(self):
        ledger = make_ledger(HOUR)
        sending = {"state": "sending", "code_digest": "", "sent_at": None}
        make_challenge(timedelta(minutes=3), ledger, **sending)
        make_challenge(timedelta(minutes=1), ledger, **sending)
        assert run()[1].splitlines()[0] == (
            "1 delivery was abandoned by its worker: run phone_otp_sweep."
        )

    def test_a_delivery_that_a_worker_took_and_left(self):
        sending = {"state": "sending", "code_digest": "", "sent_at": None}
        challenge = make_challenge(timedelta(minutes=4), make_ledger(HOUR), **sending)
        make_pending(challenge, timedelta(minutes=4), claimed_at=NOW - timedelta(minutes=3))
        make_pending(challenge, timedelta(minutes=4), claimed_at=NOW - timedelta(minutes=1))
        assert run_json()["problems"] == [
            {
                "problem": "sweep_needed",
                "subject": "",
                "words": "1 delivery was abandoned by its worker: run phone_otp_sweep.",
            }
        ]

    def test_a_delivery_that_no_worker_takes(self):
        sending = {"state": "sending", "code_digest": "", "sent_at": None}
        challenge = make_challenge(timedelta(minutes=4), make_ledger(HOUR), **sending)
        make_pending(challenge, timedelta(minutes=4))
        make_pending(challenge, timedelta(minutes=1))
        assert run_json()["problems"] == [
            {
                "problem": "queue_waiting",
                "subject": "",
                "words": ("1 delivery has waited for longer than a minute: is a worker running?"),
            }
        ]

    @pytest.mark.parametrize(
        ("details", "found"),
        [
            ({"blocked": {"prefix_traffic": 7}}, [("guard_shut", "prefix_traffic")]),
            ({"shadow": {"prefix_traffic": 7}}, []),
            ({"blocked": {"region": 7, "number_type": 1}}, []),
        ],
        ids=["blocked", "shadow", "rules"],
    )
    def test_a_guard_of_traffic_that_has_shut(self, details, found):
        write_hour(LAST, 0, 0, region="UZ", details=details)
        assert troubles() == found


# Forms


def test_json_for_programs():
    write_days(100, 80)
    write_hour(LAST, 100, 40, account="", channel="", region="")
    told = run_json()
    assert told == {
        "ok": False,
        "since": "2026-03-01T10:00:00+00:00",
        "until": "2026-03-01T11:00:00+00:00",
        "problems": [
            {
                "problem": "conversion_dropped",
                "subject": "",
                "words": (
                    "All messages: the conversion fell by 50%, to 40% (40 of 100) from 80% "
                    "(560 of 700)."
                ),
            }
        ],
        "conversions": [
            {
                "subject": "",
                "sent": 100,
                "verified": 40,
                "conversion": 0.4,
                "sent_before": 700,
                "verified_before": 560,
                "conversion_before": 0.8,
                "drop_percent": 50.0,
            },
            *(
                {
                    "subject": subject,
                    "sent": 0,
                    "verified": 0,
                    "conversion": None,
                    "sent_before": 700,
                    "verified_before": 560,
                    "conversion_before": 0.8,
                    "drop_percent": None,
                }
                for subject in ("account memory", "channel sms", "region RU")
            ),
        ],
        "deliveries": [],
        "sees_breakers": False,
    }


def test_the_words_of_the_json_are_for_ever():
    assert {each.value for each in Trouble} == {
        "conversion_dropped",
        "deliveries_failing",
        "no_logins",
        "no_account",
        "account_broken",
        "breaker_open",
        "guard_shut",
        "sweep_needed",
        "queue_waiting",
        "traffic_behind",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("--max-drop", "0"),
        ("--max-drop", "100"),
        ("--max-drop", "nan"),
        ("--min-sent", "0"),
        ("--hours", "0"),
        ("--hours", "25"),
    ],
    ids=" ".join,
)
def test_arguments_that_make_no_sense(arguments):
    assert run(*arguments)[0] == 2


def test_a_database_out_of_reach_has_a_status_of_its_own():
    def fail(*_: Any) -> Any:
        raise OperationalError("a password, perhaps")

    with connection.execute_wrapper(fail):
        assert run() == (3, "CommandError: The database is out of reach: OperationalError.\n")


def test_it_reads_no_challenge_however_many_there_are(django_assert_max_num_queries):
    write_days(100, 80)
    write_hour(LAST, 100, 80)
    with django_assert_max_num_queries(8) as queries:
        assert run()[0] == 0
    tables = [each["sql"] for each in queries.captured_queries]
    # How far to look back, and the abandoned since then: both by the index on the time.
    assert sum("phonechallenge" in each for each in tables) == 2


@pytest.mark.parametrize("rows", [1, 50])
def test_the_number_of_queries_does_not_grow(django_assert_num_queries, rows):
    for number in range(rows):
        write_days(10, 8, account=f"a{number}")
        write_hour(LAST, 10, 8, account=f"a{number}")
    with django_assert_num_queries(8):
        run()
