"""What the doors over HTTP have in common: small JSON in, no transaction, one language.

Between the doors (layer 5) and the flow (layer 4). How a door words its refusals is its own.
"""

import logging
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings as django_settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import AbstractBaseUser
from django.db import DataError, InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from rest_framework.exceptions import AuthenticationFailed, ParseError
from rest_framework.generics import GenericAPIView
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils import json

from .choices import Refusal
from .devices import COOKIE_NAME, LIFETIME
from .events import Event, log_event
from .flow.transactions import outside_transactions
from .issuers import Issuer
from .models import PhoneChallenge

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 * 1024

# The status of an answer that says a refusal.
STATUS = {
    Refusal.WRONG_CODE: 400,
    Refusal.CALL_AWAITED: 400,
    Refusal.EXPIRED: 400,
    Refusal.CHALLENGE_CLOSED: 400,
    Refusal.UNKNOWN_CHALLENGE: 400,
    Refusal.PHONE_NOT_ALLOWED: 400,
    Refusal.CAPTCHA_REQUIRED: 403,
    Refusal.CAPTCHA_FAILED: 403,
    Refusal.RESEND_TOO_SOON: 429,
    Refusal.TOO_MANY_REQUESTS: 429,
    Refusal.LOCKED: 429,
    Refusal.DELIVERY_FAILED: 503,
    Refusal.UNAVAILABLE: 503,
    Refusal.UNKNOWN_PHONE: 404,
    Refusal.LAST_PHONE: 409,
}


class SmallJSONParser(BaseParser):
    """Parses JSON of a sane size and depth; everything else is the client's error, not ours.

    DRF's own parser reads a body of any size first, and by any codec of Python's that the client
    names.
    """

    media_type = "application/json"
    renderer_class = JSONRenderer

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Decode the body, which is UTF-8 (RFC 8259, 8.1); raises `ParseError`."""
        data = stream.read(MAX_BODY_BYTES + 1)
        if len(data) > MAX_BODY_BYTES:
            raise ParseError(_("The body is too large."))
        try:
            return json.loads(data.decode(), parse_constant=json.strict_constant)
        except RecursionError:
            raise ParseError(_("The JSON is nested too deeply.")) from None
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from None


class Door(GenericAPIView[Any]):
    """A view that calls the flow and says what came of it.

    Permissions, throttles, authentication and the serializer of the body are class attributes that
    a site replaces as in any view of DRF: by a subclass, or by an argument of `as_view`.
    """

    permission_classes: Any = (AllowAny,)
    # SECURITY: JSON alone. A form of a foreign page can send neither this content type nor this
    # body without the browser asking us first.
    parser_classes = (SmallJSONParser,)
    renderer_classes = (JSONRenderer,)
    metadata_class = None  # OPTIONS would show our docstrings

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Make the view, outside `ATOMIC_REQUESTS`."""
        return outside_transactions(super().as_view(**initkwargs))

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer in the language that the client asks for, whatever middleware there is."""
        if hasattr(request, "LANGUAGE_CODE"):  # LocaleMiddleware has chosen it
            return super().dispatch(request, *args, **kwargs)
        language = translation.get_language_from_request(request)
        with translation.override(language):
            response = super().dispatch(request, *args, **kwargs)
        response["Content-Language"] = language
        patch_vary_headers(response, ["Accept-Language"])
        return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Leave a session that cannot be looked for."""
        leave_broken_session(request._request)
        super().initial(request, *args, **kwargs)

    def perform_authentication(self, request: Request) -> None:
        """Authenticate later, if at all: a stale token must not keep from logging in."""

    @sensitive_variables("serializer")
    def read(self, request: Request) -> Any:
        """Check the body's shape; raises `ValidationError`."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data

    def handle_exception(self, exc: Exception) -> Response:
        """Answer with a refusal where nothing but one can be said; the rest is DRF's."""
        if isinstance(exc, OperationalError | InterfaceError):
            log_event(logger, Event.DATABASE_UNAVAILABLE, error=type(exc).__name__)
            return self.refuse(Refusal.UNAVAILABLE)
        if isinstance(exc, PhoneChallenge.DoesNotExist):  # erased while it was answered
            return self.refuse(Refusal.UNKNOWN_CHALLENGE)
        return super().handle_exception(exc)

    def refuse(self, refusal: Refusal) -> Response:
        """Say a refusal in the words of this door."""
        raise NotImplementedError

    def finalize_response(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """Keep every answer out of caches."""
        response = super().finalize_response(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        # SECURITY: Django's cache of whole pages looks at `no-store` in its newest releases alone;
        # in others it would show one user's phones to the next.
        request._request._cache_update_cache = False  # type: ignore[attr-defined]
        return response


def find_user(request: Request) -> AbstractBaseUser | None:
    """Give who asks, for what belongs to a user; a stale or broken token is nobody."""
    try:
        user = request.user
    except (AuthenticationFailed, DataError, ValueError):  # NUL in a cookie is data PostgreSQL bars
        return None
    return user if user and user.is_authenticated else None  # DRF may be told to give None


def leave_broken_session(request: HttpRequest) -> None:
    """Take a session cookie that no database can look for, as one with NUL, for none."""
    session: Any = getattr(request, "session", None)
    key = session.session_key if session is not None else None
    if key and not (key.isascii() and key.isprintable()):
        request.session = type(session)()


def log_in(
    request: Request | HttpRequest, challenge: PhoneChallenge, issuer: Issuer
) -> tuple[AbstractBaseUser, dict[str, str]] | Refusal:
    """Spend a verified challenge and issue, both or neither; give the user and what was issued."""
    plain = _of_django(request)
    try:
        with transaction.atomic(using=PhoneChallenge.primary().db):
            user = authenticate(plain, phone_challenge=challenge)
            if user is None and challenge.spent_at is None:  # somebody was faster
                return Refusal.CHALLENGE_CLOSED
            if user is None:  # inactive, or unknown while sign-up is closed
                return Refusal.PHONE_NOT_ALLOWED
            return user, issuer.issue(plain, user)
    except Exception:
        # What the transaction takes back, a session in a cache or a cookie would keep.
        if issuer.uses_cookies:
            plain.session.flush()
        raise


def tell_refused(request: Request | HttpRequest) -> None:
    """Have Django's listeners of `user_login_failed` hear of an answer that was refused."""
    authenticate(_of_django(request), phone_challenge=None)  # nothing to spend


def keep_device(request: HttpRequest, response: HttpResponseBase, device: str) -> None:
    """Have a browser keep the device string; no script need read it."""
    response.set_cookie(
        COOKIE_NAME,
        device,
        max_age=LIFETIME,
        secure=django_settings.SESSION_COOKIE_SECURE or request.is_secure(),
        httponly=True,
        samesite="Lax",
    )


def _of_django(request: Request | HttpRequest) -> HttpRequest:
    return request._request if isinstance(request, Request) else request
