"""The local gateway: a provider and the phones of its customers, in one small HTTP server.

It speaks the wire protocol of telefon-ip.ru to the site, and shows what a real gateway cannot:
the phone's screen (`/screen/` for people, `/screen/<phone>.json` for programs). It is for
development, the demo and tests, sends nothing to anybody, and listens on loopback only.
Marks in comments: *documented* (by the provider), *seen* (in public clients), *assumed*.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType, TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

HOST = "127.0.0.1"
DEFAULT_PORT = 8001
BODY_LIMIT_BYTES = 64 * 1024
SCREEN_PHONES_COUNT = 50  # the newest ones; a page of a thousand phones helps nobody


# What a phone receives


@dataclass(frozen=True, slots=True)
class Message:
    """Hold one call or text that reached a phone."""

    id: int
    kind: Literal["call", "sms"]
    phone: str  # E.164
    code: str = field(repr=False)
    sender: str = field(repr=False)  # the calling number (it ends with the code); "" for a text
    text: str = field(repr=False)  # "" for a call
    at: datetime

    def as_json(self) -> dict[str, str]:
        """Return what `/screen/<phone>.json` lists; a call has `from`, a text has `text`."""
        shown = {"kind": self.kind, "code": self.code, "at": self.at.isoformat()}
        return shown | ({"from": self.sender} if self.kind == "call" else {"text": self.text})


class Screens(dict[str, list[Message]]):
    """Map a phone in E.164 to its messages, oldest first; a phone without any has an empty list."""

    def __missing__(self, phone: str) -> list[Message]:
        # Not stored: looking at a phone leaves no trace.
        return []


# Requests and answers, free of sockets, so that a protocol is a function from one to the other


@dataclass(frozen=True, slots=True)
class Ask:
    """Hold one request; `path` is what follows the protocol's prefix."""

    path: str = field(repr=False)
    params: Mapping[str, str] = field(repr=False)  # the query, and the form of a POST over it


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold one answer, ready to be written."""

    status: HTTPStatus
    body: bytes = field(repr=False)
    content_type: str = "application/json; charset=utf-8"
    location: str = ""


def json_answer(status: HTTPStatus, body: object) -> Answer:
    """Return `body` as a JSON answer."""
    return Answer(status, json.dumps(body, ensure_ascii=False).encode())


# telefon-ip.ru: /api/v1/authcalls/{token}/{action}/{params}


def telefon_ip(gateway: Gateway, ask: Ask) -> Answer:
    """Answer one request of the telefon-ip.ru protocol; may put a message on a screen."""
    # Documented with a closing slash in one place and without it in another: both are taken.
    token, _, rest = ask.path.partition("/")
    action, _, param = rest.partition("/")
    # The token is looked at first: a stranger learns nothing about formats.
    if not gateway.accepts(unquote(token)):
        return _telefon_ip_error(HTTPStatus.UNAUTHORIZED, "Unauthorized token")
    answer_action = TELEFON_IP_ACTIONS.get(action)
    if answer_action is None:
        return _telefon_ip_error(HTTPStatus.NOT_FOUND, "action not found")  # assumed
    return answer_action(gateway, unquote(param.removesuffix("/")), ask.params)


def _telefon_ip_get_code(gateway: Gateway, phone: str, _params: Mapping[str, str]) -> Answer:
    # `sms=true` asks for a text when the operator refuses the call. Here every call arrives, so
    # it is accepted and changes nothing.
    # Documented but not imitated: three calls per number and day, whose error is unknown.
    e164 = _telefon_ip_phone(phone)
    if e164 is None:
        return _telefon_ip_bad_phone()
    return _telefon_ip_sent(gateway.deliver("call", e164, _four_digits()))


def _telefon_ip_get_sms_code(gateway: Gateway, phone: str, params: Mapping[str, str]) -> Answer:
    e164 = _telefon_ip_phone(phone)
    if e164 is None:
        return _telefon_ip_bad_phone()
    code = params.get("code", "") or _four_digits()
    if len(code) > 4:  # documented: four characters at most; the words and the status are assumed
        return _telefon_ip_error(HTTPStatus.BAD_REQUEST, "code is longer than 4 characters")
    return _telefon_ip_sent(gateway.deliver("sms", e164, code))


def _telefon_ip_get_status(gateway: Gateway, id_: str, _params: Mapping[str, str]) -> Answer:
    message = gateway.message(int(id_)) if re.fullmatch(r"[0-9]{1,18}", id_) else None
    if message is None:
        return _telefon_ip_error(HTTPStatus.BAD_REQUEST, "id record not found")
    return _telefon_ip_data(
        {
            "id": message.id,
            "created_at": f"{message.at:%Y-%m-%d %H:%M:%S}",  # the format is assumed
            "phone": message.phone.removeprefix("+"),
            "status": 1,
            "status_info": "Ok: SIP 200 OK",
            "price": gateway.price_kopecks / 100,
        }
    )


def _telefon_ip_get_balance(gateway: Gateway, _param: str, _params: Mapping[str, str]) -> Answer:
    # Numbers here; numeric strings are seen as well.
    return _telefon_ip_data(
        {
            "balance": gateway.balance_kopecks / 100,
            "price": gateway.price_kopecks / 100,
            "balance_limit": 0,
        }
    )


TELEFON_IP_ACTIONS: dict[str, Callable[[Gateway, str, Mapping[str, str]], Answer]] = {
    "get_code": _telefon_ip_get_code,
    "get_sms_code": _telefon_ip_get_sms_code,
    "get_status": _telefon_ip_get_status,
    "get_balance": _telefon_ip_get_balance,
}


def _telefon_ip_phone(phone: str) -> str | None:
    return f"+7{phone[1:]}" if re.fullmatch(r"89[0-9]{9}", phone) else None


def _telefon_ip_sent(message: Message) -> Answer:
    # Documented: the phone comes back as 7XXXXXXXXXX, not as it was sent.
    phone = message.phone.removeprefix("+")
    return _telefon_ip_data({"phone": phone, "code": message.code, "id": message.id})


def _telefon_ip_data(data: Mapping[str, object]) -> Answer:
    return json_answer(HTTPStatus.OK, {"success": True, "error": "", "data": data})


def _telefon_ip_error(status: HTTPStatus, error: str) -> Answer:
    return json_answer(status, {"success": False, "error": error, "data": {}})


def _telefon_ip_bad_phone() -> Answer:
    return _telefon_ip_error(
        HTTPStatus.BAD_REQUEST,
        "does not match the format 89XXXXXXXXX or phone field is missing",
    )


def _four_digits() -> str:
    return f"{secrets.randbelow(10_000):04d}"


# The phone's screen


def screen(gateway: Gateway, ask: Ask) -> Answer:
    """Answer with the page of all phones, or with one phone's messages as JSON."""
    if not ask.path:
        page = _screen_page(gateway.newest_screens(SCREEN_PHONES_COUNT))
        return Answer(HTTPStatus.OK, page.encode(), "text/html; charset=utf-8")
    # A person may type the phone as it is written anywhere: +7…, 7… or 8….
    asked = re.fullmatch(r"(?:\+?7|8)([0-9]{10})\.json", unquote(ask.path))
    if asked is None:
        return NOT_FOUND
    return json_answer(
        HTTPStatus.OK, [message.as_json() for message in gateway.on_screen(f"+7{asked[1]}")]
    )


