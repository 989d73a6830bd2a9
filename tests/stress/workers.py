"""The worker processes of a running gunicorn: who they are, and their end."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

PATIENCE_SECONDS = 30


def find_master(port: int) -> int:
    """Find the process whose children answer at a port; each answer names who gave it."""
    client = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        client.request("GET", "/api/phone/challenges/none/")
        worker = client.getresponse().headers["X-Process"]
    finally:
        client.close()
    # After the name in parentheses, which may hold anything: the state, and the parent.
    return int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])


def find_workers(master: int) -> list[int]:
    """List the workers that live now."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text()
    return [int(each) for each in children.split()]


def kill(pid: int) -> None:
    """End a process as the kernel does when memory runs out."""
    with suppress(ProcessLookupError):  # it has just ended by itself
        os.kill(pid, signal.SIGKILL)


class Killer(threading.Thread):
    """Kills one worker every so often, never the master; `kills` are the times of it."""

    def __init__(self, port: int, every_seconds: float, afterwards: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.kills: list[float] = []
        self._master = find_master(port)
        self._every_seconds = every_seconds
        self._afterwards = afterwards
        self._enough = threading.Event()

    def run(self) -> None:
        while not self._enough.wait(self._every_seconds):
            kill(random.choice(find_workers(self._master)))
            self.kills.append(time.monotonic())
            self._afterwards()

    def stop(self) -> None:
        """Kill nobody any more."""
        self._enough.set()
        self.join()
