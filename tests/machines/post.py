"""The provider of the machines: a file, which outlives whoever writes into it."""

import json
import os
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from django_phone_otp.choices import Channel, Custody
from django_phone_otp.providers.base import Provider, Started, StartRequest
from django_phone_otp.providers.options import ProviderOptions, option


@dataclass(frozen=True, kw_only=True)
class PostOptions(ProviderOptions):
    """Where the file is, and how long an answer takes."""

    path: str = option()
    seconds: float = option(default=0.0)


class PostProvider(Provider[PostOptions]):
    """Takes a message at once, and answers later: not before `Post.hold` ends."""

    key: ClassVar[str] = "post"
    channel = Channel.SMS
    custody = Custody.LOCAL
    Options = PostOptions

    def start(self, request: StartRequest) -> Started:
        path = Path(self.options.path)
        seen = {"phone": request.phone, "code": request.code, "pid": os.getpid(), "at": time.time()}
        with path.open("a") as file:
            file.write(json.dumps(seen) + "\n")
        time.sleep(self.options.seconds)
        while _is_held(path, request.phone):
            time.sleep(0.02)
        return Started()


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One message that went out; `pid` is the process that sent it."""

    phone: str
    code: str = field(repr=False)
    pid: int
    at: datetime


class Post:
    """Reads what was sent, and holds the provider's answers back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._path.touch()
        self._read_bytes = 0
        self._letters: defaultdict[str, list[Letter]] = defaultdict(list)
        self._lock = threading.Lock()

    def entry(self, *, seconds: float = 0.0) -> dict[str, Any]:
        """Write an entry of PROVIDERS."""
        backend = f"{PostProvider.__module__}.{PostProvider.__qualname__}"
        return {"BACKEND": backend, "OPTIONS": {"path": str(self._path), "seconds": seconds}}

    def hold(self, phone: str) -> None:
        """Let who sends to a phone have no answer until `release`."""
        _held(self._path).write_text(phone)

    def release(self) -> None:
        """Answer, also who has waited."""
        _held(self._path).unlink(missing_ok=True)

    def messages(self, phone: str) -> list[Letter]:
        """Give what was sent to a phone, oldest first."""
        with self._lock:
            self._read()
            return list(self._letters[phone])

    def phones(self) -> set[str]:
        """Give the phones that anything was sent to."""
        with self._lock:
            self._read()
            return {phone for phone, letters in self._letters.items() if letters}

    def _read(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.splitlines():
            seen = json.loads(line)
            letter = Letter(**seen | {"at": datetime.fromtimestamp(seen["at"], UTC)})
            self._letters[letter.phone].append(letter)


def _held(path: Path) -> Path:
    return path.with_suffix(".held")


def _is_held(path: Path, phone: str) -> bool:
    try:
        return _held(path).read_text() == phone
    except FileNotFoundError:
        return False
