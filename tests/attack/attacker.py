"""The attacker: everything that the API allows, from a new address each time, and all at once."""

import itertools
import json
import random
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

from .clock import Clock
from .witness import read_notes

PATIENCE_SECONDS = 60
THREADS_COUNT = 32

Call = tuple[str, dict[str, str]]

_addresses = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one request was answered, and the address that it came from."""

    address: str
    status: int
    body: dict[str, Any]

    @property
    def code(self) -> str:
        """Give the word of a refusal; empty for an answer that is none."""
        return str(self.body.get("code", ""))


@dataclass(kw_only=True)
class Attacker:
    """Asks a site under attack about a phone, and keeps what he was told.

    Who has logged in sends his `token` along; who has a `device` string shows it.
    """

    port: int
    clock: Clock
    notes: Path
    phone: str
    token: str = ""
    device: str = ""
    told: list[Told] = field(default_factory=list)

    def as_other(self, *, phone: str = "", device: str = "") -> Self:
        """Give somebody else at the same site."""
        return replace(self, phone=phone or self.phone, token="", device=device, told=[])

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.wait(seconds)

    def wait_until(self, seconds: float) -> None:
        """Let time pass until so many seconds after the attack began."""
        self.wait(seconds - self.clock.seconds)

    def ask(self, **body: str) -> Told:
        """Ask for a code."""
        return self.send("request", phone=self.phone, device=self.device, **body)

    def send(self, name: str, **body: str) -> Told:
        """Send one request."""
        told = self._post(name, body)
        self.told.append(told)
        return told

    def send_all(self, calls: Iterable[Call]) -> list[Told]:
        """Send many at one moment."""
        calls = list(calls)
        told: list[Told] = []
        for begin in range(0, len(calls), THREADS_COUNT):
            part = calls[begin : begin + THREADS_COUNT]
            go = threading.Barrier(len(part))

            def call(each: Call, go: threading.Barrier = go) -> Told:
                go.wait(PATIENCE_SECONDS)
                return self._post(*each)

            with ThreadPoolExecutor(len(part)) as pool:
                told += pool.map(call, part)
        self.told += told
        return told

    def guess(self, challenge: str, count: int, length: int) -> list[Told]:
        """Send so many wrong codes to one challenge at one moment."""
        known = self.codes()
        return self.send_all(
            ("confirm", {"challenge": challenge, "code": wrong_code(length, known)})
            for _ in range(count)
        )

    def codes(self, phone: str = "") -> list[str]:
        """Give the codes that were sent, to one phone or to all, the newest last.

        The attacker looks at them in order to miss: a lucky guess is no defect.
        """
        sent = [each for each in read_notes(self.notes) if each["event"] == "sent"]
        return [each["code"] for each in sent if phone in {"", each["phone"]}]

    def log_in(self) -> dict[str, Any]:
        """Log in as who holds the phone does, after the wait where there is one."""
        told = self.ask()
        while told.code == "resend_too_soon":
            self.wait(told.body["retry_after"])
            told = self.ask()
        assert told.status == 201, told
        right = {"challenge": told.body["challenge"], "code": self.codes(self.phone)[-1]}
        answer = self.send("confirm", **right)
        assert answer.status == 200, answer
        return answer.body

    def _post(self, name: str, body: dict[str, str]) -> Told:
        number = next(_addresses)
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        headers = {"Content-Type": "application/json", "X-Forwarded-For": address}
        if self.token:
            headers["Authorization"] = f"Token {self.token}"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("POST", f"/api/phone/{name}/", json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        assert response.status < 500, (name, body, text)
        return Told(address=address, status=response.status, body=json.loads(text))


def wrong_code(length: int, known: Iterable[str]) -> str:
    """Make a code that no message has had."""
    while (code := "".join(random.choices("0123456789", k=length))) in known:
        pass
    return code
