"""An issuer as a site may write one, and what reads its tickets. They are kept in the cache."""

import secrets

from django.contrib.auth import get_user_model
from django.core.cache import cache
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed

from django_phone_otp.issuers import Issuer


class TicketIssuer(Issuer):
    answers = ("ticket",)

    def issue(self, request, user):
        self.announce(request, user)
        ticket = secrets.token_urlsafe()
        cache.set(f"ticket-{ticket}", str(user.pk))
        return {"ticket": ticket}


class TicketAuthentication(BaseAuthentication):
    def authenticate(self, request):
        _word, ticket = get_authorization_header(request).decode().split()
        pk = cache.get(f"ticket-{ticket}")
        if pk is None:
            raise AuthenticationFailed
        return get_user_model()._default_manager.get(pk=pk), ticket

    def authenticate_header(self, request):
        return "Ticket"


def tear_up(ticket: str) -> None:
    cache.delete(f"ticket-{ticket}")
