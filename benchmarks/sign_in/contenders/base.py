"""What a contender is: how its site is set up, and what its client says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, ClassVar

# The environment of a site: who it is, and where what it uses is.
CONTENDER = "BENCHMARK_CONTENDER"
DATABASE = "BENCHMARK_DATABASE"
CACHE = "BENCHMARK_CACHE"
BROKER = "BENCHMARK_BROKER"

Body = Mapping[str, Any]
# The framework and the tokens that most contenders log in with.
REST = ("rest_framework", "rest_framework.authtoken")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of a client."""

    path: str
    body: Body
    headers: Mapping[str, str] = field(default_factory=dict)


class Contender:
    """A way to sign in by phone: a class sets what is below, and writes `settings` and the rest."""

    name: ClassVar[str]
    title: ClassVar[str]
    # What has to be installed; the first is whose version is told.
    distributions: ClassVar[tuple[str, ...]]
    # Of what this app has; in neutral words, for the table in the docs.
    leaves_out: ClassVar[str]
    # Emptied before each round, with all that refers to them.
    tables: ClassVar[tuple[str, ...]] = ("auth_user",)
    asked_status: ClassVar[int] = 200

    @property
    def package(self) -> str:
        """Name the package that it is in."""
        return type(self).__module__

    def find_missing(self) -> str:
        """Say what is not installed, empty where all is."""
        for name in self.distributions:
            try:
                metadata.version(name)
            except metadata.PackageNotFoundError:
                return f"{name} is not installed"
        return ""

    @property
    def version(self) -> str:
        """Give the version of what is measured."""
        return metadata.version(self.distributions[0])

    def settings(self) -> dict[str, Any]:
        """Give the settings that it adds; called in the processes of its site."""
        raise NotImplementedError

    def workers(self, deliveries_count: int) -> list[list[str]]:
        """Give the arguments of each worker's Python, for so many deliveries at once."""
        return []

    def ask(self, phone: str, *, is_known: bool) -> Ask:
        """Ask for a code."""
        raise NotImplementedError

    def answer(self, asked: Body, phone: str, code: str, *, is_known: bool) -> Ask:
        """Answer with the code; `asked` is what came back when it was asked for."""
        raise NotImplementedError

    def proof(self, answered: Body) -> str:
        """Give the token that the person is logged in with; raises `KeyError` without one."""
        return str(answered["token"])
