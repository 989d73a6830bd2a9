"""The gateway: what it holds, what it was told, and which protocol answers an address.

Protocols, screens and controls are functions of a gateway and a request; `server` has the sockets.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Self

from . import controls, oneconnect, screens, sms_by, telefon_ip, twilio_verify
from .exchange import Answer, Ask, plain_refusal
from .faults import Order, parse_order, take_order
from .reverse_calls import ReverseCall, ReverseCalls
from .screens import Kind, Message, Screens, e164
from .server import HOST, Reply, Server

DEFAULT_PORT = 8001


@dataclass(frozen=True, slots=True)
class Protocol:
    """Name what a protocol needs to give: an answer, and a name for what is asked."""

    provider: str
    answer: Callable[[Gateway, Ask], Answer]
    action_of: Callable[[Ask], str]


_ONECONNECT = Protocol("oneconnect.uno", oneconnect.answer, oneconnect.action_of)

# What is spoken here; another provider is one more line and one more module. A prefix ends with a
# slash, any other address is meant as it stands. The first that fits answers.
PROTOCOLS: dict[str, Protocol] = {
    telefon_ip.PREFIX: Protocol("telefon-ip.ru", telefon_ip.answer, telefon_ip.action_of),
    oneconnect.SEND_PATH: _ONECONNECT,
    oneconnect.BALANCE_PATH: _ONECONNECT,
    sms_by.PREFIX: Protocol("sms.by", sms_by.answer, sms_by.action_of),
    twilio_verify.PREFIX: Protocol("Twilio", twilio_verify.answer, twilio_verify.action_of),
}


def find_protocol(path: str) -> Protocol | None:
    """Return the protocol that answers an address, or `None`."""
    for start, protocol in PROTOCOLS.items():
        if path.startswith(start) if start.endswith("/") else path.removesuffix("/") == start:
            return protocol
    return None


class Gateway:
    """Run the server in a thread of its own: `with Gateway() as gateway: gateway.url`.

    `latency_seconds` delays each answer of a protocol, not of the screen. `tokens` are the valid
    secrets and `services` the Verify services that exist; without them every one that is not empty
    is valid. `port` 0 takes a free one. `start()` and `stop()` do what `with` does.
    """

    def __init__(
        self,
        latency_seconds: float = 0.0,
        *,
        port: int = 0,
        tokens: Iterable[str] | None = None,
        services: Iterable[str] | None = None,
        flash_calls_per_phone: int | None = None,
        fault: str = "",
    ) -> None:
        self.latency_seconds = latency_seconds
        self.services = None if services is None else frozenset(services)
        self.flash_calls_per_phone = flash_calls_per_phone  # a day; `None` for any number
        self.landlines: set[str] = set()  # E.164; they take no text messages
        self.alphanames: set[str] | None = None  # ids; `None` for any number
        self.price_kopecks = 100
        self.balance_kopecks = 100_000
        self.verification_seconds = 600.0
        self.screens = Screens()
        self.request_count = 0
        self.connection_count = 0
        self.redirects_followed = 0
        self.password_objects: dict[int, sms_by.PasswordObject] = {}
        self.password_object_ids = itertools.count(sms_by.FIRST_OBJECT_ID)
        # By service, and by the sid of each as well as by its phone.
        self.verifications: dict[tuple[str, str], twilio_verify.Verification] = {}
        self.reverse_calls = ReverseCalls()
        self._port = port
        self._tokens = None if tokens is None else frozenset(tokens)
        self._messages: list[Message] = []
        self._action_counts: Counter[str] = Counter()
        self._order, self._times_left = parse_order(fault), None if fault else 0
        # One lock for all of it. It is held for moments, never while waiting or writing.
        self._lock = threading.RLock()
        self._server: Server | None = None

    # Life

    def start(self) -> None:
        """Listen and answer; raises `OSError` when the port is taken."""
        self._server = Server(self, self._port)
        self._port = self._server.server_port
        self._server.start()

    def stop(self) -> None:
        """Close the port and every connection, whatever hangs there; the screens stay."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Return the address to give to a provider as its `base_url`."""
        return f"http://{HOST}:{self._port}"

    @property
    def screen_url(self) -> str:
        """Return the address of the page with the phones' screens."""
        return f"{self.url}{screens.PREFIX}"

    # Faults

    def order(self, fault: str, times: int | None = None) -> None:
        """Let requests fail, so many or until another order; "" ends it.

        Raises `ValueError` for an unknown fault.
        """
        order = parse_order(fault)
        if times is not None and times < 1:
            raise ValueError("times must be at least 1")
        with self._lock:
            self._order, self._times_left = order, times if fault else 0

    @property
    def fault(self) -> str:
        """The present fault, as it was ordered; "" for none. May be set."""
        return self.ordered[0]

    @fault.setter
    def fault(self, fault: str) -> None:
        self.order(fault)

    @property
    def ordered(self) -> tuple[str, int | None]:
        """Return the present fault and how many requests it is still for; `None` for all."""
        with self._lock:
            return str(self._order), self._times_left

    def _take_order(self) -> Order:
        order = self._order
        if self._times_left:
            self._times_left -= 1
            if not self._times_left:
                self._order = Order()
        return order

    # Answering

    def reply(self, ask: Ask) -> Reply:
        """Return what is to be written, when and how; nothing here waits."""
        try:
            order, ask = take_order(ask)
        except ValueError as error:
            return Reply(controls.bad_order(str(error)))
        protocol = find_protocol(ask.path)
        if protocol is None:
            page = screens if ask.path.startswith(screens.PREFIX) else controls
            return Reply(page.answer(self, ask))
        if ask.method == "DELETE":
            return Reply(plain_refusal(HTTPStatus.METHOD_NOT_ALLOWED))
        with self._lock:
            self._action_counts[protocol.action_of(ask)] += 1
            # An account that brings its own fault leaves the ordered one to the others.
            order = order or self._take_order()
            fault = order.fault
            answer = plain_refusal(HTTPStatus.SERVICE_UNAVAILABLE)
            if fault.is_delivered or fault.is_protocols_own:
                answer = protocol.answer(self, replace(ask, fault=order.name))
        # All waiting comes after the work, as in life: who gives up was called anyway.
        return Reply(fault.spoil(answer, ask), self.latency_seconds + order.seconds, fault.write)

    # What the protocols need

    def accepts(self, ask: Ask, token: str) -> bool:
        """Say whether a secret is a valid one."""
        if ask.fault == "bad-token":
            return False
        return bool(token) if self._tokens is None else token in self._tokens

    def can_pay(self, ask: Ask, price_kopecks: int | None = None) -> bool:
        """Say whether the account can pay; without a price, for one message."""
        return self.balance_shown(ask) >= self._price(price_kopecks)

    def charge(self, price_kopecks: int | None = None) -> None:
        """Take money from the account; without a price, for one message."""
        with self._lock:
            self.balance_kopecks -= self._price(price_kopecks)

    def _price(self, price_kopecks: int | None) -> int:
        return self.price_kopecks if price_kopecks is None else price_kopecks

    def balance_shown(self, ask: Ask) -> int:
        """Return the balance in kopecks, as this request is to see it."""
        return 0 if ask.fault == "no-money" else self.balance_kopecks

    def deliver(
        self,
        kind: Kind,
        phone: str,
        code: str,
        *,
        text: str | None = None,
        price_kopecks: int | None = None,
    ) -> Message:
        """Put a call or a text on the phone's screen, and charge for it."""
        with self._lock:
            message = Message(
                id=len(self._messages) + 1,
                kind=kind,
                phone=phone,
                code=code,
                sender=f"+7495{secrets.randbelow(1000):03d}{code}" if kind == "call" else "",
                text="" if kind == "call" else text or f"Your code: {code}",
                at=datetime.now(UTC),
            )
            self._messages.append(message)
            self.screens.setdefault(phone, []).append(message)
            self.charge(price_kopecks)
        return message

    def message(self, id_: int) -> Message | None:
        """Return the message with this id, or `None`."""
        with self._lock:
            return self._messages[id_ - 1] if 0 < id_ <= len(self._messages) else None

    def count_calls_today(self, phone: str) -> int:
        """Return how many calls a phone got this day, in UTC."""
        today = datetime.now(UTC).date()
        messages = self.on_screen(phone)
        return sum(each.kind == "call" and each.at.date() == today for each in messages)

    # What a person does

    def call(self, *, from_phone: str, to: str) -> bool:
        """Call a number that was given out for a reverse call; return whether it is alive.

        Raises `ValueError` for what is no phone.
        """
        caller, number = e164(from_phone), e164(to)
        if caller is None or number is None:
            raise ValueError("a phone is written as +79244501003, 79244501003 or 89244501003")
        with self._lock:
            return self.reverse_calls.ring(caller, number)

    # What was counted

    @property
    def message_count(self) -> int:
        """Return how many calls and texts went out: what a provider would send a bill for."""
        with self._lock:
            return len(self._messages)

    def count(self, action: str) -> int:
        """Return how often an action of a protocol was asked for, whatever came of it."""
        with self._lock:
            return self._action_counts[action]

    def counts(self) -> dict[str, object]:
        """Return all counts, as `/counts/` shows them."""
        with self._lock:
            return {
                "requests": self.request_count,
                "connections": self.connection_count,
                "messages": len(self._messages),
                "redirects_followed": self.redirects_followed,
                "actions": {name: count for name, count in self._action_counts.items() if name},
            }

    @property
    def open_connection_count(self) -> int:
        """Return how many connections are open now, idle and hanging ones as well."""
        server = self._server
        return server.open_connection_count if server else 0

    def count_request(self) -> None:
        """Count one HTTP request, whatever it asks for."""
        with self._lock:
            self.request_count += 1

    def count_connection(self) -> None:
        """Count one TCP connection."""
        with self._lock:
            self.connection_count += 1

    def count_redirect(self) -> None:
        """Count one client that followed a redirect."""
        with self._lock:
            self.redirects_followed += 1

    # What the screen needs

    def awaited_calls(self) -> list[ReverseCall]:
        """Return the reverse calls that may still be made, newest first."""
        with self._lock:
            return self.reverse_calls.list_awaited()

    def on_screen(self, phone: str) -> list[Message]:
        """Return a copy of one phone's messages, oldest first."""
        with self._lock:
            return list(self.screens[phone])

    def newest_screens(self, count: int) -> list[tuple[str, list[Message]]]:
        """Return copies of the screens of the phones that got something last, newest first."""
        with self._lock:
            phones = [(phone, list(messages)) for phone, messages in self.screens.items()]
        return sorted(phones, key=lambda phone: phone[1][-1].id, reverse=True)[:count]
