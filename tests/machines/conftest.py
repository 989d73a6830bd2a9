"""Machines and a database of their own for each test that asks for them.

They take all of two cores for some minutes: `tox run -e machines` asks for them by
`PHONE_OTP_MACHINES`, and everybody else leaves them out.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from .database import Postgres, using
from .machines import Cluster

if "PHONE_OTP_MACHINES" not in os.environ:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="package")
def postgres(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Iterator[Postgres]:
    """A server with a database "made", which has all tables and no rows."""
    with Postgres() as server, django_db_blocker.unblock():
        folder = tmp_path_factory.mktemp("made")
        with Cluster("database", server.make("made"), folder) as cluster:
            cluster.run("migrate", "--verbosity", "0")
        yield server


@pytest.fixture(scope="package")
def open_cluster(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """Make machines on a database of their own: `with open_cluster("rq") as cluster:`.

    In the block the models of the test are in that database as well.
    """

    @contextmanager
    def start(kind: str, **given: Any) -> Iterator[Cluster]:
        folder = tmp_path_factory.mktemp(kind)
        database = postgres.make(folder.name, template="made")
        with using(database), Cluster(kind, database, folder, **given) as cluster:
            yield cluster

    return start
