"""Settings of the example site: for one's own machine, not for the internet.

What a site adds for login by phone is marked with "phone"; the rest is what `startproject` gives.
The environment moves the database (`EXAMPLE_DATABASE`), names the provider (`EXAMPLE_GATEWAY`,
`EXAMPLE_TOKEN`), and says what sends the messages (`EXAMPLE_DISPATCH`, `EXAMPLE_BROKER`).
"""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent

# SECURITY: known to everybody who reads this. Codes and the options of accounts are sealed with
# it, so a site that people use needs its own.
SECRET_KEY = os.environ.get("EXAMPLE_SECRET_KEY", "example-only-never-use-it-on-a-real-site")
DEBUG = True
# SECURITY: the debug pages and the known key stay on this machine.
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "example_project",  # before the app: its templates come first
    "rest_framework",  # phone
    "rest_framework.authtoken",  # phone: the token that apps log in with
    "django_phone_otp",  # phone
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

AUTHENTICATION_BACKENDS = [
    "django_phone_otp.backends.PhoneOTPBackend",  # phone
    "django.contrib.auth.backends.ModelBackend",  # passwords, for the operators in the admin
]

ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"

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

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("EXAMPLE_DATABASE", str(FOLDER / "db.sqlite3")),
        # A write waits for its turn from the start: else two requests that read first and write
        # then fail with "database is locked" at once, whatever the timeout.
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The default cache lives in one process, as this site does; a site of several processes needs a
# shared one, because the limits by address are counted there.

LANGUAGE_CODE = "en"
LANGUAGES = [
    ("en", "English"),
    ("be", "Беларуская"),
    ("kk", "Қазақша"),
    ("ru", "Русский"),
    ("uk", "Українська"),
]
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
LOGIN_URL = "phone_otp_web:login"  # phone
LOGIN_REDIRECT_URL = "home"

# phone: six accounts at four providers, all of them played by the local gateway. A code goes out as
# a call in Russia, and as a text when a call cannot be made or a text is asked for; elsewhere as a
# text, and through the account in reserve when that fails.
_WHERE: dict[str, Any] = {
    "base_url": os.environ.get("EXAMPLE_GATEWAY", "http://127.0.0.1:8001"),
    "timeout": 5,
}
_TOKEN = {"token": os.environ.get("EXAMPLE_TOKEN", "example-token"), **_WHERE}
_WORLD = {"email": "operator@example.com", "api_key": _TOKEN["token"], **_WHERE}
_RESERVE = {
    "account_sid": "AC" + "0" * 32,
    "auth_token": _TOKEN["token"],
    "service_sid": "VA" + "0" * 32,
    **_WHERE,
}
PHONE_OTP = {
    "PROVIDERS": {
        "calls": {"BACKEND": "telefon-ip-flash", "OPTIONS": _TOKEN},
        "texts": {"BACKEND": "telefon-ip-sms", "OPTIONS": _TOKEN, "DAILY_LIMIT": 2_000},
        "reverse": {"BACKEND": "telefon-ip-reverse", "OPTIONS": _TOKEN},
        "minsk": {"BACKEND": "sms-by", "OPTIONS": _TOKEN},
        "world": {"BACKEND": "oneconnect", "OPTIONS": _WORLD},
        "reserve": {"BACKEND": "twilio-verify", "OPTIONS": _RESERVE},
    },
    "ROUTES": {
        "RU": ["calls", "texts", "reverse"],
        "BY": ["minsk", "world"],
        "*": ["world", "reserve"],
    },
    "DEFAULT_REGION": "RU",
    # Those that watch traffic only say what they would refuse, until somebody has looked at it for
    # some weeks; this one has been looked at.
    "GUARDS": {"prefix_traffic": {"MODE": "block"}},
    "TOKEN_ISSUER": "token",
    "DISPATCH": os.environ.get("EXAMPLE_DISPATCH", "inline"),
}

# phone: with "tasks" `manage.py db_worker` sends the messages, with "celery" a worker of Celery's.
if PHONE_OTP["DISPATCH"] == "tasks":
    INSTALLED_APPS.append("django_tasks_db")
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
CELERY_BROKER_URL = os.environ.get("EXAMPLE_BROKER", "redis://127.0.0.1:6379/0")
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 2, "socket_timeout": 2}
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False  # it would tell these settings

# phone: one line for each event, `event key=value`, on the terminal.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django_phone_otp": {"handlers": ["console"], "level": "INFO"}},
}

# phone: who asks to see or to change the phones of an account shows the token of the login.
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
}

# phone: the API as OpenAPI, where the extra `schema` is installed. docs/openapi.yaml is made of it.
if find_spec("drf_spectacular"):
    INSTALLED_APPS.append("drf_spectacular")
    REST_FRAMEWORK["DEFAULT_SCHEMA_CLASS"] = "drf_spectacular.openapi.AutoSchema"
    SPECTACULAR_SETTINGS = {
        "TITLE": "Log in by phone",
        "DESCRIPTION": "The HTTP API of django-phone-otp, as the example site serves it.",
        "VERSION": "1",
        "SERVE_INCLUDE_SCHEMA": False,
    }
