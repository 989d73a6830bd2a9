"""The first page: the phone, and what may come of asking."""

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_phone_otp.models import PhoneChallenge
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import PHONE
from tests.web.conftest import CODE, LOGIN, STATUS, Page, challenge_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def test_page_asks_for_a_phone(browser):
    response = browser.get(LOGIN)
    page = Page(response)
    assert response.status_code == 200
    assert page.one("html")["lang"] == "en"
    assert page.texts("h1") == ["Log in"]
    assert page.texts("label") == ["Phone number"]
    field = page.one("input", name="phone")
    assert (field["type"], field["autocomplete"], field["inputmode"]) == ("tel", "tel", "tel")
    assert (field["aria-describedby"], field["id"]) == ("id_phone_helptext", "id_phone")
    assert page.one("p", id="id_phone_helptext")


def test_page_reads_nothing_from_the_database(browser, django_assert_num_queries):
    with django_assert_num_queries(0):
        browser.get(LOGIN)


@pytest.mark.parametrize(
    ("keys", "hint"),
    [
        (
            {"DEFAULT_REGION": "RU"},
            "For example 8 (912) 345-67-89. For other countries begin with + and the country code.",
        ),
        (
            {"DEFAULT_REGION": "RU", "ALLOWED_REGIONS": ["RU"]},
            "For example 8 (912) 345-67-89.",
        ),
        (
            {"DEFAULT_REGION": "KZ", "ALLOWED_REGIONS": ["KZ", "RU"]},
            "For example 8 (771) 000 9998. For other countries begin with + and the country code.",
        ),
        ({"DEFAULT_REGION": None}, "Begin with + and the country code."),
    ],
)
def test_hint_says_how_to_write_the_number(browser, phone_otp, keys, hint):
    phone_otp(**keys)
    assert hint in Page(browser.get(LOGIN)).texts("p")


def test_asking_leads_to_the_second_page(ask, browser):
    response = ask("8 924 450-10-03")
    assert (response.status_code, response.headers["Location"]) == (302, CODE)
    assert local.outbox[-1].phone == PHONE
    assert challenge_of(browser) == PhoneChallenge.objects.get().public_id


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ("", "Enter your phone number."),
        ("   ", "Enter your phone number."),
        ("nobody", "Enter a phone number, with digits, spaces and + only."),
        ("+7 924 450", "This phone number does not exist. Check its digits."),
        ("9" * 41, "Enter a phone number, with digits, spaces and + only."),
        ("+7924\x004501003", "Null characters are not allowed."),
    ],
)
def test_what_is_no_phone_is_told_at_the_field(ask, typed, error):
    response = ask(typed)
    page = Page(response)
    assert (response.status_code, page.errors) == (400, [error])
    field = page.one("input", name="phone")
    assert field["aria-invalid"] == "true"
    assert "id_phone_error" in str(field["aria-describedby"])
    assert page.texts("title") == ["Error: Log in"]
    assert not local.outbox


def test_what_was_typed_is_kept(ask):
    assert Page(ask("+7 (924) 450")).one("input", name="phone")["value"] == "+7 (924) 450"


def test_over_long_text_is_not_sent_back_whole(ask):
    assert Page(ask("9" * 100_000)).one("input", name="phone")["value"] == "9" * 40


def test_markup_is_shown_as_text(ask):
    response = ask('"><script>alert(1)</script>')
    assert b"<script>alert" not in response.content


def test_a_phone_that_is_not_allowed_is_told_at_the_field(ask, phone_otp):
    phone_otp(ALLOWED_REGIONS=["KZ"])
    response = ask()
    assert (response.status_code, Page(response).errors) == (
        400,
        ["This phone number cannot be used here."],
    )


def test_asking_too_soon_says_when_and_leads_to_the_code(ask, clock):
    ask()
    clock.shift(10)
    response = ask()
    page = Page(response)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "20")
    assert page.text.count("A code was sent a moment ago.") == 1
    assert "Try again in 20 seconds." in page.text
    assert page.one("a", href=CODE)
    assert "Enter the code that was sent to +7•••••••003" in page.texts("a")


def test_asking_too_soon_in_another_browser_leads_nowhere(ask, client):
    ask()
    response = ask(client=client)
    assert response.status_code == 429
    assert Page(response).all("a") == []


def test_too_many_requests_of_an_address_are_refused(ask, phone_otp):
    phone_otp(LIMITS={"request_ip": "1/h"})
    ask()
    response = ask("+79244501004")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "1018")
    told = "Too many requests. Try again in 17 minutes."
    assert told in Page(response).texts("p")


