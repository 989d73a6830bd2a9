"""What operators see. Layer 5: challenges through a window, accounts and phones through a door."""

from .accounts import ProviderAccountAdmin
from .challenges import PhoneChallengeAdmin
from .user_phones import UserPhoneAdmin

__all__ = ["PhoneChallengeAdmin", "ProviderAccountAdmin", "UserPhoneAdmin"]
