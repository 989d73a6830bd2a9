"""The stand-in as `PASSWORDLESS_SMS_CALLBACK`."""

from typing import Any

from benchmarks.sign_in import stand_in


def send(user: Any, mobile_token: Any, **_words: Any) -> bool:
    """Hand it to the stand-in."""
    stand_in.send(user.mobile, mobile_token.key)
    return True
