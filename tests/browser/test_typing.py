"""How a code gets into its field: typed, pasted, filled in by the phone; and how one waits."""

import pytest

from .people import PATIENCE_MS

MESSAGE = "Code {code} for shop.example. Tell nobody."


@pytest.fixture
def asked(person):
    """Give somebody before the field for the code."""
    person.open()
    person.ask_for_code()
    return person


@pytest.fixture
def reader(visit, phone_otp):
    """Give somebody who waits for a text, and whose browser's clock stands still."""
    phone_otp(ROUTES={"*": ["sms"]})
    reader = visit(is_paused=True)
    reader.open()
    return reader


def test_phone_is_offered_what_it_can_fill_in(asked):
    field = asked.code_field
    assert field.get_attribute("autocomplete") == "one-time-code"
    assert field.get_attribute("inputmode") == "numeric"


def test_phone_field_asks_for_the_phones_own_number(person):
    person.open()
    assert person.phone_field.get_attribute("autocomplete") == "tel"
    assert person.phone_field.get_attribute("type") == "tel"


def test_pasted_message_is_as_good_as_its_code(asked, copy):
    copy(MESSAGE.format(code=asked.read_code()))
    asked.code_field.focus()
    asked.page.keyboard.press("Control+V")
    if not asked.has_scripts:  # else a code that comes at once is sent off by itself
        asked.press("Log in")
    asked.sees("Logged in: +79244501003")


def test_keyboard_alone_logs_in(person):
    person.open()
    person.tab_to(person.phone_field)
    person.page.keyboard.type(person.phone)
    person.page.keyboard.press("Enter")
    person.sees("Your phone is about to ring.")
    person.tab_to(person.code_field)
    person.page.keyboard.type(person.read_code())
    person.page.keyboard.press("Enter")
    person.sees("Logged in: +79244501003")


def test_focus_can_be_seen(visit):
    from playwright.sync_api import expect

    person = visit()
    person.open()
    person.ask_for_code()
    person.code_field.focus()
    for place in (person.button("Log in"), person.link("Another phone")):
        person.tab_to(place)
        for name, value in (("outline-style", "solid"), ("outline-width", "3px")):
            expect(place).to_have_css(name, value, timeout=PATIENCE_MS)


def test_button_that_sends_again_counts_down(reader):
    reader.ask_for_code()
    reader.sees("You can ask again in 0:30.")
    assert reader.button("Send again").is_disabled()
    reader.page.clock.run_for(10_000)
    reader.sees("You can ask again in 0:20.")
    reader.page.clock.run_for(20_000)
    reader.sees("You can ask again now.")
    assert reader.button("Send again").is_enabled()


def test_without_scripts_the_button_is_there_and_says_when(visit):
    person = visit(has_scripts=False)
    person.open()
    person.ask_for_code()
    person.sees("You can ask again in 30 seconds.")
    person.press("Call me again")
    person.sees("Wait a moment before you ask for another code.")
    assert len(person.gateway.on_screen(person.phone)) == 1


def test_code_that_the_browser_hands_over_is_entered_by_itself(reader):
    reader.page.expose_function("readCode", reader.read_code)
    reader.page.add_init_script(
        "window.OTPCredential ??= class {};"
        "navigator.credentials.get = async ({ otp }) =>"
        " otp ? { code: await readCode() } : null;"
    )
    reader.ask_for_code()
    reader.sees("Logged in: +79244501003")
