"""The machines: sites, workers and whoever sweeps, each a process of its own with its children."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.databases import INHERITED
from tests.parallel.conftest import ROOT, status_of_nothing
from tests.redis_server import RedisServer
from tests.stress.workers import find_workers, kill

from .post import Post

PATIENCE_SECONDS = 60
SITE_THREADS_COUNT = 4
CELERY = [
    *("-m", "celery", "-A", "tests.machines.celery_app", "worker", "--loglevel", "DEBUG"),
    *("--concurrency", "2", "--without-gossip", "--without-mingle"),
]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of queue: what the settings say, and how its worker is started."""

    dispatch: str
    worker: list[str]
    tasks_backend: str = "django_tasks_db.DatabaseBackend"


KINDS = {
    "database": Kind(
        dispatch="tasks",
        worker=["-m", "django", "db_worker", "--interval", "0.1", "--no-startup-delay", "-v", "3"],
    ),
    "rq": Kind(
        dispatch="tasks",
        worker=["-m", "django", "rqworker", "--job-class", "django_tasks_rq.Job", "-v", "3"],
        tasks_backend="django_tasks_rq.RQBackend",
    ),
    "celery-prefork": Kind(dispatch="celery", worker=[*CELERY, "--pool", "prefork"]),
    "celery-threads": Kind(dispatch="celery", worker=[*CELERY, "--pool", "threads"]),
}


class Machine:
    """A process, and those that it starts; its log goes on over a restart."""

    def __init__(
        self, command: list[str], environment: dict[str, str], log: Path, *, listens_on: int = -1
    ) -> None:
        self.log = log
        self._command, self._environment = [sys.executable, *command], environment
        self._sockets = [listens_on] if listens_on >= 0 else []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and wait for nothing."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                pass_fds=self._sockets,
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """End all of it at one moment, as a loss of power does."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGSTOP)  # no child is born while they are looked for
            for pid in _family_of(process.pid):
                kill(pid)
        process.wait()


class Site(Machine):
    """A gunicorn. Who asks while it is down waits until it is up again."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        # The socket is made here: it stays over a restart, as that of a service manager does.
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        command = [
            *("-m", "gunicorn", "django.core.wsgi:get_wsgi_application()"),
            *("--bind", f"fd://{self._listener.fileno()}", "--preload", "--no-control-socket"),
            *("--workers", "1", "--threads", str(SITE_THREADS_COUNT), "--log-level", "warning"),
        ]
        super().__init__(command, environment, log, listens_on=self._listener.fileno())
        self.port: int = self._listener.getsockname()[1]

    def wait(self) -> None:
        """Wait until it answers."""
        assert status_of_nothing(self.port) == 400, self.log.read_text()

    def close(self) -> None:
        """End it for good."""
        self.kill()
        self._listener.close()


class Cluster:
    """All that is one site to a person: sites, workers, a queue, a database, a cache, a provider.

    The queue has a Redis of its own, but for the queue in the database. All machines end with the
    block: `with Cluster(…) as cluster:`. The provider takes `answer_seconds` to answer.
    """

    def __init__(
        self,
        kind: str,
        database: dict[str, Any],
        folder: Path,
        *,
        answer_seconds: float = 0.0,
        log_level: str = "DEBUG",
        **keys: Any,
    ) -> None:
        self.kind = KINDS[kind]
        self.post = Post(folder / "post")
        self.cache, self.queue = RedisServer(), RedisServer()
        self.sites: list[Site] = []
        self.workers: list[Machine] = []
        self._database, self._folder, self._log_level = database, folder, log_level
        self._keys = {
            "PROVIDERS": {"post": self.post.entry(seconds=answer_seconds)},
            "DISPATCH": self.kind.dispatch,
            "TRUSTED_PROXIES": 1,
            **keys,
        }

    def __enter__(self) -> Self:
        with ExitStack() as running:
            running.enter_context(self.cache)
            running.enter_context(self.queue)
            self._running = running.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self.post.release()
        self._running.close()

    def add_site(self) -> Site:
        """Start one more site; `wait` waits for it."""
        log = self._folder / f"site-{len(self.sites)}.log"
        site = Site(self.environment, log)
        self._running.callback(site.close)
        self.sites.append(site)
        site.start()
        return site

    def add_worker(self) -> Machine:
        """Start one more worker; it takes up its work when it is ready."""
        log = self._folder / f"worker-{len(self.workers)}.log"
        worker = Machine(self.kind.worker, self.environment, log)
        self._running.callback(worker.kill)
        self.workers.append(worker)
        worker.start()
        return worker

    def lose_workers(self) -> None:
        """End all workers, and start none."""
        for worker in self.workers:
            worker.kill()
        self.workers.clear()

    def run(self, *command: str) -> str:
        """Run a command of `manage.py`, as cron does; give what it says."""
        with (self._folder / "commands.log").open("ab") as log:
            return subprocess.run(
                [sys.executable, "-m", "django", *command],
                cwd=ROOT,
                env=self.environment,
                check=True,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                timeout=PATIENCE_SECONDS,
            ).stdout

    @property
    def environment(self) -> dict[str, str]:
        """Give what each process finds its settings in."""
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.machines.settings",
            INHERITED: json.dumps(self._database),
            "PHONE_OTP_TEST_DATABASE_NAME": self._database["NAME"],
            "PHONE_OTP_TEST_KEYS": json.dumps(self._keys),
            "PHONE_OTP_TEST_CACHES": json.dumps(self.cache.caches),
            "PHONE_OTP_TEST_QUEUE_SOCKET": str(self.queue.socket),
            "PHONE_OTP_TEST_TASKS_BACKEND": self.kind.tasks_backend,
            "PHONE_OTP_TEST_LOG_LEVEL": self._log_level,
        }


def wait_until(is_so: Callable[[], object], what: str) -> None:
    """Wait for something that happens in another process; fail where it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


def _family_of(pid: int) -> list[int]:
    """List a process and all that descend from it."""
    family = [pid]
    for each in family:  # grows
        with suppress(OSError):
            family += find_workers(each)
    return family
