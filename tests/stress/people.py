"""The people of the run: each logs in again and again, as an app does that a person uses.

What they were told is kept word for word in their journals; `promises` compares it with the
database and with what the services have really sent.
"""

import itertools
import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from typing import Any

from .services import Services

PATIENCE_SECONDS = 30
# How long a person waits for a message, and an app until it may ask again.
MESSAGE_SECONDS = 0.4
MAX_WAIT_SECONDS = 2
TRIES_COUNT = 5
CROWD_SECONDS = 3.0  # for so long all of them ask about the same few phones
CROWD_PHONES_COUNT = 3

fresh_numbers = itertools.count(4_500_000)


@dataclass(frozen=True, kw_only=True)
class Told:
    """One request that was answered; the times are those of the monotonic clock."""

    name: str
    began: float
    ended: float
    status: int
    body: dict[str, Any]

    @property
    def code(self) -> str:
        """Give the word of a refusal; empty for an answer that is none."""
        return str(self.body.get("code", ""))


@dataclass(frozen=True, kw_only=True)
class Login:
    """One login that somebody was told of."""

    challenge: str
    phone: str
    body: dict[str, Any]


@dataclass
class Journal:
    """What one person, or all of them together, did and were told."""

    told: list[Told] = field(default_factory=list)
    lost: list[tuple[float, float]] = field(default_factory=list)  # no answer came: began, ended
    logins: list[Login] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # the challenges of answers that were wrong
    closed_after_loss_count: int = 0  # the answer was lost, and the code was used up all the same

    def add(self, other: "Journal") -> None:
        """Take over another's."""
        self.told += other.told
        self.lost += other.lost
        self.logins += other.logins
        self.wrong += other.wrong
        self.closed_after_loss_count += other.closed_after_loss_count


