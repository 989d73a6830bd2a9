"""Our own providers over a faked wire, reached by dotted path: what they are told is `answers`.

Each request takes one answer, the decoded body, from the front of the list; `requests` keeps what
was asked. Both are emptied by the tests that use them.
"""

import json
from typing import Any

from django_phone_otp.providers.oneconnect import OneConnect
from django_phone_otp.providers.sms_by import SMSBy
from django_phone_otp.providers.telefon_ip import (
    TelefonIPFlashCall,
    TelefonIPSMS,
    TelefonIPTelegram,
)
from django_phone_otp.providers.twilio_verify import TwilioVerify
from django_phone_otp.transport import WireReply, WireRequest

answers: list[Any] = []
requests: list[WireRequest] = []


def send(request: WireRequest) -> WireReply:
    requests.append(request)
    return WireReply(200, json.dumps(answers.pop(0)).encode())


class Flash(TelefonIPFlashCall):
    def __init__(self, options: Any) -> None:
        super().__init__(options, send)


class SMS(TelefonIPSMS):
    def __init__(self, options: Any) -> None:
        super().__init__(options, send)


class Telegram(TelefonIPTelegram):
    def __init__(self, options: Any) -> None:
        super().__init__(options, send)


class ByPassword(SMSBy):
    def __init__(self, options: Any) -> None:
        super().__init__(options, send)


class Connect(OneConnect):
    def __init__(self, options: Any) -> None:
        super().__init__(options, send)


class Verify(TwilioVerify):
    def __init__(self, options: Any) -> None:
        super().__init__(options, send)
