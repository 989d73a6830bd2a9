"""A gateway on a free port, and a plain client for it: real HTTP, one connection a request."""

import http.client
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from example_project.gateway import Gateway

PATIENCE_SECONDS = 10


@dataclass(frozen=True)
class Got:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Got]


def address(gateway: Gateway) -> tuple[str, int]:
    parts = urlsplit(gateway.url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def connect(gateway: Gateway) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(*address(gateway), timeout=PATIENCE_SECONDS)


def asker(gateway: Gateway, prefix: str = "") -> Ask:
    """Give a function that sends one request and reads the whole answer."""

    def ask(
        method: str,
        path: str,
        form: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        **query: str,
    ) -> Got:
        headers = {}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if auth:
            headers["Authorization"] = "Basic " + b64encode(":".join(auth).encode()).decode()
        target = prefix + path + (f"?{urlencode(query)}" if query else "")
        with closing(connect(gateway)) as connection:
            connection.request(method, target, urlencode(form or {}) or None, headers)
            with connection.getresponse() as response:
                return Got(response.status, dict(response.headers), response.read())

    return ask


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as gateway:
        yield gateway


@pytest.fixture
def ask(gateway: Gateway) -> Ask:
    return asker(gateway)
