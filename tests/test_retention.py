"""What is old goes, in bounded batches; what still counts stays."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from django.apps import apps
from django.db import OperationalError, connection, connections, models, transaction
from django.db.models.signals import pre_delete
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_phone_otp import conf, devices
from django_phone_otp.choices import Refusal, Source, Span, State
from django_phone_otp.flow import confirm_code, request_code, retention
from django_phone_otp.flow.hours import day_of
from django_phone_otp.flow.retention import Pace, Purged, count_purgeable, purge
from django_phone_otp.models import (
    DeviceLedger,
    PhoneChallenge,
    PhoneLedger,
    TrafficCount,
    TrafficSource,
)
from django_phone_otp.providers.local import outbox
from tests.conftest import NOW, PHONE
from tests.rows import DAY, TRAILS, make_challenge, make_challenges, make_device, make_ledger

OTHER_PHONE = "+79244501004"
MOMENT = timedelta(microseconds=1)
LIFETIME = devices.LIFETIME


def run(batch_size: int = retention.BATCH_SIZE) -> Purged:
    """Purge, and give what it came to."""
    return [Purged(), *purge(conf.read(), timezone.now(), batch_size=batch_size)][-1]


def count_rows() -> tuple[int, ...]:
    """Count challenges, phones' ledgers, devices' ledgers, and the three kinds of attempts."""
    kinds = (PhoneChallenge, PhoneLedger, DeviceLedger, *TRAILS)
    return tuple(each.objects.count() for each in kinds)


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
class TestChallenges:
    """They go with all that belongs to them."""

    @pytest.mark.parametrize(
        ("age", "left"),
        [(30 * DAY, 1), (30 * DAY + MOMENT, 0), (29 * DAY, 1), (timedelta(0), 1), (365 * DAY, 0)],
    )
    def test_s23_older_than_the_retention_goes(self, age, left):
        make_challenge(age, make_ledger(timedelta(0)))
        assert run() == Purged(challenges_count=1 - left)
        assert count_rows() == (left, 1, 0, left, left, left)

    @pytest.mark.parametrize(("days", "left"), [(1, 0), (2, 1)])
    def test_s23_the_setting_says_how_old(self, phone_otp, days, left):
        phone_otp(RETENTION_DAYS=days)
        make_challenge(2 * DAY, make_ledger(timedelta(0)))
        run()
        assert PhoneChallenge.objects.count() == left

    @pytest.mark.parametrize(
        "columns",
        [
            {"state": State.VERIFIED, "verified_at": timezone.now(), "spent_at": timezone.now()},
            {"state": State.FAILED},
            {"state": State.CANCELLED},
            {"state": State.SENT, "attempts_left": 0},
        ],
    )
    def test_s23_in_whatever_state(self, columns):
        make_challenge(31 * DAY, make_ledger(timedelta(0)), **columns)
        assert run().challenges_count == 1

    def test_s23_what_belongs_to_younger_ones_stays(self):
        ledger = make_ledger(timedelta(0))
        make_challenge(31 * DAY, ledger)
        young = make_challenge(DAY, ledger)
        run()
        assert PhoneChallenge.objects.get() == young
        assert [trail.objects.get().challenge_id for trail in TRAILS] == [young.pk] * 3

    def test_the_sweep_comes_first(self):
        ledger = make_ledger(timedelta(0))
        abandoned = {"state": State.SENDING, "code_digest": "", "sent_at": None}
        challenge = make_challenge(timedelta(minutes=6), ledger, **abandoned)
        run()
        challenge.refresh_from_db()
        assert challenge.state == State.FAILED

    def test_what_a_purge_did_another_does_not_do_again(self):
        make_challenge(31 * DAY, make_ledger(31 * DAY))
        assert run() == Purged(challenges_count=1, phone_ledgers_count=1)
        assert run() == Purged()


class _Postgres(Exception):
    """What its driver raises, as Django's own error has it for a cause."""

    sqlstate = "40P01"


