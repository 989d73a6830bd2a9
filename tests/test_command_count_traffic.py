"""`phone_otp_count_traffic`: what an operator and a timer see of it."""

import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_phone_otp.choices import Span
from django_phone_otp.models import TrafficCount
from tests.conftest import NOW
from tests.test_traffic import HOUR, ask

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture(autouse=True)
def _in_utc(settings) -> None:
    settings.TIME_ZONE = "UTC"


def run(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command("phone_otp_count_traffic", *arguments, stdout=out, **options)
    return re.sub(r"\d+\.\d s", "0.0 s", out.getvalue())


def test_it_says_what_it_counted():
    ask(NOW - 3 * HOUR)
    ask(NOW)
    assert run() == "2 hours counted in 0.0 s.\n"
    assert (
        TrafficCount.objects.get(span=Span.HOUR, starts_at=NOW, account="texts").requested_count
        == 1
    )


def test_an_idle_site_has_its_present_hour():
    assert run() == "1 hour counted in 0.0 s.\n"


def test_with_a_deadline_it_says_how_far_it_came(settings):
    settings.TIME_ZONE = "Europe/Moscow"
    ask(NOW - timedelta(days=3))
    ask(NOW)
    written = run("--deadline", "0")
    assert written == (
        "1 hour counted, up to 2026-02-26 16:00; the next count goes on from there.\n"
    )
    assert not TrafficCount.objects.filter(span=Span.DAY).exists()


def test_where_another_count_is_at_work_it_says_so():
    rows = {"span": Span.HOUR, "counted_at": NOW + HOUR, "details": {"ends_at": "-"}}
    TrafficCount.objects.create(starts_at=NOW, **rows)
    assert run() == "0 hours counted, up to –; another count is at work.\n"


def test_verbosity_0_says_nothing():
    assert run(verbosity=0) == ""
    assert TrafficCount.objects.exists()


@pytest.mark.parametrize("seconds", ["-1", "nan"])
def test_a_deadline_has_to_be_a_time(seconds):
    with pytest.raises(CommandError, match="--deadline must be 0 or more"):
        run("--deadline", seconds)


def test_it_counts_again_from_a_date():
    ask(NOW - 2 * HOUR)
    run()
    TrafficCount.objects.update(requested_count=7)
    assert run("--again", "2026-03-01") == "2 hours counted in 0.0 s.\n"
    assert TrafficCount.objects.get(span=Span.HOUR, account="texts").requested_count == 1


@pytest.mark.parametrize("text", ["yesterday", "2026-03-02", "2026-02-30", ""])
def test_again_takes_a_date_that_has_come(text):
    with pytest.raises(CommandError, match="--again must be a date such as 2026-03-01"):
        run("--again", text)


def test_what_is_not_kept_is_not_counted_again():
    gone = ask(NOW - timedelta(days=5))
    ask(NOW - timedelta(days=2))
    run()
    gone.delete()
    with pytest.raises(CommandError) as caught:
        run("--again", "2026-02-27")
    assert str(caught.value) == (
        "The challenges of 2026-02-27 are not kept any more, so they cannot be counted again. "
        "The first day that can be is 2026-02-28."
    )
    assert run("--again", "2026-02-28") == "1 hour counted in 0.0 s.\n"


def test_again_has_no_deadline():
    with pytest.raises(CommandError, match="not allowed with argument"):
        run("--again", "2026-03-01", "--deadline", "5")
