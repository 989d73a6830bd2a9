"""The two views: shape in, the flow's outcome out, no policy. Layer 5."""

import logging
from dataclasses import replace
from ipaddress import ip_address, ip_network
from re import compile as regex
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.views.decorators.debug import sensitive_variables
from rest_framework.exceptions import ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

from .. import conf
from ..choices import Channel, Custody, Refusal
from ..conf import Settings
from ..door import Door, log_in, tell_refused
from ..events import Event, log_event
from ..fields import WordField
from ..flow import Client, confirm_code, find_latest, request_code
from ..issuers import Issuer, load_issuer
from ..models import PhoneChallenge
from .answers import refuse, refuse_exception, refuse_fields
from .serializers import SendCodeSerializer, SignInSerializer
from .tokens import COMPLAINT, can_give_token, write_tokens
from .words import CAPTCHA_TYPES, CLIENT_TYPES

logger = logging.getLogger(__name__)

CLIENT_IDENTIFIER = "X-LP-Client-Identifier"
CLIENT_TYPE = "X-LP-Client-Type"

# "application/*+json" is sent as it stands here by those who copy it from the document.
_JSON = regex(r"(application|text)/json|application/[^\s/;]+\+json")
_client_type = WordField("LifePOSClientType", choices=list(CLIENT_TYPES), allow_blank=True)
# What no challenge is called: theirs are longer.
_NO_CHALLENGE = "none"


class JSONNegotiation(BaseContentNegotiation):
    """JSON of the document's media types in, JSON out, whatever else the client would accept."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Choose the parser, or none for a body that is not called JSON."""
        # SECURITY: no form, and no text/plain: these are what foreign pages may send unasked.
        media_type = str(request.content_type).partition(";")[0].strip().lower()
        return parsers[0] if _JSON.fullmatch(media_type) else None

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[Any, str]:
        """Choose the renderer."""
        return renderers[0], renderers[0].media_type


class LifePOSDoor(Door):
    """What the two views have in common."""

    # SECURITY: no cookie says who asks, so a foreign page has nothing to forge.
    authentication_classes: Any = ()
    content_negotiation_class: Any = JSONNegotiation

    def read(self, request: Request) -> Any:
        """Check the shape of headers and body; raises `ValidationError`."""
        try:
            _client_type.run_validation(request.headers.get(CLIENT_TYPE, ""))
        except ValidationError as error:
            raise ValidationError({CLIENT_TYPE: error.detail}) from None
        return super().read(request)

    def refuse(self, refusal: Refusal) -> Response:
        """Answer with the document's word for it."""
        return refuse(refusal)

    def get_exception_handler(self) -> Any:
        """Answer in the document's shape to everything."""
        return refuse_exception


class SendCodeView(LifePOSDoor):
    """`POST auth/send-code-by-phone`: ask for a code."""

    serializer_class = SendCodeSerializer

    @sensitive_variables("data")
    def post(self, request: Request) -> Response:
        """Send a code: 204, or a refusal. Each is a new request, with a captcha of its own."""
        data = self.read(request)
        settings = conf.read()
        if not _is_own_captcha(data.get("captcha_type"), settings):
            return refuse_fields(Refusal.CAPTCHA_FAILED.message, "captcha_type")
        asked = request_code(
            data["phone"],
            channel=Channel.SMS if data.get("send_sms") else None,
            client=_find_client(request, data.get("ip"), settings),
            captcha_token=data.get("token") or "",
            client_key=_name_client(request),
            tell_unknown=settings.lifepos.get("TELL_UNKNOWN", False),
        )
        if asked.challenge is None:
            return refuse(asked.refusal, asked.retry_after_seconds)
        if asked.challenge.custody == Custody.PRESENCE:
            # An answer without a body cannot say which number to call.
            log_event(logger, Event.LIFEPOS_WITHOUT_CODE, account=asked.challenge.account)
            return refuse(Refusal.DELIVERY_FAILED)
        return Response(status=204)


class SignInView(LifePOSDoor):
    """`POST auth/sign-in-by-code`: answer with the code."""

    serializer_class = SignInSerializer

    @sensitive_variables("data")
    def post(self, request: Request) -> Response:
        """Log in: 200 with a token, or a refusal."""
        data = self.read(request)
        settings = conf.read()
        issuer = load_issuer(settings.token_issuer)
        if not can_give_token(issuer):  # before the code is used up
            raise ImproperlyConfigured(COMPLAINT)
        challenge = find_latest(data["phone"], _name_client(request))
        answer = confirm_code(
            # Without one it is an answer to no challenge: counted by address, and announced.
            challenge.public_id if challenge else _NO_CHALLENGE,
            data["confirmation_code"],
            client=_find_client(request, data.get("ip"), settings),
        )
        if answer.challenge is None:
            tell_refused(request)
            return refuse(answer.refusal, answer.retry_after_seconds)
        return self.log_in(request, answer.challenge, issuer)

    def log_in(self, request: Request, challenge: PhoneChallenge, issuer: Issuer) -> Response:
        """Log in whoever verified the challenge; without a token nothing has happened."""
        with transaction.atomic(using=PhoneChallenge.primary().db):
            login = log_in(request, challenge, issuer)
            if isinstance(login, Refusal):
                return refuse(login)
            _user, issued = login
            return Response(write_tokens(issued))


def _name_client(request: Request) -> str:
    """Give what the client's challenges are found by; all that do not name themselves are one."""
    return f"lifepos {request.headers.get(CLIENT_IDENTIFIER, '')}"


def _find_client(request: Request, ip: str | None, settings: Settings) -> Client:
    """Describe who asks; a trusted server may say for whom it asks.

    SECURITY: of anybody else the address is a claim, and whoever could choose one would have the
    budgets of as many addresses as he likes.
    """
    client = Client.from_request(request)
    if not ip or not client.ip:
        return client
    caller = ip_address(client.ip)
    trusted = settings.lifepos.get("TRUSTED_CALLERS", ())
    is_trusted = any(caller in ip_network(each) for each in trusted)
    return replace(client, ip=ip) if is_trusted else client


def _is_own_captcha(kind: str | None, settings: Settings) -> bool:
    """Say whether a token of this kind is for the captcha of the site, as far as anybody can.

    A class of the site's own may ask any service; where there is no captcha the token is ignored.
    """
    backend = settings.captcha["BACKEND"] if settings.captcha else ""
    return kind is None or not backend or "." in backend or CAPTCHA_TYPES[kind] == backend
