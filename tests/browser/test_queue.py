"""The pages while a message waits for a worker: with scripts they find out by themselves."""

import pytest

from tests import fakes, fakes_queue
from tests.fakes_queue import keys, work

from .site import keys_for


@pytest.fixture(autouse=True)
def _queued(gateway, phone_otp):
    keys.clear()
    phone_otp(DISPATCH=fakes_queue.PATH)


@pytest.fixture
def asker(visit):
    """Somebody with scripts whose message waits."""
    person = visit()
    person.open()
    person.ask_for_code()
    person.sees("The code is on its way.")
    return person


def test_code_that_a_worker_sends_logs_in(person):
    person.open()
    person.ask_for_code()
    person.sees("The code is on its way.")
    assert work() == [True]
    person.answer_rightly()
    person.sees("Logged in: +79244501003")


def test_page_says_that_the_code_was_sent_and_keeps_what_was_typed(asker):
    asker.code_field.fill("12")
    work()
    asker.wait_for_page()
    asker.sees("The code was sent.")
    assert asker.code_field.input_value() == "12"


def test_page_asks_no_more_when_it_knows(asker):
    work()
    asker.wait_for_page()
    asker.sees("The code was sent.")
    asked = []
    asker.page.on("request", lambda request: asked.append(request.url))
    asker.page.clock.run_for(120_000)
    assert asked == []


def test_page_gives_up_after_a_minute(asker):
    for _ in range(5):
        asker.wait_for_page()
    asker.page.clock.run_for(20_000)
    asker.page.wait_for_load_state("networkidle")
    asked = []
    asker.page.on("request", lambda request: asked.append(request.url))
    asker.page.clock.run_for(120_000)
    assert asked == []


def test_page_goes_on_to_say_that_the_code_was_not_sent(asker, clock):
    asker.gateway.order("no-money")
    work()
    asker.wait_for_page()
    asker.sees("The code could not be delivered.")
    asker.gateway.order("")
    asker.wait(30, clock)
    asker.press("Send a text message instead")
    asker.sees("Another code is on its way.")
    work()
    asker.answer_rightly()
    asker.sees("Logged in: +79244501003")


def test_page_turns_into_that_of_another_way(visit, phone_otp):
    unreachable = {"kind": "FakeCall", "error": "RecipientUnreachable"}
    phone_otp(PROVIDERS=fakes.providers(calls=unreachable, texts={}), ROUTES={})
    person = visit()
    person.open()
    person.ask_for_code()
    person.sees("Your phone is about to ring.")
    work()
    person.wait_for_page()
    person.sees("text message that we sent you")
    person.answer(fakes.asked[-1][1].code)
    person.sees("Logged in: +79244501003")


def test_number_to_call_comes_by_itself(person, phone_otp, clock):
    phone_otp(**keys_for(person.gateway, "reverse"))
    person.open()
    person.ask_for_code()
    person.sees("In a moment you will see the number to call.")
    work()
    person.wait_for_page()
    person.sees("Nobody answers: the call alone is enough.")
    person.call()
    clock.shift(3)  # the provider is asked at most every two seconds
    person.wait_for_page()
    person.sees("Logged in: +79244501003")
