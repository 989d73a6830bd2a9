"""Every place of a site in which something may stand: tables, keys, commands on the wire, logs."""

import base64
import re
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from django.db import connection
from redis import Redis

from tests.redis_server import RedisServer

from .machines import Cluster

# Celery writes the arguments of a task so; shorter ones are words.
BASE64 = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}")


def read_all(cluster: Cluster) -> bytes:
    """Read everything that is stored or written down now, each thing in a line of its own."""
    logs = [each.log.read_bytes() for each in (*cluster.sites, *cluster.workers)]
    keys = [_read_redis(each) for each in (cluster.cache, cluster.queue)]
    return b"\n".join([_read_database(), *keys, *logs])


@contextmanager
def overheard(*servers: RedisServer) -> Iterator[Callable[[], bytes]]:
    """Listen to all commands that clients of these servers send; gives them when it is over."""
    with ExitStack() as stack:
        ears = [stack.enter_context(_Ear(each)) for each in servers]
        yield lambda: b"\n".join(ear.heard for ear in ears)


class _Ear(threading.Thread):
    """A client that has Redis repeat each command to it."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__(daemon=True)
        self.heard = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(server.socket))
        self._socket.sendall(b"MONITOR\r\n")
        self._socket.recv(16)  # OK: from here on it is told

    def __enter__(self) -> "_Ear":
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self._socket.close()
        # MONITOR writes what is no letter as \x..
        self.heard = self.heard.decode("unicode_escape").encode("latin-1")
        self.heard += b"\n".join(_unpack(self.heard))

    def run(self) -> None:
        while data := self._socket.recv(65_536):
            self.heard += data


def _read_database() -> bytes:
    """Write all rows of all tables as PostgreSQL writes them."""
    lines = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT t::text FROM "{table}" t')  # noqa: S608 (a name of ours)
            lines += [f"{table} {row}" for (row,) in cursor.fetchall()]
    return "\n".join(lines).encode()


def _read_redis(server: RedisServer) -> bytes:
    client: Any = Redis(unix_socket_path=str(server.socket))
    read_by_type = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": client.xrange,
    }
    lines = []
    for key in client.scan_iter():
        value = read_by_type[client.type(key)](key)
        lines += [key, *(part for each in _flatten(value) for part in (each, *_unpack(each)))]
    client.close()
    return b"\n".join(lines)


def _flatten(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        yield from (part for pair in value.items() for each in pair for part in _flatten(each))
    elif isinstance(value, list | tuple | set):
        yield from (part for each in value for part in _flatten(each))


def _unpack(text: bytes) -> Iterator[bytes]:
    """Give what is packed in a text: RQ compresses, Celery writes base64."""
    with suppress(zlib.error):
        yield zlib.decompress(text)
    for found in BASE64.findall(text):
        with suppress(ValueError):
            yield base64.b64decode(found)