def _screen_page(screens: Iterable[tuple[str, list[Message]]]) -> str:
    cards = "".join(
        f"<section><h2>{_spaced(phone)}</h2><ol>{_screen_items(messages)}</ol></section>"
        for phone, messages in screens
    )
    nothing = "<p>Nothing has arrived yet. Ask the site for a code.</p>"
    return SCREEN_PAGE.replace("{{cards}}", cards or nothing)


def _screen_items(messages: Iterable[Message]) -> str:
    items = []
    for message in reversed(list(messages)):
        if message.kind == "call":
            number, code = message.sender[: -len(message.code)], message.code
            calling = f"{_spaced(number)} <strong>{html.escape(code)}</strong>"
            what = f"Incoming call from <span>{calling}</span>"
        else:
            # The text may hold a code that the site chose: anything of four characters.
            what = f"Message: <q>{html.escape(message.text)}</q>"
        at = message.at.astimezone()
        items.append(
            f'<li><span>{what}</span> <time datetime="{at.isoformat()}">{at:%H:%M:%S}</time></li>'
        )
    return "".join(items)


def _spaced(phone: str) -> str:
    return html.escape(" ".join(filter(None, (phone[:2], phone[2:5], phone[5:8], phone[8:]))))


SCREEN_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="2">
<title>The phone's screen</title>
<style>
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 26rem; padding: 1.5rem 1rem; font: 1rem/1.5 system-ui, sans-serif;
  background: light-dark(#f3f4f6, #111418); color: light-dark(#1b1f24, #e6e8eb); }
h1 { font-size: 1.25rem; }
section { margin: 1rem 0; padding: 1rem; border-radius: 1.25rem;
  background: light-dark(#fff, #1c2127); }
h2 { margin: 0 0 .5rem; font-size: 1rem; }
ol { list-style: none; margin: 0; padding: 0; }
li { display: flex; justify-content: space-between; align-items: baseline; gap: 1rem;
  padding: .5rem 0; border-top: 1px solid light-dark(#e3e6ea, #30363d); }
span span { white-space: nowrap; }
strong { font-size: 1.5rem; color: light-dark(#0b5fff, #7db0ff); }
time { font-size: .875rem; color: light-dark(#59636e, #9aa4af); }
</style>
</head>
<body>
<h1>The phone's screen</h1>
{{cards}}
</body>
</html>
"""


# The table of what is spoken here. Another provider is one more line and one more function.

PROTOCOLS: dict[str, Callable[[Gateway, Ask], Answer]] = {
    "/api/v1/authcalls/": telefon_ip,
}
SCREEN_PREFIX = "/screen/"
NOT_FOUND = json_answer(HTTPStatus.NOT_FOUND, {"detail": "Nothing is served here."})


class Gateway:
    """Run the server in a thread of its own: `with Gateway() as gateway: gateway.url`.

    `latency_seconds` delays each answer of a protocol, not of the screen. `tokens` are the valid
    ones; without it every token that is not empty is valid. `port` 0 takes a free one. `start()`
    and `stop()` do what `with` does.
    """

    def __init__(
        self,
        latency_seconds: float = 0.0,
        *,
        port: int = 0,
        tokens: Iterable[str] | None = None,
    ) -> None:
        self.latency_seconds = latency_seconds
        self.price_kopecks = 100
        self.balance_kopecks = 100_000
        self.screens = Screens()
        self.request_count = 0
        self.connection_count = 0
        self._port = port
        self._tokens = None if tokens is None else frozenset(tokens)
        self._messages: list[Message] = []
        # One lock for screens and counts: it is held for moments, never while waiting.
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    # Life

    def start(self) -> None:
        """Listen and answer; raises `OSError` when the port is taken."""
        self._stopping.clear()
        self._server = _Server(self, self._port)
        self._port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            # How long `stop()` may wait for the loop to look up.
            kwargs={"poll_interval": 0.05},
            name="gateway",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every open connection; the screens stay. `start()` opens it again."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        self._server = self._thread = None
        self._stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()
        server.close_connections()

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
        return f"{self.url}{SCREEN_PREFIX}"

    # What the protocols need

    def accepts(self, token: str) -> bool:
        """Say whether a token is a valid one."""
        return bool(token) if self._tokens is None else token in self._tokens

    def deliver(self, kind: Literal["call", "sms"], phone: str, code: str) -> Message:
        """Put a call or a text on the phone's screen, and charge for it."""
        with self._lock:
            message = Message(
                id=len(self._messages) + 1,
                kind=kind,
                phone=phone,
                code=code,
                sender=f"+7495{secrets.randbelow(1000):03d}{code}" if kind == "call" else "",
                text=f"Your code: {code}" if kind == "sms" else "",
                at=datetime.now(UTC),
            )
            self._messages.append(message)
            self.screens.setdefault(phone, []).append(message)
            self.balance_kopecks -= self.price_kopecks
        return message

    def message(self, id_: int) -> Message | None:
        """Return the message with this id, or `None`."""
        with self._lock:
            return self._messages[id_ - 1] if 0 < id_ <= len(self._messages) else None

    @property
    def message_count(self) -> int:
        """Return how many calls and texts went out: what a provider would send a bill for."""
        with self._lock:
            return len(self._messages)

    def on_screen(self, phone: str) -> list[Message]:
        """Return a copy of one phone's messages, oldest first."""
        with self._lock:
            return list(self.screens[phone])

    def newest_screens(self, count: int) -> list[tuple[str, list[Message]]]:
        """Return copies of the screens of the phones that got something last, newest first."""
        with self._lock:
            screens = [(phone, list(messages)) for phone, messages in self.screens.items()]
        return sorted(screens, key=lambda screen: screen[1][-1].id, reverse=True)[:count]

    # What the server needs

    def answer(self, path: str, params: Mapping[str, str]) -> Answer:
        """Answer one request, after `latency_seconds` when it is a protocol's."""
        if path == "/":
            return Answer(HTTPStatus.FOUND, b"", location=SCREEN_PREFIX)
        if path.startswith(SCREEN_PREFIX):
            return screen(self, Ask(path.removeprefix(SCREEN_PREFIX), params))
        for prefix, protocol in PROTOCOLS.items():
            if path.startswith(prefix):
                answer = protocol(self, Ask(path.removeprefix(prefix), params))
                # After the work, as in life: a client that gives up waiting was called anyway.
                if self.latency_seconds > 0:
                    self._stopping.wait(self.latency_seconds)
                return answer
        return NOT_FOUND

    def count_request(self) -> None:
        """Count one HTTP request, whatever it asks for."""
        with self._lock:
            self.request_count += 1

    def count_connection(self) -> None:
        """Count one TCP connection."""
        with self._lock:
            self.connection_count += 1


# The HTTP server


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a client that holds its connection does not keep the process alive
    request_queue_size = 128

    def __init__(self, gateway: Gateway, port: int) -> None:
        self.gateway = gateway
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        # SECURITY: loopback only. The screen shows every code: on another interface it would
        # show them to the network.
        super().__init__((HOST, port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._open_lock:
            self._open.add(connection)
        self.gateway.count_connection()
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End the connections that clients keep alive; their threads then end by themselves."""
        with self._open_lock:
            still_open = list(self._open)
        for connection in still_open:
            with suppress(OSError):  # the client was faster
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that hangs up is everyday; anything else is a fault of ours and is shown.
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"  # connections are kept alive, as the provider's are
    server_version = "example-gateway"
    sys_version = ""
    timeout = 300  # seconds a connection may stay idle
    # Head and body leave in one write, at once: else Nagle and delayed ACK cost 40 ms a request.
    wbufsize = -1
    disable_nagle_algorithm = True

    def _respond(self) -> None:
        self.server.gateway.count_request()
        try:
            address = urlsplit(self.path)
            params = dict(parse_qsl(address.query)) | self._form()
        except _UnreadableError as unreadable:
            self.close_connection = True  # what is left unread is no request
            self._write(json_answer(unreadable.status, {"detail": unreadable.status.phrase}))
            return
        except ValueError:  # an address that is none, or a form that is no UTF-8
            self._write(json_answer(HTTPStatus.BAD_REQUEST, {"detail": "Bad Request"}))
            return
        self._write(self.server.gateway.answer(address.path, params))

    # http.server looks these names up.
    do_GET = _respond  # noqa: N815 (http.server's name)
    do_POST = _respond  # noqa: N815 (http.server's name)

    def _form(self) -> dict[str, str]:
        """Read the body, whatever its use: the next request begins behind it."""
        if "Transfer-Encoding" in self.headers:
            raise _UnreadableError(HTTPStatus.LENGTH_REQUIRED)
        length = self.headers.get("Content-Length", "0")
        if not re.fullmatch(r"[0-9]{1,9}", length):
            raise _UnreadableError(HTTPStatus.BAD_REQUEST)
        if int(length) > BODY_LIMIT_BYTES:
            raise _UnreadableError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body = self.rfile.read(int(length))
        if self.headers.get_content_type() != "application/x-www-form-urlencoded":
            return {}
        return dict(parse_qsl(body.decode()))

    def _write(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        if answer.location:
            self.send_header("Location", answer.location)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the token stands in the address, and addresses are what is logged."""


class _UnreadableError(Exception):
    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m example_project.gateway",
        description="A local stand-in for telefon-ip.ru that shows the phone's screen.",
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument(
        "--latency",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="wait that long before each answer, as a real provider does",
    )
    parser.add_argument(
        "--token", action="append", help="a valid token, may be repeated (default: every token)"
    )
    options = parser.parse_args(arguments)
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    try:
        gateway = Gateway(options.latency, port=options.port, tokens=options.token)
        gateway.start()
    except (OSError, OverflowError) as error:
        print(f"Cannot listen on {HOST}:{options.port}: {error}", file=sys.stderr)
        return 1
    print(f"Gateway:            {gateway.url}")
    print(f"The phone's screen: {gateway.screen_url}")
    print("Ctrl-C ends it.", flush=True)
    stop.wait()
    gateway.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
