"""What a browser's session remembers between the pages. Layer 5.

SECURITY: the challenge's identifier, by which it is answered, and where to go afterwards. It never
holds a code, and the identifier never stands in an address, where logs and other sites would read
it.
"""

from dataclasses import dataclass

from django.http import HttpRequest

from ..models import PhoneChallenge

KEY = "_phone_otp_login"


@dataclass(frozen=True, slots=True)
class Memory:
    """The `public_id` of the challenge, "" for none, and the address to go to, "" for none."""

    public_id: str = ""
    next_url: str = ""


def remember(request: HttpRequest, challenge: PhoneChallenge, next_url: str) -> None:
    """Keep a challenge, in the place of any other."""
    request.session[KEY] = {"challenge": challenge.public_id, "next": next_url}


def recall(request: HttpRequest) -> Memory:
    """Give what is kept."""
    kept = request.session.get(KEY)
    return Memory(kept["challenge"], kept["next"]) if kept else Memory()


def forget(request: HttpRequest) -> None:
    """Keep nothing any more."""
    request.session.pop(KEY, None)
