"""The line to one client: what can be done with a connection while a request is answered.

`faults` plays on it; `server` makes one for each request. Every wait ends when the gateway stops.
"""

from __future__ import annotations

import socket
import struct
import threading
from email.utils import formatdate
from io import BufferedIOBase

from .exchange import Answer

# Closing then throws away what is unsent and answers with RST, where FIN would be polite.
LINGER_NONE = struct.pack("ii", 1, 0)


class Line:
    """Write to one client. `is_closing` says whether the connection ends after this answer."""

    def __init__(
        self,
        connection: socket.socket,
        stream: BufferedIOBase,
        stopping: threading.Event,
        *,
        is_closing: bool,
    ) -> None:
        self.is_closing = is_closing
        self._connection = connection
        self._stream = stream
        self._stopping = stopping

    def send(self, data: bytes) -> None:
        """Send now; raises `ConnectionError` when the client is gone."""
        self._stream.write(data)
        self._stream.flush()

    def pause(self, seconds: float) -> None:
        """Wait; raises `ConnectionError` as soon as the gateway stops."""
        if self._stopping.wait(seconds):
            raise ConnectionAbortedError("the gateway stops")

    def hold(self) -> None:
        """Wait until the client hangs up or the gateway stops, then close."""
        self.is_closing = True
        self._connection.settimeout(None)
        # The gateway shuts its connections down when it stops: that ends this read, too.
        if self._connection.recv(1, socket.MSG_PEEK):
            self._stopping.wait()  # the client sends on and on, and is not heard

    def reset(self) -> None:
        """Close with RST, as a crashed host does."""
        self.is_closing = True
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)

    def close(self) -> None:
        """Close after what was sent, with FIN."""
        self.is_closing = True

    def head(self, answer: Answer, length: int | None) -> bytes:
        """Return status line and headers; without a length the body is to come in chunks."""
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        lines = [
            f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
            "Server: example-gateway",
            f"Date: {formatdate(usegmt=True)}",
            f"Content-Type: {answer.content_type}",
            framing,
            "Cache-Control: no-store",
            *(f"{name}: {value}" for name, value in answer.headers),
            *(["Connection: close"] if self.is_closing else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")
