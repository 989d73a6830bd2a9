"""What goes out: a token, or a refusal as `{"code", "message", "info"}`. Layer 5.

`code` is a word of the document, `message` a sentence for the person. `info` is for developers: our
own word for the refusal, which says more than the document's, or the names of the fields that do
not fit. It says nothing that tells one phone from another.
"""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.signals import got_request_exception
from django.http import Http404
from django.utils.log import log_response
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.settings import api_settings

from ..choices import Refusal
from ..exceptions import ChannelNotOffered
from .words import Word

# SECURITY: what the flow does not tell apart while sign-up is closed must not be told apart here.
MEANINGS = {
    Refusal.WRONG_CODE: (422, Word.INVALID_CONFIRMATION_CODE),
    Refusal.CALL_AWAITED: (422, Word.CONFIRMATION_CODE_WAS_NOT_SEND),
    Refusal.EXPIRED: (422, Word.CONFIRMATION_CODE_WAS_CANCELED),
    Refusal.CHALLENGE_CLOSED: (422, Word.CONFIRMATION_CODE_WAS_CANCELED),
    Refusal.UNKNOWN_CHALLENGE: (422, Word.CONFIRMATION_CODE_WAS_NOT_SEND),
    Refusal.PHONE_NOT_ALLOWED: (422, Word.NOT_ALLOWED),
    # The document asks for a token and has no word for one that is missing or bad.
    Refusal.CAPTCHA_REQUIRED: (422, Word.REQUEST_IS_NOT_VALID),
    Refusal.CAPTCHA_FAILED: (422, Word.REQUEST_IS_NOT_VALID),
    Refusal.RESEND_TOO_SOON: (429, Word.TRY_SEND_CODE_LATER),
    Refusal.TOO_MANY_REQUESTS: (429, Word.TOO_MANY_REQUESTS),
    Refusal.LOCKED: (429, Word.TRY_SEND_CODE_LATER),
    Refusal.DELIVERY_FAILED: (500, Word.NOTIFICATIONS_ARE_OUT_OF_SERVICE),
    Refusal.UNAVAILABLE: (500, Word.TRY_LATER),
    Refusal.UNKNOWN_PHONE: (404, Word.PHONE_IS_NOT_FOUND),
    Refusal.LAST_PHONE: (422, Word.OPERATION_CANNOT_BE_PERFORMED),
}

# What DRF refuses; all else, malformed JSON for one, is 422: the document has no status 400.
_REFUSED_BY_DRF = {
    401: (401, Word.UNAUTHORIZED),
    403: (403, Word.NO_PERMISSIONS),
    404: (404, Word.NOT_FOUND),
    405: (405, Word.NOT_ALLOWED),
    415: (415, Word.BAD_REQUEST),
}


def refuse(refusal: Refusal | None, retry_after_seconds: int | None = None) -> Response:
    """Answer with a refusal of the flow's; those that time heals say when, in the header."""
    if refusal is None:
        raise ValueError("an outcome without a challenge has a refusal")
    status, word = MEANINGS[refusal]
    response = _answer(status, word, refusal.message, info=refusal.value)
    if status == 429:
        response["Retry-After"] = str(max(1, retry_after_seconds or 0))
    return response


def refuse_fields(message: str, *names: str) -> Response:
    """Answer that these fields do not fit, with what there is to say of the first of them."""
    return _answer(422, Word.REQUEST_IS_NOT_VALID, message, info=", ".join(names))


def refuse_exception(exc: Exception, context: Mapping[str, Any]) -> Response:
    """Answer to whatever a view raised; the site's own `EXCEPTION_HANDLER` knows another shape."""
    match exc:
        case exceptions.ValidationError():
            return _refuse_errors(exc.detail)
        case ChannelNotOffered():
            return refuse_fields(str(exc), "send_sms")
        case exceptions.Throttled():  # by a throttle of the site's own
            return refuse(Refusal.TOO_MANY_REQUESTS, getattr(exc, "wait", None))
        case Http404():
            exc = exceptions.NotFound()
        case PermissionDenied():  # an issuer's, for a user who gets nothing from it
            exc = exceptions.PermissionDenied()
    if not isinstance(exc, exceptions.APIException) or exc.status_code >= 500:
        return _break_down(exc, context)
    status, word = _REFUSED_BY_DRF.get(exc.status_code, (422, Word.BAD_REQUEST))
    is_malformed = isinstance(exc, exceptions.ParseError)
    # A parser speaks to developers.
    message = str(exc.default_detail) if is_malformed else _first_text(exc.detail)
    info = _first_text(exc.detail) if is_malformed else exc.default_code
    response = _answer(status, word, message, info=info)
    scheme = getattr(exc, "auth_header", None)  # of an authentication that a site has put here
    if scheme:
        response["WWW-Authenticate"] = scheme
    return response


def _refuse_errors(detail: Any) -> Response:
    """Answer with the errors of a serializer, by field and in the order of its fields."""
    if not isinstance(detail, dict):
        return refuse_fields(_first_text(detail))
    whole = api_settings.NON_FIELD_ERRORS_KEY
    names = ["body" if name == whole else str(name) for name in detail]
    return refuse_fields(_first_text(detail), *names)


def _first_text(detail: Any) -> str:
    while isinstance(detail, dict | list) and detail:
        detail = next(iter(detail.values())) if isinstance(detail, dict) else detail[0]
    return str(detail)


def _break_down(exc: Exception, context: Mapping[str, Any]) -> Response:
    """Answer to what should not have happened, and have Django report it as it always does.

    An exception that goes on to Django would be answered with a page of HTML, which no client of
    this door can read.
    """
    request = context["request"]._request
    response = answer_mistake()
    got_request_exception.send(sender=None, request=request)
    log_response(
        "Internal Server Error: %s", request.path, response=response, request=request, exception=exc
    )
    return response


def answer_mistake() -> Response:
    """Answer to what should not have happened; it says nothing of it."""
    message = str(exceptions.APIException.default_detail)
    return _answer(500, Word.INTERNAL_SERVER_ERROR, message, info="")


def _answer(status: int, word: Word, message: str, *, info: str) -> Response:
    return Response({"code": word.value, "message": message, "info": info}, status=status)
