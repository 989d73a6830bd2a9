"""How a view stays outside of transactions, and what an erasure does to one. Layer 4."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import IntegrityError, connections, transaction

from ..models import PhoneChallenge

View = TypeVar("View", bound=Callable[..., Any])


def outside_transactions(view: View) -> View:
    """Mark a view so that `ATOMIC_REQUESTS` opens no transaction around it, on any database.

    SECURITY: in a transaction around the request an error would take back the count of a try, and a
    provider would be called while it is open.
    """
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


@contextmanager
def atomic_for(challenge: PhoneChallenge) -> Iterator[None]:
    """Open a transaction that writes rows of a challenge.

    Raises `PhoneChallenge.DoesNotExist` where an operator has erased it meanwhile; what was written
    is then gone with it.
    """
    challenges = PhoneChallenge.primary()
    try:
        with transaction.atomic(using=challenges.db, durable=True):
            yield
    except IntegrityError:
        if challenge._state.adding or challenges.filter(pk=challenge.pk).exists():
            raise
        raise PhoneChallenge.DoesNotExist from None
