"""Every page in every state worth a look, each by the way that leads a person there.

The tests look at all of them for barriers, weight and width; `screenshots` takes their pictures.
A scene gives the person who stands before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import time_machine
from django.contrib.auth.models import User
from django.db.models import Count
from django.test import Client
from django.utils import timezone

from django_phone_otp import conf
from django_phone_otp.flow.traffic import count_hours
from django_phone_otp.models import PhoneChallenge
from example_project import settings as example_settings
from example_project.gateway import Gateway
from example_project.traffic import tell_story, write
from tests import fakes_queue
from tests.fakes import providers

from .people import Person

DASHBOARD = "/admin/phone_otp/dashboard/"
CHALLENGES = "/admin/phone_otp/phonechallenge/"

DEVICES: dict[str, dict[str, Any]] = {
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2},
    "desk": {"viewport": {"width": 1280, "height": 800}},
}


@dataclass(frozen=True)
class Stage:
    """What a scene can move: the site's settings, its clock, the gateway."""

    visit: Callable[..., Person]
    change: Callable[..., None]
    gateway: Gateway
    clock: time_machine.Traveller
    days: int = 7
    scale: float = 0.02  # of the example's month

    def on(self, device: str) -> Stage:
        """Give the same with a browser of this size."""
        return replace(self, visit=partial(self.visit, **DEVICES[device]))


Scene = Callable[[Stage], Person]
LOGIN: dict[str, Scene] = {}
ADMIN: dict[str, Scene] = {}


def of(scenes: dict[str, Scene]) -> Callable[[Scene], Scene]:
    """Enter a scene in a list, under its name."""

    def enter(scene: Scene) -> Scene:
        scenes[scene.__name__.replace("_", "-")] = scene
        return scene

    return enter


# Login


def ask(stage: Stage) -> Person:
    """Ask for a code, whatever comes of it."""
    person = phone(stage)
    person.ask_for_code()
    return person


@of(LOGIN)
def phone(stage: Stage) -> Person:
    person = stage.visit()
    person.open()
    return person


@of(LOGIN)
def no_phone(stage: Stage) -> Person:
    person = phone(stage)
    person.ask_for_code("12345")
    person.sees("This phone number does not exist.")
    return person


@of(LOGIN)
def code_of_a_call(stage: Stage) -> Person:
    person = ask(stage)
    person.sees("Your phone is about to ring.")
    return person


@of(LOGIN)
def code_of_a_text(stage: Stage) -> Person:
    stage.change(ROUTES={"*": ["sms"]})
    person = ask(stage)
    person.sees("Enter the code from the text message")
    return person


@of(LOGIN)
def code_of_telegram(stage: Stage) -> Person:
    stage.change(ROUTES={"*": ["telegram"]})
    person = ask(stage)
    person.sees("in Telegram")
    return person


@of(LOGIN)
def wrong_code(stage: Stage) -> Person:
    person = code_of_a_call(stage)
    person.answer_wrongly()
    person.sees("This code is not right. You have 2 more tries.")
    return person


@of(LOGIN)
def resend_too_soon(stage: Stage) -> Person:
    person = code_of_a_call(stage)
    person.page.wait_for_load_state()
    person.page.clock.run_for(30_000)  # faster than the site's
    person.press("Call me again")
    person.sees("Wait a moment")
    return person


@of(LOGIN)
def locked(stage: Stage) -> Person:
    person = code_of_a_call(stage)
    for left in ("You have 2 more tries.", "You have 1 more try.", "Too many wrong codes."):
        person.answer_wrongly()
        person.sees(left)
    return person


@of(LOGIN)
def expired(stage: Stage) -> Person:
    person = code_of_a_call(stage)
    stage.clock.shift(301)
    person.answer_rightly()
    person.sees("This code is too old.")
    return person


@of(LOGIN)
def not_delivered(stage: Stage) -> Person:
    stage.gateway.order("no-money")
    person = ask(stage)
    person.sees("The code could not be delivered.")
    return person


