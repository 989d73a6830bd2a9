"""A worker's memory over 100,000 sign-ins: `python -m benchmarks.memory`.

Signs in again and again, each time with another phone, in one process and in a PostgreSQL of its
own. Exit status 1: the worker holds over 1 MiB more at the end than after the first tenth, in which
what is kept once for all is loaded.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.database import serving
from benchmarks.worker import (
    Application,
    configure,
    hide_packages,
    load,
    make_tables,
    phone_of,
    read_memory,
    sign_in,
)

MAX_GROWTH_MIB = 1.0
SIGN_INS_COUNT = 100_000
STEPS_COUNT = 10
TRACED_COUNT = 15
SITE = "app, metrics"  # with prometheus_client where it is installed


def tell(text: str) -> None:
    """Say what happens."""
    print(text, flush=True)  # noqa: T201 (it is a program)


def measure(application: Application, count: int) -> Iterator[float]:
    """Sign in so many times, and give what the process holds after each step, in MiB."""
    step = count // STEPS_COUNT
    began = time.process_time()
    for number in range(1, step * STEPS_COUNT + 1):
        sign_in(application, phone_of(number))
        if number % step == 0:
            memory, cpu_ms = read_memory(), (time.process_time() - began) * 1_000 / number
            tell(
                f"{number:9,} sign-ins: RSS {memory['rss']:.2f} MiB, own {memory['own']:.2f} MiB; "
                f"{cpu_ms:.1f} ms of CPU each"
            )
            yield memory["rss"]


def judge(held: Sequence[float], step: int) -> int:
    """Say by how much the memory grew; return the exit status."""
    growth = held[-1] - held[0]
    bytes_each = growth * 2**20 / (step * (len(held) - 1))
    tell(f"After the first step it grew by {growth:.2f} MiB, {bytes_each:.1f} bytes a sign-in.")
    return int(growth > MAX_GROWTH_MIB)


def trace(application: Application, count: int) -> None:
    """List the lines whose allocations were kept after the first step."""
    tracemalloc.start()
    steps = measure(application, count)
    next(steps)
    before = tracemalloc.take_snapshot()
    for _held in steps:
        pass
    for line in tracemalloc.take_snapshot().compare_to(before, "lineno")[:TRACED_COUNT]:
        tell(str(line))


def main(arguments: list[str] | None = None) -> int:
    """Run it; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    parser.add_argument(
        "--sign-ins", type=int, default=SIGN_INS_COUNT, metavar="N", help="how many; %(default)s"
    )
    parser.add_argument(
        "--trace", action="store_true", help="list the lines that kept most; judges nothing"
    )
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="phone-otp-memory-") as folder,
        serving(Path(folder)) as database,
    ):
        hide_packages(SITE)
        # One connection, as a worker keeps it; nobody waits for the disk.
        database |= {"CONN_MAX_AGE": None, "OPTIONS": {"options": "-c synchronous_commit=off"}}
        configure(SITE, database)
        application = load()
        make_tables(SITE)
        if options.trace:
            trace(application, options.sign_ins)
            return 0
        return judge(list(measure(application, options.sign_ins)), options.sign_ins // STEPS_COUNT)


if __name__ == "__main__":
    sys.exit(main())
