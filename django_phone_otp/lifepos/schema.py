"""This door as OpenAPI, for sites with drf-spectacular. Layer 5; `apps` imports it where that is.

First what the two operations take, answer and refuse, then how drf-spectacular is told. The bodies
of refusals are those that `answers` gives: nothing is written twice.
"""

# Classes are registered by a method of drf-spectacular's that has no types.
# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from drf_spectacular.extensions import (
    OpenApiSerializerExtension,
    OpenApiViewExtension,
)
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import exceptions, serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from .. import conf
from ..choices import Refusal
from ..fields import WordField
from ..issuers import load_issuer
from ..openapi.operations import Answer, Operation, Parameter
from ..openapi.schema import OperationSchema, describe, header, respond
from .answers import answer_mistake, refuse, refuse_exception
from .serializers import SendCodeSerializer
from .tokens import write_tokens
from .words import (
    CLIENT_TYPES,
    MAX_PHONE_LENGTH,
    MIN_PHONE_LENGTH,
    PHONE,
    Word,
)

# Shapes of answers


class TokensSerializer(serializers.Serializer[Any]):
    """What a login gives."""

    token = serializers.CharField(help_text="Proves who is logged in.")
    refresh_token = serializers.CharField(
        required=False, help_text="Exchanged for a new `token` where the site issues such."
    )

    class Meta:
        ref_name = "LifePOSTokens"


class RefusalSerializer(serializers.Serializer[Any]):
    """Every refusal; the words under `code` are those of the document, in its order."""

    code = WordField("LifePOSRefusalCode", choices=[word.value for word in Word])
    message = serializers.CharField(help_text="A sentence for the person.")
    info = serializers.CharField(
        help_text="For developers: the word that the site has for it, or the fields that do not "
        "fit. Empty for `InternalServerError`."
    )

    class Meta:
        ref_name = "LifePOSRefusal"


# Refusals


@dataclass(frozen=True)
class Cause:
    """One thing that may go wrong, and what is answered to it, in the language of the moment."""

    name: str
    answer: Callable[[], Response]


@dataclass(frozen=True)
class Refusals:
    """What is refused with one status."""

    status: int
    bodies: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def description(self) -> str:
        """Say when that is, and with which words."""
        words = dict.fromkeys(body["code"] for body in self.bodies.values())
        return f"{_WHEN[self.status]} {', '.join(f'`{word}`' for word in words)}."


_WHEN = {
    401: "Nobody is logged in, where the site asks for that:",
    403: "The site gives no access, or no token to this user:",
    404: "Nobody can log in with this phone; only where the site tells:",
    405: "Another method than `POST`:",
    415: "The body is not called JSON:",
    422: "Something that was sent does not fit:",
    429: "Not now:",
    500: "Something that is needed is out of reach:",
}


def _by_flow(refusal: Refusal) -> Cause:
    return Cause(refusal.value, partial(refuse, refusal))


def _by_drf(name: str, make: Callable[[], Exception]) -> Cause:
    # Made when it is asked for: its sentence is in the language of that moment.
    return Cause(name, lambda: refuse_exception(make(), {}))


def _lack_phone() -> Exception:
    serializer = SendCodeSerializer(data={})
    serializer.is_valid()
    return exceptions.ValidationError(serializer.errors)


_UNAUTHENTICATED = _by_drf("not authenticated", exceptions.NotAuthenticated)
_FORBIDDEN = _by_drf("permission denied", exceptions.PermissionDenied)
_BY_ALL = (
    _by_drf("method not allowed", partial(exceptions.MethodNotAllowed, "GET")),
    _by_drf("unsupported media type", partial(exceptions.UnsupportedMediaType, "text/plain")),
    _by_drf("field errors", _lack_phone),
    _by_drf("malformed", partial(exceptions.ParseError, "JSON parse error - Expecting value")),
    _by_flow(Refusal.PHONE_NOT_ALLOWED),
    _by_flow(Refusal.TOO_MANY_REQUESTS),
    _by_flow(Refusal.LOCKED),
    _by_flow(Refusal.UNAVAILABLE),
    Cause("internal server error", answer_mistake),
)

# Operations

TAG = "LIFE POS login"

_IGNORED = (
    "Client-Name",
    "Client-OS-Name",
    "Client-OS-Version",
    "Client-Screen-Resolution",
    "Client-Model",
    "Client-Extensions",
    "Organization-Alias",
)
_PARAMETERS = (
    Parameter(
        "X-LP-Client-Identifier",
        "header",
        "Any text that the app makes once and keeps; the same with both calls.",
        {"type": "string"},
        "5d0c7a4e-9d3e-4c53-8d9e-2f6b1c0e7f11",
    ),
    Parameter(
        "X-LP-Client-Type",
        "header",
        "The kind of the app.",
        {"type": "string", "enum": list(CLIENT_TYPES)},
        "Android",
    ),
    *(
        Parameter(f"X-LP-{name}", "header", "Free text, ignored.", {"type": "string"})
        for name in _IGNORED
    ),
    Parameter("Accept-Language", "header", "The language of `message`.", {"type": "string"}, "ru"),
)

