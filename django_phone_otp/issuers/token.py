"""The token of `rest_framework.authtoken`. Layer 3."""

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest

from .base import Issuer


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
        token, _created = Token.objects.get_or_create(user_id=user.pk)
        return {"token": token.key}
