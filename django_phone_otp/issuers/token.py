"""The token of `rest_framework.authtoken`. Layer 3."""

from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, models, router, transaction
from django.http import HttpRequest

from ..statements import compiled_select
from .base import Issuer

if TYPE_CHECKING:
    from rest_framework.authtoken.models import Token


class TokenIssuer(Issuer):
    """Gives the user's one DRF token, made on the first login."""

    answers = ("token",)
    needs_app = "rest_framework.authtoken"
    accepted_by = "rest_framework.authentication.TokenAuthentication"

    def issue(self, request: HttpRequest, user: AbstractBaseUser) -> dict[str, str]:
        """Answer with `token`."""
        # Imported late: the model exists only where the site has installed the app.
        from rest_framework.authtoken.models import Token

        self.announce(request, user)
        # As `get_or_create` does: a replica may not have a new token yet.
        tokens = Token.objects.using(router.db_for_write(Token))
        token = _of_user(tokens, user.pk) or _make(tokens, user.pk)
        return {"token": token.key}


@compiled_select()
def _of_user(tokens: models.QuerySet["Token"], user_id: Any) -> models.QuerySet["Token"]:
    return tokens.filter(user_id=user_id)


def _make(tokens: models.QuerySet["Token"], user_id: Any) -> "Token":
    """Make the user's token, or find the one that a parallel login has just made."""
    try:
        with transaction.atomic(using=tokens.db):
            return tokens.create(user_id=user_id)
    except IntegrityError:
        return tokens.get(user_id=user_id)
