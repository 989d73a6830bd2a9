"""The protocol of telefon-ip.ru: `/api/v1/authcalls/{token}/{action}/{params}`.

Marks in comments: *documented* (docs.telefon-ip.ru), *seen* (in public clients), *assumed*.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

from .exchange import Answer, Ask, json_answer

if TYPE_CHECKING:
    from .gateway import Gateway
    from .screens import Kind, Message

PREFIX = "/api/v1/authcalls/"


def action_of(ask: Ask) -> str:
    """Return the action that is asked for, "" for an unknown one."""
    _token, action, _param = _split(ask)
    return action if action in ACTIONS else ""


def answer(gateway: Gateway, ask: Ask) -> Answer:
    """Answer one request; may put a message on a screen."""
    token, action, param = _split(ask)
    # The token is looked at first: a stranger learns nothing about formats.
    if not gateway.accepts(ask, token):
        return _error(HTTPStatus.UNAUTHORIZED, "Unauthorized token")
    answer_action = ACTIONS.get(action)
    if answer_action is None:
        return _error(HTTPStatus.NOT_FOUND, "action not found")  # assumed
    return answer_action(gateway, param, ask)


def _split(ask: Ask) -> tuple[str, str, str]:
    # Documented with a closing slash in one place and without it in another: both are taken.
    token, _, rest = ask.path.removeprefix(PREFIX).partition("/")
    action, _, param = rest.partition("/")
    return unquote(token), action, unquote(param.removesuffix("/"))


# Messages


def _get_code(gateway: Gateway, phone: str, ask: Ask) -> Answer:
    # `sms=true` asks for a text when the operator refuses the call. Here every call arrives, so
    # it is accepted and changes nothing.
    e164 = _phone(phone)
    if e164 is None:
        return _bad_phone()
    # Documented: three calls per number and day unless agreed otherwise. Off by default here, so
    # that a long test may go on; status and words are assumed.
    limit = gateway.flash_calls_per_phone
    if limit is not None and gateway.count_calls_today(e164) >= limit:
        return _error(HTTPStatus.BAD_REQUEST, "daily limit of calls to this number is reached")
    if not gateway.can_pay(ask):
        return _no_money()
    return _sent(gateway.deliver("call", e164, _four_digits()), {})


def _get_sms_code(gateway: Gateway, phone: str, ask: Ask) -> Answer:
    return _send_text(gateway, "sms", _phone(phone), ask, {})


def _get_tg_code(gateway: Gateway, phone: str, ask: Ask) -> Answer:
    more = {  # the keys are seen, the values assumed
        "operator_name": "telegram",
        "channel": "telegram",
        "status": 1,
        "status_info": "Ok",
    }
    # Documented: the example of this call, and of no other, writes the phone as 79….
    return _send_text(gateway, "telegram", _phone(re.sub(r"^79", "89", phone)), ask, more)


def _send_text(
    gateway: Gateway, kind: Kind, e164: str | None, ask: Ask, more: Mapping[str, object]
) -> Answer:
    if e164 is None:
        return _bad_phone()
    code = ask.params.get("code", "") or _four_digits()
    if len(code) > 4:  # documented: four characters at most; the words and the status are assumed
        return _error(HTTPStatus.BAD_REQUEST, "code is longer than 4 characters")
    if not gateway.can_pay(ask):
        return _no_money()
    return _sent(gateway.deliver(kind, e164, code), more)


# Reverse calls: the person calls


def _reverse_get(gateway: Gateway, _param: str, ask: Ask) -> Answer:
    e164 = _phone(ask.params.get("phone", ""))
    if e164 is None:
        return _bad_phone()
    if not gateway.can_pay(ask):
        return _no_money()
    each = gateway.reverse_calls.give(e164)
    gateway.charge()  # already for the number: assumed
    # The keys are seen, `url_image` is a picture for a QR reader; both addresses are assumed.
    urls = {"url_image": f"{gateway.url}/qr/{each.id}.png", "url_link": f"tel:{each.number}"}
    return _data({"auth_phone": each.number.removeprefix("+"), "id": each.id, **urls})


def _reverse_check(gateway: Gateway, id_: str, _ask: Ask) -> Answer:
    each = gateway.reverse_calls.find(_number(id_))
    # Assumed: before the call there is nothing to find. Whoever called is then named, though it
    # was another phone than the one asked for: comparing is left to the client.
    if each is None or not each.caller:
        return _error(HTTPStatus.BAD_REQUEST, "id record not found")
    return _data({"phone": each.caller.removeprefix("+"), "id": each.id})


# The rest


def _get_status(gateway: Gateway, id_: str, _ask: Ask) -> Answer:
    message = gateway.message(_number(id_))
    if message is None:
        return _error(HTTPStatus.BAD_REQUEST, "id record not found")
    return _data(
        {
            "id": message.id,
            # Documented: no zone, and the phone as it was sent, not as `get_code` returns it.
            "created_at": f"{message.at:%Y-%m-%dT%H:%M:%S}",
            "phone": f"8{message.phone.removeprefix('+7')}",
            "status": 1,
            "status_info": "Ok: SIP 200 OK",
            "price": gateway.price_kopecks / 100,
        }
    )


def _get_balance(gateway: Gateway, _param: str, ask: Ask) -> Answer:
    # Documented as numbers; numeric strings are seen as well.
    return _data(
        {
            "balance": gateway.balance_shown(ask) / 100,
            "price": gateway.price_kopecks / 100,
            "balance_limit": 0.0,
        }
    )


ACTIONS: dict[str, Callable[[Gateway, str, Ask], Answer]] = {
    "get_code": _get_code,
    "get_sms_code": _get_sms_code,
    "get_tg_code": _get_tg_code,
    "reverse_auth_phone_get": _reverse_get,
    "reverse_auth_phone_check": _reverse_check,
    "get_status": _get_status,
    "get_balance": _get_balance,
}


def _phone(phone: str) -> str | None:
    return f"+7{phone[1:]}" if re.fullmatch(r"89[0-9]{9}", phone) else None


def _number(id_: str) -> int:
    return int(id_) if re.fullmatch(r"[0-9]{1,18}", id_) else 0


def _four_digits() -> str:
    return f"{secrets.randbelow(10_000):04d}"


def _sent(message: Message, more: Mapping[str, object]) -> Answer:
    # Documented: the phone comes back as 7XXXXXXXXXX, not as it was sent.
    phone = message.phone.removeprefix("+")
    return _data({"phone": phone, "code": message.code, "id": message.id, **more})


def _data(data: Mapping[str, object]) -> Answer:
    return json_answer(HTTPStatus.OK, {"success": True, "error": "", "data": data})


def _error(status: HTTPStatus, error: str) -> Answer:
    return json_answer(status, {"success": False, "error": error, "data": {}})


def _bad_phone() -> Answer:
    return _error(
        HTTPStatus.BAD_REQUEST,
        "does not match the format 89XXXXXXXXX or phone field is missing",
    )


def _no_money() -> Answer:
    return _error(HTTPStatus.PAYMENT_REQUIRED, "not enough money on the balance")  # assumed
