"""Token issuers: what a client keeps after a login. Layer 3. One class with one method each."""

from ..loading import load_class
from .base import Issuer

REGISTRY = {
    "session": "django_phone_otp.issuers.session.SessionIssuer",
    "token": "django_phone_otp.issuers.token.TokenIssuer",
    "simplejwt": "django_phone_otp.issuers.simplejwt.SimpleJWTIssuer",
    "knox": "django_phone_otp.issuers.knox.KnoxIssuer",
}


def load_issuer(name: str) -> Issuer:
    """Make the issuer that `TOKEN_ISSUER` names; raises `ImproperlyConfigured`."""
    setting = "PHONE_OTP['TOKEN_ISSUER']"
    return load_class(name, base=Issuer, known=REGISTRY, setting=setting)()  # type: ignore[type-abstract]


__all__ = ["REGISTRY", "Issuer", "load_issuer"]
