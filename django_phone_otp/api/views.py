"""The views of the HTTP API. Layer 5: shape in, the flow's outcome out, no policy."""

from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth.models import AbstractBaseUser
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import NotAuthenticated, Throttled, ValidationError
from rest_framework.fields import Field
from rest_framework.request import Request
from rest_framework.response import Response

from .. import conf
from ..choices import Purpose, Refusal
from ..devices import COOKIE_NAME
from ..door import Door, find_user, keep_device, log_in, tell_refused
from ..exceptions import ChannelNotOffered, CodeRequired, InvalidPhone
from ..flow import (
    Asked,
    Client,
    confirm_code,
    give_device,
    link_phone,
    list_phones,
    look_at_challenge,
    make_primary,
    request_code,
    resend_code,
    seconds_until_resend,
    unlink_phone,
)
from ..issuers import Issuer, load_issuer
from ..models import PhoneChallenge
from .answers import refuse, refuse_answer, refuse_asked, show_challenge
from .serializers import ConfirmSerializer, RequestSerializer, ResendSerializer

MAX_IDEMPOTENCY_KEY_LENGTH = 255


class FlowView(Door):
    """What the views of this API have in common."""

    def refuse(self, refusal: Refusal) -> Response:
        """Answer with the refusal's word and what it means."""
        return refuse(refusal)

    def handle_exception(self, exc: Exception) -> Response:
        """Answer in our shape: an error of a field under its name, refusals with their code."""
        if isinstance(exc, InvalidPhone):
            exc = ValidationError({"phone": [str(exc)]})
        if isinstance(exc, CodeRequired):
            exc = ValidationError({"code": [Field.default_error_messages["required"]]})
        if isinstance(exc, ChannelNotOffered):
            exc = ValidationError({"channel": [str(exc)]})
        if isinstance(exc, Throttled):  # by a throttle of the site's own
            return refuse(Refusal.TOO_MANY_REQUESTS, getattr(exc, "wait", None))
        response = super().handle_exception(exc)
        if isinstance(response.data, dict) and "detail" in response.data:
            response.data.setdefault("code", getattr(response.data["detail"], "code", "error"))
        return response


class RequestView(FlowView):
    """`POST request/`: ask for a code."""

    serializer_class = RequestSerializer

    @sensitive_variables("data")
    def post(self, request: Request) -> Response:
        """Start a challenge: 201, or a refusal."""
        data = self.read(request)
        purpose = data["purpose"] or Purpose.LOGIN
        asked = request_code(
            data["phone"],
            purpose=purpose,
            channel=data.get("channel"),
            client=Client.from_request(request),
            user=_require_user(request) if purpose == Purpose.LINK else None,
            captcha_token=data["captcha_token"] or "",
            device=data["device"] or request.COOKIES.get(COOKIE_NAME, ""),
            idempotency_key=_read_idempotency_key(request),
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
            user=find_user(request),
            captcha_token=data["captcha_token"] or "",
        )
        return _show_asked(asked, status=200)


class ChallengeView(FlowView):
    """`GET challenges/<challenge>/`: how it stands; where a call is awaited, whether it came in."""

    def get(self, request: Request, challenge: str) -> Response:
        """Show the challenge to whoever knows its identifier."""
        found = look_at_challenge(
            challenge, client=Client.from_request(request), user=find_user(request)
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
        user = find_user(request)
        answer = confirm_code(
            data["challenge"],
            data["code"] or "",
            client=Client.from_request(request),
            user=user,
        )
        if answer.challenge is None:
            if answer.refusal is not Refusal.CALL_AWAITED:
                tell_refused(request)
            return refuse_answer(answer)
        if answer.challenge.purpose == Purpose.LINK and user:
            return self.link(user, answer.challenge)
        return self.log_in(request, answer.challenge, issuer)

    def log_in(self, request: Request, challenge: PhoneChallenge, issuer: Issuer) -> Response:
        """Log in whoever verified the challenge, and give what the issuer issues."""
        login = log_in(request, challenge, issuer)
        if isinstance(login, Refusal):
            return refuse(login)
        user, issued = login
        device = give_device(challenge)
        shown = self.show_user(user, challenge)
        response = Response({"user": shown, **issued, "device": device})
        if issuer.uses_cookies:
            keep_device(request._request, response, device)
        return response

    def link(self, user: AbstractBaseUser, challenge: PhoneChallenge) -> Response:
        """Spend the challenge and give its phone to the user who asked, and who answers."""
        refusal = link_phone(challenge)
        if refusal:
            return refuse(refusal)
        return Response({"user": self.show_user(user, challenge)})

    def show_user(self, user: AbstractBaseUser, challenge: PhoneChallenge) -> dict[str, Any]:
        """Give what the answer says about the user; a site may add to it in a subclass."""
        # Whoever gets this has just proved the phone: no mask.
        return {"id": user.pk, "phone": challenge.phone, "created": challenge.created_user}


class PhonesView(FlowView):
    """`GET phones/`: the phones that the user can log in with."""

    def get(self, request: Request) -> Response:
        """List them, the primary one first."""
        return _show_phones(_require_user(request))


class PhoneView(FlowView):
    """`DELETE phones/<id>/`: take a phone from the user."""

    def delete(self, request: Request, phone_id: int) -> Response:
        """Unlink it, the last way to log in only with `?even_last=true`: 204, or a refusal."""
        even_last = request.query_params.get("even_last") == "true"
        refusal = unlink_phone(_require_user(request), phone_id, even_last=even_last)
        return refuse(refusal) if refusal else Response(status=204)


class PrimaryPhoneView(FlowView):
    """`POST phones/<id>/primary/`: make a phone the primary one."""

    def post(self, request: Request, phone_id: int) -> Response:
        """Make it, and list the phones as they are then: 200, or a refusal."""
        user = _require_user(request)
        refusal = make_primary(user, phone_id)
        return refuse(refusal) if refusal else _show_phones(user)


def _show_phones(user: AbstractBaseUser) -> Response:
    # Whoever is logged in as the user may read the user's phones: no mask.
    return Response(
        [
            {
                "id": each.id,
                "phone": each.phone,
                "primary": each.is_primary,
                "verified_at": each.verified_at,
            }
            for each in list_phones(user)
        ]
    )


def _show_asked(asked: Asked, status: int) -> Response:
    if asked.challenge is None:
        return refuse_asked(asked)
    return show_challenge(asked.challenge, asked.resend_in_seconds, status)


def _read_idempotency_key(request: Request) -> str:
    key = str(request.headers.get("Idempotency-Key", ""))
    if len(key) > MAX_IDEMPOTENCY_KEY_LENGTH:
        most = _("Idempotency-Key may have %(most)d characters at most.")
        raise ValidationError({"idempotency_key": [most % {"most": MAX_IDEMPOTENCY_KEY_LENGTH}]})
    return key


def _require_user(request: Request) -> AbstractBaseUser:
    user = find_user(request)
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
