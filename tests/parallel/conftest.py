"""Real servers on the test database, and a crowd that asks them at one moment.

The servers are gunicorn's: several processes with several threads each. The crowd is several
processes too, and each of its requests has a connection of its own, opened before the signal.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60
PROCESSES_COUNT = 4
THREADS_COUNT = 6
# Of each process. Few, so that a crowd is too large for one process to take it all.
CONNECTIONS_COUNT = 16

# Endpoint and body, and the headers, where there are any.
Call = tuple[str, dict[str, str]] | tuple[str, dict[str, str], dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one of the crowd got; `process` is the server's, `status` 0 is no answer at all."""

    status: int
    process: str
    body: dict[str, Any]

    @property
    def code(self) -> str:
        """Give the word of a refusal; empty for an answer that is none."""
        return str(self.body.get("code", ""))


class Site:
    """A running site; to call it is to ask it all at one moment."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log

    def __call__(self, calls: list[Call]) -> list[Answer]:
        """Give the answers to the calls, in no order."""
        requests: list[Call] = [(f"/api/phone/{call[0]}/", *call[1:]) for call in calls]
        with ExitStack() as stack:
            parts = [
                stack.enter_context(self._start_part(requests[start::PROCESSES_COUNT]))
                for start in range(min(PROCESSES_COUNT, len(requests)))
            ]
            for part in parts:
                assert part.stdout
                assert part.stdout.readline() == "ready\n"
            for part in parts:
                assert part.stdin
                part.stdin.write("go\n")
                part.stdin.flush()
            written = [part.communicate(timeout=PATIENCE_SECONDS)[0] for part in parts]
        answers = [Answer(**json.loads(line)) for each in written for line in each.splitlines()]
        assert len(answers) == len(calls)
        assert not [each for each in answers if each.status >= 500], self._log.read_text()
        return answers

    @contextmanager
    def _start_part(self, requests: list[Call]) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "tests.parallel.crowd"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as part:
            try:
                assert part.stdin
                part.stdin.write(json.dumps({"port": self.port, "calls": requests}) + "\n")
                part.stdin.flush()
                yield part
            finally:
                part.kill()


@contextmanager
def running_site(
    log: Path, settings: str = "tests.parallel.settings", **keys: Any
) -> Iterator[Site]:
    """Start gunicorn with these keys of PHONE_OTP, on the database of the running test."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": settings,
        "PHONE_OTP_TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        "PHONE_OTP_TEST_KEYS": json.dumps(keys),
    }
    with log.open("wb") as output:
        # The socket is made here and listens already: nobody has to guess a port, or when to begin.
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
            port = listener.getsockname()[1]
            server = subprocess.Popen(
                [
                    *(sys.executable, "-m", "gunicorn", "django.core.wsgi:get_wsgi_application()"),
                    *("--bind", f"fd://{listener.fileno()}", "--preload", "--no-control-socket"),
                    *("--workers", str(PROCESSES_COUNT), "--threads", str(THREADS_COUNT)),
                    *("--worker-connections", str(CONNECTIONS_COUNT)),
                    *("--graceful-timeout", "5", "--log-level", "warning"),
                ],
                cwd=ROOT,
                env=environment,
                pass_fds=[listener.fileno()],
                stdout=output,
                stderr=output,
            )
        try:
            assert status_of_nothing(port) == 400, log.read_text()
            yield Site(port, log)
        finally:
            server.terminate()
            try:
                server.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def status_of_nothing(port: int) -> int:
    """Wait for the first answer: that to a question about a challenge that nobody asked for."""
    client = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        client.request("GET", "/api/phone/challenges/none/")
        return client.getresponse().status
    except OSError:
        return 0
    finally:
        client.close()


@pytest.fixture(scope="session")
def site(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with the default settings."""
    with running_site(tmp_path_factory.mktemp("site") / "log") as running:
        yield running


@pytest.fixture
def other_site(tmp_path: Path) -> Callable[..., Any]:
    """Start a site with settings of its own: `with other_site(RESEND_WAITS=[0]) as site:`."""
    return lambda **keys: running_site(tmp_path / "log", **keys)


@pytest.fixture
def _deleted_rows_stay(transactional_db: None) -> Iterator[None]:
    """Have MariaDB keep what is deleted from now on: a snapshot may still want to read it.

    Two that insert such a row anew wait for each other, and it ends one of them. Without a snapshot
    that happens where the server is slow to clean up.
    """
    if connection.vendor != "mysql":
        yield
        return
    snapshot = connection.copy()
    with snapshot.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        yield
    snapshot.close()
