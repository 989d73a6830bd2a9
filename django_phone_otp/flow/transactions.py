"""How a view stays outside of transactions, and what others can do to one. Layer 4."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from django.db import IntegrityError, OperationalError, connections, transaction

from ..models import PhoneChallenge

View = TypeVar("View", bound=Callable[..., Any])
R = TypeVar("R")

MAX_DEADLOCKS = 10  # of one transaction, each of which let another one through


class _Beaten(Exception):
    """The database has ended a transaction for the sake of another one."""


def outside_transactions(view: View) -> View:
    """Mark a view so that `ATOMIC_REQUESTS` opens no transaction around it, on any database.

    SECURITY: in a transaction around the request an error would take back the count of a try, and a
    provider would be called while it is open.
    """
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


def refuse_transaction(using: str) -> None:
    """Raise `RuntimeError` inside a transaction: what comes next is to be committed at once."""
    if transaction.get_connection(using).in_atomic_block:
        with transaction.atomic(using=using, durable=True):
            pass  # Django raises, but for the transaction of a `TestCase`


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


@contextmanager
def racing_for(challenge: PhoneChallenge) -> Iterator[None]:
    """Open a transaction as `atomic_for` does, which may be lost to somebody who was faster.

    It is over without a word where the database has ended it for the sake of another one. All that
    was written is gone then; of what objects hold only the challenge knows that it is not stored.
    """
    is_new = challenge._state.adding
    with suppress(_Beaten), atomic_for(challenge):
        try:
            yield
        except OperationalError as error:  # in here: what comes after a commit is no lost race
            if not _is_deadlock(error):
                raise
            challenge._state.adding = is_new
            raise _Beaten from error


def outlast_deadlocks(transact: Callable[[], R]) -> R:
    """Do a transaction, anew where the database has ended it for the sake of another one.

    MariaDB does so to two that delete from small tables, which it reads whole, and to two that
    insert what was deleted a moment ago. Raises `OperationalError` for all else.
    """
    for _ in range(MAX_DEADLOCKS):
        try:
            return transact()
        except OperationalError as error:
            if not _is_deadlock(error):
                raise
    return transact()


def _is_deadlock(error: OperationalError) -> bool:
    # MariaDB: https://mariadb.com/kb/en/mariadb-error-codes/
    # PostgreSQL: https://www.postgresql.org/docs/current/errcodes-appendix.html
    return error.args[:1] == (1213,) or getattr(error.__cause__, "sqlstate", "") == "40P01"
