"""The Celery app of the site, as Celery's documentation makes one for Django."""

from celery import Celery

app = Celery("benchmark")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Else it closes the connection to the database before and after each task.
app.conf["CELERY_DB_REUSE_MAX"] = 1_000
