"""The site's Celery app, as Celery's documentation makes one for Django."""

from celery import Celery

app = Celery("machines")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