def _deadlock_of_postgres() -> OperationalError:
    error = OperationalError("deadlock detected")
    error.__cause__ = _Postgres()
    return error


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
class TestDeadlocks:
    """The database ends one of two transactions that wait for each other: it is done anew."""

    @pytest.fixture
    def ended(self) -> Iterator[Callable[[str, int, OperationalError], None]]:
        """Have the removal from a table end with an error, so many times."""
        left: list[tuple[str, OperationalError]] = []

        def end(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
            if left and sql.startswith("DELETE") and left[0][0] in sql:
                raise left.pop()[1]
            return execute(sql, *rest)

        with connection.execute_wrapper(end):
            yield lambda table, times, error: left.extend([(table, error)] * times)

    @pytest.mark.parametrize(
        "error",
        [OperationalError(1213, "Deadlock found"), _deadlock_of_postgres()],
        ids=["MariaDB", "PostgreSQL"],
    )
    @pytest.mark.parametrize("times", [1, 10])
    def test_all_goes_all_the_same(self, ended, error, times):
        make_challenges(31 * DAY, make_ledger(31 * DAY), 3)
        ended("phone_otp_phonechallenge", times, error)
        assert run() == Purged(challenges_count=3, phone_ledgers_count=1)
        assert count_rows() == (0,) * 6

    def test_ledgers_go_too(self, ended):
        make_ledger(31 * DAY)
        ended("phone_otp_phoneledger", 1, OperationalError(1213, "Deadlock found"))
        assert run() == Purged(phone_ledgers_count=1)

    @pytest.mark.parametrize(
        ("times", "error"),
        [(11, OperationalError(1213, "Deadlock found")), (1, OperationalError(2013, "Lost"))],
        ids=["without an end", "another error"],
    )
    def test_what_does_not_pass_is_told(self, ended, times, error):
        make_challenge(31 * DAY, make_ledger(31 * DAY))
        ended("phone_otp_phonechallenge", times, error)
        with pytest.raises(OperationalError):
            run()
        assert PhoneChallenge.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
class TestPhoneLedgers:
    """They go when they say nothing any more."""

    @pytest.mark.parametrize(("age", "left"), [(30 * DAY, 1), (30 * DAY + MOMENT, 0)])
    def test_s23_unused_for_longer_than_the_retention_goes(self, age, left):
        make_ledger(age)
        assert run() == Purged(phone_ledgers_count=1 - left)
        assert PhoneLedger.objects.count() == left

    @pytest.mark.parametrize(("age", "left"), [(30 * DAY, 1), (30 * DAY + MOMENT, 0)])
    def test_s23_one_without_a_message_is_as_old_as_it_is(self, age, left):
        make_ledger(age, last_sent_at=None)
        run()
        assert PhoneLedger.objects.count() == left

    # Guards the SECURITY comment of `_silent_phones`: patience buys nothing.
    @pytest.mark.parametrize(
        "columns",
        [
            {"failures_in_row": 1},
            {"failures_in_row": 99},
            {"failures_in_row": 100, "disabled_at": timezone.now() - 3_000 * DAY},
            {"disabled_at": timezone.now() - 3_000 * DAY},
        ],
    )
    def test_s23_what_a_guesser_used_up_is_kept_for_ever(self, columns):
        ledger = make_ledger(3_000 * DAY, **columns)
        assert run() == Purged()
        assert PhoneLedger.objects.get() == ledger

    def test_s23_a_revocation_stays_as_long_as_the_strings_that_it_revoked(self, clock):
        make_ledger(3_000 * DAY, devices_valid_after=timezone.now() - LIFETIME)
        assert run() == Purged()
        clock.shift(1)
        assert run() == Purged(phone_ledgers_count=1)

    def test_s23_one_with_a_challenge_stays(self):
        ledger = make_ledger(31 * DAY)
        make_challenge(29 * DAY, ledger)
        assert run() == Purged()

    def test_s23_one_with_a_device_stays(self):
        make_device(LIFETIME, make_ledger(LIFETIME + DAY))
        assert run() == Purged()

    @pytest.mark.parametrize("name", ["send_phone", "fail_phone"])
    @pytest.mark.parametrize(("age", "left"), [(60 * DAY + timedelta(minutes=5), 1), (61 * DAY, 0)])
    def test_s06_a_budget_of_sixty_days_is_not_given_back_after_thirty(
        self, phone_otp, name, age, left
    ):
        phone_otp(LIMITS={name: ["5/h", "20/60d"]})
        make_ledger(age)
        run()
        assert PhoneLedger.objects.count() == left

    @pytest.mark.parametrize(
        ("age", "left"), [(DAY + timedelta(minutes=5), 1), (DAY + timedelta(minutes=6), 0)]
    )
    def test_s06_the_wrong_codes_of_a_day_outlive_a_retention_of_a_day(self, phone_otp, age, left):
        # The last of them may have come when the code was about to expire.
        phone_otp(RETENTION_DAYS=1)
        make_ledger(age, failures=[1.0])
        run()
        assert PhoneLedger.objects.count() == left


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
class TestDeviceLedgers:
    """They go when no device string can name them any more."""

    @pytest.mark.parametrize(("age", "left"), [(LIFETIME, 1), (LIFETIME + MOMENT, 0)])
    def test_s23_unused_for_longer_than_a_string_lives_goes(self, age, left):
        make_device(age, make_ledger(timedelta(0)))
        assert run() == Purged(device_ledgers_count=1 - left)
        assert DeviceLedger.objects.count() == left

    def test_s23_what_counts_is_its_last_use(self):
        used_at = timezone.now() - 10 * DAY
        make_device(400 * DAY, make_ledger(timedelta(0)), last_sent_at=used_at)
        assert run() == Purged()

    def test_s23_one_with_a_challenge_stays(self, phone_otp):
        phone_otp(RETENTION_DAYS=365)
        ledger = make_ledger(timedelta(0))
        make_challenge(200 * DAY, ledger, device=make_device(200 * DAY, ledger))
        assert run() == Purged()

    @pytest.mark.parametrize("name", ["send_device", "fail_device"])
    def test_s06_a_budget_of_a_year_outlives_the_string(self, phone_otp, name):
        phone_otp(LIMITS={name: "20/365d"})
        make_device(364 * DAY, make_ledger(timedelta(0)))
        assert run() == Purged()

    def test_s23_its_phone_goes_with_it(self):
        ledger = make_ledger(LIFETIME + DAY)
        make_challenge(LIFETIME + DAY, ledger, device=make_device(LIFETIME + DAY, ledger))
        assert run() == Purged(challenges_count=1, phone_ledgers_count=1, device_ledgers_count=1)


def make_mixture() -> None:
    """Store what goes and what stays, of every kind."""
    goes, stays = make_ledger(200 * DAY), make_ledger(200 * DAY, OTHER_PHONE)
    old = make_device(LIFETIME + DAY, goes)
    make_challenge(31 * DAY, goes, device=old)
    make_challenge(31 * DAY, goes)
    make_challenge(31 * DAY, stays)
    make_challenge(DAY, stays, device=make_device(LIFETIME + DAY, stays))
    make_device(DAY, stays, "another")
    make_ledger(31 * DAY, "+79244501005")
    make_ledger(31 * DAY, "+79244501006", failures_in_row=1)
    make_device(DAY, make_ledger(31 * DAY, "+79244501007"))


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
class TestCount:
    """A dry run."""

    def test_s23_it_says_what_a_purge_would_do(self):
        make_mixture()
        counted = count_purgeable(conf.read(), timezone.now())
        assert counted == Purged(challenges_count=3, phone_ledgers_count=2, device_ledgers_count=1)
        assert run() == counted

    def test_s23_it_writes_nothing(self, django_assert_num_queries):
        make_mixture()
        before = count_rows()
        with django_assert_num_queries(3) as captured:
            count_purgeable(conf.read(), timezone.now())
        assert {each["sql"].split()[0] for each in captured.captured_queries} == {"SELECT"}
        assert count_rows() == before


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
class TestTraffic:
    """It is counted before challenges go; what tells of people goes when they do."""

    def hours(self) -> list[datetime]:
        rows = TrafficCount.objects.filter(span=Span.HOUR, account="memory")
        return list(rows.values_list("starts_at", flat=True))

    def test_challenges_are_counted_before_they_go(self):
        for minutes in range(3):
            age = 31 * DAY - timedelta(minutes=minutes)
            make_challenge(
                age, make_ledger(timedelta(0), f"+7924450100{minutes}"), account="memory"
            )
        assert run().challenges_count == 3
        counts = TrafficCount.objects.filter(account="memory").values_list("span", "sent_count")
        assert sorted(counts) == [("day", 3), ("hour", 3)]

    @pytest.mark.parametrize(("age", "left"), [(30 * DAY, 1), (30 * DAY + MOMENT, 0), (DAY, 1)])
    def test_s23_sources_older_than_the_retention_go(self, age, left):
        TrafficSource.objects.create(
            span=Span.DAY,
            starts_at=timezone.now() - age,
            kind=Source.PREFIX,
            scope="+7924450",
            sent_count=2,
            verified_count=1,
        )
        run()
        assert TrafficSource.objects.count() == left

    def test_hours_go_after_ninety_days_and_their_days_stay(self, clock):
        make_challenge(DAY, make_ledger(timedelta(0)), account="memory")
        run()
        assert len(self.hours()) == 1
        clock.shift(89 * DAY)
        run()
        assert len(self.hours()) == 1
        clock.shift(DAY)
        run()
        assert self.hours() == []
        assert TrafficCount.objects.get(span=Span.DAY, account="memory").sent_count == 1

    def test_hours_that_are_in_no_day_stay(self, clock):
        make_challenge(timedelta(0), make_ledger(timedelta(0)))
        # Written by a count whose clock is ahead: ours gives way to it.
        TrafficCount.objects.create(
            span=Span.DAY,
            starts_at=day_of(NOW).start,
            counted_at=NOW + 365 * DAY,
            details={"ends_at": day_of(NOW).start.isoformat()},
        )
        run()
        clock.shift(100 * DAY)
        run()
        assert len(self.hours()) == 1


class Log:
    """What went to the database: statements with their rows and parameters, and transactions."""

    def __init__(self) -> None:
        self.deleted: list[tuple[str, int]] = []
        self.most_parameters = 0

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        result = execute(sql, params, many, context)
        self.most_parameters = max(self.most_parameters, len(params or ()))
        if re.match(r"INSERT INTO [`\"]phone_otp_traffic", sql):
            self.most_parameters = 0  # counting came before; it grows with no rows
        found = re.match(r"DELETE FROM [`\"]phone_otp_(\w+)", sql)
        if found:
            self.deleted.append((found[1], context["cursor"].rowcount))
        return result


@contextmanager
def logged() -> Iterator[Log]:
    log = Log()
    with connection.execute_wrapper(log):
        yield log


@pytest.mark.django_db(transaction=True)
class TestBatches:
    """However much there is, each transaction is small."""

    TABLES = ("deliveryattempt", "confirmattempt", "guardobjection", "phonechallenge")

    def test_s23_no_statement_removes_more_than_a_batch(self):
        make_challenges(31 * DAY, make_ledger(31 * DAY), 23)
        for number in range(11):
            make_ledger(31 * DAY, f"+7924450200{number:02}")
        with logged() as log:
            assert run(5) == Purged(challenges_count=23, phone_ledgers_count=12)
        for table in self.TABLES:
            assert [count for name, count in log.deleted if name == table] == [5, 5, 5, 5, 3]
        ledgers = [count for name, count in log.deleted if name == "phoneledger"]
        assert ledgers == [5, 5, 2]

    def test_s23_no_statement_grows_beyond_a_batch(self):
        make_challenges(31 * DAY, make_ledger(31 * DAY), 60)
        with logged() as log:
            run(20)
        conditions_count = 6  # beside the keys of a batch
        assert log.most_parameters <= 20 + conditions_count

    @pytest.mark.parametrize(
        ("took", "size"),
        [(0.0, 40), (0.0125, 40), (0.02, 25), (0.025, 20), (0.3, 20)],
    )
    def test_s23_a_batch_is_as_large_as_takes_a_fortieth_of_a_second(self, took, size):
        pace = Pace(1_000, iter([0.0, took]).__next__)
        assert pace.size == 20
        with pace.batch():
            pass
        assert pace.size == size

    def test_s23_a_batch_grows_up_to_what_was_asked_for_and_shrinks_at_once(self):
        times = [0.0] * 16 + [0.5]
        pace, sizes = Pace(1_000, iter([*times, 1.0]).__next__), []
        for _number in range(9):
            with pace.batch():
                sizes.append(pace.size)
        assert [*sizes, pace.size] == [20, 40, 80, 160, 320, 640, 1_000, 1_000, 1_000, 50]

    def test_s23_each_batch_is_a_transaction_of_its_own(self):
        make_challenges(31 * DAY, make_ledger(timedelta(0)), 23)
        with CaptureQueriesContext(connection) as captured:
            run(5)
        log = "\n".join(each["sql"].rstrip(";") for each in captured.captured_queries)
        blocks = [
            each for each in log.split("BEGIN") if re.search(r"DELETE .*phonechallenge", each)
        ]
        # Pending deliveries, attempts of three kinds, and the challenges.
        assert [(each.count("DELETE "), each.count("COMMIT")) for each in blocks] == [(5, 1)] * 5

    def test_s23_a_purge_that_is_stopped_leaves_whole_rows(self):
        make_challenges(31 * DAY, make_ledger(31 * DAY), 23)
        steps = islice(purge(conf.read(), timezone.now(), batch_size=5), 2)
        assert [each.challenges_count for each in steps] == [5, 10]
        assert count_rows() == (13, 1, 0, 13, 13, 13)
        assert run(5) == Purged(challenges_count=13, phone_ledgers_count=1)

    def test_s23_the_oldest_go_first(self):
        rows = make_challenges(31 * DAY, make_ledger(31 * DAY), 10)
        next(purge(conf.read(), timezone.now(), batch_size=4))
        left = set(PhoneChallenge.objects.values_list("pk", flat=True))
        assert left == {each.pk for each in rows[4:]}

    def test_s23_more_of_one_moment_than_a_batch_holds(self):
        ledger = make_ledger(31 * DAY)
        make_challenges(31 * DAY, ledger, 23)
        PhoneChallenge.objects.update(created_at=timezone.now() - 31 * DAY)
        assert run(5).challenges_count == 23

    def test_rows_do_not_become_objects(self):
        make_challenges(31 * DAY, make_ledger(31 * DAY), 5)
        made = set()
        models.signals.post_init.connect(
            lambda sender, **_: made.add(sender), weak=False, dispatch_uid="t"
        )
        try:
            run()
        finally:
            models.signals.post_init.disconnect(dispatch_uid="t")
        assert made == {TrafficCount, TrafficSource}

    def test_inside_of_a_transaction_no_challenge_goes(self):
        make_challenge(31 * DAY, make_ledger(timedelta(0)))
        with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
            run()

    def test_inside_of_a_transaction_no_ledger_goes(self):
        make_ledger(31 * DAY)
        with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
            run()


@pytest.mark.django_db
class TestSite:
    """A site may have rows of its own, or listen."""

    def test_receivers_hear_of_each_row(self):
        heard = []
        rows = make_challenges(31 * DAY, make_ledger(31 * DAY), 7)

        def hear(instance: PhoneChallenge, **_: Any) -> None:
            heard.append(instance.pk)

        pre_delete.connect(hear, sender=PhoneChallenge)
        try:
            assert run(3) == Purged(challenges_count=7, phone_ledgers_count=1)
        finally:
            pre_delete.disconnect(hear, sender=PhoneChallenge)
        assert sorted(heard) == [each.pk for each in rows]

    def test_rows_that_refer_to_them_go_as_their_model_says(self, note_model):
        ledger = make_ledger(31 * DAY)
        old, young = make_challenge(31 * DAY, ledger), make_challenge(DAY, ledger)
        notes = [note_model._default_manager.create(challenge=each) for each in (old, young)]
        assert run() == Purged(challenges_count=1)
        assert list(note_model._default_manager.all()) == notes[1:]


@pytest.fixture
def note_model(transactional_db):
    """A model of the site's own, for the time of a test."""

    class Note(models.Model):
        challenge = models.ForeignKey(PhoneChallenge, on_delete=models.CASCADE, related_name="+")

        class Meta:
            app_label = "tests"

    with connection.schema_editor() as editor:
        editor.create_model(Note)
    yield Note
    Note._default_manager.all().delete()
    with connection.schema_editor() as editor:
        editor.delete_model(Note)
    del apps.all_models["tests"]["note"]
    apps.clear_cache()


def elsewhere(action: Callable[[], object]) -> threading.Thread:
    """Start doing something on a connection of its own."""

    def act() -> None:
        try:
            action()
        finally:
            connections.close_all()

    thread = threading.Thread(target=act)
    thread.start()
    return thread


@contextmanager
def before(pattern: str, action: Callable[[], object]) -> Iterator[None]:
    """Do something, once, before the first statement that begins like this."""
    pending = [action]

    def hook(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if pending and re.match(pattern, sql.replace("`", '"')):
            pending.pop()()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(hook):
        yield
    assert not pending, "there was no such statement"


@contextmanager
def after(pattern: str, action: Callable[[], object]) -> Iterator[None]:
    """Do something, once, after the first statement that begins like this."""
    pending = [action]

    def hook(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if pending and re.match(pattern, sql.replace("`", '"')):
            pending.pop()()
        return result

    with connection.execute_wrapper(hook):
        yield
    assert not pending, "there was no such statement"


def holds_rows() -> bool:
    """Say whether one row can be held: SQLite holds all or none, and there a purge waits."""
    return connection.features.has_select_for_update_skip_locked


@contextmanager
def held(rows: models.QuerySet[Any]) -> Iterator[None]:
    """Hold rows on another connection, as a second purge would."""
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            assert list(rows.select_for_update())
            locked.set()
            assert done.wait(30)

    thread = elsewhere(hold)
    assert locked.wait(30)
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.django_db(transaction=True)
class TestPurgesMeanwhile:
    """Two purges at once."""

    def test_s23_challenges_that_another_holds_are_left_to_it(self):
        if not holds_rows():
            return
        rows = make_challenges(31 * DAY, make_ledger(31 * DAY), 9)
        # More than a batch of them, and all of one moment: nothing moves on.
        theirs = PhoneChallenge.objects.filter(pk__gt=rows[3].pk)
        theirs.update(created_at=rows[8].created_at)
        with held(theirs):
            assert run(2).challenges_count == 4
            assert theirs.count() == 5
        assert run(2).challenges_count == 5

    def test_s23_ledgers_that_another_holds_are_left_to_it(self):
        if not holds_rows():
            return
        for number in range(9):
            make_ledger(31 * DAY, f"+7924450200{number}")
        theirs = PhoneLedger.objects.filter(phone__gte="+79244502004")
        with held(theirs):
            assert run(2).phone_ledgers_count == 4
            assert theirs.count() == 5
        assert run(2).phone_ledgers_count == 5


@pytest.mark.django_db(transaction=True)
class TestRequestsMeanwhile:
    """A purge and a request for the same phone, at the worst moment."""

    def test_a_ledger_that_goes_after_it_was_read_is_made_anew(self):
        old = make_ledger(31 * DAY)
        with before('UPDATE "phone_otp_phoneledger"', lambda: elsewhere(run).join()):
            asked = request_code(PHONE)
        assert asked.refusal is None
        ledger = PhoneLedger.objects.get()
        assert ledger.pk != old.pk
        assert (len(ledger.sends), ledger.challenges.get()) == (1, asked.challenge)

    def test_a_ledger_that_is_being_written_to_stays(self):
        old, purges = make_ledger(31 * DAY), []
        with before(
            'INSERT INTO "phone_otp_phonechallenge"', lambda: purges.append(elsewhere(run))
        ):
            asked = request_code(PHONE)
        purges[0].join()
        assert asked.refusal is None
        ledger = PhoneLedger.objects.get()
        assert ledger.pk == old.pk
        assert (len(ledger.sends), ledger.challenges.get()) == (1, asked.challenge)

    # Guards that the conditions are asked again of rows that nobody can write to.
    def test_a_ledger_that_is_used_after_the_purge_found_it_stays(self):
        old = make_ledger(31 * DAY)
        first = "SELECT" if connection.features.has_select_for_update else "DELETE"
        asked = []
        lock = rf'{first} .*"phone_otp_phoneledger".* IN \('
        with before(lock, lambda: elsewhere(lambda: asked.append(request_code(PHONE))).join()):
            assert run() == Purged()
        assert asked[0].refusal is None
        assert PhoneLedger.objects.get() == old

    @pytest.mark.parametrize(
        "delete",
        [
            'DELETE FROM "phone_otp_deliveryattempt"',
            'DELETE FROM "phone_otp_phonechallenge"',
            'DELETE FROM "phone_otp_phoneledger"',
        ],
    )
    def test_a_login_does_not_wait_for_a_batch(self, delete):
        if not holds_rows():
            return
        # Nothing is left between them and what the login adds: no gap of theirs may be locked.
        make_challenges(31 * DAY, make_ledger(31 * DAY), 3)
        refusals: list[object] = []

        def log_in() -> None:
            challenge = request_code(OTHER_PHONE).challenge
            assert challenge
            refusals.append(confirm_code(challenge.public_id, outbox[-1].code).refusal)

        during: list[object] = []

        def wait_for_login() -> None:
            elsewhere(log_in).join(10)
            during.extend(refusals)

        with after(delete, wait_for_login):
            assert run() == Purged(challenges_count=3, phone_ledgers_count=1)
        assert during == [None]

    def test_a_device_that_is_used_for_the_first_time(self):
        make_ledger(31 * DAY)
        device = devices.make_device(devices.new_key(), PHONE)
        first_write = '(UPDATE|INSERT INTO) "phone_otp_(phone|device)ledger"'
        with before(first_write, lambda: elsewhere(run).join()):
            asked = request_code(PHONE, device=device)
        assert asked.refusal is None
        assert DeviceLedger.objects.get().ledger == PhoneLedger.objects.get()
        assert PhoneChallenge.objects.get().device == DeviceLedger.objects.get()

    def test_a_message_that_a_guard_blocks(self, phone_otp):
        phone_otp(ALLOWED_REGIONS=["BY"])
        make_ledger(31 * DAY)
        with before('UPDATE "phone_otp_phoneledger"', lambda: elsewhere(run).join()):
            assert request_code(PHONE).refusal == Refusal.PHONE_NOT_ALLOWED
        assert PhoneChallenge.objects.get().ledger == PhoneLedger.objects.get()


def test_a_batch_is_small_enough_for_every_database():
    # SQLite's own limit of parameters, less those beside the keys.
    assert retention.BATCH_SIZE <= retention.MAX_BATCH_SIZE < 32_766 - 100
