"""What is measured: database, cache, servers and workers, each a process of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.database import serving

from . import stand_in
from .contenders.base import BROKER, CACHE, CONTENDER, DATABASE, Contender
from .people import Inbox
from .usage import Usage, seconds_of

ROOT = Path(__file__).resolve().parents[2]
# Checkpoints and autovacuum come when they like, and would be billed to whoever is measured then.
# Tables are emptied before each round, so there is nothing to vacuum.
SERVER_SETTINGS = {
    "autovacuum": "off",
    "checkpoint_timeout": "'1h'",
    "max_wal_size": "'8GB'",
    "max_connections": "400",
    "log_line_prefix": "'%d|%p|'",  # read by `statements`
}
PATIENCE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Shape:
    """How a site is served: processes and threads of gunicorn."""

    processes: int
    threads: int

    @property
    def at_once(self) -> int:
        """Give how many requests it works at, and how many deliveries its workers do."""
        return self.processes * self.threads

    @property
    def arguments(self) -> list[str]:
        """Give the arguments of gunicorn.

        A process takes no more connections than it has threads, and keeps none: it would have
        somebody wait while another process has a thread to spare.
        """
        kind = "gthread" if self.threads > 1 else "sync"
        threads = [f"--threads={self.threads}", f"--worker-connections={self.threads}"]
        return ["-k", kind, f"--workers={self.processes}", *threads, "--keep-alive=0"]


ALONE = Shape(1, 1)
MANY = Shape(2, 8)


@dataclass(slots=True)
class Site:
    """A contender that runs."""

    contender: Contender
    database: str
    port: int
    server: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def pids(self) -> list[int]:
        """Give the processes whose CPU is the site's."""
        return [each.pid for each in (self.server, *self.workers)]

    def pause(self) -> None:
        """Stop the workers while others are measured: they would go on asking for work."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the workers go on."""
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """End all of its processes."""
        self.resume()
        processes = (*self.workers, self.server)
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _signal(self, number: int) -> None:
        for worker in self.workers:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, number)


