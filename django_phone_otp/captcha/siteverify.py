"""Yandex SmartCaptcha, hCaptcha and Cloudflare Turnstile. Layer 3.

All are asked alike: a form with our secret and the person's token, answered by a JSON object. What
the fields are called and what an answer means is said by a class for each service.

SECURITY: what a person can bring about with a token of his own must never be "no verdict": where
`ON_ERROR` is "allow" he would be let through. So an answer that refuses counts as a refusal, for
whatever reason, unless the reason can only be ours or the service's.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.views.decorators.debug import sensitive_variables

from .. import transport
from ..exceptions import NoAnswer
from ..transport import Transport, WireRequest, is_safe_address
from .base import Captcha

MAX_TOKEN_LENGTH = 4096  # characters; documented: a token of Turnstile has up to 2048
DEFAULT_TIMEOUT_SECONDS = 5.0
MAX_TIMEOUT_SECONDS = 60.0

_SETTING = "PHONE_OTP['CAPTCHA']['OPTIONS']"


class SiteVerify(Captcha):
    """Base of the three: one request, and its answer read without trust.

    A class sets `service`, the name that operators know, and `url`, and writes `write_form` and
    `read`. Of the options only `secret` is required; `url` takes the place of the service's own,
    `timeout` is in seconds.
    """

    service: ClassVar[str]
    url: ClassVar[str]

    @sensitive_variables("options")
    def __init__(self, options: Mapping[str, Any], send: Transport = transport.send) -> None:
        _check_options(options)
        super().__init__(options)
        self._send = send

    @sensitive_variables()
    def verify(self, token: str, ip: str) -> bool:
        """Ask the service about the token, once: asking uses a token up."""
        # SECURITY: what cannot be sent, or is too much for the service, would fail as the network
        # does, and be let through by "allow". That tokens are ASCII is assumed.
        if not token.isascii() or len(token) > MAX_TOKEN_LENGTH:
            return False
        form = self.write_form(token, ip)
        request = WireRequest(
            method="POST",
            url=self.options.get("url", self.url),
            form={name: value for name, value in form.items() if value},
            timeout_seconds=self.options.get("timeout", DEFAULT_TIMEOUT_SECONDS),
        )
        reply = self._send(request)
        try:
            answer = reply.json()
        except ValueError:
            answer = None
        verdict = None
        if reply.status < 500 and isinstance(answer, dict):
            # Observed: a refused secret may come with a 4xx, whose body says what is wrong.
            verdict = self.read(answer)
        if verdict is None or (verdict and not 200 <= reply.status < 300):
            raise NoAnswer(f"{self.service}: HTTP {reply.status} without a verdict")
        return verdict

    @abstractmethod
    def write_form(self, token: str, ip: str) -> dict[str, str]:
        """Write what goes out; what is empty is left out later."""

    @abstractmethod
    def read(self, answer: Mapping[str, Any]) -> bool | None:
        """Read the verdict from an answer; None where there is none.

        Raises `ImproperlyConfigured` for an error of our keys, and `NoAnswer`, with the reason, for
        one of the service.
        """

    def blame_keys(self, words: str) -> ImproperlyConfigured:
        """Make the error of keys that the service refuses; `words` must be known ones."""
        return ImproperlyConfigured(f"{self.service} refuses the keys in {_SETTING}: {words}.")


class Yandex(SiteVerify):
    """Asks Yandex SmartCaptcha, documented at yandex.cloud/en/docs/smartcaptcha."""

    service = "Yandex SmartCaptcha"
    url = "https://smartcaptcha.cloud.yandex.ru/validate"

    def write_form(self, token: str, ip: str) -> dict[str, str]:
        """Write the three documented fields."""
        return {"secret": self.options["secret"], "token": token, "ip": ip}

    def read(self, answer: Mapping[str, Any]) -> bool | None:
        """Read `status`; `message` decides only whom a refusal blames.

        Documented: the message is for diagnosis alone. Should its words change, an error of our key
        looks like one of the token, and nobody is let through.
        """
        status, message = answer.get("status"), answer.get("message")
        if status == "failed":
            # Documented: "Authentication failed. Secret has not provided." That the same beginning
            # stands for a wrong secret is assumed.
            if isinstance(message, str) and message.startswith("Authentication failed"):
                raise self.blame_keys("Authentication failed")
            return False
        if status == "ok" and answer.get("host") == "":
            # SECURITY: documented (concepts/domain-validation): the cloud is blocked, and robots
            # get "ok" as well, or the service broke down. Either way nobody was judged.
            raise NoAnswer(f"{self.service}: ok with an empty host: is the cloud blocked?")
        return True if status == "ok" else None


class _ErrorCodes(SiteVerify):
    """What hCaptcha and Turnstile share: `success`, and the reasons in `error-codes`."""

    key_errors: ClassVar[frozenset[str]]
    service_errors: ClassVar[frozenset[str]]

    def write_form(self, token: str, ip: str) -> dict[str, str]:
        """Write the three documented fields."""
        return {"secret": self.options["secret"], "response": token, "remoteip": ip}

    def read(self, answer: Mapping[str, Any]) -> bool | None:
        """Read `success`, which has to be a bool; words that nobody knows are about the token."""
        success, codes = answer.get("success"), answer.get("error-codes")
        if success is not False:
            return True if success is True else None
        words = {word for word in codes if isinstance(word, str)} if isinstance(codes, list) else ()
        about_keys = self.key_errors.intersection(words)
        if about_keys:
            raise self.blame_keys(", ".join(sorted(about_keys)))
        if words and self.service_errors.issuperset(words):
            raise NoAnswer(f"{self.service}: {', '.join(sorted(words))}")
        return False


class HCaptcha(_ErrorCodes):
    """Asks hCaptcha, documented at docs.hcaptcha.com."""

    service = "hCaptcha"
    url = "https://api.hcaptcha.com/siteverify"
    # Documented but for the last, which is observed (npm: verify-hcaptcha).
    key_errors = frozenset(
        {
            "missing-input-secret",
            "invalid-input-secret",
            "sitekey-secret-mismatch",
            "not-using-dummy-passcode",
            "invalid-sitekey",
        }
    )
    # Documented. They are about an address that the site found out, not about the token.
    service_errors = frozenset({"missing-remoteip", "invalid-remoteip"})

    def write_form(self, token: str, ip: str) -> dict[str, str]:
        """Add the site key: with it a token of another site of the account is refused."""
        return {**super().write_form(token, ip), "sitekey": self.options.get("site_key", "")}


class Turnstile(_ErrorCodes):
    """Asks Cloudflare Turnstile, documented at developers.cloudflare.com/turnstile."""

    service = "Cloudflare Turnstile"
    url = "https://challenges.cloudflare.com/turnstile/v0/siteverify"
    key_errors = frozenset({"missing-input-secret", "invalid-input-secret"})  # documented
    service_errors = frozenset({"internal-error"})  # documented


def _check_options(options: Mapping[str, Any]) -> None:
    """Raise `ImproperlyConfigured` for options that do not fit; no text of it has a value."""
    if not isinstance(options, Mapping):
        raise ImproperlyConfigured(f"{_SETTING} must be a dict.")
    for name in options:
        if name not in _EXPECTED:
            known = ", ".join(sorted(_EXPECTED))
            raise ImproperlyConfigured(f"{_SETTING}[{name!r}] does not exist; known: {known}.")
    if options.get("secret") in (None, ""):
        raise ImproperlyConfigured(f"{_SETTING}['secret'] is missing.")
    for name, (is_good, expected) in _EXPECTED.items():
        if name in options and not is_good(options[name]):
            raise ImproperlyConfigured(f"{_SETTING}[{name!r}] must be {expected}.")


def _is_key(value: Any) -> bool:
    # A line break or a space comes along when a key is copied, and makes it another key.
    return isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value


def _is_timeout(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < value <= MAX_TIMEOUT_SECONDS


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and is_safe_address(value)


_EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "secret": (_is_key, "text in ASCII without spaces"),
    "site_key": (_is_key, "text in ASCII without spaces"),
    "url": (_is_address, "https:// with a host and at most a path"),
    "timeout": (_is_timeout, f"above 0 and at most {MAX_TIMEOUT_SECONDS} seconds"),
}
