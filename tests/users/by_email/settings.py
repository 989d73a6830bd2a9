from tests.users.settings import *  # noqa: F403
from tests.users.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.users.by_email"]
AUTH_USER_MODEL = "by_email.User"
