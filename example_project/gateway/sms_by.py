"""The protocol of sms.by (and startsend.ru): `/api/v1/<call>` with `token` as a parameter.

Marks in comments: *documented* (the provider's page), *seen* (in public clients), *assumed*.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from .exchange import Answer, Ask, json_answer

if TYPE_CHECKING:
    from .gateway import Gateway

PREFIX = "/api/v1/"
PARTS_COUNT = 10
FIRST_SMS_ID = 2_208_471  # the document's; far from the ids of password objects
FIRST_OBJECT_ID = 243

ALPHABETS = {
    "letters": string.ascii_uppercase,  # the document's example is upper case; always is assumed
    "numbers": string.digits,
    "both": string.ascii_uppercase + string.digits,
}


@dataclass(slots=True)
class PasswordObject:
    """Hold the form of codes to come: a profile, not a code."""

    id: int
    token: str  # its owner; others do not see it
    type_id: str
    length: int
    created_at: datetime

    def as_json(self) -> dict[str, object]:
        """Return it as the lists show it; keys and types are seen."""
        created = f"{self.created_at:%Y-%m-%d %H:%M:%S}"
        return {"id": self.id, "type_id": self.type_id, "len": self.length, "d_create": created}


def action_of(ask: Ask) -> str:
    """Return the call that is asked for, "" for an unknown one."""
    action = ask.path.removeprefix(PREFIX).removesuffix("/")
    return action if action in ACTIONS else ""


def answer(gateway: Gateway, ask: Ask) -> Answer:
    """Answer one request; may put a message on a screen."""
    if not gateway.accepts(ask, ask.params.get("token", "")):
        return _error("Wrong token", HTTPStatus.UNAUTHORIZED)  # assumed
    answer_action = ACTIONS.get(action_of(ask))
    if answer_action is None:
        return _error("Page not found", HTTPStatus.NOT_FOUND)  # the status is documented
    return answer_action(gateway, ask)


# Password objects


def _create(gateway: Gateway, ask: Ask) -> Answer:
    form = _form(ask.params)
    if form is None:
        return _bad_form()
    id_ = next(gateway.password_object_ids)
    each = PasswordObject(id_, ask.params["token"], *form, datetime.now(UTC))
    gateway.password_objects[id_] = each
    return _result({"password_object_id": id_})


def _list(gateway: Gateway, ask: Ask) -> Answer:
    owned = [
        each.as_json()
        for each in gateway.password_objects.values()
        if each.token == ask.params["token"]
    ]
    return _result(owned)


def _get(gateway: Gateway, ask: Ask) -> Answer:
    each = _object(gateway, ask, "id")
    return _result(each.as_json()) if each else _unknown_object()


def _edit(gateway: Gateway, ask: Ask) -> Answer:
    each, form = _object(gateway, ask, "id"), _form(ask.params)
    if each is None:
        return _unknown_object()
    if form is None:
        return _bad_form()
    each.type_id, each.length = form
    return _result("1")


def _delete(gateway: Gateway, ask: Ask) -> Answer:
    each = _object(gateway, ask, "id")
    if each is None:
        return _unknown_object()
    del gateway.password_objects[each.id]
    return _result("1")


def _object(gateway: Gateway, ask: Ask, name: str) -> PasswordObject | None:
    each = gateway.password_objects.get(_number(ask.params.get(name, "")))
    return each if each and each.token == ask.params["token"] else None


def _form(params: Mapping[str, str]) -> tuple[str, int] | None:
    type_id, length = params.get("type_id", ""), _number(params.get("len", ""))
    return (type_id, length) if type_id in ALPHABETS and 1 <= length <= 16 else None


# Messages


def _send(gateway: Gateway, ask: Ask) -> Answer:
    each = _object(gateway, ask, "password_object_id")
    if each is None:
        return _unknown_object()
    phone, message = ask.params.get("phone", ""), ask.params.get("message", "")
    # Seen as 375291234567, digits only. That it sends to other countries as well is assumed.
    if not re.fullmatch(r"[1-9][0-9]{6,14}", phone):
        return _error("Incorrect phone number")
    if "%CODE%" not in message:
        return _error("The message must contain %CODE%")
    if not _knows_alphaname(gateway, ask.params.get("alphaname_id", "")):
        # Seen, in these words, with 200.
        return _error("Wrong alphaname. Check it is correct and approved.", HTTPStatus.OK)
    code = "".join(secrets.choice(ALPHABETS[each.type_id]) for _ in range(each.length))
    text = message.replace("%CODE%", code)
    parts = count_parts(text)
    if parts > PARTS_COUNT:
        return _error("Message is too long")
    price_kopecks = parts * gateway.price_kopecks
    if not gateway.can_pay(ask, price_kopecks):
        return _error("Недостаточно средств на балансе", HTTPStatus.OK)
    sent = gateway.deliver("sms", f"+{phone}", code, text=text, price_kopecks=price_kopecks)
    sms_id = FIRST_SMS_ID - 1 + sent.id
    body = {"status": "ok", "parts": parts, "len": len(text), "sms_id": sms_id, "code": code}
    return json_answer(HTTPStatus.OK, body)


def count_parts(text: str) -> int:
    """Return how many messages a text takes: 160, 306, 459 Latin or 70, 134, 201 other characters.

    Latin is taken as ASCII, which is close to the alphabet of GSM.
    """
    single, joined = (160, 153) if text.isascii() else (70, 67)
    return 1 if len(text) <= single else -(-len(text) // joined)


def _knows_alphaname(gateway: Gateway, id_: str) -> bool:
    if id_ in ("", "0"):  # seen: 0 is the system's own
        return True
    return id_.isdecimal() and (gateway.alphanames is None or id_ in gateway.alphanames)


def _check_sms(gateway: Gateway, ask: Ask) -> Answer:
    sms_id = _number(ask.params.get("sms_id", ""))
    message = gateway.message(sms_id - FIRST_SMS_ID + 1)
    if message is None or message.kind != "sms":
        return _error("not found")  # the words are seen, of another call
    at = int(message.at.timestamp())
    return json_answer(HTTPStatus.OK, {"sms_id": sms_id, "sent": at, "delivered": at})


def _get_balance(gateway: Gateway, ask: Ask) -> Answer:
    balance = {"balance": f"{gateway.balance_shown(ask) / 100:.5f}", "viber_balance": "0.00000"}
    return json_answer(HTTPStatus.OK, {"status": "OK", "currency": "RUR", "result": [balance]})


ACTIONS: dict[str, Callable[[Gateway, Ask], Answer]] = {
    "createPasswordObject": _create,
    "getPasswordObjects": _list,
    "getPasswordObject": _get,
    "editPasswordObject": _edit,
    "deletePasswordObject": _delete,
    "sendSmsMessageWithCode": _send,
    "checkSMS": _check_sms,
    "getBalance": _get_balance,
}


def _number(written: str) -> int:
    return int(written) if re.fullmatch(r"[0-9]{1,18}", written) else 0


def _result(result: object) -> Answer:
    return json_answer(HTTPStatus.OK, {"result": result})


def _error(error: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> Answer:
    # `{"error": …}` in English and in Russian, with 200 and with 4xx, is seen; which error comes
    # with which is assumed.
    return json_answer(status, {"error": error})


def _bad_form() -> Answer:
    return _error("type_id must be letters, numbers or both, len from 1 to 16")


def _unknown_object() -> Answer:
    return _error("Объект пароля не найден")
