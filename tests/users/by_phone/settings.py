from tests.users.settings import *  # noqa: F403
from tests.users.settings import INSTALLED_APPS, PHONE_OTP

INSTALLED_APPS = [*INSTALLED_APPS, "tests.users.by_phone"]
AUTH_USER_MODEL = "by_phone.User"
PHONE_OTP = {**PHONE_OTP, "USER_PHONE_FIELD": "phone"}
