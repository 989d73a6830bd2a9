"""Provider accounts in the admin: set up, looked at, switched, tried, and by whom."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import JSONField, Value
from django.db.models.signals import pre_save
from django.test import Client
from django.urls import path
from django.utils import timezone
from django.utils.html import escape

import django_phone_otp
from django_phone_otp import conf, loading
from django_phone_otp.admin import ProviderAccountAdmin
from django_phone_otp.choices import DeliveryOutcome
from django_phone_otp.exceptions import BrokenSeal
from django_phone_otp.flow.accounts import find_account
from django_phone_otp.flow.breakers import FAILURES_COUNT, OPEN_SECONDS, Breakers, read_breakers
from django_phone_otp.models import (
    AccountLedger,
    DeliveryAttempt,
    PhoneChallenge,
    PhoneLedger,
    ProviderAccount,
)
from django_phone_otp.providers import local
from tests import fakes_admin
from tests.conftest import NOW, PHONE
from tests.fakes_admin import (
    SECRET,
    TRIAL,
    URL,
    elements_of,
    log_in,
    make_account,
    messages_of,
    post_action,
    reported_errors,
)

pytestmark = pytest.mark.django_db

ADD = f"{URL}add/"
OTHER_PHONE = "+79244501004"
PERMISSIONS = ["view_provideraccount", "change_provideraccount", "send_trial"]
NEW_SECRET = "a-new-s3cret"
NO_KEY = 'account "texts": neither SECRET_KEY nor SECRET_KEY_FALLBACKS opens these options'

# What a browser sends for an account of telefon-ip's flash calls.
CALLS = {
    "alias": "calls",
    "enabled": "on",
    "priority": "100",
    "regions": "",
    "daily_limit": "",
    "phone_daily_limit": "",
    "option_token": SECRET,
    "option_base_url": "https://api.telefon-ip.ru",
    "option_timeout": "10.0",
}
CALLS_KEY = "telefon-ip-flash"
# And for one of the fakes, which is there already.
SERVICE = {
    "enabled": "on",
    "priority": "100",
    "option_key": "",
    "option_words": "no",
    "option_timeout": "10.0",
}


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    fakes_admin.calls.clear()


@pytest.fixture
def settings_without_accounts(phone_otp) -> None:
    phone_otp(PROVIDERS={})


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with these entry points, as pip would."""

    def _install(entry_points: str) -> None:
        info = tmp_path / "acme-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            f"[django_phone_otp.providers]\n{entry_points}\n", encoding="utf-8"
        )
        monkeypatch.syspath_prepend(tmp_path)

    loading.entry_points.cache_clear()
    yield _install
    loading.entry_points.cache_clear()


def page_of(account: ProviderAccount, page: str = "change") -> str:
    return f"{URL}{account.pk}/{page}/"


def html_of(response: Any) -> str:
    assert response.status_code == 200
    return response.content.decode()


