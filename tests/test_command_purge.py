"""`phone_otp_purge`: what an operator, a timer and a terminal see of it."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper
from django.db import connection

from django_phone_otp.management.commands.phone_otp_purge import Bar
from django_phone_otp.models import PhoneChallenge
from tests.conftest import PHONE
from tests.rows import DAY, TRAILS, make_challenge, make_challenges, make_device, make_ledger

NAME = "phone_otp_purge"
NOTHING = "0 challenges, 0 phone ledgers and 0 device ledgers removed.\n"


class Terminal(StringIO):
    """Standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def run(*arguments: str, error: StringIO | None = None, **options: Any) -> str:
    """Run it; gives what it wrote to standard output."""
    out = StringIO()
    call_command(NAME, *arguments, stdout=out, stderr=error or StringIO(), **options)
    return out.getvalue()


def without_rates(error: StringIO) -> str:
    return re.sub(r"[\d,]+/s *", "0/s", error.getvalue())


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
class TestSummary:
    """A line on standard output, and nothing else where nobody watches."""

    def test_s23_it_says_what_it_removed(self):
        make_challenges(31 * DAY, make_ledger(31 * DAY), 3)
        make_ledger(31 * DAY, "+79244501004")
        make_device(181 * DAY, make_ledger(DAY, "+79244501005"))
        error = StringIO()
        summary = "3 challenges, 2 phone ledgers and 1 device ledger removed.\n"
        assert run(error=error) == summary
        assert error.getvalue() == ""
        assert run() == NOTHING

    def test_s23_a_dry_run_removes_nothing(self):
        ledger = make_ledger(31 * DAY)
        challenge = make_challenge(31 * DAY, ledger)
        stuck = make_challenge(31 * DAY, ledger, state="sending", code_digest="", sent_at=None)
        would = "2 challenges, 1 phone ledger and 0 device ledgers would be removed.\n"
        assert run("--dry-run") == would
        assert run("--dry-run", error=Terminal()) == would
        assert set(PhoneChallenge.objects.all()) == {challenge, stuck}
        stuck.refresh_from_db()
        assert stuck.state == "sending"  # nor is anything swept
        assert [trail.objects.count() for trail in TRAILS] == [2, 2, 2]

    def test_batches_may_have_another_size(self):
        make_challenges(31 * DAY, make_ledger(31 * DAY), 5)
        assert run("--batch-size", "2").startswith("5 challenges, 1 phone ledger ")

    @pytest.mark.parametrize("size", ["0", "-1", "10001"])
    def test_batches_of_no_size_are_refused(self, size):
        make_challenge(31 * DAY, make_ledger(31 * DAY))
        with pytest.raises(CommandError, match=r"^--batch-size must be from 1 to 10000\.$"):
            run("--batch-size", size)
        assert PhoneChallenge.objects.count() == 1

    def test_no_phone_is_written(self):
        make_challenge(31 * DAY, make_ledger(31 * DAY))
        error = Terminal()
        assert PHONE[-3:] not in run(error=error) + error.getvalue()


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
class TestTerminal:
    """A bar that fills up, for a person who watches."""

    def test_a_person_sees_it_fill_up(self):
        make_challenges(31 * DAY, make_ledger(timedelta(0)), 5)
        error = Terminal()
        assert run("--batch-size", "2", error=error).startswith("5 challenges, ")
        lines = without_rates(error).split("\r")
        assert [each.strip() for each in lines] == [
            "",
            "[############------------------]  40%  2/5  0/s",
            "[########################------]  80%  4/5  0/s",
            "[##############################] 100%  5/5  0/s",
        ]
        assert lines[-1].endswith("\n")

    def test_ledgers_come_on_top(self):
        make_challenge(31 * DAY, make_ledger(31 * DAY))
        error = Terminal()
        run(error=error)
        assert without_rates(error).endswith("100%  2/2  0/s\n")

    def test_verbosity_0_draws_none(self):
        make_challenge(31 * DAY, make_ledger(31 * DAY))
        error = Terminal()
        run(error=error, verbosity=0)
        assert error.getvalue() == ""

    def test_where_nothing_is_old_nothing_is_drawn(self):
        error = Terminal()
        assert run(error=error) == NOTHING
        assert error.getvalue() == ""

    def test_nothing_is_counted_for_a_bar_that_nobody_sees(self, django_assert_num_queries):
        call_command("phone_otp_count_traffic", stdout=StringIO())
        # The sweeps, the count of a slice in which nothing happens, and one question for rows of
        # each kind.
        with django_assert_num_queries(32) as captured:
            run()
        assert not [each for each in captured.captured_queries if "COUNT(*)" in each["sql"]]

    def test_it_says_how_fast_it_is(self):
        out = Terminal()
        bar = Bar(OutputWrapper(out), 3_000_000, iter([5.0, 15.0]).__next__)
        bar.show(1_234_560)
        assert out.getvalue() == (
            "\r[############------------------]  41%  1,234,560/3,000,000  123,456/s"
        )

    def test_a_shorter_line_covers_the_one_before(self):
        out = Terminal()
        bar = Bar(OutputWrapper(out), 100, iter([0.0, 1.0, 99.0]).__next__)
        bar.show(99)
        bar.show(99)
        first, second = (part for part in out.getvalue().split("\r") if part)
        assert first.endswith("99/100  99/s")
        assert second.endswith("99/100  1/s ")
        assert len(first) == len(second)


@contextmanager
def interrupted_in_batch(number: int) -> Iterator[None]:
    """Press Ctrl-C while the challenges of a batch go, when their attempts are gone already."""
    batches = []

    def hook(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if re.match(r"DELETE FROM .phone_otp_phonechallenge", sql):
            batches.append(sql)
            if len(batches) == number:
                raise KeyboardInterrupt
        return execute(sql, params, many, context)

    with connection.execute_wrapper(hook):
        yield


@pytest.mark.django_db(transaction=True)
class TestInterruption:
    """Ctrl-C."""

    @pytest.mark.parametrize("error", [StringIO(), Terminal()])
    def test_s23_it_says_how_far_it_came_and_ends_with_130(self, error):
        make_challenges(31 * DAY, make_ledger(31 * DAY), 5)
        with interrupted_in_batch(2), pytest.raises(CommandError) as caught:
            run("--batch-size", "2", error=error)
        assert str(caught.value) == (
            "Stopped: 2 challenges, 0 phone ledgers and 0 device ledgers removed so far."
        )
        assert caught.value.returncode == 130
        assert error.getvalue()[-1:] in ("", "\n")  # what comes next begins a line

    def test_s23_what_is_left_is_whole(self):
        make_challenges(31 * DAY, make_ledger(31 * DAY), 5)
        with interrupted_in_batch(2), pytest.raises(CommandError):
            run("--batch-size", "2")
        assert PhoneChallenge.objects.count() == 3
        assert [trail.objects.count() for trail in TRAILS] == [3, 3, 3]
        assert run() == "3 challenges, 1 phone ledger and 0 device ledgers removed.\n"


def test_it_explains_itself():
    told = subprocess.run(
        [sys.executable, "-m", "django", NAME, "--help"], capture_output=True, text=True, check=True
    )
    words = re.sub(r"\s+", " ", told.stdout)
    assert "Remove challenges older than RETENTION_DAYS" in words
    assert "Default: 1000." in words
