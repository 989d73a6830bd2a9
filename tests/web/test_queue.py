"""The pages while a message waits for a worker."""

import pytest

from django_phone_otp.providers import local
from tests import fakes, fakes_queue
from tests.conftest import PHONE
from tests.fakes_queue import keys, work
from tests.web.conftest import CODE, RESEND, STATUS, Page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

WAITING = {"data_phone_otp_status": STATUS}


@pytest.fixture(autouse=True)
def _queued(phone_otp):
    keys.clear()
    phone_otp(DISPATCH=fakes_queue.PATH)


@pytest.fixture
def reverse(phone_otp):
    phone_otp(PROVIDERS=fakes.providers(reverse={"kind": "FakePresence"}))


def test_page_says_that_the_code_is_on_its_way(ask, browser):
    assert ask().headers["Location"] == CODE
    page = Page(browser.get(CODE))
    assert page.texts("h1") == ["Enter the code"]
    assert page.texts("p")[:2] == [
        "Enter the code from the text message that we sent you.",
        "The code is on its way.",
    ]
    assert page.texts("button") == ["Log in", "Send again"]


def test_page_tells_the_script_where_to_ask_and_what_to_say_then(ask, browser):
    ask()
    line = Page(browser.get(CODE)).one("p", **WAITING)
    assert line == {
        "class": "phone-otp-wait",
        "role": "status",
        "data-phone-otp-status": STATUS,
        "data-phone-otp-next": CODE,
        "data-phone-otp-page": "sms 6 ",
        "data-phone-otp-sent": "The code was sent.",
    }


def test_status_follows_the_message(ask, browser):
    ask()
    assert browser.get(STATUS).json() == {"state": "sending", "page": "sms 6 "}
    work()
    assert browser.get(STATUS).json() == {"state": "sent", "page": "sms 6 "}


def test_page_of_a_message_that_went_out_asks_nothing_more(ask, browser):
    ask()
    work()
    page = Page(browser.get(CODE))
    assert page.all("p", **WAITING) == []
    assert "The code is on its way." not in page.texts("p")


def test_a_message_that_failed_is_told_with_the_buttons_for_another(ask, browser, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(texts={"error": "ProviderUnavailable"}))
    ask()
    work()
    assert browser.get(STATUS).json()["state"] == "failed"
    response = browser.get(CODE)
    page = Page(response)
    assert response.status_code == 503
    assert page.texts("h1") == ["No code was sent"]
    assert page.texts("button") == ["Send again"]
    assert page.all("p", **WAITING) == []


def test_a_message_that_went_another_way_has_another_page(ask, browser, phone_otp):
    phone_otp(
        PROVIDERS=fakes.providers(
            calls={"kind": "FakeCall", "error": "RecipientUnreachable"}, texts={}
        )
    )
    ask()
    before = Page(browser.get(CODE)).one("p", **WAITING)["data-phone-otp-page"]
    work()
    assert (before, browser.get(STATUS).json()["page"]) == ("flash_call 4 ", "sms 6 ")


def test_one_more_message_is_said_once(ask, browser, clock):
    ask()
    work()
    clock.shift(30)
    response = browser.post(RESEND)
    page = Page(browser.get(response.headers["Location"]))
    assert "Another code is on its way." in page.texts("p")
    assert "The code is on its way." not in page.texts("p")
    assert page.one("p", **WAITING)
    work()
    assert browser.get(STATUS).json()["state"] == "sent"


def test_a_code_that_is_wrong_does_not_stop_the_waiting(ask, answer, browser):
    ask()
    page = Page(answer("012345"))
    assert page.one("p", **WAITING)
    assert "The code is on its way." in page.texts("p")


def test_the_code_logs_in(ask, answer, browser):
    ask()
    work()
    assert answer(local.outbox[0].code).status_code == 302


def test_a_queue_out_of_reach_is_told(ask, browser, phone_otp):
    phone_otp(DISPATCH=fakes_queue.BROKEN)
    assert ask().headers["Location"] == CODE
    response = browser.get(CODE)
    assert (response.status_code, Page(response).texts("h1")) == (503, ["No code was sent"])


def test_sent_inline_nothing_is_asked(ask, browser, phone_otp):
    phone_otp(DISPATCH="inline", PROVIDERS=fakes.providers(texts={"error": "DeliveryUncertain"}))
    ask()
    assert browser.get(STATUS).json()["state"] == "sending"
    assert Page(browser.get(CODE)).all("p", **WAITING) == []


def test_while_sign_up_is_closed_all_messages_look_sent(ask, browser, phone_otp):
    phone_otp(SIGNUP=False)
    ask()
    assert browser.get(STATUS).json()["state"] == "sent"
    assert Page(browser.get(CODE)).all("p", **WAITING) == []


def test_the_number_to_call_is_waited_for(ask, browser, reverse):
    ask()
    response = browser.get(CODE)
    page = Page(response)
    assert (response.status_code, page.texts("h1")) == (200, ["Call to log in"])
    assert page.texts("p")[0] == "In a moment you will see the number to call."
    assert "%(call_to)s" not in page.html
    assert page.all("a", class_="phone-otp-main phone-otp-call") == []
    assert page.all("input", name="code") == []
    assert page.texts("button") == ["Show another number"]
    assert page.one("meta", http_equiv="refresh")
    assert page.one("p", **WAITING)["data-phone-otp-page"] == "reverse_call 0 "


def test_the_number_to_call_comes_from_the_worker(ask, browser, reverse):
    ask()
    work()
    status = browser.get(STATUS).json()
    assert status == {"state": "sent", "page": "reverse_call 0 +78005553535"}
    page = Page(browser.get(CODE))
    assert page.texts("bdi") == ["+7•••••••003", "+7 800 555-35-35"]
    assert page.texts("button") == ["I have called", "Show another number"]


def test_a_number_that_did_not_come_is_told(ask, browser, phone_otp):
    phone_otp(
        PROVIDERS=fakes.providers(reverse={"kind": "FakePresence", "error": "ProviderUnavailable"})
    )
    ask()
    work()
    response = browser.get(CODE)
    assert (response.status_code, Page(response).texts("h1")) == (503, ["No code was sent"])


def test_another_number_replaces_the_one_before(ask, browser, clock, phone_otp, reverse):
    ask()
    work()
    clock.shift(30)
    browser.post(RESEND, {"channel": "reverse_call"})
    before = Page(browser.get(CODE)).one("p", **WAITING)["data-phone-otp-page"]
    assert before == "reverse_call 0 +78005553535"
    phone_otp(
        PROVIDERS=fakes.providers(reverse={"kind": "FakePresence", "call_to": "+78005553536"})
    )
    fakes.calls_in.clear()
    work()
    assert browser.get(STATUS).json()["page"] == "reverse_call 0 +78005553536"


def test_queries_of_the_page(ask, browser, django_assert_num_queries):
    ask()
    with django_assert_num_queries(3):  # the session, the challenge, the accounts
        browser.get(CODE)
    work()
    with django_assert_num_queries(4):  # and whether another message waits
        browser.get(CODE)


def test_phone_stands_in_no_page(ask, browser):
    ask()
    assert PHONE not in Page(browser.get(CODE)).html
