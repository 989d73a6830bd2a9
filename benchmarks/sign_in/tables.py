"""What was measured, as tables in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence

from .contenders import CONTENDERS, find
from .results import (
    FLOOR,
    NO_CHALLENGES,
    PARTS,
    Results,
    middle,
    milliseconds,
    names_of,
    percentile,
    ratio,
)
from .scenarios import SCENARIOS, SignIns

CPU = ("", "known phone", "of the floor", *PARTS, "new phone", "of the floor")
DONE = ("statements", "commits", "commands")
STATEMENTS = (
    "",
    "phone",
    *(f"{step}/: {each}" for step in ("request", "confirm") for each in DONE),
)
TIMES = (
    *("", "requests/s", "of the floor", "request/ alone", "of the floor"),
    *("request/ p50", "p95", "p99", "confirm/ p50", "p95", "p99", "code is out"),
)
BURSTS = ("", "accepted", "of the floor", "delivered", "sent twice")
GROWTH = (
    *("old challenges", "CPU, known phone", "of none", "CPU, new phone", "of none"),
    *("request/ p50", "confirm/ p50"),
)
CONTENDERS_HEAD = ("", "version", "what this app does besides")
Row = Iterable[str]


def write_tables(results: Results) -> Iterator[str]:
    """Write all that was measured, each table behind its head."""
    yield _write_circumstances(results)
    first = [each for each in results.sign_ins if each.scenario == SCENARIOS[0].name]
    if first:
        yield "### CPU of a sign-in"
        yield _table(CPU, (_row_of_cpu(first, name) for name in in_order(names_of(first))))
    if results.statements:
        yield "### What a step has database and cache do"
        yield _table(STATEMENTS, rows_of_statements(results))
    for found in by_scenario(results.sign_ins):
        if found[0].is_known:
            yield f"### {found[0].scenario.capitalize()}"
            yield _table(TIMES, (_row_of_times(found, name) for name in in_order(names_of(found))))
    if results.bursts:
        yield "### A burst"
        yield _table(BURSTS, rows_of_bursts(results))
    if results.growth:
        yield "### Beside old challenges"
        yield _table(GROWTH, _rows_of_growth(results.growth))
    yield "### Who was measured"
    yield _table(CONTENDERS_HEAD, _rows_of_contenders(results), numbers=False)


def _write_circumstances(results: Results) -> str:
    known = results.machine
    machine = f"{known['processor']}, {known['cores']} cores, {known['memory']} of memory"
    rest = [name for name in known if name not in ("processor", "cores", "memory")]
    versions = ", ".join(f"{name} {known[name]}" for name in rest)
    count = len({each.round for each in results.sign_ins})
    rounds = f"Medians of {count} rounds." if count > 1 else "One round."
    return f"{results.at}: {machine}.\n{versions}.\n{rounds}"


def _row_of_cpu(found: Sequence[SignIns], name: str) -> Iterator[str]:
    yield find(name).title
    for is_known in (True, False):
        these = [each for each in found if each.is_known is is_known]
        yield f"{middle(these, name, milliseconds('total')):.2f} ms"
        yield write_ratio(ratio(these, name, FLOOR, milliseconds("total")))
        if is_known:
            yield from (f"{middle(these, name, milliseconds(part)):.2f}" for part in PARTS)


def _row_of_times(found: Sequence[SignIns], name: str) -> Iterator[str]:
    yield find(name).title
    for rate in ("requests_per_second", "asks_per_second"):
        yield f"{middle(found, name, lambda one, rate=rate: getattr(one, rate)):.0f}"  # type: ignore[misc]
        yield write_ratio(ratio(found, name, FLOOR, lambda one, rate=rate: getattr(one, rate)))  # type: ignore[misc]
    for step in ("request", "confirm"):
        for which in ("p50", "p95", "p99"):
            yield f"{middle(found, name, percentile(step, which)):.0f} ms"
    yield f"{middle(found, name, percentile('delivery')):.0f} ms"


def rows_of_bursts(results: Results) -> Iterator[Row]:
    """Write a row for each contender."""
    floor = {
        each.round: each.accepted_seconds for each in results.bursts if each.contender == FLOOR
    }
    for name in in_order(names_of(results.bursts)):
        own = [each for each in results.bursts if each.contender == name]
        ratios = [each.accepted_seconds / floor[each.round] for each in own if each.round in floor]
        yield (
            find(name).title,
            f"{own[0].count:,} in {statistics.median(each.accepted_seconds for each in own):.1f} s",
            write_ratio(statistics.median(ratios) if ratios else None),
            f"after {statistics.median(each.delivered_seconds for each in own):.1f} s",
            str(sum(each.sent_twice for each in own)),
        )


def rows_of_statements(results: Results) -> Iterator[Row]:
    """Write two rows for each contender: known phones and new ones."""
    for name in in_order(dict.fromkeys(each.contender for each in results.statements)):
        own = [each for each in results.statements if each.contender == name]
        for each in sorted(own, key=lambda one: not one.is_known):
            done = [getattr(step, what) for step in (each.request, each.confirm) for what in DONE]
            yield (find(name).title, "known" if each.is_known else "new", *map(str, done))


def _rows_of_growth(found: Sequence[SignIns]) -> Iterator[Row]:
    for size in sorted(names_of(found), key=int):
        cells = [f"{int(size):,}"]
        for is_known in (True, False):
            these = [each for each in found if each.is_known is is_known]
            cells.append(f"{middle(these, size, milliseconds('total')):.2f} ms")
            cells.append(write_ratio(ratio(these, size, NO_CHALLENGES, milliseconds("total"))))
        for step in ("request", "confirm"):
            cells.append(f"{middle(found, size, percentile(step)):.1f} ms")
        yield cells


def _rows_of_contenders(results: Results) -> Iterator[Row]:
    for each in CONTENDERS:
        if each.name in results.versions:
            yield each.title, results.versions[each.name], each.leaves_out


def by_scenario(found: Iterable[SignIns]) -> list[list[SignIns]]:
    """Part what was measured by scenario, and by known and new phones."""
    groups: dict[tuple[str, bool], list[SignIns]] = {}
    for each in found:
        groups.setdefault((each.scenario, each.is_known), []).append(each)
    return list(groups.values())


def in_order(names: Iterable[str]) -> list[str]:
    """Sort contenders as they are listed."""
    places = [each.name for each in CONTENDERS]
    return sorted(names, key=places.index)


def write_ratio(value: float | None) -> str:
    """Write a ratio, or a dash for none."""
    return f"{value:.2f} ×" if value else "–"


def _table(head: Sequence[str], rows: Iterable[Row], *, numbers: bool = True) -> str:
    marks = ["---", *("---:" if numbers else "---" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, marks, *rows))
