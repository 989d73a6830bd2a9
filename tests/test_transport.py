"""The transport against real sockets on 127.0.0.1, well-behaved ones and others.

Servers may wait, tests do not: a deadline is shown to hold with a small one, against a server that
would go on for as long as it is let.
"""

import json
import logging
import os
import re
import socket
import ssl
import struct
import threading
import time
import traceback
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from django_phone_otp.exceptions import NoAnswer, NotConnected, TransportError
from django_phone_otp.transport import MAX_BODY_BYTES, WireReply, WireRequest, send

PATH = "/v1/path-secret/send/"
QUERY = {"token": "query-secret"}
FORM = {"text": "form-secret"}
JSON = {"text": "json-secret"}
HEADERS = {"X-Key": "header-secret"}
BASIC_AUTH = ("user-secret", "password-secret")
SECRET = re.compile("(path|query|form|json|header|user|password)-secret")

DEADLINE_SECONDS = 0.2
# Far above what a machine under load adds to the deadline, far below what the servers would take.
PATIENCE_SECONDS = 5
TOO_LONG_SECONDS = 6
HUGE = 200_000_000


class Line:
    """One accepted connection, seen from the server."""

    def __init__(self, connection: socket.socket, server: "Server") -> None:
        self.connection = connection
        self.server = server
        self._incoming = connection.makefile("rb")

    def read(self) -> bytes:
        """Read one request, whole; nothing when the client has hung up."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            got = self._incoming.readline()
            if not got:
                return b""
            head += got
        length = re.search(rb"(?i)content-length: (\d+)", head)
        request = head + self._incoming.read(int(length[1]) if length else 0)
        self.server.requests.append(request)
        return request

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)
        self.server.sent_bytes += len(data)

    def trickle(self, data: bytes) -> None:
        """Send one byte after the other, and never be silent for long."""
        enough = time.monotonic() + TOO_LONG_SECONDS
        for each in data:
            if self.server.stopped.wait(0.02) or time.monotonic() > enough:
                return
            self.send(bytes([each]))

    def flood(self, block: bytes, size: int = HUGE) -> None:
        for _ in range(size // len(block)):
            self.send(block)

    def reset(self) -> None:
        """Close with RST: whoever reads from the other end gets an error."""
        option = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
        self.close()

    def close(self) -> None:
        self._incoming.close()
        self.connection.close()


Play = Callable[[Line], object]


class Server:
    """A server that plays each connection in a thread of its own, and notes what it saw."""

    def __init__(self, play: Play, tls: ssl.SSLContext | None = None) -> None:
        self._play = play
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._accepted_count = 0
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.requests: list[bytes] = []
        self.sent_bytes = 0
        self.stopped = threading.Event()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    @property
    def connections_count(self) -> int:
        return self._accepted_count

    def join_connections(self) -> None:
        """Wait until the connections accepted so far have been played to their end."""
        for thread in self._threads[1:]:
            thread.join(PATIENCE_SECONDS)

    def close(self) -> None:
        self.stopped.set()
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()
        self._listener.close()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self.stopped.is_set():
                connection, _address = self._listener.accept()
                self._accepted_count += 1
                self._open.append(connection)
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        # A client that gives up leaves us with a connection that is broken.
        with connection, suppress(OSError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            with connection:
                line = Line(connection, self)
                try:
                    self._play(line)
                finally:
                    line.close()


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Server] = []

    def start(play: Play, tls: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(play, tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither proxies nor credentials of the machine that runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))


def reply(body: bytes = b"{}", status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answering(*replies: bytes) -> Play:
    """Answer each request of a connection, the last reply for all that follow."""

    def play(line: Line) -> None:
        left = list(replies)
        while line.read():
            line.send(left.pop(0) if len(left) > 1 else left[0])

    return play


def get(url: str, *, timeout_seconds: float = PATIENCE_SECONDS, **parts: object) -> WireReply:
    parts = {"method": "GET", "query": QUERY, **parts}
    return send(WireRequest(url=url + PATH, timeout_seconds=timeout_seconds, **parts))  # type: ignore[arg-type]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def in_time() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < PATIENCE_SECONDS


# What goes out, and what comes back


def test_reply_has_status_and_body(serve):
    server = serve(answering(reply(b'{"code": "0427"}')))
    assert get(server.url) == WireReply(200, b'{"code": "0427"}')


@pytest.mark.parametrize("status", ["204 No Content", "404 Not Found", "500 Oops", "503 Later"])
def test_every_status_is_a_reply(serve, status):
    server = serve(answering(reply(b"", status)))
    assert get(server.url) == WireReply(int(status[:3]), b"")


def test_query_is_encoded(serve):
    server = serve(answering(reply()))
    query = {"phone": "+79244501003", "text": "код & 100 % = a/b?#"}
    get(server.url, query=query)
    target = server.requests[0].split()[1].decode()
    assert target.isascii()
    assert dict(parse_qsl(urlsplit(target).query)) == query
    assert urlsplit(target).path == PATH


def test_form_is_encoded(serve):
    server = serve(answering(reply()))
    form = {"phone": "+79244501003", "text": "код & 100 % = a/b?#"}
    get(server.url, method="POST", query={}, form=form)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/path-secret/send/ HTTP/1.1\r\n")
    assert b"content-type: application/x-www-form-urlencoded" in head.lower().split(b"\r\n")
    assert dict(parse_qsl(body.decode("ascii"))) == form


def test_json_is_a_body(serve):
    server = serve(answering(reply()))
    get(server.url, method="POST", json={"text": "код"})
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower().split(b"\r\n")
    assert json.loads(body) == {"text": "код"}


def test_headers_are_added(serve):
    server = serve(answering(reply()))
    get(server.url, headers={"Authorization": "Bearer header-secret", "Accept-Encoding": "gzip"})
    assert b"\r\nAuthorization: Bearer header-secret\r\n" in server.requests[0]
    # What a provider may not change: a packed answer would not be unpacked.
    assert b"\r\nAccept-Encoding: identity\r\n" in server.requests[0]


def test_basic_auth_is_a_header(serve):
    server = serve(answering(reply()))
    get(server.url, basic_auth=BASIC_AUTH)
    credentials = b64encode(":".join(BASIC_AUTH).encode())
    assert b"\r\nAuthorization: Basic " + credentials + b"\r\n" in server.requests[0]


def test_credentials_of_the_machine_stay_there(serve, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login operator password own\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server = serve(answering(reply()))
    get(server.url)
    assert b"Authorization" not in server.requests[0]


def test_json_is_asked_for_and_gzip_is_not(serve):
    server = serve(answering(reply()))
    get(server.url)
    assert b"\r\nAccept: application/json\r\n" in server.requests[0]
    assert b"\r\nAccept-Encoding: identity\r\n" in server.requests[0]


def test_gzip_that_comes_all_the_same_is_not_unpacked(serve):
    # A few kilobytes of it may hold gigabytes.
    server = serve(answering(reply(b"\x1f\x8b-packed", "200 OK", "Content-Encoding: gzip")))
    assert get(server.url).body == b"\x1f\x8b-packed"


def test_chunked_body_is_put_together(serve):
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n1\r\n \r\n0\r\n\r\n"
    server = serve(answering(chunked))
    assert get(server.url).body == b"{} "


def test_body_without_a_length_ends_with_the_connection(serve):
    def play(line):
        line.read()
        line.send(b"HTTP/1.1 200 OK\r\n\r\n{}")

    assert get(serve(play).url).body == b"{}"


def test_largest_body_is_whole(serve):
    body = b"x" * MAX_BODY_BYTES
    server = serve(answering(reply(body)))
    assert get(server.url).body == body


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_a_reply_with_a_body(serve, status):
    elsewhere = serve(answering(reply()))
    server = serve(answering(reply(b"moved", f"{status} Moved", f"Location: {elsewhere.url}/")))
    assert get(server.url) == WireReply(status, b"moved")


def test_redirect_is_not_followed(serve):
    elsewhere = serve(answering(reply()))
    server = serve(answering(reply(b"", "307 Moved", f"Location: {elsewhere.url}/")))
    get(server.url, method="POST", form=FORM)
    assert len(server.requests) == 1
    assert elsewhere.connections_count == 0


@pytest.mark.parametrize("location", ["http://[broken/", "http://:99999/", "/" * 9_000, "\xff"])
def test_redirect_to_nowhere_is_a_reply(serve, location):
    answer = reply(b"", "302 Moved").replace(
        b"\r\n\r\n", f"\r\nLocation: {location}\r\n\r\n".encode("latin-1")
    )
    assert get(serve(answering(answer)).url).status == 302


def test_cookies_are_not_sent_back(serve):
    server = serve(answering(reply(b"{}", "200 OK", "Set-Cookie: who=somebody; Path=/")))
    get(server.url)
    get(server.url)
    assert len(server.requests) == 2
    assert b"cookie" not in server.requests[1].lower()


# Connections


def test_20_requests_of_a_thread_use_one_connection(serve):
    server = serve(answering(reply()))
    for _ in range(20):
        get(server.url)
    assert len(server.requests) == 20
    assert server.connections_count == 1


def test_another_thread_has_a_connection_of_its_own(serve):
    server = serve(answering(reply()))
    for _ in range(2):
        with ThreadPoolExecutor(1) as pool:
            for _ in range(2):
                pool.submit(get, server.url).result()
    assert len(server.requests) == 4
    assert server.connections_count == 2


def test_connection_that_the_server_has_closed_is_replaced(serve):
    def play(line):
        line.read()
        line.send(reply())  # and hangs up without a word

    server = serve(play)
    get(server.url)
    server.join_connections()
    assert get(server.url).status == 200
    assert server.connections_count == 2


def test_answer_that_came_too_late_is_not_taken_for_the_next_one(serve):
    may_answer = threading.Event()

    def play(line):
        if b"/slow" in line.read():
            may_answer.wait(PATIENCE_SECONDS)
            line.send(reply(b"late"))
        else:
            line.send(reply(b"mine"))

    server = serve(play)
    with pytest.raises(NoAnswer):
        get(server.url + "/slow", timeout_seconds=DEADLINE_SECONDS)
    may_answer.set()
    assert get(server.url).body == b"mine"


# Failures: whether something was sent


def test_refused_connection_is_not_connected():
    with pytest.raises(NotConnected, match=r"^GET 127\.0\.0\.1: \w+$"):
        get(f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", "http://127.0.0.1:99999", "nothing"])
def test_address_that_is_none_is_not_connected(url):
    with pytest.raises(NotConnected):
        get(url)


def hang_up_unheard(line: Line) -> None:
    line.close()


def hang_up(line: Line) -> None:
    line.read()


def reset(line: Line) -> None:
    line.read()
    line.reset()


def reset_amid_body(line: Line) -> None:
    line.read()
    line.send(reply(b"x" * 1000)[:-500])
    line.reset()


def cut_body(line: Line) -> None:
    line.read()
    line.send(reply(b'{"code": "0427"}     ')[:-5])


def cut_chunk(line: Line) -> None:
    line.read()
    line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{}")


def cut_between_chunks(line: Line) -> None:
    line.read()
    line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")


def speak_no_http(line: Line) -> None:
    line.read()
    line.send(b"220 mail.example ESMTP\r\n")


def talk_too_long(line: Line) -> None:
    line.read()
    line.send(b"HTTP/1.1 200 OK\r\n")
    line.flood(b"X: " + b"x" * 1000 + b"\r\n")


BROKEN = [
    hang_up_unheard,
    hang_up,
    reset,
    reset_amid_body,
    cut_body,
    cut_chunk,
    cut_between_chunks,
    speak_no_http,
    talk_too_long,
]


@pytest.mark.parametrize("play", BROKEN)
def test_broken_answer_is_no_answer(serve, play):
    with pytest.raises(NoAnswer):
        get(serve(play).url)


@pytest.mark.parametrize("play", [hang_up, reset, cut_body, answering(reply(b"", "503 Later"))])
def test_nothing_is_sent_twice(serve, play):
    server = serve(play)
    with suppress(NoAnswer):
        get(server.url)
    assert len(server.requests) == 1
    assert server.connections_count == 1


def flood_with_length(line: Line) -> None:
    line.read()
    line.send(f"HTTP/1.1 200 OK\r\nContent-Length: {HUGE}\r\n\r\n".encode())
    line.flood(b"x" * 10_000)


def flood_without_length(line: Line) -> None:
    line.read()
    line.send(b"HTTP/1.1 200 OK\r\n\r\n")
    line.flood(b"x" * 10_000)


def flood_in_chunks(line: Line) -> None:
    line.read()
    line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    line.flood(b"2710\r\n" + b"x" * 10_000 + b"\r\n")


def flood_with_redirect(line: Line) -> None:
    line.read()
    line.send(f"HTTP/1.1 302 Moved\r\nLocation: /\r\nContent-Length: {HUGE}\r\n\r\n".encode())
    line.flood(b"x" * 10_000)


FLOODS = [flood_with_length, flood_without_length, flood_in_chunks, flood_with_redirect]


@pytest.mark.parametrize("play", FLOODS)
def test_huge_body_is_refused_without_reading_it(serve, play):
    server = serve(play)
    with pytest.raises(NoAnswer):
        get(server.url)
    server.join_connections()
    # What is over the cap was on its way, in the buffers of the kernel.
    assert server.sent_bytes < HUGE / 10


def test_body_one_byte_too_large_is_refused(serve):
    server = serve(answering(reply(b"x" * (MAX_BODY_BYTES + 1))))
    with pytest.raises(NoAnswer, match=r"^GET 127\.0\.0\.1: more than 262144 bytes$"):
        get(server.url)


# The deadline


def be_silent(line: Line) -> None:
    line.read()
    line.server.stopped.wait(TOO_LONG_SECONDS)


def trickle_head(line: Line) -> None:
    line.read()
    line.trickle(reply(b"{}", "200 OK", *["X: x"] * 90))


def trickle_body(line: Line) -> None:
    line.read()
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n")
    line.trickle(b"x" * 9_000)


def trickle_chunks(line: Line) -> None:
    line.read()
    line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    line.trickle(b"1\r\nx\r\n" * 9_000)


def trickle_redirect(line: Line) -> None:
    line.read()
    line.send(b"HTTP/1.1 302 Moved\r\nLocation: /\r\nContent-Length: 9000\r\n\r\n")
    line.trickle(b"x" * 9_000)


def read_nothing(line: Line) -> None:
    line.server.stopped.wait(TOO_LONG_SECONDS)


SLOW = [be_silent, trickle_head, trickle_body, trickle_chunks, trickle_redirect]


@pytest.mark.parametrize("play", SLOW)
def test_deadline_holds_for_the_whole_answer(serve, play):
    server = serve(play)
    with in_time(), pytest.raises(NoAnswer, match=r"^GET 127\.0\.0\.1: \w+$"):
        get(server.url, timeout_seconds=DEADLINE_SECONDS)


def test_deadline_holds_while_sending(serve):
    server = serve(read_nothing)
    with in_time(), pytest.raises(NoAnswer):
        get(
            server.url,
            method="POST",
            # Time enough to write the form down, and far too little to get rid of it.
            form={"text": "x" * 20_000_000},
            timeout_seconds=2,
        )


def test_deadline_is_that_of_the_request_not_of_the_connection(serve):
    def play(line):
        line.read()
        line.send(reply())
        be_silent(line)

    server = serve(play)
    get(server.url, timeout_seconds=60)
    with in_time(), pytest.raises(NoAnswer):
        get(server.url, timeout_seconds=DEADLINE_SECONDS)
    assert server.connections_count == 1


# Connections that are kept


@pytest.mark.parametrize("status", ["102 Processing", "103 Early Hints"])
def test_answer_after_an_interim_one_never_answers_somebody_else(serve, status):
    def play(line):
        if b"first" in line.read():
            line.send(f"HTTP/1.1 {status}\r\n\r\n".encode())
            line.read()
            line.send(reply(b'"for the first"'))
        else:
            line.send(reply(b'"for the second"'))

    server = serve(play)
    with pytest.raises(NoAnswer):
        get(server.url, query={"who": "first"})
    assert get(server.url, query={"who": "second"}) == WireReply(200, b'"for the second"')


def test_fork_shares_no_connection(serve):
    server = serve(answering(reply()))
    get(server.url)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork among threads
        child = os.fork()
    if not child:
        try:
            get(server.url)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    get(server.url)
    assert server.connections_count == 2


def test_dead_address_leaves_time_for_the_next(serve, monkeypatch):
    server = serve(answering(reply()))
    port = urlsplit(server.url).port
    # An address that drops what comes: its queue of connections is full and nobody accepts.
    with socket.socket() as dead, ExitStack() as waiting:
        dead.bind(("127.0.0.1", 0))
        dead.listen(0)
        for _ in range(3):
            queued = waiting.enter_context(socket.socket())
            queued.setblocking(False)
            queued.connect_ex(dead.getsockname())
        live = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        gone = (socket.AF_INET, socket.SOCK_STREAM, 6, "", dead.getsockname())
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: [gone, live])
        assert get("http://two.example", timeout_seconds=1) == WireReply(200, b"{}")


# Proxies


def test_proxy_of_the_machine_is_used(serve, monkeypatch):
    proxy = serve(answering(reply(b"by proxy")))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    assert get("http://provider.invalid").body == b"by proxy"
    assert proxy.requests[0].startswith(b"GET http://provider.invalid/v1/")


def test_deadline_holds_through_a_proxy(serve, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", serve(trickle_body).url)
    with in_time(), pytest.raises(NoAnswer):
        get("http://provider.invalid", timeout_seconds=DEADLINE_SECONDS)


def test_socks_proxy_is_refused(serve, monkeypatch):
    proxy = serve(answering(reply()))
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("http:", "socks5:"))
    with pytest.raises(NotConnected, match=r"^GET provider\.invalid: InvalidProxyURL$"):
        get("http://provider.invalid")
    assert proxy.connections_count == 0


# TLS


def make_certificate(folder: Path, name: x509.GeneralName) -> Path:
    """Write a certificate that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return make_certificate(tmp_path, x509.IPAddress(ip_address("127.0.0.1")))


