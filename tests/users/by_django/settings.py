"""Django's own user model."""

from tests.users.settings import *  # noqa: F403
