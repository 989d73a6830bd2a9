"""The settings of every contender: what `startproject` gives, for production, and its own on top.

The environment says which contender it is, and where database and cache are.
"""

import json
import os
from typing import Any

from benchmarks.sign_in.contenders import find
from benchmarks.sign_in.contenders.base import CACHE, CONTENDER, DATABASE

SECRET_KEY = "benchmark-only-" + "k" * 50
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DATABASES: dict[str, Any] = {
    "default": {**json.loads(os.environ[DATABASE]), "CONN_MAX_AGE": None},
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ[CACHE],
    }
}

_contender = find(os.environ[CONTENDER])
ROOT_URLCONF = f"{_contender.package}.urls"
for _name, _value in _contender.settings().items():
    # Lists are added to what is there, all else takes its place.
    _known = globals().get(_name)
    globals()[_name] = [*_known, *_value] if isinstance(_known, list) else _value