# By the name of the view in `views`.
OPERATIONS: Mapping[str, Operation[Cause]] = {
    "SendCodeView": Operation(
        "sendCodeByPhone",
        TAG,
        "Ask for a code",
        "Sends a code to the phone: this costs the site money. Each call is a new request.",
        Answer(204, "A code is on its way."),
        (
            *_BY_ALL,
            _by_flow(Refusal.UNKNOWN_PHONE),
            _by_flow(Refusal.CAPTCHA_REQUIRED),
            _by_flow(Refusal.CAPTCHA_FAILED),
            _by_flow(Refusal.RESEND_TOO_SOON),
            _by_flow(Refusal.DELIVERY_FAILED),
        ),
        bodies={
            "A phone": {"phone": "+79244501003"},
            "With a text message": {"phone": "8(924)450-10-03", "send_sms": True},
        },
        parameters=_PARAMETERS,
    ),
    "SignInView": Operation(
        "signInByCode",
        TAG,
        "Answer with the code",
        "Logs in with the newest code that this app has asked for with this phone.",
        Answer(
            200,
            "The phone is proved.",
            TokensSerializer,
            examples={"Logged in": {"token": "627f78021f6a3971f281f8688704b28c902bd8c7"}},
        ),
        (
            *_BY_ALL,
            _FORBIDDEN,  # by the issuer
            _by_flow(Refusal.WRONG_CODE),
            _by_flow(Refusal.EXPIRED),
            _by_flow(Refusal.CHALLENGE_CLOSED),
            _by_flow(Refusal.UNKNOWN_CHALLENGE),
        ),
        bodies={"A code": {"phone": "+79244501003", "confirmation_code": "012345"}},
        parameters=_PARAMETERS,
    ),
}

# What the schema knows of the fields of bodies, beside what their classes say.
_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "phone": {
        "minLength": MIN_PHONE_LENGTH,
        "maxLength": MAX_PHONE_LENGTH,
        # Digits are those of ASCII, whatever `\d` is in the language of a client.
        "pattern": f"^{PHONE.pattern}$".replace(r"\d", "[0-9]"),
        "description": "`8…` and `+7…` are Russian; without either it is of the site's region.",
    },
    "ip": {"description": "The person's address, where a server asks that the site trusts."},
    "token": {"description": "What the captcha gave, where the site has one."},
    "captcha_type": {"description": "Which captcha gave it."},
    "send_sms": {"description": "`true`: as a text message. Else the site decides."},
    "confirmation_code": {"minLength": 1, "description": "As the person types it."},
}

# By the name of the serializer in `serializers`.
_BODIES = {"SendCodeSerializer": "LifePOSSendCode", "SignInSerializer": "LifePOSSignIn"}


class LifePOSSchema(OperationSchema):
    """Says what this door refuses, and what the site's issuer gives."""

    operation: Operation[Cause]
    sentences = "`message`"

    def complete(self, body: Any) -> Any:
        """Add `refresh_token` where it is given for sure."""
        return write_tokens({**body, "refresh": "…"}) if "refresh" in _list_issued() else body

    def list_refusals(self) -> Iterator[Refusals]:
        """List what this site's view may refuse, by status."""
        found: dict[int, Refusals] = {}
        for cause in self._list_causes():
            answer = cause.answer()
            status = answer.status_code
            found.setdefault(status, Refusals(status)).bodies[cause.name] = answer.data
        yield from found.values()

    def refuse(self, refusals: Refusals) -> OpenApiResponse:
        """Give the refusals of one status, all of one shape."""
        return respond(RefusalSerializer, refusals.description, refusals.bodies)

    def list_more_parameters(self) -> Iterator[OpenApiParameter]:
        """List the header that belongs to 405."""
        yield header("Allow", "The methods that there are.", statuses=[405])

    def _list_causes(self) -> Iterator[Cause]:
        yield from self.operation.refusals
        # Of the site: ours let everybody in.
        if any(type(each) is not AllowAny for each in self.view.get_permissions()):
            yield _FORBIDDEN
            if self.says_401():
                yield _UNAUTHENTICATED


class ViewExtension(OpenApiViewExtension):
    """Describes the views, and subclasses that a site makes of them."""

    target_class = "django_phone_otp.lifepos.views.LifePOSDoor"
    match_subclasses = True

    def view_replacement(self) -> Any:
        """Give the view with a schema that knows its operation."""
        return describe(self.target, OPERATIONS, LifePOSSchema)


class BodyExtension(OpenApiSerializerExtension):
    """Names the bodies, and says what their fields are."""

    target_class = "django_phone_otp.lifepos.serializers.AskerSerializer"
    match_subclasses = True

    def get_name(self, auto_schema: Any, direction: Any) -> str | None:
        """Give the class in generated clients; of a body of the site's own making, none."""
        names = [each.__name__ for each in type(self.target).__mro__]
        return next((_BODIES[name] for name in names if name in _BODIES), None)

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Add what is known of the fields."""
        schema: dict[str, Any] = auto_schema._map_serializer(
            self.target, direction, bypass_extensions=True
        )
        for name, known in _FIELDS.items():
            if name in schema["properties"]:
                schema["properties"][name] |= known
        return schema


class TokensExtension(OpenApiSerializerExtension):
    """Shows `refresh_token` as the site's issuer gives it."""

    target_class = "django_phone_otp.lifepos.schema.TokensSerializer"

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Promise it, leave it out, or leave it open where the issuer does not say."""
        schema: dict[str, Any] = auto_schema._map_serializer(
            self.target, direction, bypass_extensions=True
        )
        issued = _list_issued()
        if "refresh" in issued:
            schema["required"] = [*schema["required"], "refresh_token"]
        elif issued:
            del schema["properties"]["refresh_token"]
        return schema


def _list_issued() -> tuple[str, ...]:
    return load_issuer(conf.read().token_issuer).answers