def text_of(response: Any) -> str:
    """Give what can be read on a page, without markup, in one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", html_of(response)).split())


def states_of(client: Client) -> dict[str, str]:
    """Read the column of the states, by alias."""
    html = html_of(client.get(URL))
    cells = re.findall(r'field-(alias|state)">(?:<a[^>]*>)?([^<]*)', html)
    words = [text for _name, text in cells]
    return dict(zip(words[::2], words[1::2], strict=True))


def fail(account: ProviderAccount, count: int) -> None:
    """Have so many deliveries through the account fail in a row."""
    found = find_account(account.alias, conf.read())
    assert found
    breakers = Breakers([found])
    for _ in range(count):
        breakers.note(found, DeliveryOutcome.UNAVAILABLE)


def send(client: Client, account: str, phone: str = PHONE, **extra: Any) -> Any:
    """Fill in the page for test codes; gives the page that follows."""
    return client.post(f"{TRIAL}?account={account}", {"phone": phone}, follow=True, **extra)


def errors_of(response: Any) -> dict[str, list[str]]:
    return {
        name: list(map(str, errors)) for name, errors in response.context["form"].errors.items()
    }


class TestAdding:
    """The provider first, then the form that follows from it."""

    def test_the_provider_is_asked_for_first(self, admin_client):
        html = html_of(admin_client.get(ADD))
        assert '<a href="?backend=telefon-ip-flash">telefon-ip-flash</a>' in html
        assert "flash call" in html
        assert "<form" not in html[html.index('id="content"') :]

    @pytest.mark.parametrize(
        "backend",
        ["", "unknown", "tests.fakes_admin.Service", "os.system", "\x00", "<script>", "x" * 5_000],
    )
    def test_what_is_no_key_leads_to_the_choice(self, admin_client, backend):
        response = admin_client.get(ADD, {"backend": backend})
        assert response.templates[0].name == "admin/phone_otp/provideraccount/choose.html"
        assert "<script>x" not in html_of(response)

    @pytest.mark.parametrize("backend", ["tests.fakes_admin.Service", "locmem", ""])
    def test_what_is_not_offered_cannot_be_posted(self, admin_client, backend):
        admin_client.post(f"{ADD}?backend={backend}", {**SERVICE, "alias": "x", "option_key": "k"})
        assert not ProviderAccount.objects.exists()

    @pytest.mark.parametrize("key", ["console", "locmem"])
    def test_what_delivers_nothing_is_not_offered(self, admin_client, key):
        assert f">{key}</a>" not in html_of(admin_client.get(ADD))
        assert "Choose a provider" in html_of(admin_client.get(ADD, {"backend": key}))

    @pytest.mark.parametrize("key", ["console", "locmem"])
    def test_what_delivers_nothing_is_offered_in_development(self, admin_client, settings, key):
        settings.DEBUG = True
        assert f">{key}</a>" in html_of(admin_client.get(ADD))
        admin_client.post(f"{ADD}?backend={key}", {**CALLS, "option_base_url": ""})
        assert ProviderAccount.objects.get().backend == key

    def test_the_form_asks_what_the_provider_wants_to_know(self, admin_client):
        html = html_of(admin_client.get(ADD, {"backend": "telefon-ip-flash"}))
        assert re.findall(r'name="(option_\w+)"', html) == [
            "option_token",
            "option_sms_fallback",
            "option_base_url",
            "option_timeout",
        ]

    def test_an_account_is_stored_and_used(self, admin_client):
        body = {**CALLS, "regions": "ru, BY", "daily_limit": "50", "option_sms_fallback": "on"}
        response = admin_client.post(f"{ADD}?backend=telefon-ip-flash", body)
        assert (response.status_code, response["Location"]) == (302, URL)
        account = ProviderAccount.objects.get()
        assert (account.alias, account.backend, account.enabled) == ("calls", CALLS_KEY, True)
        assert (account.regions, account.daily_limit) == (["RU", "BY"], 50)
        assert account.options == {"token": SECRET, "sms_fallback": True}
        assert find_account("calls", conf.read())

    def test_s13_what_is_stored_is_sealed(self, admin_client):
        admin_client.post(f"{ADD}?backend=telefon-ip-flash", CALLS)
        token = ProviderAccount.objects.values_list("sealed_options", flat=True).get()
        assert token.startswith("gAAAAA")
        assert SECRET.encode() not in fakes_admin.read_token(token)
        assert SECRET not in str(ProviderAccount.objects.values().get())

    def test_the_provider_of_the_address_counts_and_not_what_is_posted(self, admin_client):
        body = {**CALLS, "backend": "locmem", "sealed_options": "x", "options": "x", "id": "777"}
        admin_client.post(f"{ADD}?backend=telefon-ip-flash", body)
        account = ProviderAccount.objects.get()
        assert (account.backend, account.options) == (CALLS_KEY, {"token": SECRET})
        assert account.pk != 777

    def test_s13_a_form_with_errors_does_not_repeat_the_secret(self, admin_client):
        body = {**CALLS, "option_timeout": "0"}
        html = html_of(admin_client.post(f"{ADD}?backend=telefon-ip-flash", body))
        assert "&quot;timeout&quot; must be above 0 and at most 60.0 seconds." in html
        assert SECRET not in html
        assert not ProviderAccount.objects.exists()

    def test_s13_the_address_puts_no_secret_into_the_form(self, admin_client):
        query = {"backend": "telefon-ip-flash", "option_token": SECRET}
        assert SECRET not in html_of(admin_client.get(ADD, query))

    def test_an_account_of_the_settings_may_be_replaced(self, admin_client):
        admin_client.post(f"{ADD}?backend=telefon-ip-flash", {**CALLS, "alias": "memory"})
        account = find_account("memory", conf.read())
        assert account
        assert account.provider.key == CALLS_KEY

    def test_another_packages_provider_is_offered_under_its_name(self, admin_client, install):
        install("acme = tests.fakes_admin:Wide")
        html = html_of(admin_client.get(ADD))
        assert '<a href="?backend=acme">acme</a>' in html
        assert "Telegram" in html

    def test_another_packages_provider_gets_a_form_of_its_schema(self, admin_client, install):
        install("acme = tests.fakes_admin:Wide")
        body = {"alias": "a", "priority": "1", "option_key": SECRET, "option_sender": "Shop"}
        body |= {"option_mode": "slow", "option_count": "4", "option_polite": "on"}
        admin_client.post(f"{ADD}?backend=acme", body)
        account = ProviderAccount.objects.get()
        assert (account.backend, account.enabled) == ("acme", False)
        expected = {"key": SECRET, "sender": "Shop", "mode": "slow", "count": 4}
        assert account.options == expected

    def test_the_name_of_another_packages_provider_is_no_markup(self, admin_client, install):
        install("<script>x</script> = tests.fakes_admin:Wide")
        html = html_of(admin_client.get(ADD))
        assert "<script>x" not in html
        assert "?backend=%3Cscript%3Ex%3C/script%3E" in html

    def test_another_one_is_of_the_same_provider(self, admin_client):
        body = {**CALLS, "_addanother": "1"}
        html = html_of(admin_client.post(f"{ADD}?backend={CALLS_KEY}", body, follow=True))
        assert 'name="option_token"' in html
        assert SECRET not in html


class TestChanging:
    """Everything can be changed but what other rows know the account by."""

    @pytest.fixture
    def account(self) -> ProviderAccount:
        return make_account()

    def test_alias_and_provider_stay_what_they_are(self, admin_client, account):
        body = {**SERVICE, "alias": "other", "backend": "locmem", "sealed_options": "x"}
        response = admin_client.post(page_of(account), body)
        assert response.status_code == 302
        account.refresh_from_db()
        assert (account.alias, account.backend) == ("texts", "tests.fakes_admin.Service")
        assert account.options == {"key": SECRET}

    def test_the_provider_in_the_address_is_not_the_accounts(self, admin_client, account):
        html = html_of(admin_client.get(page_of(account), {"backend": "telefon-ip-flash"}))
        assert 'name="option_key"' in html
        assert 'name="option_token"' not in html

    def test_s21_a_secret_that_is_left_empty_is_kept(self, admin_client, account):
        admin_client.post(page_of(account), {**SERVICE, "option_words": "nothing"})
        account.refresh_from_db()
        assert account.options == {"key": SECRET, "words": "nothing"}

    def test_s21_a_secret_that_is_given_replaces_the_one_before(self, admin_client, account):
        admin_client.post(page_of(account), {**SERVICE, "option_key": NEW_SECRET})
        account.refresh_from_db()
        assert account.options == {"key": NEW_SECRET}

    def test_a_change_is_sealed_anew(self, admin_client, account):
        before = account.sealed_options
        admin_client.post(page_of(account), SERVICE)
        account.refresh_from_db()
        assert account.sealed_options.startswith("gAAAAA")
        assert account.sealed_options != before

    def test_regions_are_shown_as_they_are_entered(self, admin_client, account):
        admin_client.post(page_of(account), {**SERVICE, "regions": "ru, BY"})
        html = html_of(admin_client.get(page_of(account)))
        assert re.search(r'<input[^>]*name="regions"[^>]*value="RU, BY"', html)

    @pytest.mark.parametrize(
        ("name", "typed", "message"),
        [
            ("regions", "RU, XX", "XX is no ISO 3166 region such as RU."),
            ("daily_limit", "0", "Ensure this value is greater than or equal to 1."),
            ("phone_daily_limit", "1001", "Ensure this value is less than or equal to 1000."),
            ("option_timeout", "61", "&quot;timeout&quot; must be above 0"),
            ("option_base_url", "http://x.example", "&quot;base_url&quot; must be https://"),
            ("option_words", "a\x00b", "Null characters are not allowed."),
            ("option_key", "a\x00b", "Null characters are not allowed."),
        ],
    )
    def test_what_is_wrong_is_said_at_its_field(self, admin_client, account, name, typed, message):
        html = html_of(admin_client.post(page_of(account), {**SERVICE, name: typed}))
        error = re.search(rf'<ul class="errorlist" id="id_{name}_error">(.*?)</ul>', html)
        assert error
        assert message in error[1]

    def test_the_page_says_how_the_account_does(self, admin_client, account):
        make_account("limited", daily_limit=5)
        AccountLedger.objects.create(alias="limited", day=timezone.localdate(), sent_count=2)
        text = text_of(admin_client.get(page_of(ProviderAccount.objects.get(alias="limited"))))
        assert "State: in use" in text
        assert "Messages today: 2 / 5" in text

    def test_saving_forgets_the_failures(
        self, admin_client, account, django_capture_on_commit_callbacks
    ):
        fail(account, FAILURES_COUNT)
        with django_capture_on_commit_callbacks() as callbacks:
            admin_client.post(page_of(account), SERVICE)
        # Another process must not open it again with the old options.
        assert read_breakers(["texts"])["texts"].failures_count == FAILURES_COUNT
        for each in callbacks:
            each()
        breaker = read_breakers(["texts"])["texts"]
        assert (breaker.failures_count, breaker.open_until) == (0, None)

    def test_the_failures_of_others_stay(
        self, admin_client, account, django_capture_on_commit_callbacks
    ):
        fail(make_account("others"), 2)
        with django_capture_on_commit_callbacks(execute=True):
            admin_client.post(page_of(account), SERVICE)
        assert read_breakers(["others"])["others"].failures_count == 2

    def test_a_form_with_errors_leaves_the_failures(
        self, admin_client, account, django_capture_on_commit_callbacks
    ):
        fail(account, 2)
        with django_capture_on_commit_callbacks(execute=True):
            admin_client.post(page_of(account), {**SERVICE, "priority": "x"})
        assert read_breakers(["texts"])["texts"].failures_count == 2

    def test_an_account_can_be_deleted(self, admin_client, account):
        response = admin_client.post(page_of(account, "delete"), {"post": "yes"})
        assert response.status_code == 302
        assert not ProviderAccount.objects.exists()


class TestSecrets:
    """No page, no log of the admin and no error shows what is stored."""

    @pytest.fixture
    def account(self) -> ProviderAccount:
        return make_account(options={"key": SECRET, "words": "plain-words"})

    @pytest.mark.parametrize("page", ["change", "history", "delete"])
    def test_s13_no_page_of_the_account_shows_it(self, admin_client, account, page):
        admin_client.post(page_of(account), {**SERVICE, "option_key": NEW_SECRET})
        html = html_of(admin_client.get(page_of(account, page)))
        assert "texts" in html
        assert NEW_SECRET not in html
        account.refresh_from_db()
        assert account.sealed_options not in html

    def test_s13_a_change_with_errors_does_not_show_it(self, admin_client, account):
        body = {**SERVICE, "option_key": NEW_SECRET, "priority": "x"}
        html = html_of(admin_client.post(page_of(account), body))
        assert "Enter a whole number." in html
        assert NEW_SECRET not in html
        assert SECRET not in html

    def test_s13_the_list_does_not_show_it(self, admin_client, account):
        html = html_of(admin_client.get(URL))
        assert SECRET not in html
        assert account.sealed_options not in html

    def test_s13_the_confirmation_to_delete_several_does_not_show_it(self, admin_client, account):
        response = post_action(admin_client, "delete_selected", account)
        assert "Are you sure" in html_of(response)
        assert SECRET not in html_of(response)

    def test_s13_the_log_of_the_admin_names_fields_alone(self, admin_client, account):
        body = {**SERVICE, "option_key": NEW_SECRET, "option_words": "other-words"}
        admin_client.post(page_of(account), body)
        entry = LogEntry.objects.get()
        assert json.loads(entry.change_message) == [{"changed": {"fields": ["key", "words"]}}]
        assert entry.object_repr == "texts"

    def test_s13_adding_is_logged_without_it(self, admin_client):
        admin_client.post(f"{ADD}?backend={CALLS_KEY}", CALLS)
        assert LogEntry.objects.get().change_message == '[{"added": {}}]'

    def test_s13_those_who_may_only_view_see_none(self, client, account):
        log_in(client, "view_provideraccount")
        html = html_of(client.get(page_of(account)))
        assert SECRET not in html
        assert 'name="option_' not in html

    def test_s13_a_page_that_was_answered_is_not_kept_by_browsers(self, admin_client, account):
        assert "no-store" in admin_client.get(page_of(account))["Cache-Control"]
        assert "no-store" in admin_client.get(f"{TRIAL}?account=texts")["Cache-Control"]


class TestRotation:
    """Another SECRET_KEY: what a fallback opens goes on, the rest is asked for again."""

    @pytest.fixture
    def account(self, settings) -> ProviderAccount:
        """Store an account, then change the key."""
        settings.SECRET_KEY_FALLBACKS = []
        account = make_account()
        self.old_key, settings.SECRET_KEY = settings.SECRET_KEY, "another" * 10
        return account

    def test_s12_with_a_fallback_the_secret_is_kept(
        self, account, client, settings, django_user_model
    ):
        settings.SECRET_KEY_FALLBACKS = [self.old_key]
        client.force_login(django_user_model.objects.create_superuser("root"))
        assert states_of(client)["texts"] == "in use"
        client.post(page_of(account), SERVICE)
        settings.SECRET_KEY_FALLBACKS = []
        account.refresh_from_db()
        assert account.options == {"key": SECRET}

    @pytest.fixture
    def root(self, account, client, django_user_model) -> Client:
        client.force_login(django_user_model.objects.create_superuser("root"))
        return client

    def test_without_one_the_list_says_that_it_cannot_be_used(self, account, root):
        assert states_of(root)["texts"] == f"cannot be used: {escape(NO_KEY)}"

    def test_without_one_the_page_names_the_account_and_asks_again(self, account, root):
        text = text_of(root.get(page_of(account)))
        assert "What was stored cannot be opened (account" in text
        assert "Enter it again." in text

    def test_without_one_nothing_is_saved_before_the_secret_is_given(self, account, root):
        response = root.post(page_of(account), SERVICE)
        assert "This field is required." in html_of(response)
        account.refresh_from_db()
        with pytest.raises(BrokenSeal):
            _options = account.options

    def test_without_one_the_account_works_again_with_the_secret(self, account, root):
        root.post(page_of(account), {**SERVICE, "option_key": NEW_SECRET})
        account.refresh_from_db()
        assert account.options == {"key": NEW_SECRET}
        assert states_of(root)["texts"] == "in use"

    def test_without_one_it_can_be_switched_off_and_deleted(self, account, root):
        post_action(root, "disable_accounts", account)
        assert not ProviderAccount.objects.get().enabled
        root.post(page_of(account, "delete"), {"post": "yes"})
        assert not ProviderAccount.objects.exists()

    def test_without_one_a_check_says_why(self, account, root):
        ((level, text),) = messages_of(post_action(root, "check_accounts", account))
        assert level == "error"
        assert text == f"texts: BROKEN: {NO_KEY}"

    def test_without_one_a_trial_says_why(self, account, root):
        assert errors_of(send(root, "texts")) == {"__all__": [NO_KEY]}


@pytest.mark.usefixtures("settings_without_accounts")
class TestList:
    """How the accounts do, in a column."""

    @pytest.fixture
    def account(self) -> ProviderAccount:
        return make_account()

    def test_in_use(self, admin_client, account):
        assert states_of(admin_client) == {"texts": "in use"}

    def test_some_failures(self, admin_client, account):
        fail(account, 2)
        assert states_of(admin_client) == {"texts": "in use (2 failures in a row)"}

    def test_passed_over(self, admin_client, account, clock):
        fail(account, FAILURES_COUNT)
        assert states_of(admin_client) == {
            "texts": "failing, passed over until 06:01:00 (5 failures in a row)"
        }

    def test_the_time_is_the_sites(self, admin_client, account, clock, settings):
        settings.TIME_ZONE = "Europe/Moscow"
        fail(account, FAILURES_COUNT)
        assert "passed over until 15:01:00" in states_of(admin_client)["texts"]

    def test_to_be_tried_again(self, admin_client, account, clock):
        fail(account, FAILURES_COUNT)
        clock.shift(OPEN_SECONDS)
        assert states_of(admin_client) == {"texts": "failing, tried again with the next message"}

    def test_passed_over_to_the_last_second(self, admin_client, account, clock):
        fail(account, FAILURES_COUNT)
        clock.shift(OPEN_SECONDS - 1)
        assert states_of(admin_client)["texts"].startswith("failing, passed over")

    def test_switched_off(self, admin_client):
        make_account(enabled=False)
        assert states_of(admin_client) == {"texts": "switched off"}

    def test_switched_off_while_it_failed(self, admin_client, account, clock):
        fail(account, FAILURES_COUNT)
        ProviderAccount.objects.update(enabled=False)
        assert states_of(admin_client) == {"texts": "switched off"}

    @pytest.mark.parametrize("enabled", [True, False])
    def test_options_that_do_not_fit(self, admin_client, enabled):
        make_account(options={}, enabled=enabled)
        assert states_of(admin_client) == {
            "texts": "cannot be used: account &#x27;texts&#x27;[&#x27;OPTIONS&#x27;]: "
            "&quot;key&quot; is missing."
        }

    def test_a_provider_that_is_gone(self, admin_client):
        make_account(backend="gone")
        assert states_of(admin_client)["texts"].startswith(
            "cannot be used: account &#x27;texts&#x27;[&#x27;BACKEND&#x27;] names "
            "&quot;gone&quot;, which does not exist."
        )

    def test_a_mistake_of_a_schema(self, admin_client):
        make_account(kind="Rude")
        assert states_of(admin_client) == {"texts": "cannot be used: RuntimeError"}

    def test_something_to_be_made_first(self, admin_client):
        account = make_account(kind="Needy")
        state = "cannot be used: choose “Check reachability and balance” first"
        assert states_of(admin_client) == {"texts": state}
        post_action(admin_client, "check_accounts", account)
        assert states_of(admin_client) == {"texts": "in use"}

    @pytest.mark.parametrize("regions", ["RU", 7, None, [7], {"RU": 1}], ids=str)
    def test_regions_that_are_none(self, admin_client, regions):
        account = make_account()
        ProviderAccount.objects.update(regions=Value(regions, JSONField()))
        state = "cannot be used: account &#x27;texts&#x27;: regions must be a list of texts"
        assert states_of(admin_client) == {"texts": state}
        assert admin_client.get(page_of(account)).status_code == 200

    def test_each_account_has_its_own_state(self, admin_client, account):
        fail(make_account("failing"), 1)
        make_account("off", enabled=False)
        assert states_of(admin_client) == {
            "failing": "in use (1 failures in a row)",
            "off": "switched off",
            "texts": "in use",
        }

    def test_the_first_to_be_tried_stands_first(self, admin_client):
        for alias, priority in (("b", 2), ("a", 2), ("c", 1)):
            make_account(alias, priority=priority)
        assert list(states_of(admin_client)) == ["c", "a", "b"]

    @pytest.mark.parametrize(
        ("columns", "ledger", "shown"),
        [
            ({}, None, "-"),
            ({"daily_limit": 5}, None, "0 / 5"),
            ({"daily_limit": 5}, {"day": NOW.date(), "sent_count": 3}, "3 / 5"),
            ({"daily_limit": 5}, {"day": NOW.date(), "sent_count": 5}, "5 / 5"),
            (
                {"daily_limit": 5},
                {"day": NOW.date() - timedelta(days=1), "sent_count": 3},
                "0 / 5",
            ),
            ({"daily_limit": 5}, {"day": None, "sent_count": 0}, "0 / 5"),
            ({}, {"day": NOW.date(), "sent_count": 3}, "-"),
        ],
    )
    def test_messages_of_today(self, client, columns, ledger, shown, django_user_model):
        make_account(**columns)
        AccountLedger.objects.create(alias="another", day=NOW.date(), sent_count=4)
        if ledger:
            AccountLedger.objects.create(alias="texts", **ledger)
        with time_machine.travel(NOW, tick=False):
            client.force_login(django_user_model.objects.create_superuser("root"))
            html = html_of(client.get(URL))
        assert re.findall(r'field-messages_today">([^<]*)', html) == [shown]

    @pytest.mark.parametrize(("regions", "shown"), [([], "-"), (["RU", "BY"], "RU, BY")])
    def test_regions(self, admin_client, regions, shown):
        make_account(regions=regions)
        html = html_of(admin_client.get(URL))
        assert re.findall(r'field-written_regions">([^<]*)', html) == [shown]

    def test_those_switched_off_can_be_filtered(self, admin_client, account):
        make_account("off", enabled=False)
        html = html_of(admin_client.get(URL, {"enabled__exact": "0"}))
        assert re.findall(r'field-alias"><a[^>]*>(\w+)', html) == ["off"]

    def test_a_cache_out_of_reach_hides_no_account(self, account, client, settings):
        settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
        log_in(client, "view_provideraccount")
        assert states_of(client) == {"texts": "in use"}


class TestAccountsOfTheSettings:
    """They count beside the rows, and stand below them."""

    def rows_of(self, client: Client) -> list[list[str]]:
        html = html_of(client.get(URL))
        _before, found, table = html.partition('id="accounts-of-settings"')
        rows = re.findall(r"<tr>(.*?)</tr>", table.partition("</table>")[0], re.DOTALL)[1:]
        texts = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
        return [[re.sub(r"<[^>]+>", "", each) for each in row] for row in texts] if found else []

    def test_they_are_listed_with_their_state(self, admin_client):
        assert self.rows_of(admin_client) == [["memory", "locmem", "in use", "Send a test code"]]

    def test_without_any_there_is_no_table(self, admin_client, settings_without_accounts):
        assert "accounts-of-settings" not in html_of(admin_client.get(URL))

    def test_one_that_a_row_replaces_is_not_listed(self, admin_client):
        make_account("memory")
        assert self.rows_of(admin_client) == []

    def test_one_that_cannot_be_used_says_why_and_no_secret(self, admin_client, phone_otp):
        entry = {"BACKEND": CALLS_KEY, "OPTIONS": {"tokn": SECRET}}
        phone_otp(PROVIDERS={"calls": entry})
        (row,) = self.rows_of(admin_client)
        assert row[2].startswith("cannot be used: PHONE_OTP[&#x27;PROVIDERS&#x27;]")
        assert "&quot;tokn&quot; is not an option" in row[2]
        assert SECRET not in html_of(admin_client.get(URL))

    def test_one_that_is_passed_over_says_so(self, admin_client, clock):
        account = find_account("memory", conf.read())
        assert account
        breakers = Breakers([account])
        for _ in range(FAILURES_COUNT):
            breakers.note(account, DeliveryOutcome.UNAVAILABLE)
        state = self.rows_of(admin_client)[0][2]
        assert state == "failing, passed over until 06:01:00 (5 failures in a row)"

    def test_who_may_not_send_is_offered_nothing_to_send(self, client):
        log_in(client, "view_provideraccount")
        assert self.rows_of(client) == [["memory", "locmem", "in use"]]

    @pytest.mark.parametrize("alias", ['a"b', "<script>x</script>", "a b&c=d#e", "ключ", "a/../b"])
    def test_a_strange_alias_is_text_and_leads_to_its_page(self, admin_client, phone_otp, alias):
        phone_otp(PROVIDERS={alias: {"BACKEND": "locmem"}})
        html = html_of(admin_client.get(URL))
        assert "<script>x" not in html
        (link,) = re.findall(r'href="(/admin/phone_otp/provideraccount/trial/[^"]*)"', html)
        html = html_of(admin_client.get(link))
        assert "Send a test code through " in html
        assert "<script>x" not in html


class TestChecking:
    """The services are asked; nothing is sent."""

    def test_an_account_that_works(self, admin_client):
        account = make_account(options={"key": SECRET, "balance": "7.50 RUB"})
        response = post_action(admin_client, "check_accounts", account)
        assert messages_of(response) == [("success", "texts: works, 7.50 RUB left")]
        assert fakes_admin.calls == [("balance", True)]  # the test's own transaction

    def test_several_accounts(self, admin_client):
        first, second = make_account("a"), make_account("b", options={"key": "k", "balance": "3"})
        make_account("not chosen")
        assert messages_of(post_action(admin_client, "check_accounts", first, second)) == [
            ("success", "a: works"),
            ("success", "b: works, 3 messages left"),
        ]

    def test_an_account_that_is_broken(self, admin_client):
        account = make_account(options={"key": SECRET, "error": "Misconfigured", "words": "401"})
        assert messages_of(post_action(admin_client, "check_accounts", account)) == [
            ("error", "texts: BROKEN: Misconfigured: 401")
        ]

    def test_s13_a_secret_in_the_services_words_is_redacted(self, admin_client):
        words = f"GET /{SECRET}/balance"
        account = make_account(options={"key": SECRET, "error": "ProviderRejected", "words": words})
        response = post_action(admin_client, "check_accounts", account)
        assert messages_of(response) == [
            ("error", "texts: BROKEN: ProviderRejected: GET /***/balance")
        ]
        assert SECRET not in html_of(response)

    def test_markup_in_the_services_words_is_text(self, admin_client):
        options = {"key": SECRET, "error": "ProviderRejected", "words": "<script>x</script>"}
        html = html_of(post_action(admin_client, "check_accounts", make_account(options=options)))
        assert "<script>x" not in html
        assert "&lt;script&gt;x" in html

    def test_an_account_can_be_set_up_before_it_is_switched_on(self, admin_client):
        account = make_account(kind="Needy", enabled=False)
        assert messages_of(post_action(admin_client, "check_accounts", account)) == [
            ("success", "texts: switched off; works")
        ]
        assert [question for question, _in_transaction in fakes_admin.calls] == [
            "prepare",
            "balance",
        ]

    def test_what_is_wrong_with_one_that_is_switched_off_is_told(self, admin_client):
        options = {"key": SECRET, "error": "Misconfigured", "words": "HTTP 401"}
        account = make_account(options=options, enabled=False)
        ((_level, text),) = messages_of(post_action(admin_client, "check_accounts", account))
        assert text == "texts: switched off; BROKEN: Misconfigured: HTTP 401"

    def test_what_has_to_be_there_is_made_once(self, admin_client):
        account = make_account(kind="Needy")
        post_action(admin_client, "check_accounts", account)
        post_action(admin_client, "check_accounts", account)
        assert [question for question, _open in fakes_admin.calls].count("prepare") == 1

    def test_s21_who_may_only_view_makes_nothing_there(self, client):
        account = make_account(kind="Needy")
        log_in(client, "view_provideraccount")
        post_action(client, "check_accounts", account)
        assert fakes_admin.calls == [("balance", True)]
        assert not AccountLedger.objects.exclude(sealed_kept="").exists()

    def test_nothing_is_sent_and_nothing_is_logged_as_changed(self, admin_client):
        post_action(admin_client, "check_accounts", make_account())
        assert not PhoneChallenge.objects.exists()
        assert not LogEntry.objects.exists()


class TestSwitching:
    """Off and on, for several at once, with an entry in the log for each."""

    @pytest.mark.parametrize(
        ("action", "enabled", "message"),
        [
            ("disable_accounts", False, "2 accounts disabled."),
            ("enable_accounts", True, "2 accounts enabled."),
        ],
    )
    def test_those_chosen_are_switched(self, admin_client, action, enabled, message):
        chosen = [make_account(alias, enabled=not enabled) for alias in "ab"]
        make_account("c", enabled=not enabled)
        assert messages_of(post_action(admin_client, action, *chosen)) == [("info", message)]
        assert [each.enabled for each in ProviderAccount.objects.order_by("alias")] == [
            enabled,
            enabled,
            not enabled,
        ]

    @pytest.mark.parametrize(
        ("action", "message"),
        [("disable_accounts", "1 account disabled."), ("enable_accounts", "0 accounts enabled.")],
    )
    def test_those_that_are_so_already_are_not_counted(self, admin_client, action, message):
        chosen = [make_account("on"), make_account("off", enabled=action != "disable_accounts")]
        assert messages_of(post_action(admin_client, action, *chosen)) == [("info", message)]

    def test_each_switch_is_logged(self, admin_client, admin_user):
        post_action(admin_client, "disable_accounts", make_account("a"), make_account("b"))
        entries = LogEntry.objects.order_by("object_repr")
        assert [each.object_repr for each in entries] == ["a", "b"]
        assert {each.user_id for each in entries} == {admin_user.pk}
        assert {each.get_change_message() for each in entries} == {"Changed enabled."}

    def test_what_was_not_switched_is_not_logged(self, admin_client):
        post_action(admin_client, "enable_accounts", make_account())
        assert not LogEntry.objects.exists()

    def test_the_options_stay_as_they_are(self, admin_client):
        account = make_account()
        post_action(admin_client, "disable_accounts", account)
        assert ProviderAccount.objects.get().sealed_options == account.sealed_options

    def test_an_account_that_is_off_is_used_no_more(self, admin_client, post):
        account = make_account(priority=1)
        post_action(admin_client, "disable_accounts", account)
        assert post("request", phone=PHONE).status_code == 201
        assert PhoneChallenge.objects.get().account == "memory"
        post_action(admin_client, "enable_accounts", account)
        assert post("request", phone=OTHER_PHONE).status_code == 201
        assert PhoneChallenge.objects.latest("pk").account == "texts"

    def test_a_link_switches_nothing(self, admin_client):
        account = make_account()
        admin_client.get(URL, {"action": "disable_accounts", "_selected_action": account.pk})
        assert ProviderAccount.objects.get().enabled


class TestTrying:
    """A test code through one account, to a phone that the operator names."""

    @pytest.fixture
    def account(self) -> ProviderAccount:
        return make_account()

    def test_the_action_leads_to_the_page(self, admin_client, account):
        response = post_action(admin_client, "send_trial", account)
        assert response.redirect_chain == [(f"{TRIAL}?account=texts", 302)]
        assert "Send a test code through texts" in html_of(response)

    def test_the_action_is_for_one_account(self, admin_client, account):
        response = post_action(admin_client, "send_trial", account, make_account("other"))
        assert messages_of(response) == [("error", "Choose one account.")]

    def test_a_code_is_sent_and_the_page_says_so(self, admin_client, account):
        response = send(admin_client, "texts")
        assert response.redirect_chain == [(f"{TRIAL}?account=texts", 302)]
        assert messages_of(response) == [
            ("success", "texts: sent. Enter the code from the text message that we sent you.")
        ]
        assert [question for question, _open in fakes_admin.calls] == ["start"]

    def test_what_was_sent_is_on_record_with_who_sent_it(self, admin_client, admin_user, account):
        send(admin_client, "texts", HTTP_USER_AGENT="Firefox")
        challenge = PhoneChallenge.objects.get()
        assert (challenge.purpose, challenge.phone, challenge.user) == ("trial", PHONE, admin_user)
        assert (challenge.account, challenge.ip, challenge.user_agent) == (
            "texts",
            "127.0.0.1",
            "Firefox",
        )

    def test_a_call_is_awaited_at_the_number_that_is_shown(self, admin_client):
        make_account(kind="Calls")
        ((level, text),) = messages_of(send(admin_client, "texts"))
        assert level == "success"
        assert text.startswith("texts: sent. Call the number +7 800 555-35-35 from your phone.")

    @pytest.mark.parametrize("kind", ["Service", "Called"])
    def test_s13_no_page_shows_the_code(self, admin_client, phone_otp, kind):
        phone_otp(MESSAGE="{code}", RESEND_WAITS=[0])
        make_account(kind=kind)
        assert "012345" not in html_of(send(admin_client, "texts"))
        send(admin_client, "memory")
        assert local.outbox[0].code not in html_of(admin_client.get(f"{TRIAL}?account=memory"))

    def test_nobody_can_log_in_with_its_code(self, admin_client, post):
        send(admin_client, "memory")
        challenge = PhoneChallenge.objects.get().public_id
        answer = post("confirm", challenge=challenge, code=local.outbox[0].code)
        assert (answer.status_code, answer.json()["code"]) == (400, "unknown_challenge")

    def test_an_account_that_is_switched_off_can_be_tried(self, admin_client):
        make_account(enabled=False)
        assert messages_of(send(admin_client, "texts"))[0][0] == "success"

    def test_an_account_of_the_settings_can_be_tried(self, admin_client):
        send(admin_client, "memory")
        assert local.outbox[0].phone == PHONE

    def test_no_other_account_steps_in(self, admin_client):
        make_account(options={"key": SECRET, "error": "ProviderUnavailable", "words": "no route"})
        (message,) = errors_of(send(admin_client, "texts"))["__all__"]
        assert message.startswith("The code could not be delivered. Try again in 30 seconds. ")
        assert message.endswith("texts: provider not reachable, no route")
        assert not local.outbox

    @pytest.mark.parametrize(
        ("phone", "message"),
        [
            ("12", "This phone number does not exist. Check its digits."),
            ("nonsense", "Enter a phone number, with digits, spaces and + only."),
            ("", "This field is required."),
            ("+7924\x00", "Null characters are not allowed."),
            ("9" * 41, "Ensure this value has at most 40 characters (it has 41)."),
        ],
    )
    def test_what_is_wrong_with_the_phone_is_said_at_its_field(
        self, admin_client, account, phone, message
    ):
        assert errors_of(send(admin_client, "texts", phone)) == {"phone": [message]}
        assert fakes_admin.calls == []

    def test_a_phone_that_gets_no_codes_is_refused(self, admin_client, account):
        response = send(admin_client, "texts", "+7 800 100-00-00")
        assert errors_of(response) == {"__all__": ["This phone number cannot be used here."]}

    def test_a_region_that_is_not_allowed_is_refused(self, admin_client, account, phone_otp):
        phone_otp(ALLOWED_REGIONS=["BY"])
        assert errors_of(send(admin_client, "texts")) == {
            "__all__": ["This phone number cannot be used here."]
        }

    def test_a_number_that_the_provider_cannot_serve_is_refused(self, admin_client):
        make_account("calls", backend=CALLS_KEY, options={"token": SECRET})
        response = send(admin_client, "calls", "+375291234567")
        assert errors_of(response) == {"__all__": ["This phone number cannot be used here."]}

    def test_the_phones_wait_holds(self, admin_client, account, clock):
        send(admin_client, "texts")
        response = send(admin_client, "texts")
        assert errors_of(response) == {
            "__all__": ["A code was sent a moment ago. Try again in 30 seconds."]
        }
        assert len(fakes_admin.calls) == 1

    def test_the_phones_budget_holds(self, admin_client, account, phone_otp, clock):
        phone_otp(RESEND_WAITS=[0], LIMITS={"send_phone": "2/h"})
        for _ in range(2):
            send(admin_client, "texts")
        clock.shift(60)
        assert errors_of(send(admin_client, "texts")) == {
            "__all__": ["Too many requests. Try again in 59 minutes."]
        }

    def test_what_a_stranger_asked_for_counts_for_the_phone(self, admin_client, account, post):
        post("request", phone=PHONE)
        assert "__all__" in errors_of(send(admin_client, "texts"))

    def test_a_phone_that_is_locked_stays_so(self, admin_client, account):
        PhoneLedger.objects.create(phone=PHONE, disabled_at=timezone.now())
        assert errors_of(send(admin_client, "texts"))["__all__"][0].startswith(
            "Too many wrong codes."
        )

    def test_the_accounts_budget_holds(self, admin_client, phone_otp):
        phone_otp(RESEND_WAITS=[0])
        make_account(daily_limit=1)
        send(admin_client, "texts")
        (message,) = errors_of(send(admin_client, "texts"))["__all__"]
        assert "1 messages through this account today" in message
        assert len(fakes_admin.calls) == 1

    @pytest.fixture
    def patient(self, phone_otp, clock):
        """Let phones bear any number of messages."""
        phone_otp(RESEND_WAITS=[0], LIMITS={"send_phone": "1000/h"})
        return clock

    def test_an_operator_sends_ten_in_an_hour(self, admin_client, account, patient):
        for _ in range(10):
            assert messages_of(send(admin_client, "texts"))[0][0] == "success"
        (message,) = errors_of(send(admin_client, "texts", OTHER_PHONE))["__all__"]
        assert message.startswith("Too many requests. Try again in ")
        assert len(fakes_admin.calls) == 10

    def test_ten_are_for_all_accounts_together(self, admin_client, account, patient):
        for number in range(10):
            send(admin_client, "texts" if number % 2 else "memory")
        assert "__all__" in errors_of(send(admin_client, "memory"))

    def test_each_hour_there_are_ten_more(self, admin_client, account, patient):
        for _hour in range(3):
            for _ in range(10):
                assert messages_of(send(admin_client, "texts"))[0][0] == "success"
            assert "__all__" in errors_of(send(admin_client, "texts"))
            patient.shift(3_601)

    def test_another_operator_has_ten_of_their_own(self, admin_client, client, account, patient):
        for _ in range(11):
            send(admin_client, "texts")
        log_in(client, "send_trial")
        assert messages_of(send(client, "texts"))[0][0] == "success"

    def test_s15_without_the_cache_nothing_is_sent(self, client, account, settings):
        log_in(client, "send_trial")
        settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
        assert errors_of(send(client, "texts")) == {
            "__all__": ["The service is not available right now. Try again later."]
        }
        assert fakes_admin.calls == []

    @pytest.mark.parametrize("words", [f"GET /{SECRET}/", f"to {PHONE[1:]}"])
    def test_s13_the_services_words_tell_neither_secret_nor_phone(self, admin_client, words):
        options = {"key": SECRET, "error": "ProviderRejected", "words": words}
        make_account(options=options)
        (message,) = errors_of(send(admin_client, "texts"))["__all__"]
        assert SECRET not in message
        assert "4501003" not in message

    def test_markup_in_the_services_words_is_text(self, admin_client):
        options = {"key": SECRET, "error": "ProviderRejected", "words": "<script>x</script>"}
        make_account(options=options)
        html = html_of(send(admin_client, "texts"))
        assert "<script>x" not in html
        assert "&lt;script&gt;x" in html

    @pytest.mark.parametrize(
        "alias", ["", "unknown", "\x00", "<script>x</script>", "//evil.example", "x" * 3_000]
    )
    def test_an_account_that_is_not_there(self, admin_client, alias):
        response = admin_client.post(f"{TRIAL}?account={alias}", {"phone": PHONE}, follow=True)
        assert response.redirect_chain == [(URL, 302)]
        assert messages_of(response) == [("error", "There is no such account.")]
        assert not PhoneChallenge.objects.exists()

    @pytest.mark.parametrize("name", ["next", "REDIRECT_FIELD_NAME", "_popup"])
    def test_nothing_in_the_address_leads_elsewhere(self, admin_client, account, name):
        address = f"{TRIAL}?account=texts&{name}=https://evil.example/"
        response = admin_client.post(address, {"phone": PHONE, name: "https://evil.example/"})
        assert response["Location"].startswith("/admin/phone_otp/provideraccount/trial/")

    def test_the_account_of_the_address_counts_and_not_what_is_posted(self, admin_client, account):
        address = f"{TRIAL}?account=texts"
        admin_client.post(address, {"phone": PHONE, "account": "memory", "alias": "memory"})
        assert not local.outbox
        assert PhoneChallenge.objects.get().account == "texts"

    def test_to_look_at_the_page_sends_nothing(self, admin_client, account):
        admin_client.get(f"{TRIAL}?account=texts&phone={PHONE}")
        assert not PhoneChallenge.objects.exists()


class TestPermissions:
    """Who may do what: to look, to change, to spend money are three things."""

    @pytest.fixture
    def account(self) -> ProviderAccount:
        return make_account()

    @pytest.mark.parametrize(
        ("codenames", "statuses"),
        [
            # list, change, history, add, delete, trial
            (["view_provideraccount"], [200, 200, 200, 403, 403, 403]),
            (["change_provideraccount"], [200, 200, 200, 403, 403, 403]),
            (["add_provideraccount"], [403, 403, 403, 200, 403, 403]),
            (["delete_provideraccount"], [403, 403, 403, 403, 200, 403]),
            (["send_trial"], [403, 403, 403, 403, 403, 200]),
            (["view_phonechallenge"], [403, 403, 403, 403, 403, 403]),
            ([], [403, 403, 403, 403, 403, 403]),
        ],
        ids=str,
    )
    def test_s21_each_page_has_its_permission(self, client, account, codenames, statuses):
        log_in(client, *codenames)
        pages = [URL, page_of(account), page_of(account, "history"), ADD]
        pages += [page_of(account, "delete"), f"{TRIAL}?account=texts"]
        assert [client.get(each).status_code for each in pages] == statuses

    @pytest.mark.parametrize("codenames", [["view_provideraccount"], ["send_trial"], []], ids=str)
    def test_s21_who_may_not_change_changes_nothing(self, client, account, codenames):
        log_in(client, *codenames)
        assert client.post(page_of(account), {**SERVICE, "priority": "7"}).status_code == 403
        assert client.post(f"{ADD}?backend={CALLS_KEY}", CALLS).status_code == 403
        assert client.post(page_of(account, "delete"), {"post": "yes"}).status_code == 403
        assert ProviderAccount.objects.get().priority == 100

    def test_s21_who_may_change_does_not_add_or_delete(self, client, account):
        log_in(client, "change_provideraccount")
        assert client.post(page_of(account), {**SERVICE, "priority": "7"}).status_code == 302
        assert client.post(f"{ADD}?backend={CALLS_KEY}", CALLS).status_code == 403
        assert client.post(page_of(account, "delete"), {"post": "yes"}).status_code == 403
        assert ProviderAccount.objects.get().priority == 7

    @pytest.mark.parametrize(
        ("codenames", "offered"),
        [
            (["view_provideraccount"], "check_accounts"),
            (["change_provideraccount"], "check_accounts disable_accounts enable_accounts"),
            (["view_provideraccount", "send_trial"], "check_accounts send_trial"),
            (
                [*PERMISSIONS, "delete_provideraccount"],
                "check_accounts delete_selected disable_accounts enable_accounts send_trial",
            ),
        ],
        ids=str,
    )
    def test_s21_each_action_has_its_permission(self, client, account, codenames, offered):
        log_in(client, *codenames)
        html = html_of(client.get(URL))
        menu = html.partition('name="action"')[2].partition("</select>")[0]
        assert " ".join(sorted(re.findall(r'<option value="(\w+)"', menu))) == offered

    @pytest.mark.parametrize("action", ["disable_accounts", "send_trial", "delete_selected"])
    def test_s21_an_action_that_is_not_offered_cannot_be_posted(self, client, account, action):
        log_in(client, "view_provideraccount")
        response = post_action(client, action, account)
        assert [text for _level, text in messages_of(response)] == ["No action selected."]
        assert response.redirect_chain in ([], [(URL, 302)])
        assert ProviderAccount.objects.get().enabled

    def test_s21_who_may_change_may_not_spend_money(self, client, account):
        log_in(client, "view_provideraccount", "change_provideraccount")
        assert send(client, "texts").status_code == 403
        assert fakes_admin.calls == []

    def test_s21_who_may_send_need_not_see_the_accounts(self, client, account):
        log_in(client, "send_trial")
        assert messages_of(send(client, "texts"))[0][0] == "success"

    def test_s21_who_may_send_cannot_ask_which_accounts_there_are(self, client):
        log_in(client, "send_trial")
        response = client.get(f"{TRIAL}?account=unknown")
        assert response["Location"] == URL
        assert client.get(response["Location"]).status_code == 403

    def test_s21_who_may_not_send_is_not_told_which_accounts_there_are(self, client, account):
        log_in(client, "change_provideraccount")
        for alias in ("texts", "unknown"):
            assert client.get(f"{TRIAL}?account={alias}").status_code == 403

    @pytest.mark.parametrize("method", ["get", "post"])
    @pytest.mark.parametrize("who", ["nobody", "customer", "dismissed"])
    def test_s21_others_are_asked_to_log_in(self, client, account, who, method):
        if who != "nobody":
            user = log_in(client, *PERMISSIONS, is_staff=who == "dismissed")
            get_user_model().objects.filter(pk=user.pk).update(is_active=who != "dismissed")
        for page in (URL, ADD, page_of(account), f"{TRIAL}?account=texts"):
            response = getattr(client, method)(page, {"phone": PHONE})
            assert response.status_code == 302
            assert response["Location"].startswith("/admin/login/?next=/admin/phone_otp/")
        assert fakes_admin.calls == []

    def test_s16_nothing_is_done_without_the_token_against_forgery(self, account, admin_user):
        client = Client(enforce_csrf_checks=True)
        client.force_login(admin_user)
        action = {"action": "disable_accounts", "_selected_action": account.pk}
        bodies = {
            URL: action,
            page_of(account): SERVICE,
            f"{TRIAL}?account=texts": {"phone": PHONE},
        }
        assert [client.post(page, body).status_code for page, body in bodies.items()] == [403] * 3
        assert ProviderAccount.objects.get().enabled
        assert fakes_admin.calls == []

    def test_the_form_for_a_trial_carries_the_token(self, account, admin_user):
        client = Client(enforce_csrf_checks=True)
        client.force_login(admin_user)
        page = f"{TRIAL}?account=texts"
        form = html_of(client.get(page)).partition('id="content-main"')[2]
        # Not the one of the button to log out, which is on the page too.
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
        assert found
        body = {"phone": PHONE, "csrfmiddlewaretoken": found[1]}
        assert client.post(page, body).status_code == 302
        assert DeliveryAttempt.objects.get().outcome == "sent"


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    """Providers are called outside transactions, whatever the site says of its requests."""

    @pytest.fixture(autouse=True)
    def _atomic_requests(self, monkeypatch) -> None:
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)

    def test_s22_a_check_calls_outside(self, admin_client):
        account = make_account(kind="Needy")
        response = post_action(admin_client, "check_accounts", account)
        assert messages_of(response) == [("success", "texts: works")]
        assert fakes_admin.calls == [("prepare", False), ("balance", False)]

    def test_s22_a_trial_calls_outside(self, admin_client):
        make_account(kind="Needy")
        assert messages_of(send(admin_client, "texts"))[0][0] == "success"
        assert fakes_admin.calls == [("start ", False)]

    def test_s22_other_pages_have_their_transaction(self, admin_client):
        account = make_account()
        fail(account, 3)
        admin_client.post(page_of(account), {**SERVICE, "option_key": NEW_SECRET})
        account.refresh_from_db()
        assert account.options == {"key": NEW_SECRET}
        assert read_breakers(["texts"])["texts"].failures_count == 0


class TestPages:
    """What all pages of ours have in common."""

    @pytest.fixture
    def pages(self) -> list[str]:
        account = make_account(daily_limit=5)
        pages = [URL, ADD, f"{ADD}?backend={CALLS_KEY}", f"{TRIAL}?account=texts"]
        return [*pages, *(page_of(account, each) for each in ("change", "history", "delete"))]

    def test_our_templates_have_no_script_and_no_style_of_their_own(self):
        folder = Path(django_phone_otp.__file__).parent / "templates"
        texts = [path.read_text(encoding="utf-8") for path in folder.rglob("admin/**/*.html")]
        assert len(texts) >= 3
        assert [
            text for text in texts if re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=", text)
        ] == []

    def test_the_pages_can_be_read_in_russian(self, admin_client, pages):
        for page in pages:
            html = html_of(admin_client.get(page, headers={"accept-language": "ru"}))
            assert '<html lang="ru' in html

    def test_in_russian_everything_can_be_done(self, admin_client):
        account = make_account(options={"key": SECRET, "balance": "5 RUB"})
        client = Client(headers={"accept-language": "ru"})
        client.force_login(get_user_model().objects.get())
        for action in ("check_accounts", "disable_accounts", "enable_accounts"):
            assert len(messages_of(post_action(client, action, account))) == 1
        assert messages_of(send(client, "texts"))[0][0] == "success"
        fail(account, FAILURES_COUNT)
        assert states_of(client)["texts"]

    @pytest.mark.parametrize("page", [f"{ADD}?backend={CALLS_KEY}", f"{TRIAL}?account=memory"])
    def test_every_field_of_a_form_has_a_label(self, admin_client, page):
        form = html_of(admin_client.get(page)).partition('id="content-main"')[2]
        fields = [each["id"] for each in elements_of(form, "input", "select") if "id" in each]
        assert fields
        assert set(fields) <= {each["for"] for each in elements_of(form, "label")}

    def test_help_belongs_to_its_field(self, admin_client):
        html = html_of(admin_client.get(f"{TRIAL}?account=memory"))
        assert 'aria-describedby="id_phone_helptext"' in html
        assert re.search(r'id="id_phone_helptext">[^<]*Your own\.', html)

    def test_an_error_belongs_to_its_field(self, admin_client):
        html = html_of(send(admin_client, "memory", "12"))
        assert 'aria-invalid="true"' in html
        assert 'aria-describedby="id_phone_helptext id_phone_error"' in html
        assert '<ul class="errorlist" id="id_phone_error">' in html

    @pytest.mark.parametrize("page", [URL, ADD])
    def test_each_table_of_ours_has_a_caption_and_headed_rows(self, admin_client, page):
        html = html_of(admin_client.get(page))
        table = html[html.rindex("<table") :].partition("</table>")[0]
        body = table.partition("<tbody>")[2]
        assert len(elements_of(table, "caption")) == 1
        headers = [each for each in elements_of(body, "th") if each == {"scope": "row"}]
        assert 0 < len(headers) == len(elements_of(body, "tr"))

    def test_the_way_back_is_shown(self, admin_client):
        html = html_of(admin_client.get(f"{TRIAL}?account=memory"))
        crumbs = html.partition('class="breadcrumbs"')[2].partition("</div>")[0]
        assert re.findall(r'href="([^"]+)"', crumbs) == ["/admin/", "/admin/phone_otp/", URL]


ELSEWHERE = "https://elsewhere.example"

site = AdminSite(name="office")
site.register(ProviderAccount, ProviderAccountAdmin)
urlpatterns = [path("admin/", admin.site.urls), path("office/", site.urls)]


def fail_to_save(**_arguments: Any) -> None:
    raise RuntimeError("the database is full")


class TestAttacks:
    """What no operator, no package and no failure may bring about."""

    def test_s21_who_may_change_an_account_cannot_have_its_secret_sent_to_them(self, client):
        account = make_account()
        log_in(client, "change_provideraccount")
        client.post(page_of(account), {**SERVICE, "option_base_url": ELSEWHERE})
        account.refresh_from_db()
        assert account.options == {"key": SECRET}

    @pytest.mark.parametrize("backend", ["console", "locmem", "tests.fakes_admin.Service"])
    def test_what_is_not_offered_cannot_be_posted_as_a_copy(self, admin_client, backend):
        body = {**SERVICE, "alias": "copy", "option_key": "k", "_saveasnew": "1"}
        admin_client.post(f"{page_of(make_account())}?backend={backend}", body)
        assert [each.alias for each in ProviderAccount.objects.all()] == ["texts"]

    def test_a_copy_without_a_provider_is_no_failure_of_ours(self, admin_client):
        body = {**SERVICE, "alias": "copy", "_saveasnew": "1"}
        assert admin_client.post(page_of(make_account()), body).status_code == 403

    @pytest.mark.parametrize(
        "query",
        [
            {"sealed_options__startswith": "gAAAAA"},
            {"sealed_options__regex": "^g"},
            {"alias__regex": "(a+)+$"},
            {"alias": "\x00"},
        ],
        ids=str,
    )
    def test_s21_the_address_cannot_ask_for_what_the_page_hides(self, client, query):
        make_account()
        log_in(client, "view_provideraccount")
        assert client.get(URL, query).status_code == 400

    def test_an_account_whose_provider_is_gone_can_be_opened(self, admin_client):
        account = make_account(backend="gone", priority=7)
        assert "which does not exist" in html_of(admin_client.get(page_of(account)))
        admin_client.post(page_of(account), {"priority": "8"})
        account.refresh_from_db()
        assert (account.priority, account.enabled) == (8, False)
        assert (account.backend, account.options) == ("gone", {"key": SECRET})

    def test_an_alias_that_is_markup_is_text(self, client, settings, django_user_model):
        account = make_account("<script>x</script>")
        settings.SECRET_KEY = "another" * 10
        client.force_login(django_user_model.objects.create_superuser("root"))
        assert "<script>x" not in html_of(client.get(page_of(account)))

    def test_s13_the_report_of_a_failure_holds_no_secret_that_was_given(self, admin_client):
        account = make_account()
        pre_save.connect(fail_to_save, sender=ProviderAccount)
        try:
            with reported_errors(admin_client) as reports:
                admin_client.post(page_of(account), {**SERVICE, "option_key": NEW_SECRET})
        finally:
            pre_save.disconnect(fail_to_save, sender=ProviderAccount)
        assert len(reports) == 2
        assert [each for each in reports if NEW_SECRET in each] == []

    @pytest.mark.parametrize("kind", ["Uncompared", "Unresolved"])
    def test_s13_the_report_of_a_mistake_of_a_schema_holds_no_secret(self, admin_client, kind):
        account = make_account(kind=kind)
        with reported_errors(admin_client) as reports:
            body = {"priority": "1", "option_mood": "wild", "option_key": NEW_SECRET}
            admin_client.post(page_of(account), body)
        assert len(reports) == 2
        assert [each for each in reports if SECRET in each or NEW_SECRET in each] == []

    def test_a_package_that_is_broken_does_not_hide_the_other_providers(
        self, admin_client, install
    ):
        install("acme = nowhere:Nothing")
        assert ">telefon-ip-flash</a>" in html_of(admin_client.get(ADD))

    def test_a_package_that_fails_while_it_is_imported_does_not_either(
        self, admin_client, install, tmp_path
    ):
        (tmp_path / "acme_broken.py").write_text("raise RuntimeError")
        install("acme = acme_broken:Nothing")
        assert ">telefon-ip-flash</a>" in html_of(admin_client.get(ADD))

    def test_a_package_that_is_broken_gets_no_account(self, admin_client, install):
        install("acme = nowhere:Nothing")
        admin_client.post(f"{ADD}?backend=acme", {"alias": "calls", "priority": "1"})
        assert not ProviderAccount.objects.exists()

    def test_what_can_neither_be_opened_nor_shown_is_left_alone(
        self, client, settings, django_user_model
    ):
        account = make_account(backend="gone")
        settings.SECRET_KEY = "another" * 10  # by mistake, say
        client.force_login(django_user_model.objects.create_superuser("root"))
        client.post(page_of(account), {"priority": "8"})
        assert ProviderAccount.objects.get().sealed_options == account.sealed_options

    def test_an_account_is_saved_although_the_cache_is_gone(
        self, client, settings, django_capture_on_commit_callbacks
    ):
        account = make_account()
        log_in(client, "change_provideraccount")
        settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
        with django_capture_on_commit_callbacks(execute=True):
            assert client.post(page_of(account), SERVICE).status_code == 302

    def test_s21_who_may_view_is_told_the_options_and_of_secrets_that_they_are_there(self, client):
        account = make_account(options={"key": SECRET, "words": "<plain>"})
        log_in(client, "view_provideraccount")
        text = text_of(client.get(page_of(account)))
        assert "Options: key = •••, words = &lt;plain&gt;" in text

    def test_s21_who_may_view_is_told_no_value_where_nobody_knows_what_is_secret(self, client):
        account = make_account(backend="gone")
        log_in(client, "view_provideraccount")
        assert "Options: key = •••" in text_of(client.get(page_of(account)))

    def test_s21_who_may_view_is_told_no_value_that_the_schema_does_not_know(self, client):
        account = make_account(options={"tokn": SECRET})
        log_in(client, "view_provideraccount")
        assert SECRET not in html_of(client.get(page_of(account)))

    def test_s21_who_may_view_sees_that_nothing_is_set(self, client):
        account = make_account(backend="locmem", options={})
        log_in(client, "view_provideraccount")
        assert "Options: -" in text_of(client.get(page_of(account)))

    def test_a_site_of_another_name_keeps_its_operators(self, admin_client, settings):
        settings.ROOT_URLCONF = __name__
        response = admin_client.get("/office/phone_otp/provideraccount/trial/?account=unknown")
        assert response["Location"] == "/office/phone_otp/provideraccount/"

    def test_a_number_that_the_service_refuses_is_told_with_its_words(self, admin_client):
        options = {"key": SECRET, "error": "InvalidRecipient", "words": "HTTP 400 format"}
        make_account(options=options)
        assert "HTTP 400 format" in errors_of(send(admin_client, "texts"))["__all__"][0]

    def test_a_broken_entry_of_the_settings_does_not_hide_the_challenges(
        self, admin_client, phone_otp
    ):
        phone_otp(PROVIDERS={"calls": {"BACKEND": CALLS_KEY}})
        assert admin_client.get("/admin/phone_otp/phonechallenge/").status_code == 200

    def test_each_column_of_our_tables_has_a_name(self, admin_client):
        table = html_of(admin_client.get(URL)).partition('id="accounts-of-settings"')[2]
        assert '<th scope="col"></th>' not in table
