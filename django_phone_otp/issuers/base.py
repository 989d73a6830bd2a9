"""What an issuer is. Layer 3."""

from abc import ABC, abstractmethod
from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest


class Issuer(ABC):
    """Gives a user who has just been authenticated something to come back with."""

    # Whether a browser sends the result along by itself, so that forged requests are a danger.
    uses_cookies: ClassVar[bool] = False

    @abstractmethod
    def issue(self, request: HttpRequest, user: AbstractBaseUser) -> dict[str, str]:
        """Log the user in and give what is added to the answer of `confirm/`.

        Sends `user_logged_in`, by which Django notes `last_login`; runs in a transaction.
        """

    def announce(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        """Send `user_logged_in`, for issuers whose library does not."""
        user_logged_in.send(sender=type(user), request=request, user=user)
