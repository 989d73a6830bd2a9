"""What is measured: pages by Django's test client, and the plan of each statement they make."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

LIMIT_MS = 200.0
RUNS = 9
ROUNDS = 3
BIG_TABLE_ROWS = 100_000
# A page that is this slow is not asked eight times more.
HOPELESS_MS = 2_000.0


@dataclass(slots=True)
class Statement:
    """One SELECT of a page, its slowest run, and what its plan reads from end to end."""

    sql: str
    params: Any
    worst_ms: float
    scanned: list[str] = field(default_factory=list)
    plan: str = ""


@dataclass(slots=True)
class Measurement:
    """What asking for one page took, and what it had the database do."""

    name: str
    address: str
    times_ms: list[float]
    statements: dict[str, Statement]
    status: int
    size: int

    @property
    def median_ms(self) -> float:
        """Give the time of the run in the middle."""
        return statistics.median(self.times_ms)

    @property
    def worst_ms(self) -> float:
        """Give the time of the slowest run."""
        return max(self.times_ms)

    @property
    def slowest(self) -> Statement | None:
        """Give the statement that took longest."""
        return max(self.statements.values(), key=lambda each: each.worst_ms, default=None)

    @property
    def statement_ms(self) -> float:
        """Give the time of the slowest statement."""
        return self.slowest.worst_ms if self.slowest else 0.0

    def problems(self) -> Iterator[str]:
        """Say what is not as it has to be."""
        if self.status != 200:
            yield f"status {self.status}"
        if self.worst_ms > LIMIT_MS:
            yield f"{self.worst_ms:.0f} ms"
        for each in self.statements.values():
            if each.worst_ms > LIMIT_MS:
                yield f"a statement of {each.worst_ms:.0f} ms"
            if each.scanned:
                yield f"reads {', '.join(each.scanned)} from end to end"


class Recorder:
    """Note the statements of a connection while it is switched on."""

    def __init__(self) -> None:
        self.statements: dict[str, Statement] = {}

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        """Execute a statement and note how long it took."""
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            took_ms = (time.perf_counter() - began) * 1_000
            known = self.statements.setdefault(sql, Statement(sql, params, took_ms))
            if took_ms >= known.worst_ms:
                known.params, known.worst_ms = params, took_ms


@contextmanager
def recording(connection: Any) -> Iterator[Recorder]:
    """Record what the connection executes."""
    recorder = Recorder()
    with connection.execute_wrapper(recorder):
        yield recorder


def measure(
    client: Any, name: str, address: str, *, runs: int = RUNS, method: str = "get", data: Any = None
) -> Measurement:
    """Ask for a page, once for nothing and then `runs` times; of a stream read two lines.

    Where the middle is within the limit and the worst is not, somebody else may have been at work:
    it is asked for anew, three times in all, and the best of these counts.
    """
    rounds = []
    for _round in range(ROUNDS):
        rounds.append(_measure_once(client, name, address, runs, method, data))
        if not rounds[-1].median_ms <= LIMIT_MS < max(rounds[-1].worst_ms, rounds[-1].statement_ms):
            break
    return min(rounds, key=lambda each: max(each.worst_ms, each.statement_ms))


def _measure_once(
    client: Any, name: str, address: str, runs: int, method: str, data: Any
) -> Measurement:
    from django.db import connection

    times_ms: list[float] = []
    status = size = 0
    with recording(connection) as recorder:
        for run in range(runs + 1):
            began = time.perf_counter()
            response = getattr(client, method)(address, data)
            if response.streaming:
                size = sum(map(len, itertools.islice(response.streaming_content, 2)))
            else:
                size = len(response.content)
            took_ms = (time.perf_counter() - began) * 1_000
            response.close()
            status = response.status_code
            if run or runs == 0:
                times_ms.append(took_ms)
            elif took_ms > HOPELESS_MS:
                times_ms.append(took_ms)
                break
            else:
                recorder.statements.clear()
    return Measurement(name, address, times_ms, recorder.statements, status, size)


def explain(measurement: Measurement) -> None:
    """Ask for the plan of each statement, and note which big tables it reads from end to end."""
    from django.db import connection

    big = _find_big_tables()
    for statement in measurement.statements.values():
        if not statement.sql.lstrip("( ").upper().startswith(("SELECT", "WITH")):
            continue
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (FORMAT JSON) " + statement.sql, statement.params)
            (plan,) = cursor.fetchone()
        found = plan if isinstance(plan, list) else json.loads(plan)
        nodes = list(_walk(found[0]["Plan"]))
        statement.scanned = sorted(
            {
                node["Relation Name"]
                for node in nodes
                if node["Node Type"] == "Seq Scan" and node["Relation Name"] in big
            }
        )
        statement.plan = " > ".join(map(_name, nodes))


def _name(node: Mapping[str, Any]) -> str:
    what = node.get("Index Name") or node.get("Relation Name") or ""
    return f"{node['Node Type']} {what}".strip()


def _walk(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for each in node.get("Plans", ()):
        yield from _walk(each)


def _find_big_tables() -> set[str]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE reltuples > %s", [BIG_TABLE_ROWS])
        return {name for (name,) in cursor.fetchall()}


class Filters(HTMLParser):
    """Collect where the filters of a list of the admin lead to: groups of queries."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Follow the depth in the box of filters, and take its links."""
        known = dict(attrs)
        if known.get("id") == "changelist-filter":
            self._depth = 1
        elif self._depth and tag not in ("br", "hr", "img", "input", "link", "meta"):
            self._depth += 1
        if self._depth and tag == "a" and (known.get("href") or "").startswith("?"):
            self.links.append(str(known["href"]))

    def handle_endtag(self, tag: str) -> None:
        """Come out of it."""
        if self._depth:
            self._depth -= 1


def find_filters(page: str) -> list[dict[str, str]]:
    """Give the queries that the filters of a page lead to, each once."""
    parser = Filters()
    parser.feed(page)
    queries = [dict(parse_qsl(urlsplit(each).query)) for each in parser.links]
    unique = {urlencode(sorted(each.items())): each for each in queries if each}
    return [unique[key] for key in sorted(unique)]


def pair(queries: Iterable[dict[str, str]]) -> Iterator[dict[str, str]]:
    """Join each two queries that are about different things."""
    for first, second in itertools.combinations(queries, 2):
        if not set(first) & set(second):
            yield first | second
