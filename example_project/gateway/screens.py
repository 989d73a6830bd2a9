"""The phones' screens: what arrived, for people (`/screen/`) and programs (`/screen/<phone>.json`).

A person can also call from here: a reverse call waits with a button, which posts to
`/screen/<phone>/call`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from .exchange import Answer, Ask, html_answer, json_answer, plain_refusal, redirect

if TYPE_CHECKING:
    from .gateway import Gateway
    from .reverse_calls import ReverseCall

PREFIX = "/screen/"
PHONES_COUNT = 50  # the newest ones; a page of a thousand phones helps nobody

Kind = Literal["call", "sms", "telegram"]


@dataclass(frozen=True, slots=True)
class Message:
    """Hold one call or text that reached a phone."""

    id: int
    kind: Kind
    phone: str  # E.164
    code: str = field(repr=False)
    sender: str = field(repr=False)  # the calling number (it ends with the code); "" for a text
    text: str = field(repr=False)  # "" for a call
    at: datetime

    def as_json(self) -> dict[str, str]:
        """Return what `/screen/<phone>.json` lists; a call has `from`, a text has `text`."""
        shown = {"kind": self.kind, "code": self.code, "at": self.at.isoformat()}
        return shown | ({"from": self.sender} if self.kind == "call" else {"text": self.text})


class Screens(dict[str, list[Message]]):
    """Map a phone in E.164 to its messages, oldest first; a phone without any has an empty list."""

    def __missing__(self, phone: str) -> list[Message]:
        # Not stored: looking at a phone leaves no trace.
        return []


def e164(written: str) -> str | None:
    """Return a phone as E.164, or `None`; taken are `+…`, its digits alone, and Russian `8…`."""
    # A plus sign that a form did not encode arrives as a blank.
    digits = written.strip().removeprefix("+")
    if re.fullmatch(r"8[0-9]{10}", written.strip()):
        digits = f"7{written.strip()[1:]}"
    return f"+{digits}" if re.fullmatch(r"[1-9][0-9]{6,14}", digits) else None


def answer(gateway: Gateway, ask: Ask) -> Answer:
    """Answer with the page of all phones, with one phone's messages, or to a call from one."""
    path = unquote(ask.path.removeprefix(PREFIX))
    if not path:
        return html_answer(HTTPStatus.OK, _page(gateway))
    asked = re.fullmatch(r"([^/]+)(\.json|/call)", path)
    phone = e164(asked[1]) if asked else None
    if asked is None or phone is None:
        return plain_refusal(HTTPStatus.NOT_FOUND)
    if asked[2] == ".json":
        messages = gateway.on_screen(phone)
        return json_answer(HTTPStatus.OK, [message.as_json() for message in messages])
    return _call(gateway, phone, ask)


def _call(gateway: Gateway, phone: str, ask: Ask) -> Answer:
    if ask.method != "POST":
        return plain_refusal(HTTPStatus.METHOD_NOT_ALLOWED)
    number = e164(ask.params.get("to", ""))
    if number is None or not gateway.call(from_phone=phone, to=number):
        return json_answer(HTTPStatus.NOT_FOUND, {"detail": "Nobody answers at this number."})
    return redirect(HTTPStatus.SEE_OTHER, PREFIX)


# The page


def _page(gateway: Gateway) -> str:
    screens = dict(gateway.newest_screens(PHONES_COUNT))
    awaited: dict[str, list[ReverseCall]] = {}
    for each in gateway.awaited_calls():
        awaited.setdefault(each.phone, []).append(each)
    # A phone that has to call stands first: its number lives for two minutes.
    cards = "".join(
        f"<section><h2>{_spaced(phone)}</h2><ol>{_buttons(phone, awaited.get(phone, []))}"
        f"{_items(screens.get(phone, []))}</ol></section>"
        for phone in {**awaited, **screens}
    )
    nothing = "<p>Nothing has arrived yet. Ask the site for a code.</p>"
    return PAGE.replace("{{cards}}", cards or nothing)


def _buttons(phone: str, awaited: Iterable[ReverseCall]) -> str:
    return "".join(
        f"<li><span>Asked to call <span>{_spaced(each.number)}</span></span>"
        f'<form method="post" action="{PREFIX}{phone}/call">'
        f'<button name="to" value="{each.number}">Call</button></form></li>'
        for each in awaited
    )


def _items(messages: Iterable[Message]) -> str:
    items = []
    for message in reversed(list(messages)):
        if message.kind == "call":
            number, code = message.sender[: -len(message.code)], message.code
            calling = f"{_spaced(number)} <strong>{html.escape(code)}</strong>"
            what = f"Incoming call from <span>{calling}</span>"
        else:
            # The text may hold what the site chose: its words, or a code of its own.
            kind = "Telegram" if message.kind == "telegram" else "Message"
            what = f"{kind}: <q>{html.escape(message.text)}</q>"
        at = message.at.astimezone()
        items.append(
            f'<li><span>{what}</span> <time datetime="{at.isoformat()}">{at:%H:%M:%S}</time></li>'
        )
    return "".join(items)


def _spaced(phone: str) -> str:
    start = 2 if phone.startswith(("+1", "+7")) else 4
    parts = (phone[:start], phone[start : start + 3], phone[start + 3 : start + 6])
    return html.escape(" ".join(filter(None, (*parts, phone[start + 6 :]))))


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="2">
<title>The phone's screen</title>
<style>
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 26rem; padding: 1.5rem 1rem; font: 1rem/1.5 system-ui, sans-serif;
  background: light-dark(#f3f4f6, #111418); color: light-dark(#1b1f24, #e6e8eb); }
h1 { font-size: 1.25rem; }
section { margin: 1rem 0; padding: 1rem; border-radius: 1.25rem;
  background: light-dark(#fff, #1c2127); }
h2 { margin: 0 0 .5rem; font-size: 1rem; }
ol { list-style: none; margin: 0; padding: 0; }
li { display: flex; justify-content: space-between; align-items: baseline; gap: 1rem;
  padding: .5rem 0; border-top: 1px solid light-dark(#e3e6ea, #30363d); }
span span { white-space: nowrap; }
q { overflow-wrap: anywhere; }
strong { font-size: 1.5rem; color: light-dark(#0b5fff, #7db0ff); }
time { font-size: .875rem; color: light-dark(#59636e, #9aa4af); }
button { padding: .25rem 1rem; border: 0; border-radius: 1rem; font: inherit; color: #fff;
  background: #0b5fff; }
</style>
</head>
<body>
<h1>The phone's screen</h1>
{{cards}}
</body>
</html>
"""
