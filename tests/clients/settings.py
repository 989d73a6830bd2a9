"""The site that the clients of the documentation log in to."""

from tests.parallel.settings import *  # noqa: F403 (all of them, but for what follows)
from tests.parallel.settings import MIDDLEWARE

ROOT_URLCONF = "tests.clients.urls"
MIDDLEWARE = ["tests.clients.witness.watch", *MIDDLEWARE]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
}
