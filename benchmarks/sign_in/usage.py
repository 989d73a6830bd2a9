"""How much CPU processes have used: of a site, of the database, of the cache."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU in seconds."""

    site: float
    database: float
    cache: float

    @property
    def total(self) -> float:
        """Give the sum."""
        return self.site + self.database + self.cache

    def since(self, before: Usage, *, per: int) -> Usage:
        """Give what was used since `before`, for each of `per` sign-ins."""
        return Usage(
            (self.site - before.site) / per,
            (self.database - before.database) / per,
            (self.cache - before.cache) / per,
        )


def seconds_of(roots: Iterable[int]) -> float:
    """Add up what these processes and all their descendants have used, those that ended too."""
    return sum(_seconds(pid) for root in roots for pid in _tree(root))


def _tree(root: int) -> list[int]:
    try:
        lists = [each.read_text() for each in (PROC / str(root) / "task").glob("*/children")]
    except OSError:
        return [root]
    children = [int(pid) for text in lists for pid in text.split()]
    return [root, *(pid for child in children for pid in _tree(child))]


def _seconds(pid: int) -> float:
    folder = PROC / str(pid)
    try:
        # Behind a name in brackets, in ticks: user and system time, its own and that of children
        # which ended and were waited for (fields 14 to 17 of proc_pid_stat(5)).
        ticks = list(map(int, (folder / "stat").read_text().rpartition(")")[2].split()[11:15]))
        # In nanoseconds, where the kernel tells them: a tick is long beside a sign-in.
        exact = [each.read_text() for each in (folder / "task").glob("*/schedstat")]
    except OSError:
        return 0.0
    own = sum(int(text.split()[0]) for text in exact) / 1e9 or sum(ticks[:2]) * TICK_SECONDS
    return own + sum(ticks[2:]) * TICK_SECONDS
