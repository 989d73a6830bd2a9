"""One request and one answer, free of sockets: a protocol is a function from the one to the other.

The lowest layer of the gateway; it imports nothing of it. What is written to the wire, and how, is
the matter of `line` and `faults`.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class Ask:
    """Hold one request; nearly all of it may be secret."""

    method: str
    path: str = field(repr=False)  # percent-encoded, without the prefix that orders a fault
    params: Mapping[str, str] = field(default_factory=dict, repr=False)  # a form goes over a query
    target: str = field(default="", repr=False)  # the address as it was sent
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    fault: str = ""  # the fault that is the protocol's own to answer: an empty account, a bad token

    @property
    def basic_auth(self) -> tuple[str, str]:
        """Return the name and the password of HTTP Basic; two empty strings without them."""
        for name, value in self.headers:
            scheme, _, encoded = value.partition(" ")
            if name.lower() == "authorization" and scheme.lower() == "basic":
                try:
                    user, _, password = b64decode(encoded, validate=True).decode().partition(":")
                except (binascii.Error, UnicodeDecodeError):
                    break
                return user, password
        return "", ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold one answer, ready to be written."""

    status: HTTPStatus
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def json_answer(
    status: HTTPStatus, body: object, headers: tuple[tuple[str, str], ...] = ()
) -> Answer:
    """Return `body` as a JSON answer."""
    return Answer(status, json.dumps(body, ensure_ascii=False).encode(), headers=headers)


def html_answer(status: HTTPStatus, page: str) -> Answer:
    """Return a page."""
    return Answer(status, page.encode(), "text/html; charset=utf-8")


def plain_refusal(status: HTTPStatus) -> Answer:
    """Return an answer which is no provider's: of the gateway itself, or of what stands before."""
    return json_answer(status, {"detail": status.phrase})


def redirect(status: HTTPStatus, location: str) -> Answer:
    """Return a redirect to a path of the gateway."""
    return Answer(status, headers=(("Location", location),))
