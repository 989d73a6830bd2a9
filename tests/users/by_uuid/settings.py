from tests.users.settings import *  # noqa: F403
from tests.users.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.users.by_uuid"]
AUTH_USER_MODEL = "by_uuid.User"
KNOX_TOKEN_MODEL = "by_uuid.KnoxToken"
