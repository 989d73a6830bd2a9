"""The four doors of the HTTP API. Layer 5: shape in, the flow's outcome out, no policy."""

import logging
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import AbstractBaseUser
from django.db import DataError, InterfaceError, OperationalError, transaction
from django.views.decorators.debug import sensitive_variables
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, ValidationError
from rest_framework.fields import Field
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from .. import conf
from ..choices import Purpose, Refusal
from ..devices import COOKIE_NAME, LIFETIME
from ..exceptions import ChannelNotOffered, CodeRequired, InvalidPhone
from ..flow import (
    Asked,
    Client,
    confirm_code,
    give_device,
    link_phone,
    look_at_challenge,
    request_code,
    resend_code,
    seconds_until_resend,
)
from ..flow.transactions import outside_transactions
from ..issuers import Issuer, load_issuer
from ..models import PhoneChallenge
from .answers import refuse, refuse_answer, refuse_asked, show_challenge
from .parsers import SmallJSONParser
from .serializers import ConfirmSerializer, RequestSerializer, ResendSerializer

logger = logging.getLogger(__name__)


class FlowView(APIView):
    """What the four have in common."""

    permission_classes = (AllowAny,)
    # SECURITY: JSON alone. A form of a foreign page can send neither this content type nor this
    # body without the browser asking us first.
    parser_classes = (SmallJSONParser,)
    renderer_classes = (JSONRenderer,)
    metadata_class = None  # OPTIONS would show our docstrings
    serializer_class: type[BaseSerializer[Any]]

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Make the view, outside `ATOMIC_REQUESTS`."""
        return outside_transactions(super().as_view(**initkwargs))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Take a session cookie that no database can look for, as one with NUL, for none."""
        session: Any = getattr(request._request, "session", None)
        key = session.session_key if session is not None else None
        if key and not (key.isascii() and key.isprintable()):
            request._request.session = type(session)()
        super().initial(request, *args, **kwargs)

    def perform_authentication(self, request: Request) -> None:
        """Authenticate later, if at all: a stale token must not keep from logging in."""

    @sensitive_variables("serializer")
    def read(self, request: Request) -> Any:
        """Check the body's shape; raises `ValidationError`."""
        serializer = self.serializer_class(data=request.data)
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data

    def handle_exception(self, exc: Exception) -> Response:
        """Answer in our shape: refusals have a code, a database out of reach is a 503."""
        if isinstance(exc, OperationalError | InterfaceError):
            logger.error("database_unavailable error=%s", type(exc).__name__)
            return refuse(Refusal.UNAVAILABLE)
        if isinstance(exc, PhoneChallenge.DoesNotExist):  # erased while it was answered
            return refuse(Refusal.UNKNOWN_CHALLENGE)
        if isinstance(exc, InvalidPhone):
            exc = ValidationError({"phone": [str(exc)]})
        if isinstance(exc, CodeRequired):
            exc = ValidationError({"code": [Field.default_error_messages["required"]]})
        if isinstance(exc, ChannelNotOffered):
            exc = ValidationError({"channel": [str(exc)]})
        response = super().handle_exception(exc)
        if isinstance(response.data, dict) and "detail" in response.data:
            response.data.setdefault("code", getattr(response.data["detail"], "code", "error"))
        return response

    def finalize_response(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """Keep every answer out of caches."""
        response = super().finalize_response(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        return response


class RequestView(FlowView):
    """`POST request/`: ask for a code."""

    serializer_class = RequestSerializer

    @sensitive_variables("data")
    def post(self, request: Request) -> Response:
        """Start a challenge: 201, or a refusal."""
        data = self.read(request)
        asked = request_code(
            data["phone"],
            purpose=data["purpose"],
            channel=data.get("channel"),
            client=Client.from_request(request),
            user=_require_user(request) if data["purpose"] == Purpose.LINK else None,
            captcha_token=data["captcha_token"],
            device=data["device"] or request.COOKIES.get(COOKIE_NAME, ""),
        )
        return _show_asked(asked, status=201)


class ResendView(FlowView):
    """`POST resend/`: ask for another code for the same challenge."""

    serializer_class = ResendSerializer

    @sensitive_variables("data")
    def post(self, request: Request) -> Response:
        """Send once more: 200, or a refusal."""
        data = self.read(request)
        asked = resend_code(
            data["challenge"],
            channel=data.get("channel"),
            client=Client.from_request(request),
            user=_find_user(request),
            captcha_token=data["captcha_token"],
        )
        return _show_asked(asked, status=200)


class ChallengeView(FlowView):
    """`GET challenges/<challenge>/`: how it stands; where a call is awaited, whether it came in."""

    def get(self, request: Request, challenge: str) -> Response:
        """Show the challenge to whoever knows its identifier."""
        found = look_at_challenge(
            challenge, client=Client.from_request(request), user=_find_user(request)
        )
        if found is None:
            return refuse(Refusal.UNKNOWN_CHALLENGE)
        return show_challenge(found, seconds_until_resend(found))


class ConfirmView(FlowView):
    """`POST confirm/`: answer with the code."""

    serializer_class = ConfirmSerializer

    @sensitive_variables("data")
    def post(self, request: Request) -> Response:
        """Log in or link the phone: 200, or a refusal."""
        data = self.read(request)
        issuer = load_issuer(conf.read().token_issuer)
        if issuer.uses_cookies and _may_be_browser(request):
            SessionAuthentication().enforce_csrf(request)
        answer = confirm_code(
            data["challenge"],
            data["code"],
            client=Client.from_request(request),
            user=_find_user(request),
        )
        if answer.challenge is None:
            if answer.refusal is not Refusal.CALL_AWAITED:
                # Nothing to spend: so Django's listeners of `user_login_failed` hear of it.
                authenticate(request._request, phone_challenge=None)
            return refuse_answer(answer)
        if answer.challenge.purpose == Purpose.LINK:
            return _link(answer.challenge)
        return _log_in(request, answer.challenge, issuer)


def _log_in(request: Request, challenge: PhoneChallenge, issuer: Issuer) -> Response:
    """Spend the challenge and issue, both or neither."""
    try:
        with transaction.atomic(using=PhoneChallenge.primary().db):
            user = authenticate(request._request, phone_challenge=challenge)
            if user is None and challenge.spent_at is None:  # somebody was faster
                return refuse(Refusal.CHALLENGE_CLOSED)
            if user is None:  # inactive, or unknown while sign-up is closed
                return refuse(Refusal.PHONE_NOT_ALLOWED)
            issued = issuer.issue(request._request, user)
    except Exception:
        # What the transaction takes back, a session in a cache or a cookie would keep.
        if issuer.uses_cookies:
            request._request.session.flush()
        raise
    device = give_device(challenge)
    response = Response({"user": _show_user(user, challenge), **issued, "device": device})
    if issuer.uses_cookies:
        _keep_device(response, device)
    return response


def _keep_device(response: Response, device: str) -> None:
    """Have a browser keep the device string; no script need read it."""
    response.set_cookie(
        COOKIE_NAME,
        device,
        max_age=LIFETIME,
        secure=django_settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _link(challenge: PhoneChallenge) -> Response:
    refusal = link_phone(challenge)
    if refusal or challenge.user is None:
        return refuse(refusal or Refusal.CHALLENGE_CLOSED)
    return Response({"user": _show_user(challenge.user, challenge)})


def _show_user(user: AbstractBaseUser, challenge: PhoneChallenge) -> dict[str, Any]:
    # Whoever gets this has just proved the phone: no mask.
    return {"id": user.pk, "phone": challenge.phone, "created": challenge.created_user}


def _show_asked(asked: Asked, status: int) -> Response:
    if asked.challenge is None:
        return refuse_asked(asked)
    return show_challenge(asked.challenge, asked.resend_in_seconds, status)


def _find_user(request: Request) -> AbstractBaseUser | None:
    """Give who asks, for challenges that belong to a user; a stale or broken token is nobody."""
    try:
        user = request.user
    except (AuthenticationFailed, DataError, ValueError):  # NUL in a cookie is data PostgreSQL bars
        return None
    return user if user and user.is_authenticated else None  # DRF may be told to give None


def _require_user(request: Request) -> AbstractBaseUser:
    user = _find_user(request)
    if user is None:
        raise NotAuthenticated
    return user


def _may_be_browser(request: Request) -> bool:
    """Say whether a browser may have sent this, so that a foreign page may have made it do so.

    Every browser says where a POST comes from, in `Origin`, `Sec-Fetch-Site` or `Referer`, and no
    page can keep it from doing so. An app says nothing and has nothing to forge; it need not fetch
    a CSRF token first.
    """
    signs = ("HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE", "HTTP_REFERER")
    has_session = django_settings.SESSION_COOKIE_NAME in request.COOKIES
    return has_session or any(sign in request.META for sign in signs)
