"""What operators see. Layer 5: challenges through a window, users' phones through a door."""

from .challenges import PhoneChallengeAdmin
from .user_phones import UserPhoneAdmin

__all__ = ["PhoneChallengeAdmin", "UserPhoneAdmin"]
