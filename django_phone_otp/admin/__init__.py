"""What operators see. Layer 5: challenges through a window, accounts and phones through a door."""

from .accounts import ProviderAccountAdmin
from .blocked_prefixes import BlockedPrefixAdmin
from .challenges import PhoneChallengeAdmin
from .dashboard import DashboardAdmin
from .phone_ledgers import PhoneLedgerAdmin
from .user_phones import UserPhoneAdmin

__all__ = [
    "BlockedPrefixAdmin",
    "DashboardAdmin",
    "PhoneChallengeAdmin",
    "PhoneLedgerAdmin",
    "ProviderAccountAdmin",
    "UserPhoneAdmin",
]
