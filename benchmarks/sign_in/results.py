"""What was measured, as numbers: kept in a file, and compared round by round."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from .contenders.base import Contender
from .scenarios import Burst, SignIns
from .statements import Counted, Work
from .usage import Usage

FLOOR = "floor"
NO_CHALLENGES = "0"  # in growth a contender is a number of old challenges
PARTS = ("site", "database", "cache")
COMMON = ("Django", "djangorestframework", "gunicorn", "psycopg")
Read = Callable[[SignIns], float]


@dataclass(slots=True)
class Results:
    """All of it, when and where it was measured, and who was left out for what reason."""

    at: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d"))
    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    sign_ins: list[SignIns] = field(default_factory=list)
    bursts: list[Burst] = field(default_factory=list)
    growth: list[SignIns] = field(default_factory=list)
    statements: list[Counted] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write all of it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        given = json.loads(path.read_text())
        return cls(
            **given
            | {
                "sign_ins": _read_sign_ins(given["sign_ins"]),
                "growth": _read_sign_ins(given["growth"]),
                "bursts": [Burst(**each) for each in given["bursts"]],
                "statements": [
                    Counted(**each | {name: Work(**each[name]) for name in ("request", "confirm")})
                    for each in given["statements"]
                ],
            }
        )


def _read_sign_ins(given: Sequence[dict[str, Any]]) -> list[SignIns]:
    return [SignIns(**each | {"cpu": Usage(**each["cpu"])}) for each in given]


def middle(found: Sequence[SignIns], contender: str, read: Read) -> float:
    """Give the median over the rounds."""
    return statistics.median(read(each) for each in found if each.contender == contender)


def ratio(found: Sequence[SignIns], contender: str, base: str, read: Read) -> float | None:
    """Give the median of the ratios to `base` in the same round; None where that was not run."""
    bases = {each.round: read(each) for each in found if each.contender == base}
    own = {each.round: read(each) for each in found if each.contender == contender}
    ratios = [own[number] / bases[number] for number in own.keys() & bases.keys()]
    return statistics.median(ratios) if ratios else None


def milliseconds(part: str) -> Read:
    """Read CPU per sign-in of a part of it, or of all (`total`)."""
    return lambda one: float(getattr(one.cpu, part)) * 1_000


def percentile(step: str, which: str = "p50") -> Read:
    """Read a percentile of `request`, `confirm` or `delivery`."""
    return lambda one: float(getattr(one, f"{step}_ms")[which])


def names_of(found: Sequence[SignIns] | Sequence[Burst]) -> list[str]:
    """Give the names of the contenders that were measured."""
    return sorted({each.contender for each in found})


def describe_machine(postgresql: str, redis: str) -> dict[str, str]:
    """Say on what it was measured, in words that are about the kind of machine alone."""
    return {
        "processor": _find_processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB",
        "Python": platform.python_version(),
        "PostgreSQL": postgresql,
        "Redis": redis,
        **{name: metadata.version(name) for name in COMMON},
    }


def find_versions(contenders: Sequence[Contender]) -> dict[str, str]:
    """Give the versions of those that were measured."""
    return {each.name: each.version for each in contenders}


def _find_processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
