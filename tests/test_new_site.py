"""A new site: three lines in a fresh project and `migrate`, and a person can log in.

Nothing of the checkout is used: the package is the built wheel, the project is Django's own
template, and the programs run as somebody at a prompt would run them.
"""

import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import PHONE

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 60
BUILD = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"

# What a site author adds, and nothing else.
SETTINGS = """
INSTALLED_APPS += ["rest_framework", "django_phone_otp"]
AUTHENTICATION_BACKENDS = ["django_phone_otp.backends.PhoneOTPBackend",
                           "django.contrib.auth.backends.ModelBackend"]
"""
URLS = """
from django.urls import include
urlpatterns += [path("api/phone/", include("django_phone_otp.urls"))]
"""


def find_wheel(folder: Path) -> Path:
    """Give the wheel that the environment names, or build one."""
    named = os.environ.get("PHONE_OTP_WHEEL") or os.environ.get("TOX_PACKAGE", "")
    if named.endswith(".whl"):
        return Path(named)
    if not find_spec("hatchling"):
        pytest.skip("neither PHONE_OTP_WHEEL nor TOX_PACKAGE names a wheel, nor can one be built")
    subprocess.run([sys.executable, "-c", BUILD, str(folder)], cwd=ROOT, check=True)
    (built,) = folder.glob("*.whl")
    return built


@dataclass(frozen=True)
class Project:
    """A project of `django-admin startproject`; its programs find the wheel first."""

    folder: Path
    packages: Path

    @property
    def environment(self) -> dict[str, str]:
        """Give the machine's environment without what the running suite put there."""
        ours = ("COVERAGE_", "DJANGO_", "PHONE_OTP_", "PYTEST_")
        kept = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
        return kept | {"PYTHONPATH": str(self.packages), "PYTHONUNBUFFERED": "1"}

    def add(self, name: str, lines: str) -> None:
        with (self.folder / "site_of_mine" / name).open("a") as file:
            file.write(lines)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )

    @contextmanager
    def serving(self) -> Iterator["Server"]:
        """Run the development server, on a port that it chooses itself."""
        with subprocess.Popen(
            [sys.executable, "manage.py", "runserver", "--noreload", "127.0.0.1:0"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            # Whoever waits for a line that never comes gets the end of the output instead.
            watchdog = threading.Timer(PATIENCE_SECONDS, process.kill)
            watchdog.start()
            try:
                assert process.stdout
                yield Server(process.stdout)
            finally:
                watchdog.cancel()
                process.kill()


class Server:
    """The running development server, and what it prints."""

    def __init__(self, output: IO[str]) -> None:
        self._output = output
        self._port = urlsplit(self.read(r"development server at (http://\S+)")).port

    def read(self, pattern: str) -> str:
        """Read on until a line matches, and give its group."""
        seen = []
        for line in self._output:
            found = re.search(pattern, line)
            if found:
                return found[1]
            seen.append(line)
        raise AssertionError(f"no line matches {pattern}:\n{''.join(seen)}")

    def post(self, path: str, **body: Any) -> tuple[HTTPResponse, dict[str, Any]]:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            return response, json.loads(response.read())
        finally:
            connection.close()


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a folder of its own; one of pure Python is installed by unpacking."""
    folder = tmp_path_factory.mktemp("packages")
    with zipfile.ZipFile(find_wheel(tmp_path_factory.mktemp("wheel"))) as wheel:
        wheel.extractall(folder)
    return folder


@pytest.fixture
def project(tmp_path: Path, packages: Path) -> Project:
    project = Project(tmp_path, packages)
    made = project.run("-m", "django", "startproject", "site_of_mine", ".")
    assert made.returncode == 0, made.stderr
    project.add("settings.py", SETTINGS)
    project.add("urls.py", URLS)
    return project


def test_new_site_uses_the_wheel(project):
    shown = project.run("-c", "import django_phone_otp; print(django_phone_otp.__file__)")
    assert Path(shown.stdout.strip()) == project.packages / "django_phone_otp" / "__init__.py"


def test_new_site_logs_a_person_in(project):
    checked = project.run("manage.py", "check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == "System check identified no issues (0 silenced).\n"
    migrated = project.run("manage.py", "migrate", "--verbosity=0")
    assert (migrated.returncode, migrated.stderr) == (0, "")

    with project.serving() as server:
        response, asked = server.post("/api/phone/request/", phone=PHONE)
        assert (response.status, asked["state"]) == (201, "sent")
        code = server.read(rf"Text message to {re.escape(PHONE)}: (\d{{6}}) is your code")
        response, login = server.post(
            "/api/phone/confirm/", challenge=asked["challenge"], code=code
        )

    assert response.status == 200
    assert login["user"] == {"id": 1, "phone": PHONE, "created": True}
    assert [each for each in response.headers.get_all("Set-Cookie") if "sessionid=" in each]


def test_new_site_without_a_provider_is_not_let_into_production(project):
    project.add("settings.py", 'DEBUG = False\nALLOWED_HOSTS = ["example.org"]\n')
    checked = project.run("manage.py", "check")
    assert checked.returncode == 1
    assert "ERRORS:\n?: (phone_otp.E003) No provider is configured" in checked.stderr
    assert "HINT: Add one, for example PHONE_OTP = {'PROVIDERS': {" in checked.stderr
    assert "System check identified 1 issue (0 silenced)." in checked.stderr


def test_new_site_with_a_provider_is_let_into_production(project):
    project.add("settings.py", 'DEBUG = False\nALLOWED_HOSTS = ["example.org"]\n')
    # What the error above says.
    hint = re.search(r"(PHONE_OTP = \{.*\})\.$", project.run("manage.py", "check").stderr, re.M)
    assert hint
    project.add("settings.py", hint[1])
    checked = project.run("manage.py", "check")
    assert (checked.returncode, checked.stderr) == (0, "")
