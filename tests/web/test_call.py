"""The reverse call: the page waits by itself, and whoever has called is logged in."""

import pytest
from django.contrib.auth import SESSION_KEY
from django.core.cache import cache

from django_phone_otp.models import PhoneChallenge
from tests import fakes
from tests.web.conftest import CODE, LOGIN, RESEND, STATUS, Page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture(autouse=True)
def _reverse_call(phone_otp):
    phone_otp(PROVIDERS=fakes.providers(reverse={"kind": "FakePresence"}))
    fakes.calls_in.clear()
    fakes.questions.clear()


@pytest.fixture
def call():
    """Call the number that was shown; the provider may be asked at once."""

    def do(reference="presence-1"):
        fakes.calls_in.add(reference)
        cache.clear()

    return do


def test_page_shows_the_number_to_call(ask, browser):
    ask()
    response = browser.get(CODE)
    page = Page(response)
    assert response.status_code == 200
    assert page.texts("h1") == ["Call to log in"]
    assert page.one("a", href="tel:+78005553535")
    assert page.texts("bdi") == ["+7•••••••003", "+7 800 555-35-35"]
    assert page.texts("p")[:2] == [
        (
            "Call the number +7 800 555-35-35 from your phone. "
            "Nobody answers: the call alone is enough."
        ),
        "Waiting for your call. The number expires in 5 minutes.",
    ]
    assert page.all("input", name="code") == []


def test_page_loads_itself_anew_without_scripts(ask, browser):
    ask()
    page = Page(browser.get(CODE))
    refresh = page.one("meta", http_equiv="refresh")
    assert refresh["content"] == f"5; url={CODE}"
    assert f'<noscript><meta http-equiv="refresh" content="5; url={CODE}"></noscript>' in page.html


def test_page_tells_the_script_where_to_ask(ask, browser):
    ask()
    waiting = Page(browser.get(CODE)).one("p", data_phone_otp_status=STATUS)
    assert (waiting["data-phone-otp-next"], waiting["role"]) == (CODE, "status")
    assert waiting["data-phone-otp-page"] == browser.get(STATUS).json()["page"]


def test_who_has_called_is_logged_in_by_looking(ask, browser, call):
    ask(next="/orders/")
    browser.get(CODE)
    call()
    response = browser.get(CODE)
    assert (response.status_code, response.headers["Location"]) == (302, "/orders/")
    assert SESSION_KEY in browser.session


def test_who_has_called_is_logged_in_by_the_button(ask, browser, call):
    ask()
    call()
    response = browser.post(CODE)
    assert (response.status_code, response.headers["Location"]) == (302, "/profile/")
    assert SESSION_KEY in browser.session


def test_the_button_pressed_too_early_says_so_and_the_page_waits_on(ask, browser):
    ask()
    response = browser.post(CODE)
    page = Page(response)
    assert response.status_code == 400
    assert "Your call has not come in yet." in page.texts("p")
    assert page.one("meta", http_equiv="refresh")
    assert page.all("p", data_phone_otp_status=STATUS)


def test_looking_again_and_again_uses_up_no_budget(ask, browser, call, phone_otp):
    phone_otp(LIMITS={"confirm_ip": "1/h"})
    ask()
    for _ in range(30):
        assert browser.get(CODE).status_code == 200
        assert browser.get(STATUS).json()["state"] == "sent"
    call()
    assert browser.get(CODE).status_code == 302


def test_a_proven_call_that_is_refused_does_not_load_itself_anew(
    ask, browser, client, call, phone_otp
):
    ask()
    call()
    assert browser.get(STATUS).json()["state"] == "verified"
    phone_otp(LIMITS={"confirm_ip": "1/m"})
    ask("+79244501004", client=client)
    client.post(CODE)  # from the same address
    response = browser.get(CODE)
    page = Page(response)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "58")
    assert page.all("meta", http_equiv="refresh") == []
    assert page.all("p", data_phone_otp_status=STATUS) == []
    assert page.texts("button") == ["I have called"]
    assert SESSION_KEY not in browser.session


def test_status_turns_verified_when_the_call_came_in(ask, browser, call):
    ask()
    call()
    assert browser.get(STATUS).json()["state"] == "verified"
    assert SESSION_KEY not in browser.session  # the page logs in


def test_status_tells_nothing_else(ask, browser):
    ask()
    response = browser.get(STATUS)
    assert response.json() == {"state": "sent", "page": "reverse_call 0 +78005553535"}
    assert "no-store" in response.headers["Cache-Control"]


def test_status_of_nobody_is_unknown(browser):
    response = browser.get(STATUS)
    assert (response.status_code, response.json()) == (404, {"state": None})


def test_another_browser_is_not_logged_in_by_the_call(ask, client, call):
    ask()
    call()
    assert client.get(CODE).headers["Location"] == LOGIN
    assert client.get(STATUS).status_code == 404


def test_queries_of_the_page(ask, browser, django_assert_num_queries):
    ask()
    browser.get(CODE)
    with django_assert_num_queries(3):  # the session, the challenge, the accounts
        browser.get(CODE)


def test_an_old_number_leads_to_a_page_that_goes_on(ask, browser, clock):
    ask()
    clock.shift(300)
    page = Page(browser.get(CODE))
    assert page.texts("h1") == ["Start again"]
    assert page.all("meta", http_equiv="refresh") == []
    assert browser.get(STATUS).json()["state"] == "expired"


def test_a_service_that_is_down_is_told(ask, browser, phone_otp):
    ask()
    phone_otp(PROVIDERS=fakes.providers(reverse={"kind": "FakePresence", "trouble": "NoAnswer"}))
    response = browser.post(CODE)
    assert response.status_code == 503
    assert Page(response).all("meta", http_equiv="refresh") == []
    assert browser.get(CODE).status_code == 200


def test_the_code_before_can_still_be_entered(ask, answer, browser, clock, phone_otp):
    phone_otp(
        PROVIDERS={
            "memory": {"BACKEND": "locmem"},
            **fakes.providers(reverse={"kind": "FakePresence"}),
        }
    )
    ask()
    assert "I want to call myself" in Page(browser.get(CODE)).texts("button")
    clock.shift(30)
    response = browser.post(RESEND, {"channel": "reverse_call"})
    page = Page(browser.get(response.headers["Location"]))
    assert "Another code is on its way." not in page.texts("p")
    assert page.texts("h1") == ["Call to log in"]
    assert page.one("input", name="code")
    assert answer().status_code == 302


def test_a_code_where_a_call_is_awaited_is_taken_for_the_button(ask, answer):
    ask()
    response = answer("123456")
    assert response.status_code == 400
    assert "Your call has not come in yet." in Page(response).texts("p")
    assert PhoneChallenge.objects.get().attempts_left == 5
