"""Trouble: what befalls the machines, one thing after the other."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Self

from .database import Postgres
from .machines import Cluster, Machine, Site

DOWN_SECONDS = 0.5
LOOKS_AFTER_SECONDS = 0.2


class Trouble(threading.Thread):
    """Ends every machine once, evenly over some seconds, and has it come back: `with Trouble(…):`.

    A machine that has ended by itself is started again, as a service manager does; `returns` counts
    that by log. `kills` are the times at which a site was killed. After the block nobody looks
    after the machines any more.
    """

    def __init__(self, cluster: Cluster, postgres: Postgres, seed: int, seconds: float) -> None:
        super().__init__(daemon=True)
        self.kills: list[float] = []
        self.happened: list[str] = []
        self.returns: Counter[str] = Counter()
        self.error: BaseException | None = None
        self._cluster = cluster
        self._is_done, self._is_over = threading.Event(), threading.Event()
        machines = (*cluster.sites, *cluster.workers)
        self._acts: list[tuple[str, Callable[[], None]]] = [
            *((f"{each.log.stem} killed", partial(self._kill, each)) for each in machines),
            ("Redis restarted, empty", self._restart_redis),
            ("database restarted", partial(postgres.restart, "fast")),
            ("database crashed", partial(postgres.restart, "immediate")),
        ]
        random.Random(seed).shuffle(self._acts)
        self._pause_seconds = seconds / len(self._acts)

    def run(self) -> None:
        began = time.monotonic()
        try:
            for what, act in self._acts:
                self._look_after_machines(self._pause_seconds)
                if self._is_over.is_set():
                    return
                self.happened.append(f"{time.monotonic() - began:.1f} s {what}")
                act()
            self._is_done.set()
            while not self._is_over.is_set():
                self._look_after_machines(LOOKS_AFTER_SECONDS)
        except BaseException as error:  # noqa: BLE001 (told to the test, which raises it)
            self.error = error
        finally:
            self._is_done.set()

    def wait(self) -> None:
        """Wait until all of it has happened."""
        self._is_done.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self.join()
        if self.error:
            raise self.error

    def _look_after_machines(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._is_over.wait(LOOKS_AFTER_SECONDS):
            for machine in (*self._cluster.sites, *self._cluster.workers):
                if not machine.is_running:
                    self.returns[machine.log.stem] += 1
                    machine.start()

    def _kill(self, machine: Machine) -> None:
        if isinstance(machine, Site):
            self.kills.append(time.monotonic())
        machine.kill()
        time.sleep(DOWN_SECONDS)
        machine.start()

    def _restart_redis(self) -> None:
        for redis in (self._cluster.cache, self._cluster.queue):
            redis.stop()
        time.sleep(DOWN_SECONDS)
        for redis in (self._cluster.cache, self._cluster.queue):
            redis.start()
