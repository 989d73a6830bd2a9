"""What the server saw of each client, and what stands between the two: lost answers, a proxy.

Notes are lines of JSON in a file, one written by one call.
"""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

FILE = "PHONE_OTP_CLIENTS_NOTES"

# Phones that a proxy answers; whose first answer is lost; whose every answer is lost.
PROXIED, LOST, CUT_OFF = "+79244501101", "+79244501102", "+79244501103"
# Codes that are refused with a word of a later version, and with what status.
FUTURE = {"0400": 400, "0429": 429}

Answerer = Callable[[HttpRequest], HttpResponseBase]


def read_notes(file: Path) -> list[dict[str, Any]]:
    """Give all that was noted so far."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def watch(get_response: Answerer) -> Answerer:
    """Middleware: note what was answered, and disturb the calls of some phones."""
    file = Path(os.environ[FILE])

    def answer(request: HttpRequest) -> HttpResponseBase:
        body = json.loads(request.body or b"{}")
        key = request.headers.get("Idempotency-Key", "")
        is_repeated = key in [each["key"] for each in read_notes(file)]
        response = _stand_in_for_api(body) or get_response(request)
        language = request.headers.get("Accept-Language", "")
        line = {"path": request.path, "body": body, "key": key, "language": language}
        with file.open("a") as notes:
            notes.write(json.dumps(line) + "\n")
        if body.get("phone") == CUT_OFF or (body.get("phone") == LOST and not is_repeated):
            request.META["gunicorn.socket"].shutdown(socket.SHUT_RDWR)
        return response

    return answer


def _stand_in_for_api(body: dict[str, Any]) -> HttpResponseBase | None:
    if body.get("code") in FUTURE:
        words = {"detail": "Come back tomorrow.", "code": "word_of_a_later_version"}
        compact = {"separators": (",", ":")}
        return JsonResponse(words, status=FUTURE[body["code"]], json_dumps_params=compact)
    if body.get("phone") == PROXIED:
        return HttpResponse("<h1>Bad gateway</h1>", status=502)
    return None
