"""An operation as OpenAPI, through the hooks of drf-spectacular. Beside `door`.

What a door's operations are, and the shapes that they have, stands with the door. Imported only
where drf-spectacular is installed.
"""

# drf-spectacular's class of components has no types.
# mypy: allow-untyped-calls

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from django.http import HttpRequest
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.plumbing import ComponentRegistry, ResolvedComponent
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from .operations import Operation


class OperationSchema:
    """Says what `operation` says; mixed into the site's own `AutoSchema`.

    A door says in a subclass what it refuses, and what else its answers have.
    """

    operation: Operation[Any]
    # The keys of its answers that are in the language of the client.
    sentences: ClassVar[str]
    view: Any
    method: str
    registry: ComponentRegistry

    def get_operation_id(self) -> str:
        """Give the name of the function in generated clients."""
        return self.operation.id

    def get_tags(self) -> list[str]:
        """Give the class in generated clients."""
        return [self.operation.tag]

    def get_summary(self) -> str:
        """Give the line for a list."""
        return self.operation.summary

    def get_description(self) -> str:
        """Give what the line leaves out."""
        return self.operation.description

    def get_request_serializer(self) -> Any:
        """Give the shape of the body, which may be a site's own; None where nothing is sent."""
        return self.view.get_serializer_class() if self.operation.bodies else None

    def get_response_serializers(self) -> Any:
        """Give the answer, and the refusals by their status."""
        answer = self.operation.answer
        shape = answer.serializer(many=answer.many) if answer.serializer else None
        examples = {name: self.complete(body) for name, body in answer.examples.items()}
        told = {str(answer.status): respond(shape, answer.description, examples)}
        for refusals in self.list_refusals():
            told[str(refusals.status)] = self.refuse(refusals)
        return dict(sorted(told.items()))

    def complete(self, body: Any) -> Any:
        """Give an example of the answer as this site has it."""
        return body

    def says_401(self) -> bool:
        """Say whether 401 asks for a login: without a scheme in the first class DRF says 403."""
        return self.view.get_authenticate_header(HttpRequest()) is not None

    def list_refusals(self) -> Iterator[Any]:
        """List what this site's view may refuse; each has a `status`."""
        raise NotImplementedError

    def refuse(self, refusals: Any) -> OpenApiResponse:
        """Give the refusals of one status."""
        raise NotImplementedError

    def list_more_parameters(self) -> Iterable[OpenApiParameter]:
        """List what this site's view takes beside that, and headers of this door alone."""
        return ()

    def get_auth(self) -> list[dict[str, Any]]:
        """Give the ways to say who asks; one that is empty is for a stranger."""
        found: list[dict[str, Any]] = super().get_auth()  # type: ignore[misc]
        return [each for each in found if each or not self.operation.needs_user]

    def get_override_parameters(self) -> list[OpenApiParameter]:
        """Give what is taken beside the body, and the headers of the answers."""
        taken = [
            OpenApiParameter(
                name=each.name,
                type=dict(each.schema),
                location=each.location,
                description=each.description,
                examples=[OpenApiExample(each.name, each.example)] if each.example else [],
            )
            for each in self.operation.parameters
        ]
        return [*taken, *self.list_more_parameters(), *self._list_headers()]

    def get_examples(self) -> list[OpenApiExample]:
        """Give examples of the body; those of answers come with the answers."""
        return [
            OpenApiExample(name, body, request_only=True)
            for name, body in self.operation.bodies.items()
        ]

    def get_operation(self, *arguments: Any, **named: Any) -> Any:
        """Add the links, for which drf-spectacular has no word, and have answers share examples."""
        operation = super().get_operation(*arguments, **named)  # type: ignore[misc]
        if not operation:
            return operation
        for response in operation["responses"].values():
            for media in response.get("content", {}).values():
                self._share_examples(media)
        if self.operation.links:
            answer = operation["responses"][str(self.operation.answer.status)]
            answer["links"] = {
                name: {
                    "operationId": link.operation_id,
                    "description": link.description,
                    **({"parameters": dict(link.parameters)} if link.parameters else {}),
                }
                for name, link in self.operation.links.items()
            }
        return operation

    def _share_examples(self, media: dict[str, Any]) -> None:
        """Make components of the examples: of others openapi-generator (7.26) warns."""
        shape = media["schema"].get("items", media["schema"])["$ref"].rpartition("/")[2]
        for name, example in media["examples"].items():
            component = ResolvedComponent(
                f"{shape}{name}", ResolvedComponent.EXAMPLE, schema=example, object=Operation
            )
            self.registry.register_on_missing(component)
            media["examples"][name] = component.ref

    def _list_headers(self) -> Iterator[OpenApiParameter]:
        statuses = [self.operation.answer.status, *(each.status for each in self.list_refusals())]
        yield header("Cache-Control", "Never kept.", {"type": "string", "enum": ["no-store"]})
        if 429 in statuses:
            seconds = {"type": "integer", "minimum": 1}
            yield header("Retry-After", "Seconds.", seconds, statuses=[429])
        if 401 in statuses:
            yield header("WWW-Authenticate", "How to log in.", statuses=[401])
        yield header("Content-Language", f"The language of {self.sentences}.")


class WordFieldExtension(OpenApiSerializerFieldExtension):
    """Makes each closed set of words a component of its own name."""

    target_class = "django_phone_otp.fields.WordField"
    match_subclasses = True

    def get_name(self) -> str:
        """Give the set's name: no other field of the site can change it."""
        name: str = self.target.name
        return name

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """List the words, with what each means where that is said."""
        listed = {"type": "string", "enum": [str(word) for word in self.target.choices]}
        meanings = [
            f"* `{word}`: {label}" for word, label in self.target.choices.items() if label != word
        ]
        return listed | ({"description": "\n".join(meanings)} if meanings else {})


def describe(
    view: type[Any], operations: Mapping[str, Operation[Any]], schema: type[OperationSchema]
) -> type[Any]:
    """Give the view with a schema that knows its operation, which goes by the view's name."""
    names = [each.__name__ for each in view.__mro__ if each.__name__ in operations]
    if not names:  # a view of the site's own making
        return view
    made = type("PhoneOTPSchema", (schema, type(view.schema)), {"operation": operations[names[0]]})
    # Lists of phones are whole, whatever the site's default is.
    attributes = {"schema": made(), "pagination_class": None, "filter_backends": ()}
    return type(view.__name__, (view,), attributes)


def respond(shape: Any, description: str, examples: Mapping[str, Any]) -> OpenApiResponse:
    """Give an answer of one status."""
    shown = [OpenApiExample(name, body) for name, body in examples.items()]
    return OpenApiResponse(shape, description, shown)


def header(
    name: str,
    description: str,
    schema: Mapping[str, Any] | None = None,
    statuses: list[int] | None = None,
) -> OpenApiParameter:
    """Give a header of answers: of all, or of some statuses."""
    return OpenApiParameter(
        name,
        dict(schema or {"type": "string"}),
        OpenApiParameter.HEADER,
        required=True,
        description=description,
        response=statuses or True,
    )