def test_without_a_cache_nobody_is_let_through(ask, settings):
    settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
    response = ask()
    assert response.status_code == 503
    assert "The service is not available right now. Try again later." in Page(response).text


def test_a_site_that_is_for_users_alone_lets_people_log_in(ask, answer, browser, settings):
    middleware = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, middleware]
    assert browser.get(LOGIN).status_code == 200
    assert ask().headers["Location"] == CODE
    assert browser.get(CODE).status_code == 200
    assert browser.get(STATUS).status_code == 200
    assert answer().headers["Location"] == "/profile/"


def test_a_failed_delivery_keeps_the_challenge_and_offers_other_channels(ask, browser, phone_otp):
    broken = {"error": "ProviderUnavailable"}
    phone_otp(
        PROVIDERS=fakes.providers(
            calls={"kind": "FakeCall", **broken}, texts={"kind": "Fake", **broken}
        )
    )
    assert ask().headers["Location"] == CODE
    response = browser.get(CODE)
    page = Page(response)
    assert response.status_code == 503
    assert page.texts("h1") == ["No code was sent"]
    assert page.texts("title") == ["Error: No code was sent"]
    assert "The code could not be delivered. Try again later." in page.texts("p")
    assert "You can ask again in 30 seconds." in page.texts("p")
    assert [each["value"] for each in page.all("button", name="channel")] == ["flash_call", "sms"]
    assert page.all("input", name="code") == []


def test_a_new_request_takes_the_place_of_the_one_before(ask, browser, clock):
    ask()
    first = challenge_of(browser)
    clock.shift(30)
    ask()
    assert challenge_of(browser) != first


def test_queries_of_asking(ask, django_assert_num_queries):
    with CaptureQueriesContext(connection) as queries:
        ask()
    of_sessions = [each for each in queries if "django_session" in each["sql"]]
    assert len(of_sessions) == 2  # is the new key free, and the row


def test_who_is_logged_in_may_log_in_anew(browser):
    browser.force_login(get_user_model().objects.create_user("member"))
    assert browser.get(LOGIN).status_code == 200


class TestRedirectAuthenticatedUser:
    """With `redirect_authenticated_user`, as `LoginView` has it."""

    @pytest.fixture(autouse=True)
    def _own_views(self, settings):
        settings.ROOT_URLCONF = "tests.web.urls_own"

    def test_who_is_logged_in_is_sent_on(self, browser):
        browser.force_login(get_user_model().objects.create_user("member"))
        response = browser.get(f"{LOGIN}?next=/orders/")
        assert (response.status_code, response.headers["Location"]) == (302, "/orders/")

    def test_nobody_is_sent_round_in_circles(self, browser):
        browser.force_login(get_user_model().objects.create_user("member"))
        assert browser.get(f"{LOGIN}?next={LOGIN}?next={LOGIN}").status_code == 200

    def test_a_site_has_templates_words_and_fields_of_its_own(self, browser):
        page = Page(browser.get(LOGIN))
        assert page.texts("h1") == ["Come in"]
        assert page.texts("label") == ["Mobile", "I accept the terms"]

    def test_a_box_to_tick_stands_before_its_label(self, browser):
        page = Page(browser.get(LOGIN))
        (place,) = page.all("div", class_="phone-otp-tick")
        start = page.elements.index(("div", place))
        assert [
            attrs.get("name") or attrs.get("for") for _tag, attrs in page.elements[start:][1:3]
        ] == ["terms", "id_terms"]

    def test_a_field_of_the_sites_own_has_to_be_filled_in(self, ask):
        response = ask()
        assert (response.status_code, Page(response).errors) == (400, ["This field is required."])
        assert ask(terms="on").status_code == 302


def test_the_form_stands_on_a_page_of_the_sites_own(browser, settings):
    settings.ROOT_URLCONF = "tests.web.urls_own"
    page = Page(browser.get("/"))
    form = page.one("form")
    assert (form["action"], form["method"]) == (LOGIN, "post")
    assert page.one("input", name="phone")["autocomplete"] == "tel"
    fields = {str(each["name"]): str(each.get("value") or "") for each in page.all("input")}
    response = browser.post(LOGIN, {**fields, "phone": PHONE, "terms": "on"})
    assert response.headers["Location"] == CODE
    assert browser.session["_phone_otp_login"]["next"] == "/basket/"
