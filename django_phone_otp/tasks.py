"""What Celery's `autodiscover_tasks()` looks for in an app. Layer 6."""

from importlib.util import find_spec

# Others than Celery look for modules of this name too.
if find_spec("celery"):
    from .queues.celery import deliver as deliver
