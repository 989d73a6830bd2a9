"""Captchas on a page: what each service's widget is made of. Layer 5."""

from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from .. import conf
from ..captcha import load_captcha
from ..captcha.siteverify import HCaptcha, SiteVerify, Turnstile, Yandex
from ..conf import Settings
from ..fields import MAX_CAPTCHA_TOKEN_LENGTH

OWN_FIELD = "captcha_token"


@dataclass(frozen=True, slots=True)
class Widget:
    """A captcha as a page shows it.

    The service's `script` fills the element of the class `element`, which has the `site_key`, and
    puts the token into a hidden `field`. For a class of a site's own there is the field alone.
    """

    field: str = OWN_FIELD
    element: str = ""
    script: str = ""
    site_key: str = ""


# All of it documented: yandex.cloud/en/docs/smartcaptcha/concepts/widget-methods,
# docs.hcaptcha.com, developers.cloudflare.com/turnstile/get-started/client-side-rendering.
_WIDGETS: dict[type[SiteVerify], tuple[str, str, str]] = {
    Yandex: (
        "smart-token",
        "smart-captcha",
        "https://smartcaptcha.cloud.yandex.ru/captcha.js",
    ),
    HCaptcha: ("h-captcha-response", "h-captcha", "https://js.hcaptcha.com/1/api.js"),
    Turnstile: (
        "cf-turnstile-response",
        "cf-turnstile",
        "https://challenges.cloudflare.com/turnstile/v0/api.js",
    ),
}


def find_widget(settings: Settings) -> Widget | None:
    """Find the widget of the site's captcha, a subclass's too; None without a captcha."""
    if settings.captcha is None:
        return None
    try:
        captcha = load_captcha(settings.captcha)
    except ImproperlyConfigured:  # the flow refuses all requests, and tells the operators
        return Widget()
    for kind, parts in _WIDGETS.items():
        if isinstance(captcha, kind):
            return Widget(*parts, site_key=captcha.options.get("site_key", ""))
    return Widget()


def is_shown_always(settings: Settings) -> bool:
    """Say whether nobody gets a code without the captcha."""
    return settings.captcha is not None and settings.captcha.get("WHEN") != "suspicious"


@sensitive_variables("token")
def read_token(request: HttpRequest) -> str:
    """Read the token that the widget has put into the form; "" for what can be none."""
    widget = find_widget(conf.read())
    token = request.POST.get(widget.field, "") if widget else ""
    return token if token.isprintable() and len(token) <= MAX_CAPTCHA_TOKEN_LENGTH else ""
