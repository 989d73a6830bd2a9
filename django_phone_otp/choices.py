"""The closed sets of words: states, purposes, channels, custodies, outcomes and refusals.

Layer 1. Every word is stored or sent over the wire under its value, so values are for ever; what a
person reads is the label.
"""

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Words(models.TextChoices):
    """Base of all sets."""

    @classmethod
    def listed(cls) -> list[tuple[str, Promise | str]]:
        """List the pairs for a model field; given as a callable, new words need no migration."""
        return list(cls.choices)


class Purpose(Words):
    """What a confirmed phone is good for; a code made for one purpose fails for the other."""

    LOGIN = "login", _("log in")
    LINK = "link", _("link a phone")
    TRIAL = "trial", _("try an account")


class State(Words):
    """Where a challenge stands.

    `EXPIRED` and `LOCKED` follow from the clock and from the tries left and are never stored:
    nobody has to be there to write them, and they cannot contradict what they follow from.
    """

    SENDING = "sending", _("sending")
    SENT = "sent", _("sent")
    FAILED = "failed", _("failed")
    VERIFIED = "verified", _("verified")
    CANCELLED = "cancelled", _("cancelled")
    EXPIRED = "expired", _("expired")
    LOCKED = "locked", _("locked")


STORED_STATES = (State.SENDING, State.SENT, State.FAILED, State.VERIFIED, State.CANCELLED)
# A challenge in one of these still takes answers and resends, as long as it is in time.
OPEN_STATES = (State.SENDING, State.SENT, State.FAILED)


class Channel(Words):
    """How a code reaches the person, and what the person must do."""

    SMS = "sms", _("text message")
    FLASH_CALL = "flash_call", _("flash call")
    TELEGRAM = "telegram", _("Telegram")
    REVERSE_CALL = "reverse_call", _("call from the person")

    @property
    def hint(self) -> Promise:
        """Tell the person what to do, as a lazily translated sentence.

        That of `REVERSE_CALL` has a place for the number to call, `%(call_to)s`.
        """
        return _HINTS[self]


_HINTS: dict[Channel, Promise] = {
    Channel.SMS: _("Enter the code from the text message that we sent you."),
    Channel.FLASH_CALL: _(
        "Your phone is about to ring. Do not answer: the code is the last digits of the number "
        "that calls."
    ),
    Channel.TELEGRAM: _("Enter the code from the message that we sent you in Telegram."),
    Channel.REVERSE_CALL: _(
        "Call the number %(call_to)s from your phone. Nobody answers: the call alone is enough."
    ),
}


class Custody(Words):
    """Who makes the code and who judges the answer."""

    LOCAL = "local", _("we make and judge the code")
    RETURNED = "returned", _("the provider makes the code and tells us")
    REMOTE = "remote", _("the provider makes and judges the code")
    PRESENCE = "presence", _("no code: the person calls a number that we show")


class DeliveryOutcome(Words):
    """How one try at one provider ended; one word for each class of `exceptions.DeliveryError`."""

    SENT = "sent", _("sent")
    WITHHELD = "withheld", _("withheld: unknown phone and sign-up is closed")
    TEST = "test", _("not sent: a test phone")
    INVALID_RECIPIENT = "invalid_recipient", _("the number cannot work")
    UNREACHABLE = "unreachable", _("not reachable by this channel")
    LIMITED = "limited", _("the provider's limit for this number")
    THROTTLED = "throttled", _("the provider throttles our account")
    NO_FUNDS = "no_funds", _("no money in the account")
    MISCONFIGURED = "misconfigured", _("credentials or address refused")
    REJECTED = "rejected", _("rejected by the provider")
    UNAVAILABLE = "unavailable", _("provider not reachable")
    OVER_BUDGET = "over_budget", _("not asked: the account's own limit is reached")
    PHONE_OVER_BUDGET = "phone_over_budget", _("not asked: its limit for this phone is reached")
    UNCERTAIN = "uncertain", _("uncertain: maybe sent")


class Guard(Words):
    """Who may object to a message before it is paid for."""

    REGION = "region", _("region that is not served")
    NUMBER_TYPE = "number_type", _("type of number that is not served")
    REGION_TRAFFIC = "region_traffic", _("too few logins in the region")
    ADDRESS_TRAFFIC = "address_traffic", _("too few logins from the address")
    PREFIX_TRAFFIC = "prefix_traffic", _("too few logins among neighbouring numbers")
    BLOCKED_PREFIX = "blocked_prefix", _("prefix closed by an operator")


class Span(Words):
    """How long a time one row of traffic counts; slices are for hours to be added up from."""

    SLICE = "slice", _("five minutes")
    HOUR = "hour", _("hour")
    DAY = "day", _("day")


class Period(Words):
    """How far a report of traffic looks back, in days of the site's time zone, today included."""

    DAY = "24h", _("24 hours")
    WEEK = "7d", _("7 days")
    MONTH = "30d", _("30 days")
    QUARTER = "90d", _("90 days")

    @property
    def days_count(self) -> int:
        """Give the days that it goes over; the 24 hours are of two."""
        return _DAYS_COUNT[self]


_DAYS_COUNT = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 30, Period.QUARTER: 90}


class Source(Words):
    """Where traffic comes from, or goes to."""

    PREFIX = "prefix", _("prefix")
    ADDRESS = "address", _("address")


class Refusal(Words):
    """Why the flow says no: the words of the HTTP API, each with what the person is told."""

    WRONG_CODE = "wrong_code", _("This code is not right.")
    CALL_AWAITED = "call_awaited", _("Your call has not come in yet.")
    EXPIRED = "expired", _("This code is too old. Ask for a new one.")
    CHALLENGE_CLOSED = "challenge_closed", _("This request is closed. Ask for a new code.")
    UNKNOWN_CHALLENGE = "unknown_challenge", _("This request is not known. Ask for a new code.")
    PHONE_NOT_ALLOWED = "phone_not_allowed", _("This phone number cannot be used here.")
    CAPTCHA_REQUIRED = "captcha_required", _("Show first that you are not a robot.")
    CAPTCHA_FAILED = "captcha_failed", _("The check that you are not a robot failed. Try again.")
    RESEND_TOO_SOON = "resend_too_soon", _("Wait a moment before you ask for another code.")
    TOO_MANY_REQUESTS = "too_many_requests", _("Too many requests. Try again later.")
    LOCKED = "locked", _("Too many wrong codes. Ask for a new code later.")
    DELIVERY_FAILED = "delivery_failed", _("The code could not be delivered. Try again later.")
    UNAVAILABLE = "unavailable", _("The service is not available right now. Try again later.")
    UNKNOWN_PHONE = "unknown_phone", _("This phone is not known here.")
    LAST_PHONE = "last_phone", _("Without this phone you could not log in. Link another one first.")

    @property
    def message(self) -> str:
        """Say it to the person, in the language that is active now."""
        return str(self.label)

    @property
    def reason(self) -> str:
        """Say the same without advice, for where it stands beside how long to wait."""
        return str(_REASONS.get(self, self.label))


_REASONS: dict[Refusal, Promise] = {
    Refusal.RESEND_TOO_SOON: _("A code was sent a moment ago."),
    Refusal.TOO_MANY_REQUESTS: _("Too many requests."),
    Refusal.LOCKED: _("Too many wrong codes."),
    Refusal.DELIVERY_FAILED: _("The code could not be delivered."),
    Refusal.UNAVAILABLE: _("The service is not available right now."),
}
