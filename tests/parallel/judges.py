"""A provider that judges answers itself, and takes the server's process down with it."""

import os
import signal
from typing import ClassVar, Never

from django_phone_otp.choices import Channel, Custody
from django_phone_otp.providers.base import Provider, Started, StartRequest
from django_phone_otp.providers.options import ProviderOptions


class DeadlyJudge(Provider[ProviderOptions]):
    """Kills the process that asks it, as a machine that runs out of memory does."""

    key: ClassVar[str] = "deadly-judge"
    channel = Channel.SMS
    custody = Custody.REMOTE

    def start(self, request: StartRequest) -> Started:
        return Started(reference="1")

    def check(self, reference: str, phone: str, code: str) -> Never:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("this process is dead")
