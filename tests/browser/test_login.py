"""People log in on the pages, with JavaScript and without."""

import pytest

from django_phone_otp.models import PhoneChallenge

from .people import LOGIN
from .site import keys_for

OTHER_PHONE = "+79261234567"


def test_flash_call_logs_in(person):
    person.open()
    person.ask_for_code("8 924 450-10-03")
    person.sees("+7•••••••003")
    person.answer_rightly()
    person.is_at("/")
    person.sees("Logged in: +79244501003")


def test_text_comes_after_the_wait_and_logs_in(person, clock):
    person.open()
    person.ask_for_code()
    person.sees("Your phone is about to ring.")
    person.wait(30, clock)
    person.press("Send a text message instead")
    person.sees("text message that we sent you")
    assert [each.kind for each in person.gateway.on_screen(person.phone)] == ["call", "sms"]
    person.answer_rightly()
    person.sees("Logged in: +79244501003")


def test_wrong_code_is_told_and_the_right_one_logs_in(person):
    person.open()
    person.ask_for_code()
    person.answer_wrongly()
    person.sees("This code is not right.")
    assert person.code_field.input_value() == ""
    person.answer_rightly()
    person.sees("Logged in: +79244501003")


def test_last_wrong_code_ends_at_a_page_that_says_what_to_do(person):
    person.open()
    person.ask_for_code()
    for said in ("You have 2 more tries.", "You have 1 more try.", "Too many wrong codes."):
        person.answer_wrongly()
        person.sees(said)
    person.sees("Try again in 30 seconds.")
    assert person.code_field.count() == 0
    person.follow("Ask for a new code")
    person.is_at(LOGIN)


def test_expired_code_leads_back_to_the_phone(person, clock):
    person.open()
    person.ask_for_code()
    clock.shift(301)
    person.answer_rightly()
    person.sees("This code is too old.")
    person.follow("Ask for a new code")
    person.is_at(LOGIN)


def test_another_phone_can_be_entered_before_the_code(person):
    person.open()
    person.ask_for_code(OTHER_PHONE)
    person.follow("Another phone")
    person.ask_for_code()
    person.answer_rightly()
    person.sees("Logged in: +79244501003")


def test_failed_delivery_offers_the_other_ways(person, clock):
    person.gateway.order("no-money")
    person.open()
    person.ask_for_code()
    person.sees("The code could not be delivered.")
    person.gateway.order("")
    person.wait(30, clock)
    person.press("Send a text message instead")
    person.sees("text message that we sent you")
    person.answer_rightly()
    person.sees("Logged in: +79244501003")


def test_page_that_asked_for_a_login_is_where_it_leads(person):
    person.open("/orders/")
    person.is_at(f"{LOGIN}?next=/orders/")
    person.ask_for_code()
    person.answer_wrongly()
    person.answer_rightly()
    person.is_at("/orders/")
    person.sees("Logged in: +79244501003")


def test_login_leads_to_no_other_site(person):
    person.open(f"{LOGIN}?next=https://evil.example/")
    person.ask_for_code()
    person.answer_rightly()
    person.is_at("/")


def test_phone_that_is_none_is_told_at_its_field(person):
    person.open()
    person.ask_for_code("12345")
    person.sees("This phone number does not exist.")
    assert person.phone_field.input_value() == "12345"
    assert person.phone_field.get_attribute("aria-invalid") == "true"


@pytest.fixture
def caller(person, phone_otp):
    """Give somebody whom the page asks to call."""
    phone_otp(**keys_for(person.gateway, "reverse"))
    person.open()
    person.ask_for_code()
    person.sees("Nobody answers: the call alone is enough.")
    return person


def test_page_logs_in_by_itself_after_the_persons_call(caller, clock):
    caller.call()
    clock.shift(3)  # the provider is asked at most every two seconds
    caller.wait_for_page()
    caller.is_at("/")
    caller.sees("Logged in: +79244501003")


def test_call_of_somebody_else_logs_nobody_in(caller, clock):
    caller.call(from_phone=OTHER_PHONE)
    clock.shift(3)
    caller.wait_for_page()
    caller.sees("Nobody answers: the call alone is enough.")
    assert PhoneChallenge.objects.get().verified_at is None
