"""The second page: the code, right and wrong."""

import pytest
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.signals import user_login_failed

from django_phone_otp.models import PhoneChallenge, PhoneLedger, UserPhone
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import NOW, PHONE
from tests.web.conftest import CODE, LOGIN, RESEND, Page, wrong

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

MESSAGE = "012345 is your code for example.org.\nFA+9qCX9VSu\n\n@example.org #012345"


@pytest.fixture
def calls(phone_otp):
    phone_otp(PROVIDERS=fakes.providers(calls={"kind": "FakeCall", "code": "0271"}))


@pytest.fixture
def letters(phone_otp):
    phone_otp(PROVIDERS=fakes.providers(texts={"kind": "FakeCapitals", "code": "AB12CD"}))


def test_page_says_what_to_do(ask, browser):
    ask()
    response = browser.get(CODE)
    page = Page(response)
    assert response.status_code == 200
    assert page.texts("h1") == ["Enter the code"]
    assert page.texts("bdi") == ["+7•••••••003"]
    assert page.texts("p") == [
        "Enter the code from the text message that we sent you.",
        "6 digits. You can paste the whole message.",
        "The code expires in 5 minutes.",
        "You can ask again in 30 seconds.",
    ]
    assert page.texts("button") == ["Log in", "Send again"]
    field = page.one("input", name="code")
    assert field["autocomplete"] == "one-time-code"
    assert (field["inputmode"], field["type"]) == ("numeric", "text")
    assert PHONE not in page.html


def test_page_of_a_flash_call_says_how_many_digits(ask, browser, calls):
    ask()
    page = Page(browser.get(CODE))
    assert page.texts("p")[1] == "Enter the last 4 digits of the number that just rang."
    assert page.one("input", name="code")["inputmode"] == "numeric"


def test_a_code_with_letters_is_typed_on_a_keyboard_with_letters(ask, browser, letters):
    ask()
    page = Page(browser.get(CODE))
    assert page.texts("p")[1] == "6 letters and digits. You can paste the whole message."
    assert page.one("input", name="code")["inputmode"] == "text"


def test_the_expiry_counts_down(ask, browser, clock):
    ask()
    clock.shift(250)
    assert "The code expires in 50 seconds." in Page(browser.get(CODE)).texts("p")


def test_queries_of_the_page(ask, browser, django_assert_num_queries):
    ask()
    with django_assert_num_queries(3):  # the session, the challenge, the accounts
        browser.get(CODE)


def test_the_right_code_logs_in(ask, answer, browser):
    ask()
    response = answer()
    assert (response.status_code, response.headers["Location"]) == (302, "/profile/")
    user = get_user_model().objects.get()
    assert browser.session[SESSION_KEY] == str(user.pk)
    assert UserPhone.objects.get().phone == PHONE
    assert "_phone_otp_login" not in browser.session


def test_a_known_phone_logs_its_user_in(ask, answer, browser, django_user_model):
    user = django_user_model.objects.create_user("owner")
    UserPhone.objects.create(user=user, phone=PHONE)
    ask()
    answer()
    assert browser.session[SESSION_KEY] == str(user.pk)


@pytest.mark.parametrize("write", ["{}", " {} ", "{}\n", "Your code: {}.", "{0} is {0}", "№{}"])
def test_a_message_that_holds_the_code_does_as_well(ask, answer, write):
    ask()
    assert answer(write.format(local.outbox[-1].code)).status_code == 302


def test_a_code_with_letters_may_come_in_its_message(ask, answer, letters):
    ask()
    assert answer("Your code: ab12cd, keep it secret").status_code == 302


def test_a_message_with_two_codes_costs_no_try(ask, answer):
    ask()
    response = answer("111111 or 222222")
    assert response.status_code == 400
    assert Page(response).errors == ["There is no code in this. Enter the code alone."]
    assert PhoneChallenge.objects.get().attempts_left == 5


def test_nothing_entered_costs_no_try(ask, answer):
    ask()
    response = answer(" ")
    assert (response.status_code, Page(response).errors) == (400, ["Enter the code."])
    assert PhoneChallenge.objects.get().attempts_left == 5


def test_a_wrong_code_says_how_many_tries_are_left(ask, answer, calls):
    ask()
    told = []
    for _ in range(2):
        response = answer("1111")
        assert response.status_code == 400
        told += Page(response).errors
    assert told == [
        "This code is not right. You have 2 more tries.",
        "This code is not right. You have 1 more try.",
    ]


def test_a_wrong_code_is_told_at_the_field_and_not_shown_again(ask, answer):
    ask()
    page = Page(answer("987654"))
    assert "987654" not in page.html
    field = page.one("input", name="code")
    assert "value" not in field
    assert field["aria-invalid"] == "true"
    assert "id_code_error" in str(field["aria-describedby"])
    assert page.texts("title") == ["Error: Enter the code"]


def test_the_last_wrong_code_leads_to_a_page_that_goes_on(ask, answer, browser, calls):
    ask(next="/basket/")
    for _ in range(3):
        response = answer("1111")
    page = Page(response)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "30")
    assert page.texts("h1") == ["Try again later"]
    told = "Too many wrong codes. Try again in 30 seconds."
    assert page.texts("p") == [told]
    assert page.one("a")["href"] == f"{LOGIN}?next=%2Fbasket%2F"
    assert page.all("form") == []
    again = browser.get(CODE)
    assert (again.status_code, Page(again).texts("p")) == (200, [told])


