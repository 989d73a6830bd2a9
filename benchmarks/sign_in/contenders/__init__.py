"""Who is measured: each contender is a package with its settings, its URLs and its client."""

from __future__ import annotations

from .allauth import Allauth
from .base import Contender
from .drfpasswordless import Drfpasswordless
from .floor import Floor
from .phone_otp import Celery, Inline, Tasks
from .phone_verify import PhoneVerify

CONTENDERS: tuple[Contender, ...] = (
    Floor(),
    Inline(),
    Tasks(),
    Celery(),
    PhoneVerify(),
    Drfpasswordless(),
    Allauth(),
)


def find(name: str) -> Contender:
    """Give the contender of that name; raises `ValueError` where there is none."""
    for each in CONTENDERS:
        if each.name == name:
            return each
    names = ", ".join(each.name for each in CONTENDERS)
    raise ValueError(f'there is no contender "{name}"; there are {names}')
