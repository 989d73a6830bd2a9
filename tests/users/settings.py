"""The site of these tests: what every issuer needs is installed. Each user model adds its own."""

from tests.settings import *  # noqa: F403 (all of them, but for what follows)
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "knox", "rest_framework_simplejwt.token_blacklist"]
ROOT_URLCONF = "tests.users.urls"
SIMPLE_JWT = {"CHECK_REVOKE_TOKEN": True}
SILENCED_SYSTEM_CHECKS = ["phone_otp.W021"]  # each view names the authentication of its issuer
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"  # what Django chooses differs by release
