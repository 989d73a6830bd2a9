"""The local gateway: the providers and the phones of their customers, in one small HTTP server.

On one port it speaks the wire protocols of telefon-ip.ru, sms.by, oneconnect.uno and Twilio Verify,
shows what a real gateway cannot, the phone's screen, and fails to order (`faults`). It is for
development, the demo and tests, sends nothing to anybody, and listens on loopback only.
"""

from .faults import FAULTS
from .gateway import DEFAULT_PORT, Gateway
from .screens import Message
from .server import HOST

__all__ = ["DEFAULT_PORT", "FAULTS", "HOST", "Gateway", "Message"]
