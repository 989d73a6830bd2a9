"""Providers that note the codes they send, since the owner of the phone has to know them."""

import itertools
import os
import secrets
from dataclasses import replace

from django_phone_otp.choices import Channel, Custody
from django_phone_otp.codes import make_code
from django_phone_otp.providers.base import Started, StartRequest
from tests.fakes import Fake, FakeJudge

from .witness import note

_serial = itertools.count(1)


class Text(Fake):
    """Sends the codes of six digits that we make."""

    key = "attack-text"

    def start(self, request: StartRequest) -> Started:
        note(event="sent", phone=request.phone, code=request.code)
        return Started(reference=secrets.token_hex(8))


class Undeclared(Fake):
    """Makes codes of four digits and tells them, but does not say beforehand how long they are.

    As `sms-by` does with a password object that somebody made by hand, and no option `len`.
    """

    key = "attack-undeclared"
    custody = Custody.RETURNED

    def start(self, request: StartRequest) -> Started:
        code = make_code(4)
        note(event="sent", phone=request.phone, code=code)
        return Started(code=code, reference=secrets.token_hex(8))


class Call(Undeclared):
    """Calls, and says that its codes have four digits."""

    key = "attack-call"
    channel = Channel.FLASH_CALL
    code_length = 4


class Judge(FakeJudge):
    """Makes codes of six digits and judges the answers: one code for each message."""

    key = "attack-judge"

    def start(self, request: StartRequest) -> Started:
        note(event="sent", phone=request.phone, code=self.options.code)
        started = super().start(request)
        return replace(started, reference=f"{os.getpid()}-{next(_serial)}")

    def check(self, reference: str, phone: str, code: str) -> bool:
        note(event="compared", length=6)
        return super().check(reference, phone, code)
