"""What the app adds to the start and the memory of a worker: `python -m benchmarks.startup`.

Starts sites with and without the app, each in a process of its own, one after the other and again,
and compares within each round. Exit status 1: the app adds more than 40 ms of processor time or
10 MiB to a site that has Django and DRF loaded, at its start or after its first login.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.worker import APPS, METRICS

MAX_CPU_MS = 40.0
MAX_MIB = 10.0
ROUNDS = 21  # with nine, what else the machine does decided
MAX_DEPTH = 100  # frames: as many as fill a block of Python's, and a few more
ROOT = Path(__file__).parent.parent

# Each site, and the one that it is compared with.
COMPARED = {
    "site": "bare",
    "app": "site",
    "app, metrics": "site",
    "app, row": "site",
    "app, admin": "site, admin",
    "allauth": "site",
}
WORDS = {
    "bare": "Django and DRF, before this app was installed",
    "site": "Django and DRF, with what this app brings installed: DRF imports requests",
    "app": "this app and its API",
    "app, metrics": "the same, with prometheus_client",
    "app, row": "the same, its account in a row, whose options are sealed",
    "site, admin": "Django's admin",
    "app, admin": "this app, its API and its admin",
    "allauth": "django-allauth headless",
}
Found = dict[str, list[dict[str, Any]]]
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| +(\S+)")


# What is measured of a start: processor and wall time, memory then and after a login.
FIGURES = ("cpu_ms", "wall_ms", "rss", "own", "rss_after", "own_after")


def tell(text: str) -> None:
    """Say what happens."""
    print(text, flush=True)  # noqa: T201 (it is a program)


class Sites:
    """The sites, with their databases and their compiled modules in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Compiled modules are kept, as an installation keeps them, but not in the checkout.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._environment = environment
        self._starts_count = 0

    def prepare(self, site: str) -> None:
        """Make the tables, and start once for nothing: modules are compiled then."""
        database = self._database(site)
        self._run(
            "from benchmarks.worker import *;"
            f"hide_packages({site!r}); configure({site!r}, {database!r});"
            f"load(); make_tables({site!r})"
        )
        self.start(site)

    def start(self, site: str) -> dict[str, Any]:
        """Start a site in a process of its own; give its `FIGURES`, and the modules it loaded."""
        took: dict[str, Any] = json.loads(self._start(site).stdout)
        return took

    def time_imports(self, site: str) -> dict[str, float]:
        """Give what each module took by itself, in ms, as `-X importtime` sees it."""
        said = self._start(site, "-X", "importtime").stderr
        return {name: int(took) / 1_000 for took, name in _IMPORT.findall(said)}

    def _start(self, site: str, *options: str) -> subprocess.CompletedProcess[str]:
        self._starts_count += 1
        depth = random.randrange(MAX_DEPTH)  # noqa: S311 (no secret)
        arguments = (site, self._database(site), self._starts_count, time.monotonic())
        return self._run(
            "from benchmarks.worker import at_depth, report_start;"
            f"at_depth({depth}, report_start, *{arguments!r})",
            *options,
        )

    def _database(self, site: str) -> dict[str, Any]:
        name = str(self._folder / f"{site}.sqlite3")
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": name}

    def _run(self, code: str, *options: str) -> subprocess.CompletedProcess[str]:
        finished = subprocess.run(  # noqa: S603 (our own code)
            [sys.executable, *options, "-c", code],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode:
            raise RuntimeError(finished.stderr)
        return finished


def find_sites() -> Iterable[str]:
    """Give the sites that can be started here."""
    for site in APPS:
        missing = [name for name in APPS[site] if not find_spec(name.partition(".")[0])]
        missing += [name for name in METRICS if "metrics" in site and not find_spec(name)]
        if missing:
            tell(f'Left out "{site}": {", ".join(missing)} is not installed.')
        else:
            yield site


def measure(sites: Sites, names: Sequence[str], rounds: int) -> Found:
    """Start each site once in each round, in another order each time."""
    for name in names:
        sites.prepare(name)
    found: Found = {name: [] for name in names}
    for _round in range(rounds):
        for name in random.sample(names, len(names)):
            found[name].append(sites.start(name))
    return found


def compare(found: Found, name: str) -> dict[str, float]:
    """Give what a site takes more than its other: medians of the differences in each round."""
    pairs = list(zip(found[name], found[COMPARED[name]], strict=True))
    return {
        figure: statistics.median(one[figure] - other[figure] for one, other in pairs)
        for figure in FIGURES
    }


def write_table(found: Found) -> str:
    """Write what was found as Markdown."""
    lines = [
        "| a worker of | CPU, ms | wall, ms | RSS, MiB | own, MiB | after a login: RSS | own |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for name, starts in found.items():
        medians = {figure: statistics.median(each[figure] for each in starts) for figure in FIGURES}
        lines.append(_write_line(f"{name}: {WORDS[name]}", medians))
    for name, other in COMPARED.items():
        if name in found and other in found:
            added = compare(found, name)
            lines.append(_write_line(f'"{name}" adds to "{other}"', added, sign="+"))
    return "\n".join(lines)


def _write_line(words: str, figures: dict[str, float], sign: str = "") -> str:
    return f"| {words} | {' | '.join(f'{figures[each]:{sign}.1f}' for each in FIGURES)} |"


def judge(found: Found) -> Iterable[str]:
    """Say what the app adds too much of."""
    added = compare(found, "app")
    if added["cpu_ms"] > MAX_CPU_MS:
        yield f"The app adds {added['cpu_ms']:.1f} ms of processor time: {MAX_CPU_MS:.0f} at most."
    for figure, when in (("rss", "at the start"), ("rss_after", "after a login")):
        if added[figure] > MAX_MIB:
            yield f"The app adds {added[figure]:.1f} MiB {when}: {MAX_MIB:.0f} at most."


def tell_imports(sites: Sites, most: int) -> None:
    """List the modules that the app alone brings, by the time that each takes by itself."""
    before = sites.start("site")["modules"]
    taken = {name: took for name, took in sites.time_imports("app").items() if name not in before}
    packages: dict[str, float] = defaultdict(float)
    for name, took in taken.items():
        packages[name.partition(".")[0]] += took
    tell("In ms; being watched makes everything slower.")
    for times in (packages, taken):
        for name, took in sorted(times.items(), key=lambda each: -each[1])[:most]:
            tell(f"{took:8.1f}  {name}")


def main(arguments: list[str] | None = None) -> int:
    """Run it; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="starts of each; %(default)s")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the table there")
    parser.add_argument(
        "--imports", type=int, metavar="N", help="list the N slowest imports of the app instead"
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="phone-otp-startup-") as folder:
        sites = Sites(Path(folder))
        if options.imports:
            for name in ("site", "app"):
                sites.prepare(name)
            tell_imports(sites, options.imports)
            return 0
        found = measure(sites, list(find_sites()), options.rounds)
    table, problems = write_table(found), list(judge(found))
    tell(table)
    if options.table:
        options.table.write_text(table + "\n")
    for line in problems:
        tell(line)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
