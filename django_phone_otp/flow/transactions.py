"""For doors: how a view stays outside of transactions. Layer 4."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import connections, transaction

View = TypeVar("View", bound=Callable[..., Any])


def outside_transactions(view: View) -> View:
    """Mark a view so that `ATOMIC_REQUESTS` opens no transaction around it, on any database.

    SECURITY: in a transaction around the request an error would take back the count of a try, and a
    provider would be called while it is open.
    """
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view
