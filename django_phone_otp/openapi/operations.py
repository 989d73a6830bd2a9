"""What an operation of a door takes, answers and refuses, as data. Beside `door`.

Each door lists its own operations; `schema` writes them as OpenAPI. Nothing of drf-spectacular is
needed here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from rest_framework import serializers

Refused = TypeVar("Refused")


@dataclass(frozen=True)
class Answer:
    """What an operation answers when all is well; `many` for a list of what is in `examples`."""

    status: int
    description: str
    serializer: type[serializers.Serializer[Any]] | None = None
    many: bool = False
    examples: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Parameter:
    """What an operation takes beside its body; `schema` is JSON Schema."""

    name: str
    location: Literal["path", "query", "header"]
    description: str
    schema: Mapping[str, Any]
    example: Any = None


@dataclass(frozen=True)
class Link:
    """An operation that goes on from an answer: where in the answer to find what it takes.

    What it takes in its body is told in the description alone: openapi-generator (7.26) makes no
    client at all of a schema that has it in `requestBody`, unless as a text.
    """

    operation_id: str
    description: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation(Generic[Refused]):
    """One view's one method.

    What stands in `refusals` is the door's own. `bodies` are examples of what is sent; without
    any, nothing is. `errors` are names under which a field error may stand beside those of the
    body's fields. With `needs_user` somebody has to be logged in.
    """

    id: str
    tag: str
    summary: str
    description: str
    answer: Answer
    refusals: tuple[Refused, ...]
    bodies: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    links: Mapping[str, Link] = field(default_factory=dict)
    needs_user: bool = False
