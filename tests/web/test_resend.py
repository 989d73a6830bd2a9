"""One more message: the same way, or another."""

import pytest

from django_phone_otp.models import PhoneChallenge
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import PHONE
from tests.web.conftest import CODE, LOGIN, RESEND, Page, wrong

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def ways(phone_otp):
    phone_otp(
        PROVIDERS=fakes.providers(
            calls={"kind": "FakeCall", "code": "0271"}, texts={"kind": "Fake"}
        )
    )


def buttons(response):
    page = Page(response)
    values = [each["value"] for each in page.all("button", name="channel")]
    return dict(zip(values, page.texts("button")[-len(values) :], strict=True))


def test_each_channel_of_the_route_has_a_button(ask, browser, ways):
    ask()
    assert buttons(browser.get(CODE)) == {
        "flash_call": "Call me again",
        "sms": "Send a text message instead",
    }


def test_the_channel_of_the_last_message_comes_first(ask, browser, clock, ways):
    ask()
    clock.shift(30)
    browser.post(RESEND, {"channel": "sms"})
    assert buttons(browser.get(CODE)) == {"sms": "Send again", "flash_call": "Call me instead"}


def test_one_more_message_by_the_channel_that_was_chosen(ask, browser, clock, ways):
    ask()
    clock.shift(30)
    response = browser.post(RESEND, {"channel": "sms"})
    assert (response.status_code, response.headers["Location"]) == (302, f"{CODE}?sent")
    assert [key for key, _request in fakes.asked] == ["fake-call", "fake"]
    page = Page(browser.get(response.headers["Location"]))
    assert "Another code is on its way." in page.texts("p")
    assert "Enter the code from the text message that we sent you." in page.texts("p")


def test_without_a_channel_the_route_goes_on(ask, browser, clock, ways):
    ask()
    clock.shift(30)
    browser.post(RESEND)
    assert [key for key, _request in fakes.asked] == ["fake-call", "fake"]


def test_the_button_tells_when_it_may_be_pressed(ask, browser, clock):
    ask()
    clock.shift(10)
    form = Page(browser.get(CODE)).one("form", action=RESEND)
    assert form["data-phone-otp-resend"] == "20"
    clock.shift(20)
    page = Page(browser.get(CODE))
    assert page.one("form", action=RESEND)["data-phone-otp-resend"] == "0"
    assert "You can ask again" not in " ".join(page.texts("p"))


def test_the_script_reads_a_long_wait_however_the_site_writes_numbers(
    ask, browser, phone_otp, settings
):
    settings.USE_THOUSAND_SEPARATOR = True
    phone_otp(RESEND_WAITS=[3_600], CODE_TTL=600)
    ask()
    assert Page(browser.get(CODE)).one("form", action=RESEND)["data-phone-otp-resend"] == "3600"


def test_pressed_too_soon_it_is_refused(ask, browser, clock):
    ask()
    clock.shift(10)
    response = browser.post(RESEND, {"channel": "sms"})
    page = Page(response)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "20")
    assert "Wait a moment before you ask for another code." in page.texts("p")
    assert "You can ask again in 20 seconds." in page.texts("p")
    assert page.one("input", name="code")
    assert len(local.outbox) == 1


def test_who_loads_a_refusal_anew_sees_the_page_of_the_code(ask, browser):
    ask()
    response = browser.get(RESEND)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST, OPTIONS")
    assert Page(response).texts("h1") == ["Enter the code"]


@pytest.mark.parametrize("channel", ["pigeon", "telegram", "sms\x00", "'"])
def test_a_channel_that_is_not_offered_is_refused(ask, browser, clock, channel):
    ask()
    clock.shift(30)
    response = browser.post(RESEND, {"channel": channel})
    assert response.status_code == 400
    assert "Codes are not sent this way to this number." in Page(response).texts("p")
    assert len(local.outbox) == 1


def test_a_failed_resend_leaves_the_code_before(ask, answer, browser, clock, phone_otp):
    phone_otp(
        PROVIDERS={
            "memory": {"BACKEND": "locmem"},
            **fakes.providers(calls={"kind": "FakeCall", "error": "ProviderUnavailable"}),
        }
    )
    ask()
    clock.shift(30)
    response = browser.post(RESEND, {"channel": "flash_call"})
    assert response.status_code == 503
    assert "The code could not be delivered. Try again later." in Page(response).texts("p")
    assert answer().status_code == 302


def test_an_expired_request_is_not_sent_again(ask, browser, clock):
    ask()
    clock.shift(300)
    response = browser.post(RESEND, {"channel": "sms"})
    assert (response.status_code, Page(response).texts("h1")) == (400, ["Start again"])


def test_s05_wrong_codes_survive_a_resend(ask, answer, browser, clock):
    ask()
    for _ in range(4):
        answer(wrong(local.outbox[0].code))
    clock.shift(30)
    browser.post(RESEND, {"channel": "sms"})
    response = answer(wrong(local.outbox[1].code))
    assert (response.status_code, Page(response).texts("h1")) == (429, ["Try again later"])
    assert answer().status_code == 429


def test_the_code_before_is_answered_in_its_message_too(ask, answer, browser, clock, phone_otp):
    phone_otp(
        PROVIDERS=fakes.providers(
            letters={"kind": "FakeCapitals", "code": "AB12CD"}, texts={"kind": "Fake"}
        ),
        CODE_LENGTH=8,
    )
    ask()
    clock.shift(30)
    browser.post(RESEND)
    assert PhoneChallenge.objects.get().code_length == 8
    assert Page(browser.get(CODE)).one("input", name="code")["inputmode"] == "text"
    code = fakes.asked[-1][1].code
    assert answer(f"Your code is {code}, not 1234567.").status_code == 302


def test_with_no_account_in_use_the_code_can_still_be_answered(ask, answer, browser, phone_otp):
    ask()
    fakes.store_account("memory", kind="FakeMistaken")
    page = Page(browser.get(CODE))
    assert page.all("button", name="channel") == []
    assert page.texts("a") == ["Another phone"]
    assert page.one("a")["href"] == LOGIN
    assert answer().status_code == 302


def test_another_phone_keeps_where_to_go(ask, browser):
    ask(next="/orders/")
    assert Page(browser.get(CODE)).one("a")["href"] == f"{LOGIN}?next=%2Forders%2F"


def test_s09_many_presses_send_one_message(ask, browser, clock):
    ask()
    clock.shift(30)
    for _ in range(5):
        browser.post(RESEND, {"channel": "sms"})
    assert [each.phone for each in local.outbox] == [PHONE, PHONE]


def test_s11_while_sign_up_is_closed_no_call_of_the_person_is_offered(ask, browser, phone_otp):
    phone_otp(
        PROVIDERS={
            "memory": {"BACKEND": "locmem"},
            **fakes.providers(reverse={"kind": "FakePresence"}),
        },
        SIGNUP=False,
    )
    ask()
    assert buttons(browser.get(CODE)) == {"sms": "Send again"}
