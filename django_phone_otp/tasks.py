"""What Celery's `autodiscover_tasks()` looks for in an app. Layer 6."""

from .queues.celery import deliver

__all__ = ["deliver"]