@of(LOGIN)
def too_many_requests(stage: Stage) -> Person:
    stage.change(LIMITS={"request_ip": "1/h"})
    person = code_of_a_call(stage)
    person.open()
    person.ask_for_code()
    person.sees("Too many requests.")
    return person


@of(LOGIN)
def reverse_call(stage: Stage) -> Person:
    stage.change(PROVIDERS=providers(reverse={"kind": "FakePresence", "call_to": "+78005553535"}))
    person = ask(stage)
    person.sees("Waiting for your call.")
    return person


@of(LOGIN)
def code_on_its_way(stage: Stage) -> Person:
    stage.change(DISPATCH=fakes_queue.PATH)
    person = ask(stage)
    person.sees("The code is on its way.")
    return person


@of(LOGIN)
def number_on_its_way(stage: Stage) -> Person:
    stage.change(DISPATCH=fakes_queue.PATH, PROVIDERS=providers(reverse={"kind": "FakePresence"}))
    person = ask(stage)
    person.sees("In a moment you will see the number to call.")
    return person


# The operators' side


def operator(stage: Stage) -> Person:
    """Give an operator of the example site after its busy month, who is logged in."""
    stage.change(**example_settings.PHONE_OTP)
    if not PhoneChallenge.objects.exists():
        fill(stage)
    person, client = stage.visit(), Client()
    client.force_login(User.objects.get(username="operator"))
    (cookie,) = client.cookies.values()
    person.page.context.add_cookies(
        [{"name": cookie.key, "value": cookie.value, "url": person.site}]
    )
    return person


def fill(stage: Stage) -> None:
    """Make the month up to now, and an operator who sees it."""
    User.objects.create_superuser("operator")
    now = timezone.now()
    story = tell_story(
        conf.read(), now, days=stage.days, seed=1, scale=stage.scale, begin=lambda _total: _be_quiet
    )
    write(story, lambda _total: _be_quiet)
    for _counted in count_hours(now):
        pass


def _be_quiet(_done: int) -> None:
    pass


def look(stage: Stage, address: str, words: str) -> Person:
    """Give an operator before a page of the admin, which has words on it."""
    person = operator(stage)
    person.open(address)
    person.sees(words)
    return person


@of(ADMIN)
def dashboard(stage: Stage) -> Person:
    return look(stage, f"{DASHBOARD}?period=7d", "From the request to the login")


@of(ADMIN)
def challenges(stage: Stage) -> Person:
    return look(stage, f"{CHALLENGES}?when=all", "Export as CSV")


@of(ADMIN)
def challenge(stage: Stage) -> Person:
    person = operator(stage)  # with whom the month comes that it is found in
    person.open(f"{CHALLENGES}{find_eventful()}/change/")
    person.sees("What happened")
    return person


@of(ADMIN)
def action(stage: Stage) -> Person:
    person = operator(stage)  # with whom the month comes that it is found in
    person.open(f"{CHALLENGES}{find_eventful()}/act/block_prefix/")
    person.sees("Reason")
    return person


@of(ADMIN)
def blocked_prefixes(stage: Stage) -> Person:
    return look(stage, "/admin/phone_otp/blockedprefix/", "prefix")


@of(ADMIN)
def phones(stage: Stage) -> Person:
    return look(stage, "/admin/phone_otp/phoneledger/", "phone")


@of(ADMIN)
def accounts(stage: Stage) -> Person:
    return look(stage, "/admin/phone_otp/provideraccount/", "account")


def find_eventful() -> int:
    """Find a challenge that much has happened to: tries to deliver, and to answer."""
    counts = PhoneChallenge.objects.annotate(
        events_count=Count("deliveries", distinct=True) * Count("confirmations", distinct=True)
    )
    return int(counts.order_by("-events_count", "pk").values_list("pk", flat=True)[0])
