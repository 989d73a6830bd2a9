"""What an issuer is. Layer 3."""

from abc import ABC, abstractmethod
from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest


class Issuer(ABC):
    """Gives a user who has just been authenticated something to come back with."""

    # The keys that `issue` adds to the answer of `confirm/`. The OpenAPI schema is made from them,
    # and the door for LIFE POS clients looks among them for a token; empty for "does not say".
    answers: ClassVar[tuple[str, ...]] = ()
    # Whether a browser sends the result along by itself, so that forged requests are a danger.
    uses_cookies: ClassVar[bool] = False
    # What `manage.py check` looks for: an app, a middleware, the class of DRF that accepts what is
    # issued; a package that is there, and the extra of django-phone-otp that installs it. Empty for
    # none.
    needs_app: ClassVar[str] = ""
    needs_middleware: ClassVar[str] = ""
    accepted_by: ClassVar[str] = ""
    needs_package: ClassVar[str] = ""
    extra: ClassVar[str] = ""

    @abstractmethod
    def issue(self, request: HttpRequest, user: AbstractBaseUser) -> dict[str, str]:
        """Log the user in and give what is added to the answer of `confirm/`.

        Sends `user_logged_in` once, by which Django notes `last_login`; runs in a transaction.
        Raises `PermissionDenied` for a user who may log in but gets nothing from this issuer: the
        challenge is then not spent, and a new user is not kept.
        """

    def announce(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        """Send `user_logged_in`, for issuers whose library does not.

        Before anything is stored that refers to the user: `last_login` is written to the user's
        row, and the other way round MariaDB has two logins of one user wait for each other.
        """
        user_logged_in.send(sender=type(user), request=request, user=user)
