"""The door as an app that knows the document asks it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from django_phone_otp.providers import local

SEND = "/lifepos/auth/send-code-by-phone"
SIGN_IN = "/lifepos/auth/sign-in-by-code"
DOCUMENT = Path(__file__).parent / "document.txt"


def fact(name: str) -> list[str]:
    """Read the possible values of something from the facts of the document."""
    (line,) = (each for each in DOCUMENT.read_text().splitlines() if each.startswith(f"{name}: ["))
    return line.removeprefix(f"{name}: [").removesuffix("]").split(", ")


def right_code() -> str:
    return local.outbox[-1].code


def wrong_code() -> str:
    code = right_code()
    return code[:-1] + str((int(code[-1]) + 1) % 10)


def told(response: Any) -> tuple[int, str, str]:
    """Give the status of a refusal, its word, and what it says to developers."""
    body = response.json()
    assert list(body) == fact("keys")
    return response.status_code, body["code"], body["info"]


@pytest.fixture
def send(api: APIClient) -> Callable[..., Any]:
    """Ask for a code: `send(phone=PHONE)`, with `headers` and `environ` where they matter."""
    return lambda **arguments: _post(api, SEND, arguments)


@pytest.fixture
def sign_in(api: APIClient) -> Callable[..., Any]:
    """Answer with a code: `sign_in(phone=PHONE, confirmation_code="012345")`."""
    return lambda **arguments: _post(api, SIGN_IN, arguments)


def _post(api: APIClient, path: str, arguments: dict[str, Any]) -> Any:
    headers = arguments.pop("headers", {})
    environ = arguments.pop("environ", {})
    body = json.dumps(arguments)  # as DRF's own writer of JSON would not: with what is no Unicode
    return api.post(path, body, content_type="application/json", headers=headers, **environ)
