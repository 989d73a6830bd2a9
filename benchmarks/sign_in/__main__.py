"""Measure what a sign-in costs: `python -m benchmarks.sign_in`.

All contenders run on this machine, one after another, round by round; what counts are the ratios
within a round.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.admin_at_scale import GIGABYTES_OF_ROWS

from .bars import judge
from .contenders import CONTENDERS, find
from .contenders.base import Contender
from .report import update_docs, write_lines
from .results import Results, describe_machine, find_versions
from .scenarios import (
    SCENARIOS,
    make_old_challenges,
    measure_bursts,
    measure_growth,
    measure_sign_ins,
    rehearse,
)
from .sites import Ground, on_ground
from .statements import count_statements

PARTS = ("sign-ins", "bursts", "growth", "statements")
QUICK_PARTS = ("sign-ins",)
GROWING = "inline"
MILLION = 1_000_000


def tell(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201 (it is a program)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return the exit status."""
    options = read_options(arguments)
    # An exception ends the servers; the signal by itself would leave them running.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    needed = GIGABYTES_OF_ROWS * sum(options.sizes) / MILLION + 1
    free = shutil.disk_usage(tempfile.gettempdir()).free / 2**30
    if "growth" in options.parts and free < needed:
        tell(f"{tempfile.gettempdir()} has {free:.0f} GB free, and about {needed:.0f} are needed.")
        return 2
    results = options.read if options.read else measure(options)
    bars = list(judge(results))
    for line in (*write_lines(results), *map(str, bars)):
        tell(line)
    if options.json:
        results.write(options.json)
    if options.docs:
        update_docs(results)
    return int(options.judge and not all(bar.holds for bar in bars))


def measure(options: argparse.Namespace) -> Results:
    """Measure all that was asked for."""
    with on_ground() as ground:
        results = Results(machine=describe_machine(ground.version, ground.cache_version))
        able = _prepare(ground, options.only, results)
        scenarios = SCENARIOS[:1] if options.quick else SCENARIOS
        rounds, count = options.rounds, options.sign_ins
        if "sign-ins" in options.parts:
            results.sign_ins += measure_sign_ins(ground, able, scenarios, rounds, count)
        if "bursts" in options.parts:
            results.bursts += measure_bursts(ground, able, options.burst_rounds, options.burst)
        if "statements" in options.parts:
            results.statements += count_statements(ground, able)
        if "growth" in options.parts:
            make_old_challenges(ground, find(GROWING), options.sizes)
            results.growth += measure_growth(ground, find(GROWING), options.sizes, rounds, count)
    return results


def _prepare(ground: Ground, chosen: Sequence[Contender], results: Results) -> list[Contender]:
    able = []
    for each in chosen:
        reason = ground.prepare(each) or rehearse(ground, each)
        if reason:
            tell(f"{each.name} is left out: {reason}")
            results.left_out[each.name] = reason
        else:
            able.append(each)
    results.versions = find_versions(able)
    return able


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sign_in", description=__doc__)
    names = ", ".join(each.name for each in CONTENDERS)
    parser.add_argument(
        "--only", type=_find_all, default=CONTENDERS, metavar="NAMES", help=f"some of {names}"
    )
    parser.add_argument(
        "--parts", type=_read_parts, metavar="PARTS", help=f"some of {', '.join(PARTS)}"
    )
    parser.add_argument("--rounds", type=int, help="of sign-ins and of growth; 9")
    parser.add_argument("--sign-ins", type=int, help="of a contender in a round; 200")
    parser.add_argument("--burst", type=int, default=1_000, help="people of a burst; %(default)s")
    parser.add_argument("--burst-rounds", type=int, default=3, help="%(default)s")
    parser.add_argument(
        "--sizes",
        type=_read_sizes,
        default=(0, MILLION),
        metavar="NUMBERS",
        help="of old challenges; 0,1000000",
    )
    parser.add_argument("--quick", action="store_true", help="one short round, CPU alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the results there")
    parser.add_argument(
        "--read", type=_read_results, metavar="FILE", help="measure nothing, take kept results"
    )
    parser.add_argument("--judge", action="store_true", help="fail where a bar does not hold")
    parser.add_argument("--docs", action="store_true", help="put tables and plot into docs/")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 9)
    options.sign_ins = options.sign_ins or (100 if options.quick else 200)
    options.parts = options.parts or (QUICK_PARTS if options.quick else PARTS)
    return options


def _find_all(names: str) -> list[Contender]:
    return [find(name) for name in names.split(",")]


def _read_parts(names: str) -> list[str]:
    parts = names.split(",")
    if not set(parts) <= set(PARTS):
        raise ValueError
    return parts


def _read_sizes(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(","))


def _read_results(path: str) -> Results:
    return Results.read(Path(path))


if __name__ == "__main__":
    sys.exit(main())
