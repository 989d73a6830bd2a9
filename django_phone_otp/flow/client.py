"""Who asks: the address, the user agent. Layer 4.

An address is what budgets are counted by, so it is the one thing here that a stranger must not be
able to choose.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol, Self

from .. import conf

MAX_USER_AGENT_LENGTH = 200


class HasMeta(Protocol):
    """What is needed of a request: its WSGI environment. An `HttpRequest` has it."""

    @property
    def META(self) -> Mapping[str, Any]:  # noqa: N802 (Django's name)
        """The environment, as in PEP 3333."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """The other side of a door; `ip` is empty where there is none, as in a command."""

    ip: str = ""
    user_agent: str = ""

    @classmethod
    def from_request(cls, request: HasMeta) -> Self:
        """Describe who sent a request; `TRUSTED_PROXIES` says which address to believe."""
        agent = str(request.META.get("HTTP_USER_AGENT", ""))[:MAX_USER_AGENT_LENGTH]
        return cls(
            ip=_find_address(request.META, conf.read().trusted_proxies),
            # SECURITY: a line break in here would forge lines of a log.
            user_agent="".join(each if each.isprintable() else " " for each in agent),
        )


UNKNOWN_CLIENT = Client()


def _find_address(meta: Mapping[str, Any], trusted_proxies: int) -> str:
    """Read the address that the outermost of our own proxies saw.

    SECURITY: each proxy appends the address that it was called from, so only the last
    `trusted_proxies` entries of `X-Forwarded-For` are ours; all before them is the client's claim.
    """
    nearest = _as_address(str(meta.get("REMOTE_ADDR", "")))
    if not trusted_proxies:
        return nearest
    forwarded = str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(",")
    if len(forwarded) < trusted_proxies:
        return nearest
    return _as_address(forwarded[-trusted_proxies]) or nearest


def _as_address(text: str) -> str:
    """Write an address in its one normal form; empty for what is none, a Unix socket say."""
    text = text.strip()
    if text.startswith("["):  # [2001:db8::1]:443
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 203.0.113.7:443
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])  # fe80::1%eth0: the zone is this machine's
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