def tls_with(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_unknown_certificate_is_not_connected(serve, certificate):
    server = serve(answering(reply()), tls=tls_with(certificate))
    with pytest.raises(NotConnected, match=r"^GET 127\.0\.0\.1: SSLError$"):
        get(server.url)
    assert server.requests == []


def test_certificate_of_another_host_is_not_connected(serve, tmp_path, monkeypatch):
    path = make_certificate(tmp_path, x509.DNSName("provider.example"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    server = serve(answering(reply()), tls=tls_with(path))
    with pytest.raises(NotConnected, match=r"^GET 127\.0\.0\.1: SSLError$"):
        get(server.url)
    assert server.requests == []


def test_known_certificate_is_trusted(serve, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    server = serve(answering(reply(b"safe")), tls=tls_with(certificate))
    assert [get(server.url).body for _ in range(3)] == [b"safe"] * 3
    assert server.connections_count == 1


@pytest.mark.parametrize("play", [trickle_head, trickle_body])
def test_deadline_holds_over_tls(serve, certificate, monkeypatch, play):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    server = serve(play, tls=tls_with(certificate))
    with in_time(), pytest.raises(NoAnswer):
        get(server.url, timeout_seconds=DEADLINE_SECONDS)


def test_deadline_holds_for_the_handshake(serve):
    server = serve(read_nothing)
    with in_time(), pytest.raises(NotConnected):
        get(server.url.replace("http:", "https:"), timeout_seconds=DEADLINE_SECONDS)


# Secrets


def frames_of_ours(tb: TracebackType | None) -> Iterator[str]:
    """Show what a debug page shows of our frames: the `repr` of each local variable."""
    for frame, _line in traceback.walk_tb(tb):
        if frame.f_globals["__name__"].startswith("django_phone_otp."):
            yield repr(frame.f_locals)


FAILING = [*BROKEN, *FLOODS, be_silent, trickle_body]


@pytest.mark.parametrize("play", [*FAILING, None], ids=lambda play: play.__name__ if play else "-")
def test_s13_errors_show_nothing_of_the_request(serve, play):
    url = serve(play).url if play else f"http://127.0.0.1:{free_port()}"
    with pytest.raises(TransportError) as caught:
        get(
            url,
            method="POST",
            form=FORM,
            headers=HEADERS,
            basic_auth=BASIC_AUTH,
            timeout_seconds=DEADLINE_SECONDS,
        )
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    told = [str(error), repr(error), *traceback.format_exception(error)]
    told += frames_of_ours(error.__traceback__)
    assert not SECRET.search("".join(told))


@pytest.mark.parametrize("host", ["[oops", "127.0.0.1:port", "127.0.0.1:99999", "a\u2100b", ""])
def test_s13_error_about_an_address_does_not_show_it(host):
    with pytest.raises(TransportError) as caught:
        get(f"http://{host}")
    assert caught.value.__context__ is None
    assert not SECRET.search("".join(traceback.format_exception(caught.value)))


def bad_headers(line: Line) -> None:
    line.read()
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n: nameless\r\n\r\n{}")


@pytest.mark.parametrize(
    "play", [answering(reply()), bad_headers, *BROKEN, flood_with_redirect, be_silent]
)
def test_s13_nothing_of_the_request_is_logged(serve, caplog, play):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="urllib3")
    server = serve(play)
    with suppress(TransportError):
        get(server.url, json=JSON, basic_auth=BASIC_AUTH, timeout_seconds=DEADLINE_SECONDS)
    assert not SECRET.search(caplog.text)


def test_log_of_other_users_of_urllib3_is_untouched(serve, caplog):
    caplog.set_level(logging.DEBUG, logger="urllib3")
    server = serve(answering(reply()))
    get(server.url)
    assert caplog.messages == []
    requests.get(f"{server.url}/theirs", timeout=PATIENCE_SECONDS)
    assert f'{server.url} "GET /theirs HTTP/1.1" 200 2' in caplog.messages


def test_log_of_another_thread_is_untouched_during_a_call(serve, caplog):
    caplog.set_level(logging.DEBUG, logger="urllib3")
    theirs = serve(answering(reply()))

    def play(line):
        line.read()
        requests.get(f"{theirs.url}/theirs", timeout=PATIENCE_SECONDS)
        line.send(reply())

    get(serve(play).url)
    assert f'{theirs.url} "GET /theirs HTTP/1.1" 200 2' in caplog.messages
    assert not SECRET.search(caplog.text)


def test_s13_repr_of_a_request_shows_method_and_patience_only():
    request = WireRequest(
        method="POST",
        url="https://host" + PATH,
        query=QUERY,
        form=FORM,
        json=JSON,
        headers=HEADERS,
        basic_auth=BASIC_AUTH,
        timeout_seconds=5,
    )
    assert repr(request) == "WireRequest(method='POST', timeout_seconds=5)"
    assert request.host == "host"


def test_s13_repr_of_a_reply_shows_its_status_only():
    assert repr(WireReply(200, b'{"code": "0427"}')) == "WireReply(status=200)"


# Reading


def test_json_is_decoded():
    assert WireReply(200, '{"word": "код"}'.encode()).json() == {"word": "код"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b'"\xff"', b"[" * 100_000])
def test_no_json_is_a_value_error(body):
    with pytest.raises(ValueError, match=r"."):
        WireReply(200, body).json()
