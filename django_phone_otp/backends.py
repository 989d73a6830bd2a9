"""The authentication backend: spends a verified challenge. Layer 5.

The code itself never comes here: Django hands the credentials to every listener of
`user_login_failed`.
"""

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest

from . import signals
from .choices import State
from .flow import spend_challenge
from .models import PhoneChallenge


class PhoneOTPBackend(ModelBackend):
    """Log in whoever verified a phone; permissions are those of `ModelBackend`."""

    # No **kwargs: Django then asks this backend for nothing but a phone challenge.
    def authenticate(  # type: ignore[override]
        self, request: HttpRequest | None, phone_challenge: PhoneChallenge | None = None
    ) -> AbstractBaseUser | None:
        """Spend the challenge once and give its user; None when either is not good for it.

        Afterwards `phone_challenge.created_user` says whether this login made the user. Writes.
        """
        if phone_challenge is None or phone_challenge.state != State.VERIFIED:
            return None
        login = spend_challenge(phone_challenge)
        if login is None:
            return None
        if not self.user_can_authenticate(login.user):  # type: ignore[arg-type]  # one user model
            return None
        phone_challenge.created_user = login.created
        signals.send_after_commit(
            signals.login_accepted,
            sender=PhoneChallenge,
            using=PhoneChallenge.primary().db,
            challenge=phone_challenge,
            user=login.user,
            created=login.created,
        )
        return login.user
