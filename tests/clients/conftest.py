"""A running site, and the clients of the documentation, each a program that asks at a prompt.

All of them speak alike, so that one test says it of all languages. What a machine lacks is skipped
with its name; a curl client needs curl, the others a runtime, which `tox run -e clients` brings.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import accounts
from tests.parallel.conftest import running_site

from . import toolchains, witness
from .pages import SITE, write_files, write_site

PATIENCE_SECONDS = 60
CODE, CALL_CODE = "012345", "0123"
# What happens to a phone follows from its region.
RU, BY, KZ, GE = "+79244501003", "+375291234567", "+77012345678", "+995555123456"
KEYS: dict[str, Any] = {
    "PROVIDERS": accounts(
        texts={"kind": "FakeRemote", "code": CODE, "REGIONS": ["RU", "BY"]},
        calls={"kind": "FakeCall", "code": CALL_CODE, "REGIONS": ["RU"]},
        lost={"kind": "FakeCall", "error": "DeliveryUncertain", "REGIONS": ["BY"], "PRIORITY": 1},
        slow={"error": "DeliveryUncertain", "REGIONS": ["KZ"]},
        answered={"kind": "FakePresence", "is_called": True, "REGIONS": ["GE"]},
    ),
    "RESEND_WAITS": [0, 0, 30],
    # A phone is suspicious after two messages that nobody answered.
    "CAPTCHA": {"BACKEND": "tests.fakes.FakeCaptcha", "WHEN": "suspicious"},
}


@dataclass(frozen=True)
class Site:
    url: str
    folder: Path

    def forget(self) -> None:
        """Forget what was asked, and what the server has counted of it."""
        self._notes_file.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "cache", ignore_errors=True)

    def notes(self, path: str = "") -> list[dict[str, Any]]:
        """Give what the server saw of the API, or of one of its addresses."""
        return [each for each in self._read() if each["path"].startswith(f"/api/phone/{path}")]

    def wait_for(self, path: str) -> None:
        """Wait until the server has answered at an address that fits the pattern."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not any(re.fullmatch(path, each["path"]) for each in self._read()):
            assert time.monotonic() < deadline, self._read()
            time.sleep(0.02)

    @property
    def _notes_file(self) -> Path:
        return self.folder / "notes"

    def _read(self) -> list[dict[str, Any]]:
        return witness.read_notes(self._notes_file)


def _start(folder: Path, **keys: Any) -> Iterator[Site]:
    write_site(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(witness.FILE, str(folder / "notes"))
        patch.setenv(SITE, str(folder))
        # Its own two seconds are those between two looks at a challenge.
        patch.setenv("GUNICORN_CMD_ARGS", "--keep-alive 30")
        with running_site(folder / "log", "tests.clients.settings", **KEYS, **keys) as running:
            yield Site(f"http://127.0.0.1:{running.port}", folder)


@pytest.fixture(scope="session")
def running(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from _start(tmp_path_factory.mktemp("site"))


@pytest.fixture
def site(running: Site, transactional_db: None) -> Site:
    """Give a site that nobody has asked yet."""
    running.forget()
    return running


@pytest.fixture
def site_with_sessions(transactional_db: None, tmp_path: Path) -> Iterator[Site]:
    """Give a site whose logins are sessions; its templates are in `tmp_path`."""
    yield from _start(tmp_path, TOKEN_ISSUER="session")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """Take a client out of its page, build it once, and give the command that runs it."""
    built: dict[str, list[str]] = {}

    def build(language: str) -> list[str]:
        if language not in built:
            folder = write_files(language, tmp_path_factory.mktemp(language))
            built[language] = toolchains.BUILD[language](folder)
        return built[language]

    return build


@dataclass(frozen=True)
class Client:
    """One of the programs; what it says, its person's lines being known beforehand."""

    command: list[str]
    url: str

    @contextmanager
    def start(self) -> Iterator[subprocess.Popen[str]]:
        pipe = subprocess.PIPE
        with subprocess.Popen(
            [*self.command, self.url],
            env={**os.environ, "NO_PROXY": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def finish(self, process: subprocess.Popen[str], *typed: str) -> list[str]:
        """Type the lines, and give the lines that it said, without the prompts."""
        lines = "".join(f"{each}\n" for each in [*typed, "", ""])  # empty: no code, no phone
        said, errors = process.communicate(lines, PATIENCE_SECONDS)
        assert process.returncode == 0, errors
        assert errors == ""
        for prompt in ("Phone: ", "Code: ", "Captcha: "):
            said = said.replace(prompt, "")
        return [each for each in said.splitlines() if each]

    def __call__(self, *typed: str) -> list[str]:
        with self.start() as process:
            return self.finish(process, *typed)

    def fail(self, *typed: str) -> str:
        """Type the lines, and give the error with which it ends."""
        with self.start() as process:
            _said, errors = process.communicate("\n".join(typed) + "\n", PATIENCE_SECONDS)
        assert process.returncode != 0
        return errors


@pytest.fixture(params=toolchains.BUILD)
def command(request: pytest.FixtureRequest, program: Any) -> list[str]:
    return program(request.param)


@pytest.fixture
def client(command: list[str], site: Site) -> Client:
    return Client(command, site.url)
