"""What a site under attack really does: each code that is sent, each guess that is compared.

Notes are lines of JSON in a file, one written by one call, so those of several processes do not
mix. A guess is named by the address that it came from: the attacker has a new one for each request.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse

from django_phone_otp import codes

FILE = "PHONE_OTP_ATTACK_NOTES"

_address: ContextVar[str] = ContextVar("address", default="")
_once = threading.Lock()


def note(**what: Any) -> None:
    """Write one line, with the address of the present request."""
    line = json.dumps({"address": _address.get(), **what}) + "\n"
    descriptor = os.open(os.environ[FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read_notes(file: Path) -> list[dict[str, Any]]:
    """Give all that was noted so far."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def watch(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: remember whose request it is, and note the codes that answers meet."""
    compare = codes.matches_any

    def compare_and_note(answer: str, digests: Iterable[str], *, bound_to: str) -> bool:
        found = list(digests)
        for digest in found:
            note(event="compared", length=int(digest.split("$")[1]))
        return compare(answer, found, bound_to=bound_to)

    if _once.acquire(blocking=False):
        codes.matches_any = compare_and_note

    def answer(request: HttpRequest) -> HttpResponse:
        _address.set(request.META.get("HTTP_X_FORWARDED_FOR", ""))
        return get_response(request)

    return answer
