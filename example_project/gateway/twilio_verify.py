"""The protocol of Twilio Verify v2: `/v2/Services/{ServiceSid}/…` with HTTP Basic.

The one provider here that keeps the code to itself and judges what the person typed. Marks in
comments: *documented* (twilio.com/docs/verify), *seen* (in public reports), *assumed*.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from .exchange import Answer, Ask, json_answer, plain_refusal

if TYPE_CHECKING:
    from .gateway import Gateway

PREFIX = "/v2/Services/"
SENDS_COUNT = 5  # documented, as is the next
CHECKS_COUNT = 5
CODE_LENGTH = 6
TEXTS = {"en": "Your verification code is: {}", "ru": "Ваш проверочный код: {}"}  # assumed


@dataclass(slots=True)
class Verification:
    """Hold one verification of one phone; it lives ten minutes from its first message."""

    sid: str
    service_sid: str
    account_sid: str
    phone: str  # E.164
    code: str = field(repr=False)
    created_at: datetime
    updated_at: datetime
    status: str = "pending"
    sends: list[datetime] = field(default_factory=list)
    checks_count: int = 0

    def is_pending(self, lifetime_seconds: float) -> bool:
        """Say whether it may still be sent again, checked and cancelled."""
        ends_at = self.created_at + timedelta(seconds=lifetime_seconds)
        return self.status == "pending" and datetime.now(UTC) < ends_at

    def end(self, status: str) -> None:
        """Make it approved or cancelled: for the API it is gone then."""
        self.status = status
        self.updated_at = datetime.now(UTC)

    def as_json(self) -> dict[str, object]:
        """Return what a verification and its check have in common."""
        return {
            "sid": self.sid,
            "service_sid": self.service_sid,
            "account_sid": self.account_sid,
            "to": self.phone,
            "channel": "sms",
            "status": self.status,
            "valid": self.status == "approved",
            "amount": None,
            "payee": None,
            "date_created": _written(self.created_at),
            "date_updated": _written(self.updated_at),
        }


def action_of(ask: Ask) -> str:
    """Return `Verifications`, `VerificationCheck`, `Verification` (one), `Services`, or ""."""
    return _route(ask)[0]


def answer(gateway: Gateway, ask: Ask) -> Answer:
    """Answer one request; may put a message on a screen."""
    account_sid, secret = ask.basic_auth
    if not account_sid or not gateway.accepts(ask, secret):
        return _error(HTTPStatus.UNAUTHORIZED, 20003, "Authenticate")
    if ask.fault == "no-money":
        # Documented: an account that ran out of funds is not active. The status is assumed.
        return _error(HTTPStatus.FORBIDDEN, 20005, "Account not active")
    action, service_sid, sid = _route(ask)
    is_known = gateway.services is None or service_sid in gateway.services
    if not action or not is_known:
        return _not_found(ask)
    methods, answer_action = ACTIONS[action]
    if ask.method not in methods:
        return plain_refusal(HTTPStatus.METHOD_NOT_ALLOWED)
    return answer_action(gateway, ask, service_sid, sid)


def _route(ask: Ask) -> tuple[str, str, str]:
    path = ask.path.removeprefix(PREFIX).removesuffix("/")
    found = re.fullmatch(r"(VA[0-9A-Za-z]+)(?:/(\w+)(?:/(VE[0-9a-f]{32}))?)?", path)
    if found is None:
        return "", "", ""
    service_sid, collection, sid = found[1], found[2] or "", found[3] or ""
    names = {
        ("", False): "Services",
        ("Verifications", False): "Verifications",
        ("Verifications", True): "Verification",
        ("VerificationCheck", False): "VerificationCheck",
    }
    return names.get((collection, bool(sid)), ""), service_sid, sid


# Sending


def _start(gateway: Gateway, ask: Ask, service_sid: str, _sid: str) -> Answer:
    phone, channel = ask.params.get("To", ""), ask.params.get("Channel", "")
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", phone):
        return _error(HTTPStatus.BAD_REQUEST, 60200, f"Invalid parameter `To`: {phone}")
    if channel != "sms":  # the others exist and are not imitated
        return _error(HTTPStatus.BAD_REQUEST, 60200, f"Invalid parameter `Channel`: {channel}")
    if phone in gateway.landlines:
        message = "SMS is not supported by landline phone number"
        return _error(HTTPStatus.FORBIDDEN, 60205, message)
    # Documented: while one is pending, asking again sends the same code of the same verification.
    each = _pending(gateway, service_sid, phone)
    if each is None:
        now = datetime.now(UTC)
        sid, code = f"VE{secrets.token_hex(16)}", f"{secrets.randbelow(10**CODE_LENGTH):06d}"
        each = Verification(sid, service_sid, ask.basic_auth[0], phone, code, now, now)
        for name in (sid, phone):
            gateway.verifications[service_sid, name] = each
    if len(each.sends) >= SENDS_COUNT:
        return _error(HTTPStatus.TOO_MANY_REQUESTS, 60203, "Max send attempts reached")
    text = TEXTS.get(ask.params.get("Locale", ""), TEXTS["en"]).format(each.code)
    # Twilio bills afterwards: nothing is taken from the balance.
    sent = gateway.deliver("sms", phone, each.code, text=text, price_kopecks=0)
    each.updated_at = sent.at
    each.sends.append(sent.at)
    return _verification(HTTPStatus.CREATED, each)


# Judging


def _check(gateway: Gateway, ask: Ask, service_sid: str, _sid: str) -> Answer:
    code, sid = ask.params.get("Code", ""), ask.params.get("VerificationSid", "")
    if not re.fullmatch(r"[0-9A-Za-z]{4,10}", code):  # the lengths are documented
        return _error(HTTPStatus.BAD_REQUEST, 60200, "Invalid parameter: Code")
    each = _pending(gateway, service_sid, sid or ask.params.get("To", ""))
    if each is None:
        return _not_found(ask)
    if each.checks_count >= CHECKS_COUNT:
        return _error(HTTPStatus.TOO_MANY_REQUESTS, 60202, "Max check attempts reached")
    each.checks_count += 1
    if code == each.code:
        each.end("approved")
    return json_answer(HTTPStatus.OK, each.as_json())


def _one(gateway: Gateway, ask: Ask, service_sid: str, sid: str) -> Answer:
    each = _pending(gateway, service_sid, sid)
    if each is None:
        return _not_found(ask)
    if ask.method == "POST":
        status = ask.params.get("Status", "")
        if status not in ("canceled", "approved"):
            return _error(HTTPStatus.BAD_REQUEST, 60200, f"Invalid parameter `Status`: {status}")
        each.end(status)
    return _verification(HTTPStatus.OK, each)


def _service(_gateway: Gateway, ask: Ask, service_sid: str, _sid: str) -> Answer:
    body = {
        "sid": service_sid,
        "account_sid": ask.basic_auth[0],
        "friendly_name": "The example site",
        "code_length": CODE_LENGTH,
    }
    return json_answer(HTTPStatus.OK, body)


ACTIONS: dict[str, tuple[tuple[str, ...], Callable[[Gateway, Ask, str, str], Answer]]] = {
    "Services": (("GET",), _service),
    "Verifications": (("POST",), _start),
    "Verification": (("GET", "POST"), _one),
    "VerificationCheck": (("POST",), _check),
}


def _pending(gateway: Gateway, service_sid: str, name: str) -> Verification | None:
    # Documented and seen: what is approved, cancelled or ten minutes old is not found any more.
    each = gateway.verifications.get((service_sid, name))
    return each if each and each.is_pending(gateway.verification_seconds) else None


def _verification(status: HTTPStatus, each: Verification) -> Answer:
    attempts = [{"time": _written(at), "channel": "SMS", "attempt_sid": None} for at in each.sends]
    url = f"https://verify.twilio.com{PREFIX}{each.service_sid}/Verifications/{each.sid}"
    body = each.as_json() | {"lookup": {}, "send_code_attempts": attempts, "sna": None, "url": url}
    return json_answer(status, body)


def _written(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _error(status: HTTPStatus, code: int, message: str) -> Answer:
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    body = {"code": code, "message": message, "more_info": more_info, "status": status.value}
    return json_answer(status, body)


def _not_found(ask: Ask) -> Answer:
    resource = ask.path.removeprefix("/v2")
    message = f"The requested resource {resource} was not found"
    return _error(HTTPStatus.NOT_FOUND, 20404, message)
