"""What each operation of the API takes, answers and refuses, as data. Layer 5.

The views do it, `schema` writes it as OpenAPI; nothing of drf-spectacular is needed here. A refusal
that stands nowhere here fails a test.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import lazy
from rest_framework import serializers
from rest_framework.exceptions import (
    APIException,
    AuthenticationFailed,
    NotAcceptable,
    NotAuthenticated,
    ParseError,
    PermissionDenied,
    UnsupportedMediaType,
)

from ..choices import Channel, Purpose, Refusal, State
from ..fields import WordField
from ..openapi.operations import Answer, Link, Operation, Parameter
from .serializers import ChallengeSerializer, LoginSerializer, PhoneSerializer

# A refusal of the flow, or one of DRF's, which has a word of its own.
Word = Refusal | type[APIException]
Fields = Mapping[str, serializers.Field[Any, Any, Any, Any]]

CHALLENGE = "22xfqJxToyIVipZeufI3WBlc6cSB5ACY"


def code_of(word: Word) -> str:
    """Give what stands under `code`."""
    return word.value if isinstance(word, Refusal) else str(word.default_code)


def say(word: Word) -> str:
    """Give what stands under `detail`, in the language that is active now."""
    if isinstance(word, Refusal):
        return word.message
    error = word("text/plain") if issubclass(word, UnsupportedMediaType) else word()
    return str(error.detail)


_say_later = lazy(say, str)


class RefusalSerializer(serializers.Serializer[Any]):
    """Base of all refusals; the words under `code` are those of its `Refusals`."""

    detail = serializers.CharField(help_text="A sentence for the person.")


@dataclass(frozen=True, eq=False)
class Refusals:
    """What is refused with one status and one shape; `name` is its class in generated clients.

    `extra` are the fields beside `detail` and `code`. Those which only some of the words have are
    not required; `only_with` names these words, by field. `problem` is the class of what is either
    this or errors of fields.
    """

    name: str
    status: int
    description: str
    words: tuple[Word, ...]
    extra: Fields = field(default_factory=dict)
    examples: Mapping[str, Any] = field(default_factory=dict)
    only_with: Mapping[str, tuple[Word, ...]] = field(default_factory=dict)
    problem: str = ""
    serializer: type[RefusalSerializer] = field(init=False)

    def __post_init__(self) -> None:
        """Make the serializer once: the schema tells components apart by their class."""
        labels = [(code_of(word), _say_later(word)) for word in self.words]
        code = WordField(f"{self.name}Code", choices=labels)
        extra = deepcopy(dict(self.extra))  # made after `code`, so they stand after it
        attributes = {"__doc__": self.description, "code": code, **extra}
        made = type(f"{self.name}Serializer", (RefusalSerializer,), attributes)
        object.__setattr__(self, "serializer", made)

    def example_of(self, word: Word) -> dict[str, Any]:
        """Give the body of one refusal."""
        extra = {
            name: value
            for name, value in self.examples.items()
            if word in self.only_with.get(name, self.words)
        }
        return {"detail": say(word), "code": code_of(word), **extra}


_SECONDS: Fields = {
    "retry_after": serializers.IntegerField(
        min_value=1, help_text="Seconds, as in the header `Retry-After`."
    )
}
_KEPT: Fields = {
    "challenge": serializers.CharField(
        required=False, help_text="With `delivery_failed`: it stays open for `resend/`."
    ),
    "resend_in": serializers.IntegerField(
        required=False, min_value=0, help_text="With `delivery_failed`: seconds until `resend/`."
    ),
}
_DELIVERY = (Refusal.DELIVERY_FAILED,)

REQUEST_REFUSAL = Refusals(
    "CodeRefusal",
    400,
    "The body is no JSON, or no code can be sent to this phone.",
    (Refusal.PHONE_NOT_ALLOWED, ParseError),
    problem="CodeProblem",
)
RESEND_REFUSAL = Refusals(
    "ResendRefusal",
    400,
    "The body is no JSON, or the challenge is over.",
    (
        Refusal.EXPIRED,
        Refusal.CHALLENGE_CLOSED,
        Refusal.UNKNOWN_CHALLENGE,
        Refusal.PHONE_NOT_ALLOWED,
        ParseError,
    ),
    problem="ResendProblem",
)
CONFIRM_REFUSAL = Refusals(
    "ConfirmRefusal",
    400,
    "The body is no JSON, the code is not right, or the challenge is over.",
    (
        Refusal.WRONG_CODE,
        Refusal.CALL_AWAITED,
        Refusal.EXPIRED,
        Refusal.CHALLENGE_CLOSED,
        Refusal.UNKNOWN_CHALLENGE,
        Refusal.PHONE_NOT_ALLOWED,
        ParseError,
    ),
    extra={
        "attempts_left": serializers.IntegerField(
            required=False, min_value=0, help_text="With `wrong_code`: how many more may be tried."
        )
    },
    examples={"attempts_left": 4},
    only_with={"attempts_left": (Refusal.WRONG_CODE,)},
    problem="ConfirmProblem",
)
CHALLENGE_REFUSAL = Refusals(
    "ChallengeRefusal", 400, "There is no such challenge.", (Refusal.UNKNOWN_CHALLENGE,)
)
UNAUTHENTICATED = Refusals(
    "Unauthenticated",
    401,
    "Nobody is logged in.",
    (NotAuthenticated, AuthenticationFailed),
)
FORBIDDEN = Refusals(
    "Forbidden",
    403,
    "The CSRF token is missing or wrong, or the site gives no access.",
    (PermissionDenied, NotAuthenticated, AuthenticationFailed),
)
FORBIDDEN_OR_CAPTCHA = Refusals(
    "CaptchaRefusal",
    403,
    "A captcha has to be passed; or the CSRF token is missing, or the site gives no access.",
    (
        Refusal.CAPTCHA_REQUIRED,
        Refusal.CAPTCHA_FAILED,
        PermissionDenied,
        NotAuthenticated,
        AuthenticationFailed,
    ),
)
UNKNOWN_PHONE = Refusals(
    "UnknownPhoneRefusal", 404, "The user has no phone with this id.", (Refusal.UNKNOWN_PHONE,)
)
NOT_ACCEPTABLE = Refusals("NotAcceptable", 406, "`Accept` is without JSON.", (NotAcceptable,))
LAST_PHONE = Refusals(
    "LastPhoneRefusal",
    409,
    "Without this phone the user could not log in.",
    (Refusal.LAST_PHONE,),
)
UNSUPPORTED = Refusals(
    "UnsupportedMediaType", 415, "The body is no `application/json`.", (UnsupportedMediaType,)
)
WAIT = Refusals(
    "Wait",
    429,
    "Not now.",
    (Refusal.RESEND_TOO_SOON, Refusal.TOO_MANY_REQUESTS, Refusal.LOCKED),
    extra=_SECONDS,
    examples={"retry_after": 17},
)
CONFIRM_WAIT = Refusals(
    "ConfirmWait",
    429,
    "Not now.",
    (Refusal.TOO_MANY_REQUESTS, Refusal.LOCKED),
    extra=_SECONDS,
    examples={"retry_after": 3600},
)
# By a throttle of the site, where we count nothing.
THROTTLED = Refusals(
    "Throttled",
    429,
    "Not now.",
    (Refusal.TOO_MANY_REQUESTS,),
    extra=_SECONDS,
    examples={"retry_after": 60},
)
UNDELIVERED = Refusals(
    "Undelivered",
    503,
    "No provider took the message, or something that is needed is out of reach.",
    (Refusal.DELIVERY_FAILED, Refusal.UNAVAILABLE),
    extra=_KEPT,
    examples={"challenge": CHALLENGE, "resend_in": 30},
    only_with={"challenge": _DELIVERY, "resend_in": _DELIVERY},
)
UNAVAILABLE = Refusals(
    "Unavailable", 503, "Something that is needed is out of reach.", (Refusal.UNAVAILABLE,)
)


_ASKED: Mapping[str, Any] = {
    "challenge": CHALLENGE,
    "phone": "+7•••••••003",
    "channel": Channel.SMS.value,
    "state": State.SENT.value,
    "code_length": 6,
    "expires_in": 300,
    "resend_in": 30,
    "hint": "Enter the code from the text message that we sent you.",
}
_CALL: Mapping[str, Any] = {
    **_ASKED,
    "challenge": "dPzWkWd3GbBqnCBpyJyNhxmKG3cNqXhV",
    "channel": Channel.REVERSE_CALL.value,
    "code_length": 0,
    "expires_in": 120,
    "hint": "Call the number +7 800 555-35-35 from your phone. Nobody answers: "
    "the call alone is enough.",
    "call_to": "+78005553535",
}
_LOCKED: Mapping[str, Any] = {
    **_ASKED,
    "state": State.LOCKED.value,
    "hint": "Too many wrong codes. Ask for a new code later.",
}
_LOGIN: Mapping[str, Any] = {
    "user": {"id": 1, "phone": "+79244501003", "created": True},
    "device": "5dBr2r0I6dXw0c3tOe0nJQ:1xULgP:s5xB26pmd3EHUnkl9JjIFyQI9NNgTrzDiJIVKnuYHg",
}
_LINK: Mapping[str, Any] = {"user": {"id": 1, "phone": "+79244501004", "created": False}}
# Of a list too: drf-spectacular makes the list.
_PHONE: Mapping[str, Any] = {
    "id": 3,
    "phone": "+79244501003",
    "primary": True,
    "verified_at": "2026-03-01T12:00:00Z",
}

_LANGUAGE = Parameter(
    "Accept-Language",
    "header",
    "The language of `hint` and `detail`.",
    {"type": "string"},
    "ru",
)
_IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "header",
    "A new random UUID for each request. A repetition with the same key gets the same challenge, "
    "and sends no second message.",
    {"type": "string", "maxLength": 255},
    "8e03978e-40d5-43dd-bc93-6894a57f9324",
)
_CHALLENGE_ID = Parameter(
    "challenge",
    "path",
    "The `challenge` of the answer to the request for a code.",
    {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9_-]+$"},
)
_PHONE_ID = Parameter(
    "phone_id",
    "path",
    "The `id` from the list of phones.",
    {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
)
_EVEN_LAST = Parameter(
    "even_last",
    "query",
    "Unlink the phone also where the user could not log in without it.",
    {"type": "boolean", "default": False},
)

_RESEND = Link("resendCode", "Ask for another code, with the `challenge` of this answer.")
_CONFIRM = Link("confirmCode", "Answer with the code, with the `challenge` of this answer.")
_LOOK = Link("getChallenge", "Look at the challenge.", {"challenge": "$response.body#/challenge"})
_BY_PHONE = {"phone_id": "$response.body#/0/id"}
_MAKE_PRIMARY = Link("makePhonePrimary", "Make it the primary one.", _BY_PHONE)
_UNLINK = Link("unlinkPhone", "Unlink it.", _BY_PHONE)

LOGIN_TAG, PHONES_TAG = "Phone login", "Phones"

# By the name of the view in `views`.
OPERATIONS: Mapping[str, Operation[Refusals]] = {
    "RequestView": Operation(
        "requestCode",
        LOGIN_TAG,
        "Ask for a code",
        "Sends a code to the phone: this costs the site money. Ask for the code in the state "
        "`sending` too, when nobody knows whether the message went out.",
        Answer(
            201,
            "A code is on its way.",
            ChallengeSerializer,
            examples={"A code was sent": _ASKED, "A call is awaited": _CALL},
        ),
        (
            REQUEST_REFUSAL,
            UNAUTHENTICATED,
            FORBIDDEN_OR_CAPTCHA,
            NOT_ACCEPTABLE,
            UNSUPPORTED,
            WAIT,
            UNDELIVERED,
        ),
        bodies={
            "Log in": {"phone": "+7 924 450-10-03"},
            "Log in with a text message": {
                "phone": "+79244501003",
                "channel": Channel.SMS.value,
                "device": _LOGIN["device"],
            },
            "Link a phone": {"phone": "+79244501004", "purpose": Purpose.LINK.value},
        },
        errors=("idempotency_key",),
        parameters=(_IDEMPOTENCY_KEY, _LANGUAGE),
        links={"resend": _RESEND, "confirm": _CONFIRM, "look": _LOOK},
    ),
    "ResendView": Operation(
        "resendCode",
        LOGIN_TAG,
        "Ask for another code",
        "Sends another code for the same challenge: this costs the site money. Wrong codes so far "
        "go on counting.",
        Answer(
            200,
            "Another code is on its way.",
            ChallengeSerializer,
            examples={"A code was sent": _ASKED},
        ),
        (RESEND_REFUSAL, FORBIDDEN_OR_CAPTCHA, NOT_ACCEPTABLE, UNSUPPORTED, WAIT, UNDELIVERED),
        bodies={
            "By the next way": {"challenge": CHALLENGE},
            "With a text message": {"challenge": CHALLENGE, "channel": Channel.SMS.value},
        },
        parameters=(_LANGUAGE,),
        links={"resend": _RESEND, "confirm": _CONFIRM, "look": _LOOK},
    ),
    "ConfirmView": Operation(
        "confirmCode",
        LOGIN_TAG,
        "Answer with the code",
        "Logs the user in, or links the phone to the user who asked for that.",
        Answer(
            200,
            "The phone is proved.",
            LoginSerializer,
            examples={"Logged in": _LOGIN, "Phone linked": _LINK},
        ),
        (CONFIRM_REFUSAL, FORBIDDEN, NOT_ACCEPTABLE, UNSUPPORTED, CONFIRM_WAIT, UNAVAILABLE),
        bodies={
            "A code": {"challenge": CHALLENGE, "code": "012345"},
            "After a call": {"challenge": _CALL["challenge"]},
        },
        parameters=(_LANGUAGE,),
    ),
    "ChallengeView": Operation(
        "getChallenge",
        LOGIN_TAG,
        "Look at a challenge",
        "Says how it stands, and whether an awaited call has come in.",
        Answer(
            200,
            "How it stands.",
            ChallengeSerializer,
            examples={"A code was sent": _ASKED, "No tries left": _LOCKED},
        ),
        (CHALLENGE_REFUSAL, NOT_ACCEPTABLE, UNAVAILABLE),
        parameters=(_CHALLENGE_ID, _LANGUAGE),
        links={"resend": _RESEND, "confirm": _CONFIRM},
    ),
    "PhonesView": Operation(
        "listPhones",
        PHONES_TAG,
        "List the phones",
        "The phones that the user can log in with, the primary one first.",
        Answer(200, "The phones.", PhoneSerializer, many=True, examples={"One phone": _PHONE}),
        (UNAUTHENTICATED, FORBIDDEN, NOT_ACCEPTABLE, UNAVAILABLE),
        parameters=(_LANGUAGE,),
        links={"make primary": _MAKE_PRIMARY, "unlink": _UNLINK},
        needs_user=True,
    ),
    "PhoneView": Operation(
        "unlinkPhone",
        PHONES_TAG,
        "Unlink a phone",
        "The user cannot log in with it any more; somebody else may link it.",
        Answer(204, "It is unlinked."),
        (UNAUTHENTICATED, FORBIDDEN, UNKNOWN_PHONE, NOT_ACCEPTABLE, LAST_PHONE, UNAVAILABLE),
        parameters=(_PHONE_ID, _EVEN_LAST, _LANGUAGE),
        needs_user=True,
    ),
    "PrimaryPhoneView": Operation(
        "makePhonePrimary",
        PHONES_TAG,
        "Make a phone the primary one",
        "Which of the phones is primary says nothing about the login: it is for the site to use.",
        Answer(
            200,
            "The phones as they are now.",
            PhoneSerializer,
            many=True,
            examples={"One phone": _PHONE},
        ),
        (UNAUTHENTICATED, FORBIDDEN, UNKNOWN_PHONE, NOT_ACCEPTABLE, UNAVAILABLE),
        parameters=(_PHONE_ID, _LANGUAGE),
        links={"make primary": _MAKE_PRIMARY, "unlink": _UNLINK},
        needs_user=True,
    ),
}
