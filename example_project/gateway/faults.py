"""Faults to order: what a provider, or what stands before it, does wrong.

`FAULTS` is the table. A fault spoils the answer (a function from answer to answer) or the way it is
written (a function that plays on the `Line`). Where it is marked as delivered, the provider has
done its work first: the message went out and was charged, which is the worst case for a client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from .exchange import Answer, Ask, html_answer, json_answer, plain_refusal, redirect
from .line import Line

DRIP_SECONDS = 0.5
HUGE_BYTES = 200 * 1024 * 1024
DEEP_LEVELS = 100_000
REDIRECTED_PATH = "/redirected/"


# Faults of the answer


def _as_it_is(right: Answer, _ask: Ask) -> Answer:
    return right


def _always(answer: Answer) -> Callable[[Answer, Ask], Answer]:
    return lambda _right, _ask: answer


def _body(change: Callable[[bytes], bytes]) -> Callable[[Answer, Ask], Answer]:
    return lambda right, _ask: replace(right, body=change(right.body))


def _data(change: Callable[[Any], Any]) -> Callable[[Answer, Ask], Answer]:
    return _body(lambda body: json.dumps(change(json.loads(body)), ensure_ascii=False).encode())


def _mistyped(wrong: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        if isinstance(value, list):
            return [change(item) for item in value]
        if not isinstance(value, dict):
            return wrong(value)
        # The envelope stays right, and the phone beside a code: who looks at these first is led on
        # to what counts.
        right = {"success", "error"}
        if value.keys() & {"code", "sid"}:
            right |= {"phone", "phone_number", "to"}
        return {key: item if key in right else change(item) for key, item in value.items()}

    return change


def _without_code(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_code(item) for item in value]
    if not isinstance(value, dict):
        return value
    wanted = ("code", "sid", "password_object_id", "auth_phone")
    return {key: _without_code(item) for key, item in value.items() if key not in wanted}


def _in_old_encoding(body: bytes) -> bytes:
    note = "Отправлено".encode("cp1251")
    first = b'{"note": "%b", ' if body.startswith(b"{") else b'["%b", '
    return first % note + body[1:]


def _echo(ask: Ask) -> dict[str, object]:
    user, password = ask.basic_auth
    return {
        "method": ask.method,
        "url": ask.target,
        "path": unquote(ask.path),
        "params": dict(ask.params),
        "headers": dict(ask.headers),
        "body": ask.body.decode(errors="replace"),
        # PHP unpacks HTTP Basic for its scripts, so that a dump of a request shows it plainly.
        "server": {"PHP_AUTH_USER": user, "PHP_AUTH_PW": password},
    }


def _echo_json(_right: Answer, ask: Ask) -> Answer:
    body = {"success": False, "error": f"Cannot handle {ask.target}", "request": _echo(ask)}
    return json_answer(HTTPStatus.BAD_REQUEST, body, (("X-Request-Url", ask.target),))


def _echo_html(_right: Answer, ask: Ask) -> Answer:
    dump = json.dumps(_echo(ask), ensure_ascii=False, indent=2)
    page = f"<!doctype html><title>Error at {escape(ask.target)}</title><pre>{escape(dump)}</pre>"
    return html_answer(HTTPStatus.INTERNAL_SERVER_ERROR, page)


def _later(status: HTTPStatus) -> Answer:
    return replace(plain_refusal(status), headers=(("Retry-After", "30"),))


# Faults of the line


def write_whole(line: Line, answer: Answer) -> None:
    """Write an answer as it should be."""
    # In one piece: else Nagle and delayed ACK cost 40 ms a request.
    line.send(line.head(answer, len(answer.body)) + answer.body)


def _hold(line: Line, _answer: Answer) -> None:
    line.hold()


def _reset(line: Line, _answer: Answer) -> None:
    line.reset()


def _close(line: Line, _answer: Answer) -> None:
    line.close()


def _drip(line: Line, data: bytes) -> None:
    for byte in data:
        line.send(bytes([byte]))
        line.pause(DRIP_SECONDS)


def _drip_all(line: Line, answer: Answer) -> None:
    _drip(line, line.head(answer, len(answer.body)) + answer.body)


def _drip_body(line: Line, answer: Answer) -> None:
    line.send(line.head(answer, len(answer.body)))
    _drip(line, answer.body)


def _truncated(line: Line, answer: Answer) -> None:
    # The JSON is whole: only who counts bytes finds that something is missing.
    line.send(line.head(answer, len(answer.body) + 100) + answer.body)
    line.close()


def _huge(line: Line, answer: Answer) -> None:
    # Valid JSON, the right one, and 200 MB of blanks behind it, in chunks: no length warns.
    line.send(line.head(answer, None) + b"%x\r\n%b\r\n" % (len(answer.body), answer.body))
    blanks = b" " * 65_536
    chunk = b"%x\r\n%b\r\n" % (len(blanks), blanks)
    for _ in range(HUGE_BYTES // len(blanks)):
        line.pause(0)
        line.send(chunk)
    line.send(b"0\r\n\r\n")


def _odd_header(line: Line, answer: Answer) -> None:
    line.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n")
    write_whole(line, answer)


# The table


@dataclass(frozen=True, slots=True)
class Fault:
    """Describe one fault; `is_delivered` says whether the message goes out all the same."""

    what: str
    is_delivered: bool
    spoil: Callable[[Answer, Ask], Answer] = _as_it_is
    write: Callable[[Line, Answer], None] = write_whole
    is_protocols_own: bool = False  # the protocol is asked, and refuses in its own words
    takes_seconds: bool = False  # ordered as `name=<seconds>`


NO_FAULT = Fault("answers rightly", True)

FAULTS: dict[str, Fault] = {
    "latency": Fault("answers rightly, but late", True, takes_seconds=True),
    # Statuses
    "500": Fault(
        "500 after the work was done",
        True,
        _always(plain_refusal(HTTPStatus.INTERNAL_SERVER_ERROR)),
    ),
    "503": Fault("503, nothing done", False, _always(_later(HTTPStatus.SERVICE_UNAVAILABLE))),
    "429": Fault("429, nothing done", False, _always(_later(HTTPStatus.TOO_MANY_REQUESTS))),
    "404": Fault("404, nothing done", False, _always(plain_refusal(HTTPStatus.NOT_FOUND))),
    "redirect": Fault(
        "302 to a page that counts its visits, nothing done",
        False,
        _always(redirect(HTTPStatus.FOUND, REDIRECTED_PATH)),
    ),
    # The provider's own refusals
    "no-money": Fault("the protocol's answer for an empty account", False, is_protocols_own=True),
    "bad-token": Fault("the protocol's answer to a wrong secret", False, is_protocols_own=True),
    # Bodies
    "html": Fault(
        "a page with 200",
        True,
        _always(html_answer(HTTPStatus.OK, "<!doctype html><title>Maintenance</title>")),
    ),
    "html-500": Fault(
        "a page with 500",
        True,
        _always(
            html_answer(
                HTTPStatus.INTERNAL_SERVER_ERROR, "<!doctype html><title>Server Error</title>"
            )
        ),
    ),
    "empty": Fault("200 and no body", True, _always(Answer(HTTPStatus.OK))),
    "null": Fault("200 and JSON null", True, _always(Answer(HTTPStatus.OK, b"null"))),
    "list": Fault("200 and an empty JSON list", True, _always(Answer(HTTPStatus.OK, b"[]"))),
    # Seen at sms.by, which wraps right answers at times.
    "wrapped": Fault("the right answer in a list of one", True, _data(lambda data: [data])),
    "wrong-types": Fault(
        "right keys, nested objects for values",
        True,
        _data(_mistyped(lambda value: {"value": value})),
    ),
    "wrong-booleans": Fault(
        "right keys, `true` for values, 1 for booleans",
        True,
        _data(_mistyped(lambda value: 1 if isinstance(value, bool) else True)),
    ),
    "wrong-numbers": Fault(
        "right keys, numbers of 401 digits for values",
        True,
        _data(_mistyped(lambda _value: 10**400)),
    ),
    "no-code": Fault("the right answer without code and sid", True, _data(_without_code)),
    "bad-json": Fault(
        "the first half of the JSON", True, _body(lambda body: body[: len(body) // 2])
    ),
    "bad-encoding": Fault("the right JSON with a word in cp1251", True, _body(_in_old_encoding)),
    "deep": Fault(
        "JSON nested 100,000 deep",
        True,
        _always(Answer(HTTPStatus.OK, b"[" * DEEP_LEVELS + b"]" * DEEP_LEVELS)),
    ),
    # Secrets
    "echo": Fault("400 and JSON with the whole request in it, nothing done", False, _echo_json),
    "echo-html": Fault("500 and a page with the whole request in it", True, _echo_html),
    # The line
    "timeout": Fault("does the work and never answers", True, write=_hold),
    "silence": Fault("does nothing and never answers", False, write=_hold),
    "drip": Fault("the right answer, a byte every half second", True, write=_drip_all),
    "drip-body": Fault("the same, its head at once", True, write=_drip_body),
    "reset": Fault("RST in place of an answer", True, write=_reset),
    "close": Fault("FIN in place of an answer", True, write=_close),
    "truncated": Fault("the right answer, 100 bytes short of its length", True, write=_truncated),
    "huge": Fault("the right answer and 200 MB of blanks, in chunks", True, write=_huge),
    "odd-header": Fault("an interim 103 before the right answer", True, write=_odd_header),
}


# Orders


@dataclass(frozen=True, slots=True)
class Order:
    """Name a fault for requests to come."""

    name: str = ""
    seconds: float = 0.0

    @property
    def fault(self) -> Fault:
        """Return the line of the table."""
        return FAULTS[self.name] if self.name else NO_FAULT

    def __str__(self) -> str:
        return f"{self.name}={self.seconds:g}" if self.fault.takes_seconds else self.name


def parse_order(text: str) -> Order:
    """Return the order that a name is, as `html` or `latency=2`; "" orders none.

    Raises `ValueError` for any other.
    """
    name, equals, value = text.partition("=")
    if not text:
        return Order()
    if name not in FAULTS:
        raise ValueError(f"{name!r} is not a fault; known: {', '.join(FAULTS)}")
    if FAULTS[name].takes_seconds and re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", value):
        return Order(name, float(value))
    if FAULTS[name].takes_seconds or equals:
        form = f"{name}=<seconds>" if FAULTS[name].takes_seconds else name
        raise ValueError(f"order it as {form}")
    return Order(name)


def take_order(ask: Ask) -> tuple[Order | None, Ask]:
    """Take the order off an address that begins with one, as `/~html/api/…`.

    Raises `ValueError` for an unknown fault.
    """
    prefixed = re.fullmatch(r"/~([^/]+)(/.*)?", ask.path)
    if prefixed is None:
        return None, ask
    return parse_order(unquote(prefixed[1])), replace(ask, path=prefixed[2] or "/")
