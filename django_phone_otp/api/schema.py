"""The API as OpenAPI, for sites with drf-spectacular. Layer 5; `apps` imports it where that is.

What the operations are stands in `operations`; here it is handed to drf-spectacular, through the
extensions that it knows, and as the site's settings make it: with its issuer, its user model and
its authentication.
"""

# Classes are registered by a method of drf-spectacular's that has no types.
# mypy: allow-untyped-calls

from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.db import models
from drf_spectacular.extensions import (
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
    OpenApiViewExtension,
)
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
)
from rest_framework.authentication import SessionAuthentication
from rest_framework.fields import Field

from .. import conf
from ..issuers import Issuer, load_issuer
from ..openapi.operations import Operation
from ..openapi.schema import OperationSchema, describe, header, respond
from .operations import OPERATIONS, THROTTLED, UNAUTHENTICATED, Refusals, code_of
from .serializers import LoginSerializer, errors_of

# What the keys of the issuers that come with the app are; those of a site's own need no sentence.
_ISSUED = {
    "token": "Proves who is logged in. None for a link.",
    "access": "Proves who is logged in, for a short time. None for a link.",
    "refresh": "Exchanged for a new `access`. None for a link.",
}
_ISSUED_EXAMPLES = {
    "token": "627f78021f6a3971f281f8688704b28c902bd8c7",
    "access": "eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIn0.c2lnbmF0dXJl",
    "refresh": "eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl",
}


class APISchema(OperationSchema):
    """Says what the API refuses, and how it logs in."""

    operation: Operation[Refusals]
    sentences = "`hint` and `detail`"

    def complete(self, body: Any) -> Any:
        """Add to the example of a login what the site's issuer gives."""
        if not (isinstance(body, Mapping) and "device" in body and "user" in body):
            return body
        issued = {key: _ISSUED_EXAMPLES.get(key, "…") for key in _issuer().answers}
        return {"user": body["user"], **issued, "device": body["device"]}

    def list_refusals(self) -> Iterator[Refusals]:
        """List what this site's view may refuse."""
        found = self.operation.refusals
        for refusals in found:
            if refusals is not UNAUTHENTICATED or self.says_401():
                yield refusals
        if self.view.get_throttles() and not any(each.status == 429 for each in found):
            yield THROTTLED

    def refuse(self, refusals: Refusals) -> OpenApiResponse:
        """Give the refusals of one status, with errors of fields beside them where there are."""
        examples = {code_of(word): refusals.example_of(word) for word in refusals.words}
        shape: Any = refusals.serializer
        if refusals.problem:
            errors = errors_of(self.get_request_serializer(), *self.operation.errors)
            shape = PolymorphicProxySerializer(
                component_name=refusals.problem,
                serializers=[refusals.serializer, errors],
                resource_type_field_name=None,
            )
            first_field = next(iter(errors().fields))
            examples["field errors"] = {
                first_field: [str(Field.default_error_messages["required"])]
            }
        return respond(shape, refusals.description, examples)

    def list_more_parameters(self) -> Iterator[OpenApiParameter]:
        """List what belongs to a login by cookie: CSRF, and the cookie."""
        by_cookie = any(
            isinstance(each, SessionAuthentication) for each in self.view.get_authenticators()
        )
        logs_in = self.operation.answer.serializer is LoginSerializer
        gives_cookie = logs_in and _issuer().uses_cookies
        if self.method != "GET" and (by_cookie or gives_cookie):
            yield OpenApiParameter(
                "X-CSRFToken",
                str,
                OpenApiParameter.HEADER,
                description="The value of the cookie `csrftoken`; a browser has to send it.",
            )
        if gives_cookie:
            cookies = "The session, which is the login; and `phone_otp_device`."
            yield header("Set-Cookie", cookies, statuses=[self.operation.answer.status])


class ViewExtension(OpenApiViewExtension):
    """Describes the views, and subclasses that a site makes of them."""

    target_class = "django_phone_otp.api.views.FlowView"
    match_subclasses = True

    def view_replacement(self) -> Any:
        """Give the view with a schema that knows its operation."""
        return describe(self.target, OPERATIONS, APISchema)


class DeviceFieldExtension(OpenApiSerializerFieldExtension):
    """A device string is text."""

    target_class = "django_phone_otp.api.serializers.DeviceField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Promise text, although anything else is taken for none."""
        return {"type": "string"}


class UserKeyFieldExtension(OpenApiSerializerFieldExtension):
    """The primary key of users is what the site's model says."""

    target_class = "django_phone_otp.api.serializers.UserKeyField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Look at the column, through the models that it may come from."""
        key: Any = get_user_model()._meta.pk
        while key.remote_field:
            key = key.target_field
        if isinstance(key, models.IntegerField):
            return {"type": "integer"}
        is_uuid = isinstance(key, models.UUIDField)
        return {"type": "string", "format": "uuid"} if is_uuid else {"type": "string"}


class LoginExtension(OpenApiSerializerExtension):
    """Adds what the site's issuer gives."""

    target_class = "django_phone_otp.api.serializers.LoginSerializer"

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Put the issuer's keys beside the user."""
        schema: dict[str, Any] = auto_schema._map_serializer(
            self.target, direction, bypass_extensions=True
        )
        issued = {
            key: {"type": "string"} | ({"description": _ISSUED[key]} if key in _ISSUED else {})
            for key in _issuer().answers
        }
        schema["properties"] = schema["properties"] | issued
        return schema


class FieldErrorsExtension(OpenApiSerializerExtension):
    """Errors of fields have no other names than those of fields."""

    target_class = "django_phone_otp.api.serializers.FieldErrorsSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Close the object: a refusal, which may come in its place, is none."""
        schema: dict[str, Any] = auto_schema._map_serializer(
            self.target, direction, bypass_extensions=True
        )
        return {**schema, "minProperties": 1, "additionalProperties": False}


def _issuer() -> Issuer:
    return load_issuer(conf.read().token_issuer)
