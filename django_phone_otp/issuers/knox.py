"""The tokens of django-rest-knox. Layer 3."""

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, models, router, transaction
from django.http import HttpRequest
from django.utils import timezone

from .base import Issuer


class KnoxIssuer(Issuer):
    """Gives each login a token of its own, of which the database has a digest.

    `TOKEN_LIMIT_PER_USER` holds, but where knox's own view refuses a login too many, the oldest
    live token goes here. The code has been paid for and accepted by then; and whoever has lost the
    phone with the tokens in it could neither log in nor log out until one of them expires.
    """

    answers = ("token",)
    needs_app = "knox"
    accepted_by = "knox.auth.TokenAuthentication"
    needs_package = "knox"
    extra = "knox"

    def issue(self, request: HttpRequest, user: AbstractBaseUser) -> dict[str, str]:
        """Answer with `token`; raises `ImproperlyConfigured` for a limit below 1."""
        # Imported late: the package is optional, its models exist only where its app is installed.
        from knox.models import get_token_model
        from knox.settings import knox_settings

        limit = knox_settings.TOKEN_LIMIT_PER_USER
        if limit is not None and limit < 1:
            raise ImproperlyConfigured("REST_KNOX['TOKEN_LIMIT_PER_USER'] must be 1 at least.")
        using = router.db_for_write(type(user), instance=user)
        tokens = get_token_model().objects.db_manager(using)
        with transaction.atomic(using=using):
            self.announce(request, user)
            if limit is not None:
                _lock(user, using)
                live = tokens.filter(
                    models.Q(expiry=None) | models.Q(expiry__gt=timezone.now()), user_id=user.pk
                )
                newest_first = live.order_by("-created").values_list("pk", flat=True)
                tokens.filter(pk__in=list(newest_first[limit - 1 :])).delete()
            # Told to its manager: releases before 5.1 take the defaults from the time of import.
            _row, token = tokens.create(
                user=user, expiry=knox_settings.TOKEN_TTL, prefix=knox_settings.TOKEN_PREFIX
            )
        return {"token": token}


def _lock(user: AbstractBaseUser, using: str) -> None:
    """Have logins of one user count and make their tokens one after the other, until commit."""
    # `last_login` locks the row too, where the user model has one. No key: a token that is made
    # meanwhile refers to the row, and PostgreSQL would have the two wait for each other.
    no_key = connections[using].features.has_select_for_no_key_update
    users = get_user_model()._base_manager.using(using).select_for_update(no_key=no_key)
    users.filter(pk=user.pk).values("pk").first()