class Person(threading.Thread):
    """Logs in until the end, with phones of their own and with those of all."""

    message_seconds = MESSAGE_SECONDS

    def __init__(self, port: int, services: Services, seed: int, began: float, ends: float) -> None:
        super().__init__(daemon=True)
        self.journal = Journal()
        self.error: BaseException | None = None
        self._port, self._services = port, services
        self._random = random.Random(seed)
        self._began, self._ends = began, ends
        self._own_phones: list[str] = []
        self._devices: dict[str, str] = {}  # by phone: what a login left, for the next one
        self._presses = ThreadPoolExecutor(2)

    def run(self) -> None:
        try:
            while self._goes_on():
                self._log_in(self._choose_phone())
        except BaseException as error:  # noqa: BLE001 (told to the test, which raises it)
            self.error = error
        finally:
            self._presses.shutdown()

    # What a person does

    def _goes_on(self) -> bool:
        return time.monotonic() < self._ends

    def _choose_phone(self) -> str:
        if self._happens(0.45):
            slot = int((time.monotonic() - self._began) / CROWD_SECONDS)
            number = slot * CROWD_PHONES_COUNT + self._random.randrange(CROWD_PHONES_COUNT)
            return f"+7925{4_500_000 + number}"
        if self._own_phones and self._happens(0.4):
            return self._random.choice(self._own_phones)
        self._own_phones.append(f"+7924{next(fresh_numbers)}")
        return self._own_phones[-1]

    def _choose_channel(self) -> str:
        return self._random.choices(["", "telegram", "reverse_call"], [5, 2, 2])[0]

    def _log_in(self, phone: str) -> None:
        began = datetime.now(UTC)
        channel = self._choose_channel()
        body = {"channel": channel} if channel else {}
        if phone in self._devices and self._happens(0.7):
            body["device"] = self._devices[phone]
        asked = self._send("request", phone=phone, **body)
        if asked and asked.code == "delivery_failed" and "challenge" in asked.body:
            asked = self._send("resend", challenge=asked.body["challenge"])
        if asked is None or asked.status not in (200, 201):
            return
        challenge = asked.body["challenge"]
        if asked.body["channel"] == "reverse_call":
            self._call(challenge, phone, asked.body["call_to"])
            return
        if self._happens(0.2):
            self._send("resend", challenge=challenge)
        if self._happens(0.2):
            self._look(challenge)
        for _ in range(self._random.choice([0, 0, 0, 0, 1, 2, 6])):
            told = self._confirm(challenge, phone, "000000", impatient=0.1)
            if not self._is_open(told, challenge):
                return
        self._answer(challenge, phone, began)

    def _answer(self, challenge: str, phone: str, began: datetime) -> None:
        """Type what comes in, the newest first; whose challenge it is for nobody can see."""
        tried: set[str] = set()
        until = time.monotonic() + self.message_seconds
        while time.monotonic() < until:
            messages = [each for each in self._services.messages(phone) if each.at >= began]
            codes = [each.code for each in reversed(messages) if each.code not in tried]
            if not codes:
                time.sleep(0.05)
                continue
            tried.add(codes[0])
            if not self._is_open(self._confirm(challenge, phone, codes[0]), challenge):
                return

    def _call(self, challenge: str, phone: str, call_to: str) -> None:
        self._services.calls.call(from_phone=phone, to=call_to)
        seen = self._look(challenge)  # here the site hears of the call
        if seen and seen.body.get("state") == "verified":
            self._confirm(challenge, phone, None, impatient=1)

    def _look(self, challenge: str) -> Told | None:
        return self._ask("GET", f"challenges/{challenge}")

    def _is_open(self, told: Told | None, challenge: str) -> bool:
        """Note a wrong code; say whether it is worth trying another."""
        if told is not None and told.code == "wrong_code":
            self.journal.wrong.append(challenge)
            return told.body["attempts_left"] > 0
        return False

    # What the app does

    def _send(self, name: str, **body: str) -> Told | None:
        """Ask for a message; where the site says that it is too soon, once more after the wait."""
        told = self._ask("POST", name, **body)
        if told is None or told.status not in (429, 503):
            return told
        if told.code == "delivery_failed" and name == "request":
            time.sleep(min(told.body["resend_in"], MAX_WAIT_SECONDS))
            return told
        wait = told.body.get("retry_after", told.body.get("resend_in", 1))
        if wait > MAX_WAIT_SECONDS:
            return told
        time.sleep(wait)
        return self._ask("POST", name, **body)

    def _confirm(
        self, challenge: str, phone: str, code: str | None, *, impatient: float = 0.6
    ) -> Told | None:
        """Answer, in a part of the cases thrice at one moment, as impatient people press."""
        body = {"challenge": challenge} if code is None else {"challenge": challenge, "code": code}
        presses = 2 if self._happens(impatient) else 0
        others = [
            self._presses.submit(self._confirm_once, challenge, phone, body) for _ in range(presses)
        ]
        told = self._confirm_once(challenge, phone, body)
        for late in [each.result() for each in others]:
            if late and late.code == "wrong_code":
                self.journal.wrong.append(challenge)
            told = late if late and late.status == 200 else told
        return told

    def _confirm_once(self, challenge: str, phone: str, body: dict[str, str]) -> Told | None:
        told = self._ask("POST", "confirm", **body)
        if told and told.status == 200:
            self._devices[phone] = told.body["device"]
            self.journal.logins.append(Login(challenge=challenge, phone=phone, body=told.body))
        return told

    def _ask(self, method: str, name: str, **body: str) -> Told | None:
        """Send a request, and again where no answer came; None when none ever did."""
        for tries_before in range(TRIES_COUNT):
            began = time.monotonic()
            try:
                status, answer = self._exchange(method, name, body)
            except (OSError, HTTPException):
                self.journal.lost.append((began, time.monotonic()))
                time.sleep(0.05)
                continue
            told = Told(
                name=name.partition("/")[0],
                began=began,
                ended=time.monotonic(),
                status=status,
                body=answer,
            )
            self.journal.told.append(told)
            if tries_before and name == "confirm" and told.code == "challenge_closed":
                self.journal.closed_after_loss_count += 1
            return told
        return None

    def _choose_port(self) -> int:
        return self._port

    def _exchange(
        self, method: str, name: str, body: dict[str, str], **more_headers: str
    ) -> tuple[int, dict[str, Any]]:
        # A connection of its own: one that is kept may be closed by a server that is well.
        client = HTTPConnection("127.0.0.1", self._choose_port(), timeout=PATIENCE_SECONDS)
        try:
            headers = {"Content-Type": "application/json", "Connection": "close", **more_headers}
            client.request(method, f"/api/phone/{name}/", json.dumps(body), headers)
            response = client.getresponse()
            text = response.read().decode()
        finally:
            client.close()
        with suppress(ValueError):
            return response.status, json.loads(text)
        return response.status, {"text": text}

    def _happens(self, part: float) -> bool:
        return self._random.random() < part


def who_am_i(port: int, token: str) -> tuple[int, dict[str, Any]]:
    """Ask the site whose token it is."""
    client = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        headers = {"Authorization": f"Token {token}", "Connection": "close"}
        client.request("GET", "/whoami/", headers=headers)
        response = client.getresponse()
        return response.status, json.loads(response.read())
    finally:
        client.close()