def test_locked_for_the_right_code_too(ask, answer, calls):
    ask()
    for _ in range(3):
        answer("1111")
    assert answer("0271").status_code == 429


def test_an_old_code_leads_to_a_page_that_goes_on(ask, answer, browser, clock):
    ask()
    clock.shift(300)
    response = answer()
    page = Page(response)
    assert response.status_code == 400
    assert page.texts("h1") == ["Start again"]
    assert page.texts("p") == ["This code is too old. Ask for a new one."]
    assert page.texts("a") == ["Ask for a new code"]
    assert Page(browser.get(CODE)).texts("p") == ["This code is too old. Ask for a new one."]


def test_a_cancelled_request_is_told_to_be_closed(ask, answer):
    ask()
    PhoneChallenge.objects.update(state="cancelled")
    page = Page(answer())
    assert page.texts("p") == ["This request is closed. Ask for a new code."]


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("path", [CODE, RESEND])
def test_an_erased_request_is_told_to_be_unknown(ask, browser, method, path):
    ask()
    PhoneChallenge.objects.all().delete()
    response = getattr(browser, method)(path, {"code": "012345"})
    assert response.status_code == (200 if (method, path) == ("get", CODE) else 400)
    assert Page(response).texts("p") == ["This request is not known. Ask for a new code."]


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("path", [CODE, RESEND])
def test_who_has_not_asked_is_led_to_the_first_page(browser, method, path):
    response = getattr(browser, method)(path)
    assert (response.status_code, response.headers["Location"]) == (302, LOGIN)


def test_an_address_that_answers_too_often_is_told_to_wait(ask, answer, phone_otp):
    phone_otp(LIMITS={"confirm_ip": "1/m"})
    ask()
    code = local.outbox[-1].code
    answer(wrong(code))
    response = answer(code)
    page = Page(response)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "58")
    assert "Too many requests. Try again in 58 seconds." in page.texts("p")
    assert page.one("input", name="code")


def test_a_wait_longer_than_the_code_leads_to_a_page_that_goes_on(ask, answer, phone_otp):
    phone_otp(LIMITS={"confirm_ip": "1/h"})
    ask()
    code = local.outbox[-1].code
    answer(wrong(code))
    response = answer(code)
    assert (response.status_code, Page(response).texts("h1")) == (429, ["Try again later"])
    assert Page(response).all("form") == []


def test_a_disabled_phone_takes_no_code(ask, answer):
    ask()
    PhoneLedger.objects.update(disabled_at=NOW)
    response = answer()
    assert (response.status_code, response.headers["Retry-After"]) == (429, "3600")
    assert Page(response).texts("p") == ["Too many wrong codes. Try again in 1 hour."]


def test_without_a_cache_the_code_can_be_entered_again_later(ask, answer, settings):
    ask()
    settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
    response = answer()
    page = Page(response)
    assert response.status_code == 503
    assert "The service is not available right now. Try again later." in page.texts("p")
    assert page.one("input", name="code")


def test_a_judge_without_a_verdict_is_told(ask, answer, phone_otp, caplog):
    phone_otp(PROVIDERS=fakes.providers(verify={"kind": "FakeJudge", "verdict": "mistake"}))
    ask()
    response = answer("123456")
    assert response.status_code == 503
    assert "123456" not in response.content.decode() + caplog.text


def test_s16_an_inactive_user_is_not_logged_in(ask, answer, browser, django_user_model):
    user = django_user_model.objects.create_user("owner", is_active=False)
    UserPhone.objects.create(user=user, phone=PHONE)
    ask()
    response = answer()
    page = Page(response)
    assert response.status_code == 400
    assert page.texts("p") == ["This phone number cannot be used here."]
    assert page.texts("a") == ["Another phone"]
    assert SESSION_KEY not in browser.session
    assert browser.get(CODE).headers["Location"] == LOGIN


def test_who_is_not_logged_in_may_try_another_phone_for_the_same_page(
    ask, answer, django_user_model
):
    user = django_user_model.objects.create_user("owner", is_active=False)
    UserPhone.objects.create(user=user, phone=PHONE)
    ask(next="/orders/")
    assert Page(answer()).one("a")["href"] == f"{LOGIN}?next=%2Forders%2F"


def test_a_refused_code_is_told_to_listeners_without_the_code(ask, answer):
    ask()
    heard = []

    def listen(credentials, **_: object) -> None:
        heard.append(credentials)

    user_login_failed.connect(listen)
    answer("987654")
    user_login_failed.disconnect(listen)
    assert heard == [{"phone_challenge": None}]


def test_a_second_press_after_the_login_is_told_to_be_closed(ask, answer, browser):
    ask()
    kept = browser.cookies["sessionid"].value
    answer()
    browser.cookies["sessionid"] = kept  # the key of before the login is gone
    response = answer()
    assert (response.status_code, response.headers["Location"]) == (302, LOGIN)


def test_headers_keep_the_page_to_its_reader(ask, browser):
    ask()
    headers = browser.get(CODE).headers
    assert headers["Referrer-Policy"] == "same-origin"
    assert "no-store" in headers["Cache-Control"]
    assert "private" in headers["Cache-Control"]
    assert "Cookie" in headers["Vary"]


def test_the_pages_speak_the_readers_language(ask, browser):
    ask()
    page = Page(browser.get(CODE, headers={"Accept-Language": "ru"}))
    assert page.one("html")["lang"] == "ru"
    assert "Введите код из сообщения, которое мы вам отправили." in page.texts("p")
