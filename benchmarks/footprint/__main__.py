"""Measure what a sign-in leaves behind and holds on to: `python -m benchmarks.footprint`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks.sign_in.contenders import find
from benchmarks.sign_in.results import describe_machine
from benchmarks.sign_in.scenarios import rehearse
from benchmarks.sign_in.sites import Ground, on_ground
from benchmarks.sign_in.statements import count_statements

from .measure import (
    measure_connections,
    measure_keys,
    measure_page_images,
    measure_rows,
    measure_sign_ins,
)
from .tables import INLINE, TASKS, Found, update_page, write_page

CONTENDERS = (INLINE, TASKS, "celery")


def tell(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201 (it is a program)


def measure(options: argparse.Namespace) -> Found:
    """Measure all that was asked for."""
    from django_phone_otp.conf import Settings

    with on_ground() as ground:
        found = Found(describe(ground, options.sign_ins), Settings().retention_days)
        for name in options.only:
            contender = find(name)
            reason = ground.prepare(contender) or rehearse(ground, contender)
            if reason and name == INLINE:
                raise RuntimeError(f"{name} cannot run: {reason}")
            if reason:
                tell(f"{name} is left out: {reason}")
                continue
            tell(f"{name}: {options.sign_ins} sign-ins with new phones, and again with known ones")
            found.sign_ins += measure_sign_ins(ground, contender, options.sign_ins)
            found.rows = measure_rows(ground, contender) | found.rows
            found.keys = found.keys or measure_keys(ground, options.sign_ins)
            found.connections.append(measure_connections(ground, contender))
            found.statements += count_statements(ground, [contender])
        if options.old:
            tell(f"{INLINE}: beside {options.old:,} old challenges")
            inline = find(INLINE)
            found.page_images = measure_page_images(ground, inline, options.old, options.sign_ins)
    return found


def describe(ground: Ground, count: int) -> str:
    """Say when it was measured, and on what."""
    known = describe_machine(ground.version, ground.cache_version)
    machine = (
        f"{known.pop('processor')}, {known.pop('cores')} cores, {known.pop('memory')} of memory"
    )
    versions = ", ".join(" ".join(each) for each in known.items())
    people = f"{count:,} people, one request at a time, twice each"
    return f"{datetime.now(UTC):%Y-%m-%d}: {machine}.\n{versions}.\n{people}."


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.footprint", description=__doc__)
    parser.add_argument(
        "--only",
        type=_read_names,
        default=CONTENDERS,
        metavar="NAMES",
        help=f"{INLINE}, and some of {', '.join(CONTENDERS[1:])}",
    )
    parser.add_argument("--sign-ins", type=int, default=2_000, help="%(default)s")
    parser.add_argument(
        "--old", type=int, default=1_000_000, help="old challenges, for WAL; %(default)s"
    )
    parser.add_argument("--docs", action="store_true", help="put the tables into docs/capacity.md")
    return parser.parse_args(arguments)


def _read_names(text: str) -> list[str]:
    names = text.split(",")
    if INLINE not in names or not set(names) <= set(CONTENDERS):
        raise argparse.ArgumentTypeError(f"{INLINE}, and some of {', '.join(CONTENDERS[1:])}")
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; return the exit status."""
    options = read_options(arguments)
    # An exception ends the servers; the signal by itself would leave them running.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    found = measure(options)
    tell(write_page(found))
    if options.docs:
        update_page(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
