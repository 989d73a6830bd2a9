"""The site that the clients of the documentation log in to."""

import os
from pathlib import Path

from tests.parallel.settings import *  # noqa: F403 (all of them, but for what follows)
from tests.parallel.settings import MIDDLEWARE, TEMPLATES

from .pages import SITE

ROOT_URLCONF = "tests.clients.urls"
MIDDLEWARE = ["tests.clients.witness.watch", *MIDDLEWARE]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
}
TEMPLATES[0]["DIRS"] = [Path(os.environ[SITE], "templates")]
STATICFILES_DIRS = [Path(os.environ[SITE], "static")]
# Both processes of the server count an account's failures alike, and a test begins without any.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": str(Path(os.environ[SITE], "cache")),
    }
}
