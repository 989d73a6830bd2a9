"""What was measured, for a terminal; and its way into the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from .plot import draw
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
from .scenarios import GROWTH
from .tables import (
    by_scenario,
    in_order,
    rows_of_bursts,
    rows_of_statements,
    write_ratio,
    write_tables,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "benchmarks.md"
PLOT = DOCS / "images" / "sign-in.svg"
MEASURED = re.compile(r"(<!-- measured: begin -->\n\n).*(\n\n<!-- measured: end -->)", re.DOTALL)


def write_lines(results: Results) -> Iterator[str]:
    """Write it for a terminal."""
    for found in (*by_scenario(results.sign_ins), *by_scenario(results.growth)):
        is_growth = found[0].scenario == GROWTH
        base = NO_CHALLENGES if is_growth else FLOOR
        names = sorted(names_of(found), key=int) if is_growth else in_order(names_of(found))
        yield f"{found[0].scenario}, {'known' if found[0].is_known else 'new'} phones"
        for name in names:
            parts = " + ".join(f"{p} {middle(found, name, milliseconds(p)):.2f}" for p in PARTS)
            times = write_ratio(ratio(found, name, base, milliseconds("total")))
            yield (
                f"  {name:16}{times:>7}"
                f"  {middle(found, name, milliseconds('total')):6.2f} ms CPU = {parts:43}"
                f" {middle(found, name, lambda one: one.requests_per_second):5.0f} requests/s, p50"
                f" {middle(found, name, percentile('request')):.1f}"
                f" and {middle(found, name, percentile('confirm')):.1f} ms"
            )
    for row in rows_of_bursts(results):
        yield f"  burst: {', '.join(row)}"
    for row in rows_of_statements(results):
        yield f"  statements, commits, commands: {', '.join(row)}"
    for name, reason in results.left_out.items():
        yield f"  {name} was left out: {reason}"


def update_docs(results: Results) -> None:
    """Put tables and plot into the documentation, in the place of those that are there."""
    tables = "\n\n".join(write_tables(results))
    text = MEASURED.sub(lambda found: f"{found[1]}{tables}{found[2]}", PAGE.read_text())
    PAGE.write_text(text)
    PLOT.write_text(draw(results))
