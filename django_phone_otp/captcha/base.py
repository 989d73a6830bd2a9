"""What a captcha is. Layer 3."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any


class Captcha(ABC):
    """Judges the token that a captcha in the person's page or app gave out."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    @abstractmethod
    def verify(self, token: str, ip: str) -> bool:
        """Say whether the token is good; `ip` is the person's address, empty when not known.

        Raises `ImproperlyConfigured` when the service refuses our own keys, and a `TransportError`
        when it gives no verdict: `ON_ERROR` then decides.
        """
