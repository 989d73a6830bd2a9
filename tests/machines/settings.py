"""The settings of sites and workers: the same for all of them, as on a real site."""

import os

from tests.stress.settings import *  # noqa: F403 (all of them, but for what follows)
from tests.stress.settings import DATABASES, INSTALLED_APPS, LOGGING

# Celery's documentation imports it in the project's `__init__.py`, which here is that of the tests.
from .celery_app import app as celery_app

__all__ = ["celery_app"]

INSTALLED_APPS = [*INSTALLED_APPS, "django_tasks_db", "django_rq"]
# As a busy site has it: what a restart of the database does to connections that are kept.
DATABASES["default"] |= {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}

_redis = os.environ["PHONE_OTP_TEST_QUEUE_SOCKET"]
TASKS = {"default": {"BACKEND": os.environ["PHONE_OTP_TEST_TASKS_BACKEND"]}}
RQ_QUEUES = {"default": {"UNIX_SOCKET_PATH": _redis, "DB": 0}}
CELERY_BROKER_URL = f"redis+socket://{_redis}"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# The broker hands out again what a worker has left behind, and what takes a worker long.
CELERY_TASK_ACKS_LATE = CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 5}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

_level = os.environ["PHONE_OTP_TEST_LOG_LEVEL"]
LOGGING = {
    **LOGGING,
    "handlers": {"stderr": {"class": "logging.StreamHandler", "level": _level}},
    "root": {"handlers": ["stderr"], "level": _level},
}
