"""Growth: what a purge of a million challenges does to others: `python -m benchmarks.growth`.

Fills a PostgreSQL of its own, logs in again and again, without a purge and while one runs, and
tells the longest transaction of the purge, and how long people waited. Exit status 1: a transaction
took longer than 100 ms, or a login waited that long for a lock, which PostgreSQL itself watches.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.admin_at_scale import make_bar, make_settings, tell
from benchmarks.database import build, count_all_traffic, read_built, serving
from benchmarks.rows import DAYS, Size, phone_of

LIMIT_MS = 100.0
QUIET_SECONDS = 15.0
# Of the month of rows all but this goes.
RETENTION_DAYS = 1


def set_up(database: dict[str, Any]) -> None:
    """Set Django up as a site that logs people in with codes that it sends to nobody."""
    import django
    from django.conf import settings

    site = make_settings(database)
    site["INSTALLED_APPS"].append("rest_framework.authtoken")
    unlimited = ["1000000/h"]
    names = ("request_ip", "confirm_ip", "send_phone", "fail_phone")
    settings.configure(
        **site
        | {
            "PHONE_OTP": {
                "PROVIDERS": {"memory": {"BACKEND": "locmem"}},
                "TOKEN_ISSUER": "token",
                "RESEND_WAITS": [0],
                "RETENTION_DAYS": RETENTION_DAYS,
                "LIMITS": dict.fromkeys(names, unlimited),
            }
        }
    )
    django.setup()


# Who purges


@dataclass(slots=True)
class Transactions:
    """How long each transaction of a connection was open, in milliseconds.

    From before its first statement is sent until its COMMIT has been answered: never less than the
    time for which the server held its locks.
    """

    connection: Any
    times_ms: list[float] = field(default_factory=list)

    def __call__(self, execute: Callable[..., Any], *statement: Any) -> Any:
        """Execute a statement; the first of a transaction starts the clock."""
        if self.connection.in_atomic_block and not self.connection.run_on_commit:
            began = time.perf_counter()
            self.connection.on_commit(lambda: self._note(began))
        return execute(*statement)

    def _note(self, began: float) -> None:
        self.times_ms.append((time.perf_counter() - began) * 1_000)


def purge_all(batch_size: int) -> tuple[Any, list[float], float]:
    """Purge; give what was removed, the times of its transactions, and the seconds of all."""
    from django.db import connection
    from django.utils import timezone

    from django_phone_otp import conf
    from django_phone_otp.flow.retention import Purged, purge

    transactions, purged = Transactions(connection), Purged()
    began = time.monotonic()
    with connection.execute_wrapper(transactions):
        for purged in purge(conf.read(), timezone.now(), batch_size=batch_size):  # noqa: B007 (the last is given)
            pass
    return purged, transactions.times_ms, time.monotonic() - began


# Who logs in meanwhile


@contextmanager
def logging_in(database: dict[str, Any], size: Size) -> Iterator[list[float]]:
    """Have a process log in, one login after the other; its times (ms) are there in the end."""
    process = get_context("spawn")
    ends, (mine, its) = process.Event(), process.Pipe()
    probe = process.Process(target=_log_in, args=(database, size, ends, its), daemon=True)
    probe.start()
    its.close()  # the end of the process is an end of file then
    found: list[float] = mine.recv()
    try:
        yield found
    finally:
        ends.set()
        found.extend(mine.recv())
        probe.join()


def _log_in(database: dict[str, Any], size: Size, ends: Any, told: Any) -> None:
    # https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-LOCK-TIMEOUT
    set_up(database | {"OPTIONS": {"options": f"-c lock_timeout={LIMIT_MS:.0f}"}})
    from rest_framework.test import APIClient

    from django_phone_otp.providers.local import outbox

    client, chance = APIClient(), random.Random(3)  # noqa: S311 (no secret)
    found: list[float] = []
    told.send(found)
    while not ends.is_set():
        # Of somebody whom the site has known for long: his ledger may be about to go.
        phone = phone_of(chance.randint(1, size.phones))
        began = time.perf_counter()
        asked = client.post("/api/phone/request/", {"phone": phone}, format="json")
        if asked.status_code != 201:
            continue  # one of those that are locked, or no number that anybody has
        answer = {"challenge": asked.json()["challenge"], "code": outbox.pop().code}
        status = client.post("/api/phone/confirm/", answer, format="json").status_code
        if status != 200:
            raise RuntimeError(f"a login ended with status {status}")
        found.append((time.perf_counter() - began) * 1_000)
    told.send(found[1:])  # the first has read what there is to read


# What comes of it


def describe(name: str, times_ms: Sequence[float]) -> str:
    """Write a row: how many, the middle, what one of a hundred exceeds, and the longest."""
    hundredths = statistics.quantiles(times_ms, n=100)
    middle, late = statistics.median(times_ms), hundredths[98]
    return f"| {name} | {len(times_ms):,} | {middle:.1f} | {late:.1f} | {max(times_ms):.1f} |"


def measure(folder: Path, rows_count: int, batch_size: int | None) -> bool:
    """Build where nothing is built yet, purge, and say whether no transaction took too long.

    A login that waits too long for a lock ends its process, and the measurement with it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    built = read_built(folder)
    size = built[0] if built else Size(rows_count)
    with serving(folder) as database:
        set_up(database)
        if built is None:
            until = build(folder, size, tell, make_bar)
            count_all_traffic(until, tell)
        from django_phone_otp.flow.retention import BATCH_SIZE

        with logging_in(database, size) as quiet:
            time.sleep(QUIET_SECONDS)
        with logging_in(database, size) as busy:
            purged, times_ms, seconds = purge_all(batch_size or BATCH_SIZE)
    # What is removed is not there for another run.
    (folder / "built.json").unlink()
    tell(f"\n{purged.rows_count:,} rows with their attempts, in {seconds:.0f} s: {purged}\n")
    tell("| milliseconds | number | median | 99 % | longest |\n| --- | --: | --: | --: | --: |")
    tell(describe("transactions of the purge", times_ms))
    tell(describe("logins, no purge", quiet))
    tell(describe("logins during the purge", busy))
    return max(times_ms) <= LIMIT_MS


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as the arguments say; 0 when nobody waited too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", type=int, default=1_000_000 * DAYS // (DAYS - RETENTION_DAYS), metavar="N"
    )
    parser.add_argument("--batch-size", type=int, metavar="N", help="as of phone_otp_purge")
    given = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="phone-otp-growth-"))
    try:
        return 0 if measure(folder, given.rows, given.batch_size) else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
