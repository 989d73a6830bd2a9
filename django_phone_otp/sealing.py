"""Secrets at rest: sealed with Fernet under keys derived from `SECRET_KEY` and its fallbacks.

Layer 1. For options of provider accounts, which must be read again; codes never are, so they are
digests (see `codes`). cryptography is imported where it is used: it takes 5 MiB of each worker, and
a site whose accounts are in its settings has nothing sealed.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.encoding import force_bytes
from django.views.decorators.debug import sensitive_variables

from .exceptions import BrokenSeal

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet


@sensitive_variables()
def seal(options: Mapping[str, Any]) -> str:
    """Encrypt a JSON object; the result is a Fernet token in ASCII."""
    return _fernet().encrypt(json.dumps(dict(options)).encode()).decode()


@sensitive_variables()
def unseal(token: str) -> dict[str, Any]:
    """Decrypt what `seal` made; raises `BrokenSeal` when no present key fits."""
    from cryptography.fernet import InvalidToken

    try:
        text = _fernet().decrypt(token.encode())
    except InvalidToken:
        raise BrokenSeal(
            "neither SECRET_KEY nor SECRET_KEY_FALLBACKS opens these options"
        ) from None
    try:
        opened = json.loads(text)
    except ValueError:
        opened = None
    if not isinstance(opened, dict):
        raise BrokenSeal("what was sealed is no object")
    return opened


@sensitive_variables()
def _fernet() -> "MultiFernet":
    from cryptography.fernet import Fernet, MultiFernet

    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_derive_key(force_bytes(secret))) for secret in secrets])


@sensitive_variables()
def _derive_key(secret: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    # HKDF (RFC 5869): a key for this use only; the label keeps it apart from Django's own signing.
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"django_phone_otp.sealing")
    return urlsafe_b64encode(derivation.derive(secret))
