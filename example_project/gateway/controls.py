"""What the gateway answers beside protocols and screens: orders of faults, and what was counted.

For tests in other processes: `/fault/` and `/counts/`. No fault applies here.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from .exchange import Answer, Ask, json_answer, plain_refusal, redirect
from .faults import REDIRECTED_PATH
from .screens import PREFIX as SCREEN_PREFIX

if TYPE_CHECKING:
    from .gateway import Gateway

FAULT_PATH = "/fault/"
COUNTS_PATH = "/counts/"


def answer(gateway: Gateway, ask: Ask) -> Answer:
    """Answer one request; 404 for what is served nowhere."""
    answer_page = PAGES.get(ask.path)
    return answer_page(gateway, ask) if answer_page else plain_refusal(HTTPStatus.NOT_FOUND)


def _home(_gateway: Gateway, _ask: Ask) -> Answer:
    return redirect(HTTPStatus.FOUND, SCREEN_PREFIX)


def _fault(gateway: Gateway, ask: Ask) -> Answer:
    if ask.method == "DELETE":
        gateway.order("")
    elif ask.method == "POST":
        try:
            times = int(ask.params["times"]) if "times" in ask.params else None
            gateway.order(ask.params["fault"], times)
        except KeyError:
            return bad_order("say fault=<name>")
        except ValueError as error:
            return bad_order(str(error))
    name, times_left = gateway.ordered
    return json_answer(HTTPStatus.OK, {"fault": name, "times": times_left})


def bad_order(detail: str) -> Answer:
    """Refuse an order, in the form or in an address."""
    return json_answer(HTTPStatus.BAD_REQUEST, {"detail": detail})


def _counts(gateway: Gateway, _ask: Ask) -> Answer:
    return json_answer(HTTPStatus.OK, gateway.counts())


def _redirected(gateway: Gateway, _ask: Ask) -> Answer:
    gateway.count_redirect()
    return json_answer(HTTPStatus.OK, {"detail": "A client of a provider follows no redirect."})


PAGES: dict[str, Callable[[Gateway, Ask], Answer]] = {
    "/": _home,
    FAULT_PATH: _fault,
    COUNTS_PATH: _counts,
    REDIRECTED_PATH: _redirected,
}
