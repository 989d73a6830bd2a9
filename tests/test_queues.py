"""The queues that come along, in one process: Django Tasks and Celery.

With workers that are processes, and brokers that fail, they are in `tests/machines`.
"""

import socket
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import django
import pytest
from celery import Celery, current_app

from django_phone_otp import conf, tasks
from django_phone_otp.flow.queue import load_queue
from django_phone_otp.models import DeliveryAttempt, PendingDelivery
from django_phone_otp.providers import local
from django_phone_otp.queues.celery import CeleryQueue, deliver
from django_phone_otp.queues.tasks import TasksQueue
from tests.conftest import PHONE

pytestmark = pytest.mark.django_db(transaction=True)

TASKS = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"
SOON_SECONDS = 2  # somebody waits for the answer


class TestTasks:
    """The backend of `TASKS` that is called "default"."""

    @pytest.fixture(autouse=True)
    def _tasks(self, phone_otp):
        phone_otp(DISPATCH="tasks")

    @pytest.fixture
    def backend(self, settings):
        """Choose a backend by its name; gives it."""

        def choose(name: str, **keys: Any) -> Any:
            path = f"{TASKS}.backends.{name.lower()}.{name}Backend"
            settings.TASKS = {"default": {"BACKEND": path, **keys}}
            return import_module(TASKS).task_backends["default"]

        return choose

    def test_are_chosen_by_their_word(self):
        assert isinstance(load_queue(conf.read()), TasksQueue)

    def test_a_task_carries_the_key_and_nothing_else(self, backend, post):
        dummy = backend("Dummy")
        response = post("request", phone=PHONE)
        assert (response.status_code, response.json()["state"]) == (201, "sending")
        (result,) = dummy.results
        assert (list(result.args), result.kwargs) == ([PendingDelivery.objects.get().pk], {})
        assert local.outbox == []

    def test_the_task_makes_the_delivery(self, backend, post):
        backend("Immediate")
        response = post("request", phone=PHONE)
        assert (response.status_code, response.json()["state"]) == (201, "sending")
        assert (len(local.outbox), PendingDelivery.objects.count()) == (1, 0)

    def test_a_backend_without_our_queue_is_told(self, backend, post):
        backend("Dummy", QUEUES=["mail"])
        assert post("request", phone=PHONE).json()["code"] == "delivery_failed"
        assert DeliveryAttempt.objects.get().detail == "the queue is out of reach"


class TestCelery:
    """The broker of the site's own app."""

    @pytest.fixture(autouse=True)
    def _celery(self, phone_otp):
        phone_otp(DISPATCH="celery")

    @pytest.fixture
    def site(self) -> Iterator[Celery]:
        """The Celery app of a site, until the test is over."""
        before = current_app._get_current_object()
        app = Celery("site", set_as_current=True)
        app.conf.broker_url = "memory://"
        yield app
        app.close()
        before.set_current()

    def test_is_chosen_by_its_word(self):
        assert isinstance(load_queue(conf.read()), CeleryQueue)

    def test_workers_find_the_task(self, site):
        assert tasks.deliver is deliver
        assert site.tasks["django_phone_otp.deliver"].name == "django_phone_otp.deliver"

    def test_a_message_carries_the_key_and_nothing_else(self, site, post):
        response = post("request", phone=PHONE)
        assert (response.status_code, response.json()["state"]) == (201, "sending")
        with site.connection_for_read() as connection:
            message = connection.SimpleQueue("celery").get_nowait()
        assert message.headers["task"] == "django_phone_otp.deliver"
        assert message.payload[:2] == [[PendingDelivery.objects.get().pk], {}]
        assert local.outbox == []

    def test_the_task_makes_the_delivery(self, site, post):
        site.conf.task_always_eager = True
        response = post("request", phone=PHONE)
        assert (response.status_code, response.json()["state"]) == (201, "sending")
        assert (len(local.outbox), PendingDelivery.objects.count()) == (1, 0)

    @pytest.mark.parametrize("scheme", ["redis", "amqp"])
    def test_a_broker_that_refuses_is_told_soon(self, site, post, scheme):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        site.conf.broker_url = f"{scheme}://127.0.0.1:{port}//"
        began = time.monotonic()
        response = post("request", phone=PHONE)
        assert time.monotonic() - began < SOON_SECONDS
        assert (response.status_code, response.json()["code"]) == (503, "delivery_failed")
        assert DeliveryAttempt.objects.get().detail == "the queue is out of reach"
