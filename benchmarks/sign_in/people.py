"""The people: they ask for a code, receive it, and answer. What CPU they take is nobody's."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self, TypeVar

from .contenders.base import Ask, Body, Contender

PATIENCE_SECONDS = 300
# Odd, and no multiple of five: each number has a phone of its own, and neighbours are far apart.
SCATTER = 387_420_489
# Beyond the numbers of `benchmarks.rows`, which are scattered in the same way.
FIRST_NUMBER = 100_000_000
# Of Russia's mobile numbers these alone are not all there.
GAP = "+79300"

_numbers = itertools.count(FIRST_NUMBER)
T = TypeVar("T")
R = TypeVar("R")


def new_phones(count: int) -> list[str]:
    """Give phones that nobody has had before."""
    phones = (f"+79{number * SCATTER % 10**9:09d}" for number in _numbers)
    return list(itertools.islice((each for each in phones if not each.startswith(GAP)), count))


class Inbox:
    """The codes that the stand-in sent, read from its file as they come in."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._rest = b""
        self._messages: dict[str, list[tuple[str, float]]] = defaultdict(list)

    def take(self, phone: str) -> tuple[str, float]:
        """Wait for the phone's next code; give it, and the time at which it was delivered."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not self._messages[phone]:
            if time.monotonic() > until:
                raise TimeoutError(f"no code came for {phone}")
            self._read()
            time.sleep(0 if self._messages[phone] else 0.01)
        return self._messages[phone].pop(0)

    def count_left(self) -> int:
        """Count the codes that nobody has taken, and forget them."""
        self._read()
        count = sum(map(len, self._messages.values()))
        self._messages.clear()
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self) -> None:
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in lines:
            phone, code, at = line.decode().split(" ")
            self._messages[phone].append((code, int(at) / 1e9))


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of one `request/`: its answer, when it was sent, how many seconds it took."""

    phone: str
    body: Body
    at: float
    seconds: float


class Crowd:
    """So many people at once."""

    def __init__(self, contender: Contender, port: int, at_once: int) -> None:
        self._contender, self._port = contender, port
        self._own = threading.local()
        self._connections: list[HTTPConnection] = []
        self._pool = ThreadPoolExecutor(at_once, initializer=self._connect)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for connection in self._connections:
            connection.close()

    def ask(self, phones: Sequence[str], *, is_known: bool) -> list[Asked]:
        """Have all of them ask for a code; raises `RuntimeError` for a refusal."""
        contender = self._contender

        def ask_one(phone: str) -> Asked:
            at = time.time()
            ask = contender.ask(phone, is_known=is_known)
            body, seconds = self._post(ask, phone, contender.asked_status)
            return Asked(phone, body, at, seconds)

        return self._do(ask_one, phones)

    def answer(
        self, asked: Sequence[Asked], codes: Sequence[str], *, is_known: bool
    ) -> list[float]:
        """Have all of them answer; give the seconds. Raises `RuntimeError` for a refusal."""
        contender = self._contender

        def answer_one(pair: tuple[Asked, str]) -> float:
            one, code = pair
            ask = contender.answer(one.body, one.phone, code, is_known=is_known)
            body, seconds = self._post(ask, one.phone, 200)
            if not contender.proof(body):
                raise RuntimeError(f"{contender.name} gave no token")
            return seconds

        return self._do(answer_one, list(zip(asked, codes, strict=True)))

    def _do(self, act: Callable[[T], R], things: Iterable[T]) -> list[R]:
        return list(self._pool.map(act, things))

    def _connect(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
        self._own.connection = connection
        self._connections.append(connection)

    def _post(self, ask: Ask, phone: str, expected: int) -> tuple[Any, float]:
        digits = int(phone[3:])
        address = ".".join(str(digits >> shift & 255) for shift in (16, 8, 0))
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "X-Forwarded-For": f"10.{address}",
            **ask.headers,
        }
        connection: HTTPConnection = self._own.connection
        began = time.perf_counter()
        connection.request("POST", ask.path, json.dumps(ask.body), headers)
        response = connection.getresponse()
        read = response.read()
        seconds = time.perf_counter() - began
        if response.status != expected:
            words = read.decode(errors="replace")[:300]
            raise RuntimeError(f"{self._contender.name}, {ask.path}: {response.status} {words}")
        return json.loads(read), seconds
