"""Django Tasks: `django.tasks`, and before Django 6.0 the package django-tasks. Layer 5.

https://docs.djangoproject.com/en/6.0/topics/tasks/
"""

from importlib import import_module
from typing import Any

import django

from ..flow.queue import Queue, deliver_pending

# Named at run time: each Django knows one of the two.
_tasks: Any = import_module("django.tasks" if django.VERSION >= (6, 0) else "django_tasks")


@_tasks.task()  # type: ignore[untyped-decorator]
def deliver(key: int) -> None:
    """Make one pending delivery; by the backend of `TASKS` that is called "default"."""
    deliver_pending(key)


class TasksQueue(Queue):
    """Enqueues a task for each delivery."""

    def put(self, key: int) -> None:
        """Enqueue; raises the backend's errors."""
        deliver.enqueue(key)
