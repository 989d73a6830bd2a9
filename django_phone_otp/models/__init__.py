"""What is stored, and the transitions between its states. Layer 3.

Every transition is one conditional UPDATE in a queryset method that says whether it happened. What
may follow upon what is policy and lives in `flow`.
"""

from .account import ProviderAccount
from .account_ledger import AccountLedger
from .attempts import ConfirmAttempt, DeliveryAttempt, GuardObjection
from .blocked_prefix import BlockedPrefix
from .challenge import IssuedCode, PhoneChallenge
from .dashboard import Dashboard
from .ledger import DeviceLedger, PhoneLedger
from .pending import PendingDelivery
from .traffic import TrafficCount, TrafficSource
from .user_phone import UserPhone

__all__ = [
    "AccountLedger",
    "BlockedPrefix",
    "ConfirmAttempt",
    "Dashboard",
    "DeliveryAttempt",
    "DeviceLedger",
    "GuardObjection",
    "IssuedCode",
    "PendingDelivery",
    "PhoneChallenge",
    "PhoneLedger",
    "ProviderAccount",
    "TrafficCount",
    "TrafficSource",
    "UserPhone",
]
