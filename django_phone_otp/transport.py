"""The only HTTP client: one method, from a request to a reply.

Layer 2, one of the two seams. It sets a timeout to connect, a timeout between bytes and a deadline
for the whole exchange, caps the body, follows no redirect, repeats nothing, verifies TLS and keeps
one pool of connections per thread. To fake HTTP, write a function from `WireRequest` to
`WireReply`.

SECURITY: addresses of providers hold secrets. Errors are made anew, `from None`, with method and
host only, and urllib3's own log lines are dropped while a call runs.
"""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from io import BufferedReader, RawIOBase
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from .exceptions import NoAnswer, NotConnected, TransportError

MAX_BODY_BYTES = 256 * 1024
MAX_CONNECT_SECONDS = 5.0
_LOOPBACK_HOSTS = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class WireRequest:
    """What goes out. Everything that may hold a secret or a code is kept out of the `repr`."""

    method: str
    url: str = field(repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    json: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    basic_auth: tuple[str, str] | None = field(default=None, repr=False)
    timeout_seconds: float

    @property
    def host(self) -> str:
        """Name the other side, without the parts of the address that may be secret."""
        try:
            return urlsplit(self.url).hostname or "?"
        except ValueError:
            return "?"


@dataclass(frozen=True, slots=True)
class WireReply:
    """What came back, at any HTTP status, whole."""

    status: int
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """Decode the body; raises `ValueError` for what is not JSON in UTF-8."""
        try:
            return json.loads(self.body.decode())
        except RecursionError:
            raise ValueError("JSON nested too deeply") from None


Transport = Callable[[WireRequest], WireReply]


def is_safe_address(url: str) -> bool:
    """Say whether secrets may travel to an address: https://, a host, and at most a path.

    SECURITY: plain HTTP would show them to everybody on the way. It is allowed on loopback, for
    stand-ins in tests.
    """
    try:
        address = urlsplit(url)
        host, _port = address.hostname, address.port
    except ValueError:
        return False
    is_one_line = url.isprintable() and not any(each.isspace() for each in url)
    if "@" in address.netloc or address.query or address.fragment or not is_one_line:
        return False
    is_local = address.scheme == "http" and host in _LOOPBACK_HOSTS
    return is_local or (address.scheme == "https" and bool(host))


def send(request: WireRequest) -> WireReply:
    """Send one request and read its whole reply within `timeout_seconds`.

    Raises `NotConnected` when nothing was sent, `NoAnswer` when something was and no whole reply of
    at most `MAX_BODY_BYTES` came in time. A redirect is a reply like any other.
    """
    _exchange.deadline = time.monotonic() + request.timeout_seconds
    _exchange.wrote = False
    _exchange.running = True
    try:
        return _send(request)
    except TransportError:
        raise
    except Exception as error:  # noqa: BLE001 (every library below has errors of its own)
        # SECURITY: neither `str(error)` nor its traceback may go on: both carry the address.
        kind = NoAnswer if _exchange.wrote else NotConnected
        reason = type(error).__name__
    finally:
        _exchange.running = False
    raise kind(f"{request.method} {request.host}: {reason}") from None


def _send(request: WireRequest) -> WireReply:
    with _session().request(
        request.method,
        request.url,
        params=request.query,
        data=request.form,
        json=request.json,
        # Without any, requests would look into the machine's .netrc.
        auth=request.basic_auth or _as_it_is,
        headers={"Accept": "application/json", **request.headers, "Accept-Encoding": "identity"},
        timeout=request.timeout_seconds,  # `_DeadlineSocket` shortens it to what is left
        allow_redirects=False,
        stream=True,
    ) as response:
        if response.status_code < 200:
            # An interim answer (103 Early Hints) that http.client takes for the last one: the real
            # one is still to come. SECURITY: on a connection that is kept it would be read as the
            # answer to the next request, and a code would go to somebody else. What is left unread
            # here closes the connection.
            raise NoAnswer(f"{request.method} {request.host}: interim answer")
        body = b""
        # Until nothing more comes: only at its end does a body show that it was cut short.
        while chunk := response.raw.read(MAX_BODY_BYTES + 1 - len(body), decode_content=False):
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise NoAnswer(f"{request.method} {request.host}: more than {MAX_BODY_BYTES} bytes")
        return WireReply(response.status_code, body)


def _as_it_is(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    return prepared


class _Exchange(threading.local):
    """The exchange that runs in this thread: its deadline, and whether a byte has left."""

    deadline = 0.0
    wrote = False
    running = False
    session: requests.Session | None = None


_exchange = _Exchange()


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Find none: requests reads the whole body of a redirect even when it follows none."""


def _session() -> requests.Session:
    if _exchange.session is None:
        session = _Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Adapter(max_retries=0))
        # A provider's cookies are nothing to keep between the logins of different people.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        _exchange.session = session
    return _exchange.session


def _forget_connections() -> None:
    """Keep no connection of this thread; after a fork parent and child must not share any."""
    _exchange.session = None


os.register_at_fork(after_in_child=_forget_connections)


class _DeadlineSocket:
    """A connected socket whose every read is bounded by the deadline of the running exchange.

    A timeout of `requests` bounds the wait for each single byte: a server that sends one byte every
    half second holds a worker for ever. Here each wait gets what is left of the whole.
    """

    def __init__(self, connected: Any) -> None:
        self._socket = connected

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def sendall(self, data: Any, *args: Any) -> None:
        self._socket.settimeout(_seconds_left())
        _exchange.wrote = True
        self._socket.sendall(data, *args)

    def makefile(self, *_args: Any, **_kwargs: Any) -> BufferedReader:
        # Like the socket's own, the file outlives `close()` of the socket by a reference to it.
        return BufferedReader(_DeadlineReader(self._socket, self._socket.makefile("rb", 0)))


class _DeadlineReader(RawIOBase):
    def __init__(self, connected: Any, stream: RawIOBase) -> None:
        self._socket = connected
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(_seconds_left())
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _seconds_left() -> float:
    left = _exchange.deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("deadline of the exchange")
    return left


def _connect(host: str, port: int) -> socket.socket:
    """Connect to the first address that answers; each gets its share of what time is left.

    urllib3 would give each address the whole timeout. The name is looked up by the system, whose
    time nobody can bound.
    """
    failure = OSError("the name has no address")
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for tried, (family, kind, protocol, _name, address) in enumerate(addresses):
        connection = socket.socket(family, kind, protocol)
        try:
            share = _seconds_left() / (len(addresses) - tried)
            connection.settimeout(min(MAX_CONNECT_SECONDS, share))
            connection.connect(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(_seconds_left())  # for the handshake of TLS
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure


class _DeadlineHTTPConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self._dns_host, self.port)

    def connect(self) -> None:
        super().connect()
        self.sock = _DeadlineSocket(self.sock)


class _DeadlineHTTPSConnection(_DeadlineHTTPConnection, HTTPSConnection):
    """The same over TLS: `super().connect()` above is then that of `HTTPSConnection`."""


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _DeadlineHTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _DeadlineHTTPSConnection


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        # A SOCKS proxy brings connections of its own, which could not tell "sent" from "not sent".
        if not proxy.lower().startswith(("http://", "https://")):
            raise requests.exceptions.InvalidProxyURL("only HTTP proxies are supported")
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _DropWhileRunning(logging.Filter):
    """SECURITY: urllib3 logs whole addresses at DEBUG; without this the providers' secrets show."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _exchange.running


for _name in ("connectionpool", "connection", "poolmanager", "response", "util.retry"):
    logging.getLogger(f"urllib3.{_name}").addFilter(_DropWhileRunning())
