"""What should not happen, as one tree. Layer 0: imports nothing of ours.

Everyday refusals (a wrong code, a wait that is not over) are no exceptions: they are values of
`choices.Refusal`. Configuration errors are Django's `ImproperlyConfigured`, outside this tree, so
that no fallback to another provider can hide them.

    PhoneOTPError
    ├── InvalidPhone            the text is not a phone number (also a ValueError)
    ├── ChannelNotOffered       no provider for this number has the channel (also a ValueError)
    ├── NoAccountInUse          every provider account is switched off or broken
    ├── CodeRequired            the challenge is answered with a code, and none came (a ValueError)
    ├── CodeGone                the provider, who is the judge, knows nothing of a code any more
    ├── CacheUnavailable        the cache in which limits are counted is out of reach
    ├── BrokenSeal              no key of this site opens the stored options
    ├── TransportError          raised by `transport`, names method and host only
    │   ├── NotConnected        nothing was sent
    │   └── NoAnswer            something was sent, no usable answer came back
    └── DeliveryError           raised by providers, read by `flow.deliveries`
        ├── InvalidRecipient
        ├── RecipientUnreachable
        ├── RecipientLimited
        ├── ProviderThrottled
        ├── InsufficientFunds
        ├── Misconfigured
        ├── ProviderRejected
        ├── ProviderUnavailable
        └── DeliveryUncertain

SECURITY: the text of these reaches logs. A provider's address holds its secret, so no text may be
made from a URL, from a request, or from an exception of the HTTP library.
"""


class PhoneOTPError(Exception):
    """Base of all exceptions of this package."""


class InvalidPhone(PhoneOTPError, ValueError):
    """The text is not a phone number; its message is translated and may be shown to the person."""


class ChannelNotOffered(PhoneOTPError, ValueError):
    """No provider that serves the number has the channel asked for; may be shown to the person."""


class NoAccountInUse(PhoneOTPError):
    """There are provider accounts, but none can be used now: an operator has to see to it."""


class CodeRequired(PhoneOTPError, ValueError):
    """An answer without a code, to a challenge that awaits one; may be shown to the person."""


class CodeGone(PhoneOTPError):
    """The provider judges no answers to this delivery any more: it is too old, or used up."""


class CacheUnavailable(PhoneOTPError):
    """The cache in which limits are counted is out of reach: nobody may be let through."""


class BrokenSeal(PhoneOTPError):
    """No present key opens a sealed text: `SECRET_KEY` was changed without a fallback."""


class TransportError(PhoneOTPError):
    """A call over HTTP did not bring an answer."""


class NotConnected(TransportError):
    """No byte of the request left: no DNS, connection refused, TLS failed."""


class NoAnswer(TransportError):
    """The request was written, in part at least, and no whole answer came in time."""


class DeliveryError(PhoneOTPError):
    """A provider did not deliver; the subclass tells the dispatcher what to do next.

    The message is for operators: it may quote the provider's words, never a code or a secret.
    """


class InvalidRecipient(DeliveryError):
    """The number can never work here: the person is told that the phone is wrong."""


class RecipientUnreachable(DeliveryError):
    """This channel cannot reach the number; another one may."""


class RecipientLimited(DeliveryError):
    """The provider's own limit for this number is used up."""


class ProviderThrottled(DeliveryError):
    """The provider refuses because our account asks too often."""


class InsufficientFunds(DeliveryError):
    """Our account has no money left."""


class Misconfigured(DeliveryError):
    """The provider refuses our credentials or does not know the address that we call."""


class ProviderRejected(DeliveryError):
    """The provider says no, for a reason of its own."""


class ProviderUnavailable(DeliveryError):
    """The provider certainly did not accept the message: it could not be reached."""


class DeliveryUncertain(DeliveryError):
    """The message may have gone out and been charged: never send a second one by itself."""
