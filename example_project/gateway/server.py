"""The HTTP server: reads requests, lets the gateway think, and writes what it says.

HTTP/1.1 with connections that are kept alive, a thread for each, on loopback only.
"""

from __future__ import annotations

import re
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from .exchange import Answer, Ask, plain_refusal
from .faults import write_whole
from .line import LINGER_NONE, Line

if TYPE_CHECKING:
    from .gateway import Gateway

HOST = "127.0.0.1"
BODY_LIMIT_BYTES = 64 * 1024
STOP_LIMIT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Reply:
    """Hold an answer, how long to wait before it, and how to write it."""

    answer: Answer
    wait_seconds: float = 0.0
    write: Callable[[Line, Answer], None] = write_whole


class Server(ThreadingHTTPServer):
    """Listen on a port of loopback; 0 takes a free one."""

    daemon_threads = True  # a client that holds its connection does not keep the process alive
    request_queue_size = 128

    def __init__(self, gateway: Gateway, port: int) -> None:
        self.gateway = gateway
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        # SECURITY: loopback only. The screen shows every code: on another interface it would
        # show them to the network.
        super().__init__((HOST, port), _Handler)
        self._thread = threading.Thread(
            target=self.serve_forever,
            # How long `stop()` may wait for the loop to look up.
            kwargs={"poll_interval": 0.02},
            name="gateway",
            daemon=True,
        )

    def start(self) -> None:
        """Answer in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection; what hangs there ends at once."""
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._changed:
            still_open = list(self._open)
        for connection in still_open:
            with suppress(OSError):  # the client was faster
                connection.shutdown(socket.SHUT_RDWR)
        # Their threads wake up and end by themselves.
        with self._changed:
            self._changed.wait_for(lambda: not self._open, STOP_LIMIT_SECONDS)

    @property
    def open_connection_count(self) -> int:
        """Return how many connections there are, idle ones as well."""
        with self._changed:
            return len(self._open)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, and note it down."""
        connection, address = super().get_request()
        with self._changed:
            self._open.add(connection)
        self.gateway.count_connection()
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Close a connection; one that is to be reset gets no polite end before."""
        linger = request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(LINGER_NONE))
        if linger == LINGER_NONE:
            self.close_request(request)
        else:
            super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show faults of ours; a client that hangs up is everyday."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"  # connections are kept alive, as the providers' are
    timeout = 300  # seconds a connection may stay idle
    wbufsize = -1  # `Line` flushes
    disable_nagle_algorithm = True

    def _respond(self) -> None:
        self.server.gateway.count_request()
        try:
            reply = self.server.gateway.reply(self._ask())
        except _UnreadableError as unreadable:
            self.close_connection = True  # what is left unread is no request
            reply = Reply(plain_refusal(unreadable.status))
        line = Line(
            self.connection, self.wfile, self.server.stopping, is_closing=self.close_connection
        )
        line.pause(reply.wait_seconds)
        reply.write(line, reply.answer)
        self.close_connection = line.is_closing

    # http.server looks these names up.
    do_GET = _respond  # noqa: N815 (http.server's name)
    do_POST = _respond  # noqa: N815 (http.server's name)
    do_DELETE = _respond  # noqa: N815 (http.server's name)

    def _ask(self) -> Ask:
        body = self._body()
        try:
            address = urlsplit(self.path)
            params = dict(parse_qsl(address.query, keep_blank_values=True))
            if self.headers.get_content_type() == "application/x-www-form-urlencoded":
                params |= parse_qsl(body.decode(), keep_blank_values=True)
        except ValueError:  # an address that is none, or a form that is no UTF-8
            raise _UnreadableError(HTTPStatus.BAD_REQUEST) from None
        headers = tuple(self.headers.items())
        return Ask(self.command, address.path, params, self.path, headers, body)

    def _body(self) -> bytes:
        """Read the body, whatever its use: the next request begins behind it."""
        if "Transfer-Encoding" in self.headers:
            raise _UnreadableError(HTTPStatus.LENGTH_REQUIRED)
        length = self.headers.get("Content-Length", "0")
        if not re.fullmatch(r"[0-9]{1,9}", length):
            raise _UnreadableError(HTTPStatus.BAD_REQUEST)
        if int(length) > BODY_LIMIT_BYTES:
            raise _UnreadableError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return self.rfile.read(int(length))

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: tokens stand in addresses, and addresses are what is logged."""


class _UnreadableError(Exception):
    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status
