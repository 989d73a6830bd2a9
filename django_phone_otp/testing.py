"""Contracts that every plug-in must keep, for third parties' tests too. Layer 5.

A provider's test class inherits `ProviderContract`, sets a few attributes, and gets the tests that
hold for all providers. HTTP is faked at the transport: `Wire` is a function from request to reply.
"""

import json
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any, ClassVar

from .choices import Channel, Custody
from .exceptions import (
    CodeGone,
    DeliveryError,
    DeliveryUncertain,
    NoAnswer,
    NotConnected,
    ProviderUnavailable,
)
from .providers import Provider
from .providers.base import Started, StartRequest
from .transport import WireReply, WireRequest


class Wire:
    """A transport that answers as it is told and keeps what it was asked.

    `answer` is a reply's body (bytes are sent as they are, all else as JSON), or an exception to
    raise.
    """

    def __init__(self, answer: Any = None, status: int = 200) -> None:
        self.answer = answer
        self.status = status
        self.requests: list[WireRequest] = []

    def __call__(self, request: WireRequest) -> WireReply:
        """Answer one request."""
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        is_raw = isinstance(self.answer, bytes)
        body = self.answer if is_raw else json.dumps(self.answer).encode()
        return WireReply(self.status, body)


_JUDGING = (Custody.REMOTE, Custody.PRESENCE)


class ProviderContract:
    """What holds for every provider that calls a service over HTTP.

    Set `provider_class`, `options` (valid ones, each secret at least eight characters long),
    `phone` (one that it supports) and `accepted` (the decoded body of a delivery that worked); with
    REMOTE custody `approved` and `denied` (the bodies for a right and a wrong answer), with
    PRESENCE custody `called` and `not_called` (the bodies after the call and before it).
    """

    provider_class: ClassVar[type[Provider[Any]]]
    options: ClassVar[dict[str, Any]]
    phone: ClassVar[str]
    accepted: ClassVar[Any]
    approved: ClassVar[Any] = None
    denied: ClassVar[Any] = None
    called: ClassVar[Any] = None
    not_called: ClassVar[Any] = None

    def make(self, wire: Callable[[WireRequest], WireReply]) -> Provider[Any]:
        """Make the provider over the given wire."""
        parsed, problems = self.provider_class.Options.parse(self.options)
        assert parsed is not None, problems
        return self.provider_class(parsed, wire)

    def start(self, wire: Callable[[WireRequest], WireReply]) -> Started:
        """Start a delivery over the given wire."""
        provider = self.make(wire)
        length = provider.code_length or 6
        code = ("0123456789" * 2)[:length] if provider.custody is Custody.LOCAL else ""
        text = f"{code or provider.place_of_code} is it"
        return provider.start(StartRequest(phone=self.phone, code=code, text=text))

    def ask_for_verdict(self, answer: Any, status: int = 200) -> bool:
        """Ask the judge about an answer, or about a call, to a delivery that worked."""
        reference = self.start(Wire(self.accepted)).reference
        provider = self.make(Wire(answer, status))
        if provider.custody is Custody.PRESENCE:
            return provider.poll(reference, self.phone)
        return provider.check(reference, self.phone, "012345")

    def failure(self, wire: Callable[[WireRequest], WireReply]) -> DeliveryError:
        """Start a delivery that must fail with one of our errors, and give the error."""
        try:
            self.start(wire)
        except DeliveryError as error:
            return error
        raise AssertionError("the delivery was taken for a success")

    def test_declares_itself(self) -> None:
        """Key, channel and schema are there and well formed."""
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.provider_class.key)
        assert self.provider_class.channel in Channel
        assert self.provider_class.Options.parse(self.options)[1] == []

    def test_supports_its_phone(self) -> None:
        """The phone of the contract is one that the provider serves."""
        assert self.make(Wire()).supports(self.phone)

    def test_delivers_with_one_request(self) -> None:
        """A delivery is one request: a retry would be paid twice."""
        wire = Wire(self.accepted)
        started = self.start(wire)
        assert len(wire.requests) == 1
        assert isinstance(started, Started)

    def test_tells_what_its_custody_asks_for(self) -> None:
        """A code where the provider makes it, a number where it is to be called."""
        started, custody = self.start(Wire(self.accepted)), self.make(Wire()).custody
        assert bool(started.code) or custody is not Custody.RETURNED
        assert bool(started.call_to) == (custody is Custody.PRESENCE)
        assert bool(started.reference) or custody not in _JUDGING

    def test_says_yes_and_no_where_it_judges(self) -> None:
        """A judge tells right from wrong; who is none says so instead of guessing."""
        custody = self.make(Wire()).custody
        if custody not in _JUDGING:
            try:
                self.ask_for_verdict(self.accepted)
            except NotImplementedError:
                return
            raise AssertionError("it judges, and its custody does not say so")
        is_call = custody is Custody.PRESENCE
        yes, no = (self.called, self.not_called) if is_call else (self.approved, self.denied)
        assert self.ask_for_verdict(yes) is True
        assert self.ask_for_verdict(no) is False

    def test_gives_no_verdict_where_it_has_none(self) -> None:
        """A judge that breaks down neither lets anybody in nor crashes."""
        if self.make(Wire()).custody not in _JUDGING:
            return
        silence = NoAnswer("GET host: timeout")
        for answer, status in ((silence, 200), (b"<html>", 200), ({}, 500), (None, 401)):
            try:
                verdict = self.ask_for_verdict(answer, status)
            except (CodeGone, DeliveryError):
                continue
            raise AssertionError(f"verdict {verdict} from {answer!r} with HTTP {status}")

    def test_no_connection_is_certain(self) -> None:
        """Nothing was sent, so the route may go on."""
        assert type(self.failure(Wire(NotConnected("GET host: refused")))) is ProviderUnavailable

    def test_no_answer_is_uncertain(self) -> None:
        """Something was sent, so nobody may send again by himself."""
        assert type(self.failure(Wire(NoAnswer("GET host: timeout")))) is DeliveryUncertain

    def test_server_error_is_uncertain(self) -> None:
        """A 5xx may come after the message has gone out."""
        assert type(self.failure(Wire({}, status=500))) is DeliveryUncertain

    def test_unreadable_answers_are_uncertain(self) -> None:
        """HTML, nothing, half a body, the wrong type: never a success, never a crash."""
        for body in (
            b"<html>",
            b"",
            b'{"a": ',
            b"null",
            b"[]",
            b"1",
            b'"x"',
            b"\xff",
            b"[" * 9_999,
        ):
            assert isinstance(self.failure(Wire(body)), DeliveryUncertain), body[:20]

    def test_errors_hold_no_secret(self) -> None:
        """Neither the text nor the `repr` of an error shows an option of ours."""
        secrets = [value for value in self.options.values() if isinstance(value, str)]
        for status in (200, 400, 401, 429, 500):
            error = self.failure(Wire({"error": "no"}, status=status))
            assert error.__cause__ is None
            for secret in secrets:
                assert secret not in f"{error} {error!r}"

    def test_repr_holds_no_secret(self) -> None:
        """Options can be printed in a debugger or a log."""
        parsed, _problems = self.provider_class.Options.parse(self.options)
        for each in fields(self.provider_class.Options):
            if each.metadata.get("secret") and each.name in self.options:
                assert str(self.options[each.name]) not in repr(parsed)
