"""Each provider that calls a service, as it is set up against the gateway; and what is expected."""

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

from example_project.gateway import FAULTS

SECRET = "Kb8-wGz2_tQx7LmVn4Rd"
EMAIL = "owner@shop.example"
ACCOUNT_SID, SERVICE_SID = "AC" + "5e" * 16, "VA" + "9d" * 16

SLACK_SECONDS = 1.0  # beside the provider's timeout, for all that is not the provider

# No credential in any form that it has on the wire.
SECRETS = [
    SECRET,
    b64encode(f"{EMAIL}:{SECRET}".encode()).decode().rstrip("="),
    b64encode(f"{ACCOUNT_SID}:{SECRET}".encode()).decode().rstrip("="),
]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A way to use a provider; `phone` is one that it serves."""

    name: str
    backend: str
    options: dict[str, Any]
    phone: str = "+79244501003"
    is_call: bool = False  # the person calls; there is no code
    is_local: bool = False  # the code is ours
    # What comes of faults that the services tell each in their own way.
    outcomes: dict[str, str] = field(default_factory=dict)

    def outcome_of(self, fault: str) -> str:
        """Give the word for what a fault leads to: uncertain, where nothing else is certain."""
        return {**OUTCOMES, **self.outcomes}.get(fault, "uncertain")


KINDS = [
    Kind(name="flash", backend="telefon-ip-flash", options={"token": SECRET}),
    Kind(name="sms", backend="telefon-ip-sms", options={"token": SECRET}),
    Kind(
        name="sms-own-code",
        backend="telefon-ip-sms",
        options={"token": SECRET, "own_code": True},
        is_local=True,
    ),
    Kind(name="telegram", backend="telefon-ip-telegram", options={"token": SECRET}),
    Kind(name="reverse", backend="telefon-ip-reverse", options={"token": SECRET}, is_call=True),
    Kind(
        name="sms-by",
        backend="sms-by",
        options={"token": SECRET},
        phone="+375291234567",
        outcomes={"wrapped": "sent", "no-money": "rejected"},
    ),
    Kind(
        name="sms-by-letters",
        backend="sms-by",
        options={"token": SECRET, "type_id": "both", "len": 8},
        phone="+375291234567",
        outcomes={"wrapped": "sent", "no-money": "rejected"},
    ),
    Kind(
        name="oneconnect",
        backend="oneconnect",
        options={"email": EMAIL, "api_key": SECRET},
        phone="+4915112345678",
    ),
    Kind(
        name="oneconnect-mixed",
        backend="oneconnect",
        options={"email": EMAIL, "api_key": SECRET, "only_numbers": False, "length": 8},
        phone="+4915112345678",
    ),
    Kind(
        name="twilio",
        backend="twilio-verify",
        options={"account_sid": ACCOUNT_SID, "auth_token": SECRET, "service_sid": SERVICE_SID},
        phone="+14155552671",
    ),
]

# What a fault leads to where it leads to the same for all; everything else is uncertain.
OUTCOMES = {
    "": "sent",
    "latency=0.1": "sent",
    "429": "throttled",
    "404": "misconfigured",
    "redirect": "misconfigured",
    "bad-token": "misconfigured",
    "echo": "rejected",
    "no-money": "no_funds",
}
# Faults at which nothing comes for as long as the client waits.
HANGING = {"timeout", "silence", "drip", "drip-body"}
FAULT_NAMES = ["", "latency=0.1", *(name for name in FAULTS if name != "latency")]
