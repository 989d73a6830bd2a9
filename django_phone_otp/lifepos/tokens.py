"""From the site's issuer to what a login is answered with here. Layer 5."""

from collections.abc import Mapping

from django.core.exceptions import ImproperlyConfigured

from ..issuers import Issuer

COMPLAINT = "PHONE_OTP['TOKEN_ISSUER'] gives no token, which auth/sign-in-by-code answers with."

# What issuers call it; the first found is the token.
_NAMES = ("token", "access")


def can_give_token(issuer: Issuer) -> bool:
    """Say whether an issuer may have a token for this door; one that declares nothing may.

    SECURITY: one that sets cookies has none. Browsers would send them along, and nothing here asks
    where a request comes from.
    """
    declares_others = bool(issuer.answers) and set(_NAMES).isdisjoint(issuer.answers)
    return not issuer.uses_cookies and not declares_others


def write_tokens(issued: Mapping[str, str]) -> dict[str, str]:
    """Write the body: `token`, and `refresh_token` beside one that does not live long.

    Raises `ImproperlyConfigured` where there is no token.
    """
    for name in _NAMES:
        if name in issued:
            refresh = {"refresh_token": issued["refresh"]} if "refresh" in issued else {}
            return {"token": issued[name], **refresh}
    raise ImproperlyConfigured(COMPLAINT)