class Ground:
    """What all contenders share: one PostgreSQL, one Redis, one stand-in."""

    def __init__(self, folder: Path, database: Mapping[str, Any], cache: str) -> None:
        import redis

        self.folder = folder
        self.redis = redis.Redis.from_url(cache)
        self.database, self._cache = database, cache
        self._caches: dict[str, int] = {}
        self._latency, sent = folder / "latency", folder / "sent"
        sent.touch()
        self.set_latency(0)
        self.inbox = Inbox(sent)
        postmaster = (folder / "data" / "postmaster.pid").read_text().split()[0]
        self._database_pid = int(postmaster)
        self._cache_pid = int(self.redis.info("server")["process_id"])

    @property
    def database_log(self) -> Path:
        """Give the file that the database server writes its log to."""
        return self.folder / "data" / "log"

    def set_latency(self, seconds: float) -> None:
        """Have the stand-in take so many seconds from now on."""
        self._latency.write_text(f"{seconds:016.9f}")

    def read_usage(self, site: Site) -> Usage:
        """Read what the site, the database and the cache have used so far."""
        return Usage(
            site=seconds_of(site.pids),
            database=seconds_of([self._database_pid]),
            cache=seconds_of([self._cache_pid]),
        )

    def prepare(self, contender: Contender, database: str = "") -> str:
        """Make a database with its tables; say why the contender cannot run, empty where it can."""
        missing = contender.find_missing()
        if missing:
            return missing
        database = database or name_database(contender)
        self.query(f"CREATE DATABASE {database}")
        for command in (["check"], ["migrate", "--run-syncdb", "-v", "0"]):
            error = self.run(contender, database, ["-m", "django", *command])
            if error:
                return error
        return ""

    def run(self, contender: Contender, database: str, arguments: Sequence[str]) -> str:
        """Run a program of the site to its end; give what went wrong, in a line."""
        done = subprocess.run(  # noqa: S603 (our own programs)
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self._environment(contender, database),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if not done.returncode:
            return ""
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        # Of a check the line of the error, of all else the last, where an exception says its words.
        found = (line for line in lines if re.search(r"\(\w+\.E\d+\)", line))
        return next(found, lines[-1] if lines else f"exit status {done.returncode}")

    @contextmanager
    def running(self, contender: Contender, shape: Shape, database: str = "") -> Iterator[Site]:
        """Serve a contender while the block runs."""
        database = database or name_database(contender)
        # People may come before the site is up: the port listens already.
        with socket.create_server(("127.0.0.1", 0), backlog=2_048) as listening:
            arguments = [
                *("-m", "gunicorn", "django.core.wsgi:get_wsgi_application()"),
                *("--bind", f"fd://{listening.fileno()}", "--no-control-socket"),
                *("--log-level", "warning", *shape.arguments),
            ]
            server = self._start(contender, database, arguments, pass_fds=[listening.fileno()])
            site = Site(contender, database, listening.getsockname()[1], server)
            try:
                for each in contender.workers(shape.at_once):
                    site.workers.append(self._start(contender, database, each))
                yield site
            finally:
                site.end()

    def empty(self, site: Site) -> None:
        """Empty the tables of a site, so that each round begins as the first did."""
        tables = ", ".join(site.contender.tables)
        self.query(f"TRUNCATE {tables} CASCADE", site.database)

    @property
    def version(self) -> str:
        """Give the version of the database server."""
        with connecting(self.database, "postgres") as connection:
            return ".".join(map(str, divmod(connection.info.server_version, 10_000)))

    @property
    def cache_version(self) -> str:
        """Give the version of the cache."""
        return str(self.redis.info("server")["redis_version"])

    def query(self, sql: str, database: str = "postgres") -> None:
        """Have the database do something, outside of a transaction."""
        with connecting(self.database, database) as connection:
            connection.execute(sql)

    def apply_settings(self) -> None:
        """Write the settings of the database server once more; see `write_settings`."""
        write_settings(self.database)

    def _start(
        self,
        contender: Contender,
        database: str,
        arguments: Sequence[str],
        pass_fds: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{contender.name}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 (as above)
                [sys.executable, *arguments],
                cwd=ROOT,
                env=self._environment(contender, database),
                stdout=log,
                stderr=log,
                pass_fds=pass_fds,
            )

    def _environment(self, contender: Contender, database: str) -> dict[str, str]:
        number = self._caches.setdefault(database, len(self._caches))
        path = self._cache.removeprefix("unix://")
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "benchmarks.sign_in.settings",
            CONTENDER: contender.name,
            DATABASE: json.dumps({**self.database, "NAME": database}),
            CACHE: f"unix://{path}?db={number}",
            BROKER: f"redis+socket://{path}?virtual_host={number}",
            stand_in.LATENCY: str(self._latency),
            stand_in.SENT: str(self.folder / "sent"),
        }


def name_database(contender: Contender) -> str:
    """Give the name of a contender's own database."""
    return f"sign_in_{contender.name.replace('-', '_')}"


@contextmanager
def on_ground() -> Iterator[Ground]:
    """Run database and cache, in a folder that is removed in the end."""
    from tests.redis_server import RedisServer

    folder = Path(tempfile.mkdtemp(prefix="phone-otp-benchmark-"))
    try:
        with serving(folder) as database:
            write_settings(database)
        with ExitStack() as stack:
            redis = stack.enter_context(RedisServer())
            database = stack.enter_context(serving(folder))
            ground = Ground(folder, database, redis.caches["default"]["LOCATION"])
            stack.callback(ground.inbox.close)
            yield ground
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_settings(database: Mapping[str, Any]) -> None:
    """Write the settings of a database server; the number of connections waits for a restart."""
    with connecting(database, "postgres") as connection:
        for name, value in SERVER_SETTINGS.items():
            connection.execute(f"ALTER SYSTEM SET {name} = {value}")
        connection.execute("SELECT pg_reload_conf()")


def connecting(database: Mapping[str, Any], name: str) -> Any:
    """Connect to a database of the server, without transactions."""
    import psycopg

    return psycopg.connect(
        dbname=name,
        user=database["USER"],
        host=database["HOST"],
        port=database["PORT"] or None,
        autocommit=True,
    )
