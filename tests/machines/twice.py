"""Queues that hand everything out twice, as each queue may: two workers get it at one moment."""

from django_phone_otp.queues.celery import CeleryQueue
from django_phone_otp.queues.tasks import TasksQueue


class TasksTwice(TasksQueue):
    def put(self, key: int) -> None:
        super().put(key)
        super().put(key)


class CeleryTwice(CeleryQueue):
    def put(self, key: int) -> None:
        super().put(key)
        super().put(key)
