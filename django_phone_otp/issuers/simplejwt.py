"""The pair of tokens of djangorestframework-simplejwt. Layer 3."""

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.module_loading import import_string

from .base import Issuer


class SimpleJWTIssuer(Issuer):
    """Gives the pair that simplejwt's own login would give, with the site's claims in it."""

    answers = ("access", "refresh")
    needs_package = "rest_framework_simplejwt"
    accepted_by = "rest_framework_simplejwt.authentication.JWTAuthentication"
    extra = "jwt"

    def issue(self, request: HttpRequest, user: AbstractBaseUser) -> dict[str, str]:
        """Answer with `access` and `refresh`."""
        # Imported late: the package is optional.
        from rest_framework_simplejwt.settings import api_settings

        # SECURITY: a site's own rule says who gets tokens; without it a user would come in by phone
        # whom the login by password keeps out.
        if not api_settings.USER_AUTHENTICATION_RULE(user):
            raise PermissionDenied
        self.announce(request, user)
        refresh = import_string(api_settings.TOKEN_OBTAIN_SERIALIZER).get_token(user)
        return {"access": str(refresh.access_token), "refresh": str(refresh)}
