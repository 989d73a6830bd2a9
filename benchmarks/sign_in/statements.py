"""What a step has the database and the cache do: read off the log of one, asked of the other."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

from .contenders.base import Contender
from .people import Crowd, new_phones
from .scenarios import receive, serving
from .sites import ALONE, Ground, Site, name_database

RUNS = 5
# The prefix is of `sites.SERVER_SETTINGS`; what follows is PostgreSQL's.
LINE = re.compile(r"^(\w+)\|(\d+)\|LOG:  (?:statement|execute [^:]*): (\w+)", re.MULTILINE)
CONTROL = {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET"}
WRITES = {"INSERT", "UPDATE", "DELETE"}


@dataclass(frozen=True, slots=True)
class Work:
    """Statements without those that begin and end transactions, commits that wrote, and commands.

    Those of workers are among them, and so is what they do to find work.
    """

    statements: int
    commits: int
    commands: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What the two steps of a contender do."""

    contender: str
    is_known: bool
    request: Work
    confirm: Work


def count_statements(ground: Ground, contenders: Sequence[Contender]) -> Iterator[Counted]:
    """Have one person after another sign in, with a log of all statements."""
    for contender in contenders:
        database = name_database(contender)
        ground.query(f"ALTER DATABASE {database} SET log_statement = 'all'")
        with serving(ground, [(contender, "")], ALONE) as (site,):
            site.resume()
            for is_known in (False, True):
                yield _count(ground, site, is_known=is_known)
        ground.query(f"ALTER DATABASE {database} RESET log_statement")


def _count(ground: Ground, site: Site, *, is_known: bool) -> Counted:
    requests, confirms = [], []
    contender = site.contender
    with Crowd(contender, site.port, 1) as crowd:
        for phone in new_phones(RUNS):
            if is_known:
                asked = crowd.ask([phone], is_known=False)
                crowd.answer(asked, receive(ground, asked)[0], is_known=False)
            read = _start_reading(ground, site.database)
            asked = crowd.ask([phone], is_known=is_known)
            codes, _delivered = receive(ground, asked)
            requests.append(read())
            read = _start_reading(ground, site.database)
            crowd.answer(asked, codes, is_known=is_known)
            confirms.append(read())
    return Counted(contender.name, is_known, _middle(requests), _middle(confirms))


def _start_reading(ground: Ground, database: str) -> Callable[[], Work]:
    position = ground.database_log.stat().st_size
    commands = _count_commands(ground)

    def read() -> Work:
        with ground.database_log.open("rb") as log:
            log.seek(position)
            text = log.read().decode(errors="replace")
        # The question itself is a command too.
        return read_log(text, database, commands=_count_commands(ground) - commands - 1)

    return read


def read_log(text: str, database: str, *, commands: int = 0) -> Work:
    """Count what a database did by the server's log."""
    statements = commits = 0
    is_open: dict[str, bool] = {}  # by process: in a transaction that has written
    for found, process, word in LINE.findall(text):
        if found != database:
            continue
        word = word.upper()
        if word == "BEGIN":
            is_open[process] = False
        elif word in ("COMMIT", "ROLLBACK"):
            commits += word == "COMMIT" and is_open.pop(process, False)
        elif word in WRITES:
            if process in is_open:
                is_open[process] = True
            else:
                commits += 1
        statements += word not in CONTROL
    return Work(statements, commits, commands)


def _count_commands(ground: Ground) -> int:
    return int(ground.redis.info("stats")["total_commands_processed"])


def _middle(runs: Sequence[Work]) -> Work:
    return Work(
        *(
            round(statistics.median(getattr(run, each.name) for run in runs))
            for each in fields(Work)
        )
    )
