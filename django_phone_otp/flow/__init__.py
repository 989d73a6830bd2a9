"""The flow: the only place with policy. Layer 4.

Doors call `request_code`, `resend_code`, `confirm_code` and translate what comes back. Everyday
refusals are values; exceptions are for input that is no phone and for what should not happen. The
flow knows neither HttpRequest nor DRF.

Call it outside transactions (`transaction.non_atomic_requests` for a view under `ATOMIC_REQUESTS`):
what it counts must be committed before anybody is answered, and no transaction may be open while a
provider is called. Django raises `RuntimeError` where that is not so.
"""

from ..choices import Refusal
from .calls import look_at_challenge
from .client import Client
from .confirm import confirm_code
from .devices import give_device
from .hooks import Decision
from .phones import OwnedPhone, link_phone, list_phones, make_primary, unlink_phone
from .recognition import find_latest
from .request import (
    Asked,
    find_challenge,
    request_code,
    resend_code,
    seconds_until_resend,
    try_account,
)
from .users import Login, spend_challenge
from .verdicts import Answer

__all__ = [
    "Answer",
    "Asked",
    "Client",
    "Decision",
    "Login",
    "OwnedPhone",
    "Refusal",
    "confirm_code",
    "find_challenge",
    "find_latest",
    "give_device",
    "link_phone",
    "list_phones",
    "look_at_challenge",
    "make_primary",
    "request_code",
    "resend_code",
    "seconds_until_resend",
    "spend_challenge",
    "try_account",
    "unlink_phone",
]
