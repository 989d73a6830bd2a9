"""Where the API takes more than the schema asks clients to send, and why."""

from typing import Any

from schemathesis import Case

# Of these the schema says text, of a length.
# - A number is read as the text that it is written with, as any CharField of DRF does. Clients are
#   told to send text, because a code may begin with 0.
# - Blanks around a text do not count, also where it is too long with them.
TEXTS = ("phone", "challenge", "code", "captcha_token")
# Beside them:
# - Whatever cannot be a device string counts as none: nobody is kept from logging in by it.
# - Only `true` unlinks the last phone; every other word is no.


def is_taken_all_the_same(case: Case) -> bool:
    """Say whether a case that is not as described may be accepted nevertheless."""
    if case.meta is None or case.meta.generation.mode.is_positive:
        return False
    body = case.body if isinstance(case.body, dict) else {}
    texts = [body[name] for name in TEXTS if name in body]
    return (
        any(map(_is_number, texts))
        or any(map(_has_blanks_around, texts))
        or not isinstance(body.get("device", ""), str)
        or "even_last" in (case.query or {})
    )


def is_elsewhere(case: Case) -> bool:
    """Say whether the address is none of ours: what Django answers there is its own business."""
    phone_id = str(case.path_parameters.get("phone_id", "0"))
    return not (phone_id.isascii() and phone_id.isdigit())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _has_blanks_around(value: Any) -> bool:
    return isinstance(value, str) and value != value.strip()
