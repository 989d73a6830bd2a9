"""Recognition: requests that a client repeats, and clients that keep no identifier. Layer 4.

What a client names itself or its request by is stored as a keyed digest alone, which says nothing
without the phone that it belongs to.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.crypto import salted_hmac

from ..choices import OPEN_STATES, Purpose, State
from ..models import PhoneChallenge

# How long a repeated request gets the challenge of the first; afterwards its key is as good as new.
REPEAT_TIME = timedelta(hours=24)


def digest_request(
    key: str, phone: str, *, purpose: str, channel: str | None, user_pk: object
) -> str | None:
    """Digest what makes two requests one: the client's key, and all that it asks for.

    With the same key and another phone it is another request. None without a key.
    """
    if not key:
        return None
    return _digest("request", [key, phone, purpose, channel or "", str(user_pk or "")])


def digest_client(key: str, phone: str) -> str:
    """Digest what a client that keeps no identifier of a challenge is recognised by."""
    return _digest("client", [key, phone])


def find_repeated(digest: str | None, now: datetime) -> PhoneChallenge | None:
    """Find the challenge of a request that was made before."""
    if digest is None:
        return None
    challenges = PhoneChallenge.primary()
    found = challenges.select_related("ledger", "device").filter(request_digest=digest).first()
    if found and now - found.created_at >= REPEAT_TIME:
        challenges.filter(pk=found.pk).update(request_digest=None)
        return None
    return found


def find_latest(phone: str, client_key: str) -> PhoneChallenge | None:
    """Find the newest challenge that this client asked for to log in with a phone, if it is open.

    One of which no message went out does not count: the code of the one before is still answered.
    SECURITY: only among its own. Whoever knows a phone could else answer what others have asked
    for, and use up their tries.
    """
    asked = PhoneChallenge.primary().to_phone(phone)
    asked = asked.filter(
        purpose=Purpose.LOGIN,
        client_digest=digest_client(client_key, phone),
        created_at__gt=timezone.now() - REPEAT_TIME,
    )
    went_out = asked.exclude(state__in=(State.CANCELLED, State.FAILED)).filter(call_to="")
    found = went_out.order_by("-created_at", "-pk").first()
    return found if found and found.state in OPEN_STATES else None


def _digest(what: str, parts: Sequence[str]) -> str:
    salt = f"django_phone_otp.recognition.{what}"
    return salted_hmac(salt, json.dumps(parts), algorithm="sha256").hexdigest()
