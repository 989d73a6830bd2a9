"""This app, with all its limits: inline, with Django Tasks, and with Celery."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from ..base import BROKER, REST, Ask, Body, Contender

PROVIDER = f"{__name__}.provider.StandIn"
# What thousands of people from one address would meet, or hundreds who all ask before one of them
# answers, is so high that nobody does, and is counted all the same. What one person could meet is
# as it comes.
LIMITS = {"request_ip": "1000000/h", "confirm_ip": "1000000/h"}
GUARDS = {"region_traffic": {"FREE": 1_000_000}}


class Inline(Contender):
    """Sends inside the request."""

    name = "inline"
    title = "django-phone-otp"
    distributions: ClassVar[tuple[str, ...]] = ()
    leaves_out = "–"
    tables: ClassVar[tuple[str, ...]] = ("auth_user", "phone_otp_phoneledger")
    asked_status = 201
    dispatch = "inline"

    @property
    def version(self) -> str:
        """Give the version of the checkout, which need not be the one that is installed."""
        from django_phone_otp import __version__

        return __version__

    def settings(self) -> dict[str, Any]:
        """Set up what its documentation asks for."""
        return {
            "INSTALLED_APPS": [*REST, "django_phone_otp"],
            "AUTHENTICATION_BACKENDS": [
                "django_phone_otp.backends.PhoneOTPBackend",
                "django.contrib.auth.backends.ModelBackend",
            ],
            "PHONE_OTP": {
                "PROVIDERS": {"stand-in": {"BACKEND": PROVIDER}},
                "TOKEN_ISSUER": "token",
                "LIMITS": LIMITS,
                "GUARDS": GUARDS,
                "TRUSTED_PROXIES": 1,  # each person comes from an address of their own
                "DISPATCH": self.dispatch,
            },
        }

    def ask(self, phone: str, *, is_known: bool) -> Ask:
        """Ask with the phone."""
        return Ask("/request/", {"phone": phone})

    def answer(self, asked: Body, phone: str, code: str, *, is_known: bool) -> Ask:
        """Answer the challenge."""
        return Ask("/confirm/", {"challenge": asked["challenge"], "code": code})


class Tasks(Inline):
    """Sends in the workers of django-tasks-db."""

    name = "tasks"
    title = "django-phone-otp, tasks"
    distributions = ("django-tasks-db", "django-tasks")
    dispatch = "tasks"
    tables = (*Inline.tables, "django_tasks_database_dbtaskresult")

    def settings(self) -> dict[str, Any]:
        """Keep the tasks in the database."""
        settings = super().settings()
        settings["INSTALLED_APPS"] += ["django_tasks_db"]
        settings["TASKS"] = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
        return settings

    def workers(self, deliveries_count: int) -> list[list[str]]:
        """Run a process for each delivery: one of these works at one task."""
        return [["-m", "django", "db_worker"]] * deliveries_count


class Celery(Inline):
    """Sends in a Celery worker, on Redis."""

    name = "celery"
    title = "django-phone-otp, Celery"
    distributions = ("celery",)
    dispatch = "celery"

    def settings(self) -> dict[str, Any]:
        """Make the project's Celery app, with the Redis that is there as its broker."""
        from . import celery_app  # noqa: F401 (as Celery's documentation has projects do)

        return {
            **super().settings(),
            "CELERY_BROKER_URL": os.environ[BROKER],
            "CELERY_BROKER_TRANSPORT_OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 2},
            "CELERY_WORKER_ENABLE_REMOTE_CONTROL": False,
        }

    def workers(self, deliveries_count: int) -> list[list[str]]:
        """Run one process, with a thread for each delivery."""
        app = f"{__name__}.celery_app"
        pool = ["--pool", "threads", "--concurrency", str(deliveries_count)]
        return [["-m", "celery", "-A", app, "worker", "--loglevel", "ERROR", *pool]]
