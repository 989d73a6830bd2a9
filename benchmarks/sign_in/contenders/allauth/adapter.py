"""What django-allauth leaves to the site: where phones are stored, and how codes are sent."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter

from benchmarks.sign_in import stand_in

from .models import User


class Adapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Keeps a phone in its user's row."""

    def generate_phone_verification_code(self, *, user: Any, phone: str) -> str:
        """Make a code of six digits, as the others do."""
        from django.utils.crypto import get_random_string

        return get_random_string(6, "0123456789")

    def send_verification_code_sms(self, user: Any, phone: str, code: str, **words: Any) -> None:
        """Hand it to the stand-in."""
        stand_in.send(phone, code)

    def get_phone(self, user: Any) -> tuple[str, bool] | None:
        """Give the phone of a user, and whether it is verified."""
        return (user.phone, user.phone_verified) if user.phone else None

    def set_phone(self, user: Any, phone: str, verified: bool) -> None:
        """Store it."""
        user.phone, user.phone_verified = phone, verified
        user.save(update_fields=["phone", "phone_verified"])

    def set_phone_verified(self, user: Any, phone: str) -> None:
        """Note that it is verified, where that is not known yet."""
        if not user.phone_verified:
            self.set_phone(user, phone, True)

    def get_user_by_phone(self, phone: str) -> User | None:
        """Find the user of a phone."""
        return User._default_manager.filter(phone=phone).first()
