"""The protocol of oneconnect.uno: `POST /api/v1/mfa/sms_auth` and `GET /api/v1/balance`.

Both with HTTP Basic `email:api_key`. Marks in comments: *documented* (the provider's page),
*assumed*.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from .exchange import Answer, Ask, json_answer, plain_refusal

if TYPE_CHECKING:
    from .gateway import Gateway

SEND_PATH = "/api/v1/mfa/sms_auth"
BALANCE_PATH = "/api/v1/balance"


def action_of(ask: Ask) -> str:
    """Return `sms_auth` or `balance`."""
    return ask.path.removesuffix("/").rpartition("/")[2]


def answer(gateway: Gateway, ask: Ask) -> Answer:
    """Answer one request; may put a message on a screen."""
    user, api_key = ask.basic_auth
    if not user or not gateway.accepts(ask, api_key):
        body = {"error": "Unauthorized"}  # assumed
        return json_answer(
            HTTPStatus.UNAUTHORIZED, body, (("WWW-Authenticate", 'Basic realm="api"'),)
        )
    method, answer_action = ACTIONS[action_of(ask)]
    if ask.method != method:
        return plain_refusal(HTTPStatus.METHOD_NOT_ALLOWED)
    return answer_action(gateway, ask)


def _send(gateway: Gateway, ask: Ask) -> Answer:
    phone = ask.params.get("phone_number", "")
    digits = phone.strip().removeprefix("+")
    # The number is documented, the rest of the error is not: a string with 400 and a number with
    # 200 are assumed, so that a client meets both.
    if not re.fullmatch(r"[1-9][0-9]{6,14}", digits):
        return json_answer(HTTPStatus.BAD_REQUEST, {"error_code": "4004"})
    length = ask.params.get("length", "4")
    if not re.fullmatch(r"[0-9]{1,2}", length) or not 1 <= int(length) <= 32:  # assumed
        return json_answer(HTTPStatus.BAD_REQUEST, {"error": "length is invalid"})
    if not gateway.can_pay(ask):
        return json_answer(HTTPStatus.OK, {"error_code": 1000})
    code = "".join(secrets.choice(_alphabet(ask)) for _ in range(int(length)))
    gateway.deliver("sms", f"+{digits}", code)
    return json_answer(HTTPStatus.OK, {"code": code, "phone_number": phone})


def _alphabet(ask: Ask) -> str:
    if _is_true(ask, "only_numbers"):
        return string.digits
    if _is_true(ask, "only_uppercase"):
        return string.ascii_uppercase + string.digits  # that digits stay is assumed
    return string.ascii_letters + string.digits


def _is_true(ask: Ask, name: str) -> bool:
    return ask.params.get(name, "").lower() in ("true", "1")


def _balance(gateway: Gateway, ask: Ask) -> Answer:
    # In messages, not in money.
    count = gateway.balance_shown(ask) // gateway.price_kopecks
    return json_answer(HTTPStatus.OK, {"sms_balance": max(count, 0)})


ACTIONS: dict[str, tuple[str, Callable[[Gateway, Ask], Answer]]] = {
    "sms_auth": ("POST", _send),
    "balance": ("GET", _balance),
}
