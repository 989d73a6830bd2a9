"""The dashboard: what traffic came to, for staff who may view challenges."""

import hashlib
import json
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import Client as Browser
from django.urls import include, path, reverse
from django.utils import timezone, translation

import django_phone_otp
from django_phone_otp import conf
from django_phone_otp.admin import charts, numbers, panels
from django_phone_otp.admin.dashboard import DashboardAdmin
from django_phone_otp.choices import DeliveryOutcome, Guard, Period, Refusal, Span, State
from django_phone_otp.flow.accounts import find_accounts
from django_phone_otp.flow.breakers import FAILURES_COUNT, Breakers
from django_phone_otp.flow.report import SourceTally, read_report
from django_phone_otp.flow.tallies import LOGIN_BOUNDS_SECONDS, NO_TRIES, Histogram, Tally
from django_phone_otp.flow.traffic import count_traffic
from django_phone_otp.models import (
    AccountLedger,
    BlockedPrefix,
    ConfirmAttempt,
    Dashboard,
    DeliveryAttempt,
    GuardObjection,
    PhoneChallenge,
    PhoneLedger,
    TrafficCount,
)
from tests import fakes, fakes_admin
from tests.conftest import PHONE
from tests.rows import make_ledger

pytestmark = pytest.mark.django_db

URL = "/admin/phone_otp/dashboard/"
COUNT = f"{URL}count/"
HOSTILE = "<script>alert(1)</script>"
STATIC = Path(django_phone_otp.__file__).parent / "static/phone_otp"


class HurriedAdmin(DashboardAdmin):
    """Has no time to count more than an hour."""

    count_seconds = 0


# Sites with an admin of their own beside the default one.
other_site = admin.AdminSite("operators")
other_site.register(Dashboard, DashboardAdmin)
hurried_site = admin.AdminSite("hurried")
hurried_site.register(Dashboard, HurriedAdmin)
urlpatterns = [
    path("operators/", other_site.urls),
    path("hurried/", hurried_site.urls),
    path("", include("tests.urls")),
]


def ask(
    *,
    minutes: float = 5,
    state: str = State.SENT,
    account: str = "memory",
    region: str = "RU",
    phone: str = PHONE,
    ip: str | None = "203.0.113.7",
    outcome: str = DeliveryOutcome.SENT,
    cost: str | None = None,
    refusals: tuple[str, ...] = (),
) -> PhoneChallenge:
    """Store a challenge that was asked for so many minutes ago, as a request would have."""
    ledger = PhoneLedger.objects.filter(phone=phone).first() or make_ledger(timedelta(0), phone)
    at = timezone.now() - timedelta(minutes=minutes)
    is_verified = state == State.VERIFIED
    challenge = PhoneChallenge.objects.create(
        phone=phone,
        ledger=ledger,
        region=region,
        state=state,
        attempts_left=5,
        code_digest="a digest",
        code_length=6,
        channel="sms",
        custody="local",
        account=account,
        ip=ip,
        created_at=at,
        sent_at=at,
        expires_at=at + timedelta(minutes=5),
        verified_at=at + timedelta(seconds=20) if is_verified else None,
    )
    DeliveryAttempt.objects.create(
        challenge=challenge,
        created_at=at,
        account=account,
        provider="locmem",
        channel="sms",
        outcome=outcome,
        duration_ms=240,
        cost=cost and Decimal(cost),
        currency="RUB" if cost else "",
    )
    for refusal in (*refusals, *([""] if is_verified else [])):
        ConfirmAttempt.objects.create(challenge=challenge, created_at=at, refusal=refusal)
    return challenge


@pytest.fixture(autouse=True)
def _in_utc(settings):
    settings.TIME_ZONE = "UTC"  # as the frozen clock


@pytest.fixture
def traffic(clock) -> None:
    """Ten asked for, eight sent, six answered, five verified."""
    for _number in range(5):
        ask(state=State.VERIFIED, cost="0.90")
    ask(refusals=(Refusal.WRONG_CODE, Refusal.WRONG_CODE))
    ask(cost="0.90")
    ask()
    ask(state=State.FAILED, outcome=DeliveryOutcome.UNAVAILABLE)
    ask(state=State.FAILED, outcome=DeliveryOutcome.NO_FUNDS)


@pytest.fixture
def staff(client, django_user_model):
    """Log in somebody with these permissions: `staff("view_phonechallenge")`."""

    def log_in(*codenames: str) -> Browser:
        user = django_user_model.objects.create_user("staff", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client

    return log_in


def read(client: Browser, **query: str) -> str:
    response = client.get(URL, query)
    assert response.status_code == 200
    return response.content.decode()


def words_of(html: str) -> str:
    """Give what a person reads."""
    bare = re.sub(r"<script.*?</script>|<[^>]+>", " ", html, flags=re.DOTALL)
    return " ".join(bare.split())


def find(pattern: str, html: str) -> str:
    """Give what the pattern's group finds."""
    found = re.search(pattern, html)
    assert found, pattern
    return found[1]


def charts_of(html: str) -> dict:
    data = find(r'<script id="otp-charts" type="application/json">(.*?)</script>', html)
    return {each["key"]: each for each in json.loads(data)}


class TestDoor:
    """Who comes in, and from where."""

    def test_it_has_the_address_that_others_rely_on(self):
        assert reverse("admin:phone_otp_dashboard") == URL

    def test_strangers_are_sent_to_the_login(self, client):
        response = client.get(URL)
        assert (response.status_code, response.url) == (302, f"/admin/login/?next={URL}")

    def test_s21_staff_who_may_not_view_challenges_are_refused(self, staff):
        client = staff("view_provideraccount")
        assert client.get(URL).status_code == 403
        assert client.post(COUNT).status_code == 403
        assert URL not in client.get("/admin/").content.decode()

    def test_staff_who_may_view_challenges_find_it_in_the_lists(self, staff):
        client = staff("view_phonechallenge")
        assert client.get(URL).status_code == 200
        for page in ("/admin/", "/admin/phone_otp/", "/admin/phone_otp/phonechallenge/"):
            assert f'href="{URL}"' in client.get(page).content.decode()

    def test_nothing_can_be_added_changed_or_deleted(self, admin_client):
        for page in ("add/", "1/change/", "1/delete/"):
            assert admin_client.get(URL + page).status_code == 404
        assert "dashboard/add" not in admin_client.get("/admin/").content.decode()

    def test_it_brings_no_permission_of_its_own(self):
        assert not Permission.objects.filter(codename__endswith="_dashboard").exists()

    def test_it_takes_no_post(self, admin_client):
        assert admin_client.post(URL).status_code == 405

    @pytest.mark.urls(__name__)
    def test_an_admin_site_of_the_project_has_it_too(self, admin_client, traffic):
        html = admin_client.get("/operators/phone_otp/dashboard/").content.decode()
        assert 'action="/operators/phone_otp/dashboard/count/"' in html
        index = admin_client.get("/operators/").content.decode()
        assert 'href="/operators/phone_otp/dashboard/"' in index
        response = admin_client.post("/operators/phone_otp/dashboard/count/", {"period": "7d"})
        assert response.url == "/operators/phone_otp/dashboard/?period=7d"


class TestTraffic:
    """What happened."""

    def test_the_funnel_has_counts_and_shares(self, admin_client, traffic):
        words = words_of(read(admin_client))
        assert "Asked for 10 100.0%" in words
        assert "Sent 8 80.0% of the step before 80.0%" in words
        assert "Answered 6 75.0% of the step before 60.0%" in words
        assert "Verified 5 83.3% of the step before 50.0%" in words

    def test_conversion_is_against_the_period_before(self, admin_client, traffic):
        for number in range(30):
            ask(minutes=30 * 60, state=State.SENT if number % 2 else State.VERIFIED)
        words = words_of(read(admin_client))
        assert "Conversion 62.5% +12.5 points against the period before" in words
        assert "Verified 5 −66.7% against the period before of 10 asked for" in words

    def test_a_period_before_that_was_nearly_empty_is_no_measure(self, admin_client, traffic):
        for _number in range(29):
            ask(minutes=30 * 60, state=State.VERIFIED)
        assert "against the period before" not in read(admin_client)

    def test_without_a_period_before_nothing_is_compared(self, admin_client, traffic):
        assert "against the period before" not in read(admin_client)

    def test_a_worse_conversion_is_marked_as_bad(self, admin_client, traffic):
        for _number in range(30):
            ask(minutes=30 * 60, state=State.VERIFIED)
        assert 'class="otp-change otp-bad">−37.5 points' in read(admin_client)

    def test_failures_stand_with_their_reasons(self, admin_client, traffic):
        words = words_of(read(admin_client))
        assert "Failed deliveries 20.0% 2 of 10 tries" in words
        assert "no money in the account 1 50.0% provider not reachable 1 50.0%" in words

    def test_refused_answers_stand_with_their_reasons(self, admin_client, traffic):
        assert "This code is not right. 2 100.0%" in words_of(read(admin_client))

    def test_cost_is_by_currency_and_for_each_verified(self, admin_client, traffic):
        words = words_of(read(admin_client)).replace(numbers.NO_BREAK, " ")
        assert "Cost 5.40 RUB 1.08 RUB for each verified" in words

    def test_cost_in_two_currencies_is_a_sum(self):
        total = Tally(verified_count=5, costs={"RUB": Decimal(10), "EUR": Decimal("0.5")})
        report = replace(read_report(Period.DAY, timezone.now()), total=total)
        tile = panels.list_tiles(report)[-1]
        assert list(tile.texts) == ["0.5000\xa0EUR", "10.00\xa0RUB"]
        assert list(tile.notes) == ["0.1000\xa0EUR + 2.00\xa0RUB for each verified"]
        [line] = panels.list_channels({"sms": total}, {})
        assert line.cells[-1] == "0.1000\xa0EUR +\n2.00\xa0RUB"

    def test_times_are_of_the_provider_and_of_the_person(self, admin_client, traffic):
        words = words_of(read(admin_client))
        # Each is within its bucket: from 200 to 300 ms, from 15 to 20 s.
        assert "answer 250 ms 90% within 290 ms 99% within 299 ms" in words
        assert "Time to log in 18 s 90% within 20 s 99% within 20 s" in words

    def test_lines_are_by_account_with_its_provider_channel_and_region(self, admin_client, traffic):
        ask(region="BY", state=State.VERIFIED)
        words = words_of(read(admin_client))
        assert "memory locmem 66.7% 11 9 6 18.2%" in words
        assert "text message 66.7% 11 9 6" in words
        assert "RU 62.5% 10 8 5" in words
        assert "BY 100.0% 1 1 1" in words

    def test_hours_of_the_day_are_of_the_site(self, admin_client, traffic, settings):
        settings.TIME_ZONE = "Asia/Irkutsk"
        hours = charts_of(read(admin_client))["hours"]
        assert hours["steps"][19] == "19:00"
        assert [hours["series"][0]["values"][hour] for hour in (11, 19)] == [0, 10]

    def test_steps_are_of_the_site_whatever_the_person_has_chosen(
        self, admin_client, traffic, settings
    ):
        settings.TIME_ZONE = "Asia/Irkutsk"
        with timezone.override("America/Chicago"):
            assert charts_of(read(admin_client))["codes"]["steps"][-1] == "20:00"

    def test_all_other_times_are_of_the_site_too(self, admin_client, traffic, settings):
        settings.TIME_ZONE = "Asia/Irkutsk"
        with timezone.override("America/Chicago"):
            words = words_of(read(admin_client))
        assert re.search(r"From 28 February, 21:00, counted 1 March, 20:\d\d", words)

    @pytest.mark.parametrize(
        ("period", "words"),
        [
            ("24h", "No code was asked for in these 24 hours."),
            ("7d", "No code was asked for in these 7 days."),
            ("30d", "No code was asked for in these 30 days."),
            ("90d", "No code was asked for in these 90 days."),
        ],
    )
    def test_where_nothing_happened_it_says_so(self, admin_client, period, words):
        html = read(admin_client, period=period)
        assert words in html
        assert charts_of(html) == {}

    def test_guards_stand_with_what_they_did_and_do(self, admin_client, traffic, phone_otp):
        phone_otp(GUARDS={"prefix_traffic": {"MODE": "block"}, "address_traffic": {"MODE": "off"}})
        for guard, blocked in ((Guard.PREFIX_TRAFFIC, True), (Guard.REGION_TRAFFIC, False)):
            GuardObjection.objects.create(
                challenge=PhoneChallenge.objects.all()[0],
                created_at=timezone.now() - timedelta(minutes=5),
                guard=guard,
                blocked=blocked,
            )
        words = words_of(read(admin_client))
        assert "too few logins among neighbouring numbers blocks 1 0" in words
        assert "too few logins in the region watches only 0 1" in words
        assert "too few logins from the address off 0 0" in words

    def test_numbers_are_grouped_as_the_language_groups_them(self):
        with translation.override("en"):
            assert numbers.write_count(1234567) == "1,234,567"
        with translation.override("ru"):
            assert numbers.write_count(1234567) == "1\xa0234\xa0567"
            assert numbers.write_percent(0.123) == "12,3\xa0%"


class TestChoice:
    """The period and the filters are in the address: links and a form, no script."""

    def test_the_periods_are_links_that_keep_the_filter(self, admin_client, traffic):
        html = read(admin_client, period="7d", account="memory")
        assert '<a href="?account=memory&amp;period=30d">30 days</a>' in html
        assert '<a href="?account=memory&amp;period=7d" aria-current="page">7 days</a>' in html

    def test_a_filter_leaves_the_rest_out(self, admin_client, traffic):
        ask(account="other", state=State.VERIFIED)
        words = words_of(read(admin_client, account="other"))
        assert "Asked for 1 100.0%" in words
        assert "Verified 1 100.0% of the step before 100.0%" in words

    def test_what_is_chosen_is_offered_though_it_has_no_traffic(self, admin_client, traffic):
        html = read(admin_client, region="KZ")
        assert '<option value="KZ" selected>KZ</option>' in html
        assert "Show all accounts, channels and regions" in html

    @pytest.mark.parametrize(
        "query", [{"period": "1y"}, {"account": "a\0b"}, {"region": "R" * 65}], ids=str
    )
    def test_nonsense_is_left_out(self, admin_client, traffic, query):
        assert "Asked for 10 100.0%" in words_of(read(admin_client, **query))

    def test_an_account_is_a_link_to_its_own_traffic(self, admin_client, traffic):
        html = read(admin_client, period="30d", region="RU")
        assert '<a href="?period=30d&amp;region=RU&amp;account=memory">memory</a>' in html


class TestSources:
    """Unverified messages, by prefix and by address."""

    @pytest.fixture
    def pumped(self, clock) -> None:
        """Ten messages, as many as it takes to speak of pumping."""
        for _number in range(10):
            ask()

    def test_the_worst_come_first(self, admin_client, clock):
        for _number in range(3):
            ask(phone="+79244501003", ip="203.0.113.7")
        ask(phone="+79991112233", ip="198.51.100.1")
        ask(phone="+79991112233", ip="198.51.100.1", state=State.VERIFIED)
        words = words_of(read(admin_client))
        assert re.search(r"\+7924450 3 3 100.0% .*\+7999111 2 1 50.0%", words)
        assert re.search(r"203.0.113.7 3 3 100.0% .*198.51.100.1 2 1 50.0%", words)

    def test_s21_who_may_not_see_blocks_sees_no_whole_prefix(self, staff, pumped):
        html = read(staff("view_phonechallenge"))
        assert "+7924•••" in html
        assert "7924450" not in html

    def test_who_may_block_finds_the_way(self, staff, pumped):
        html = read(staff("view_phonechallenge", "view_blockedprefix", "add_blockedprefix"))
        assert 'href="/admin/phone_otp/blockedprefix/add/?prefix=%2B7924450"' in html

    def test_who_may_not_block_finds_none(self, staff, pumped):
        html = read(staff("view_phonechallenge", "view_blockedprefix"))
        assert "+7924450" in html
        assert "Block this prefix" not in html

    @pytest.mark.parametrize("prefix", ["+7924450", "+79"])
    def test_a_prefix_that_is_blocked_says_until_when(self, admin_client, pumped, prefix):
        until = timezone.now() + timedelta(hours=1)
        BlockedPrefix.objects.create(prefix=prefix, until=until)
        html = read(admin_client)
        assert "blocked until 1 March, 13:00" in html
        assert "Block this prefix" not in html

    @pytest.mark.parametrize(("count", "ink"), [(9, ""), (10, "bad")])
    def test_a_few_messages_accuse_nobody(self, count, ink):
        found = [SourceTally(scope="+7924450", sent_count=count, verified_count=0)]
        [prefix] = panels.list_prefixes(found, {}, may_see=True, add_url="/add/")
        [address] = panels.list_addresses(found)
        assert (prefix.bar.ink, address.bar.ink) == (ink, ink)
        assert prefix.block_url == ("/add/?prefix=%2B7924450" if ink else "")


class TestState:
    """How things are now, whatever the period."""

    def test_accounts_show_balance_and_budget_as_last_known(self, admin_client, clock, phone_otp):
        phone_otp(PROVIDERS={"memory": {"BACKEND": "locmem", "DAILY_LIMIT": 2000}})
        AccountLedger.objects.create(
            alias="memory",
            day=timezone.now().date(),
            sent_count=1500,
            balance=Decimal("1234.5"),
            currency="RUB",
            inspected_at=timezone.now() - timedelta(hours=2),
        )
        words = words_of(read(admin_client)).replace(numbers.NO_BREAK, " ")
        assert "memory locmem in use 1,234.50 RUB 1 March, 10:00 1,500 of 2,000" in words

    def test_a_budget_that_is_used_up_is_told(self, admin_client, clock, phone_otp):
        phone_otp(PROVIDERS={"memory": {"BACKEND": "locmem", "DAILY_LIMIT": 20_000}})
        ledger = AccountLedger(alias="memory", day=timezone.now().date())
        for count, is_told in ((19_999, False), (20_000, True)):
            ledger.sent_count = count
            ledger.save()
            assert ("The budget of the day is used up." in read(admin_client)) is is_told

    def test_the_budget_of_yesterday_is_over(self, admin_client, clock, phone_otp):
        phone_otp(PROVIDERS={"memory": {"BACKEND": "locmem", "DAILY_LIMIT": 2000}})
        yesterday = timezone.now().date() - timedelta(days=1)
        AccountLedger.objects.create(alias="memory", day=yesterday, sent_count=1500)
        assert "memory locmem in use – never 0 of 2,000" in words_of(read(admin_client))

    def test_a_balance_without_currency_counts_messages(self, admin_client):
        AccountLedger.objects.create(alias="memory", balance=Decimal(12))
        assert "memory locmem in use 12 messages never no limit" in words_of(read(admin_client))

    def test_an_account_that_keeps_failing_is_told_at_the_top(self, admin_client, clock):
        account = find_accounts(conf.read())["memory"]
        for _number in range(FAILURES_COUNT):
            Breakers([account]).note(account, DeliveryOutcome.UNAVAILABLE)
        words = words_of(read(admin_client))
        assert "These accounts need somebody: memory" in words
        assert "failing, passed over until 12:01:00 (5 failures in a row)" in words

    def test_a_broken_account_is_told_with_its_problem(self, admin_client, phone_otp):
        phone_otp(PROVIDERS={"wrong": {"BACKEND": "sms-by", "OPTIONS": {}}})
        words = words_of(read(admin_client))
        assert "These accounts need somebody: wrong" in words
        assert "cannot be used:" in words

    def test_an_account_without_money_is_told_with_its_problem(self, admin_client):
        problem = {"problem": "no money in the account", "inspected_at": timezone.now()}
        AccountLedger.objects.create(alias="memory", **problem)
        words = words_of(read(admin_client))
        assert "These accounts need somebody: memory (no money in the account)" in words
        assert "cannot be used: no money in the account" in words

    def test_no_account_is_told(self, admin_client, phone_otp):
        phone_otp(PROVIDERS=None)
        assert "No account is set up." in read(admin_client)

    def test_no_provider_is_asked(self, admin_client, phone_otp, traffic):
        service = {"BACKEND": "tests.fakes_admin.Service", "OPTIONS": {"key": fakes_admin.SECRET}}
        phone_otp(PROVIDERS={"service": service})
        fakes_admin.calls.clear()
        html = read(admin_client)
        assert (fakes_admin.calls, fakes.asked) == ([], [])
        assert fakes_admin.SECRET not in html

    def test_what_is_closed_is_counted(self, admin_client, clock):
        make_ledger(timedelta(0), "+79990000001", disabled_at=timezone.now())
        make_ledger(timedelta(0), "+79990000002")
        for prefix, hours in (("+7777", 1), ("+7778", -1)):
            until = timezone.now() + timedelta(hours=hours)
            BlockedPrefix.objects.create(prefix=prefix, until=until)
        words = words_of(read(admin_client))
        assert "Locked phones 1 Blocked prefixes 1 +7777 until 1 March, 13:00" in words

    def test_s21_blocked_prefixes_are_listed_for_whoever_may_see_them(self, staff, clock):
        BlockedPrefix.objects.create(prefix=PHONE, until=timezone.now() + timedelta(hours=1))
        html = read(staff("view_phonechallenge"))
        assert "Blocked prefixes 1" in words_of(html)
        assert PHONE not in html

    def test_locked_phones_are_counted_to_a_bound(self, admin_client, clock):
        PhoneLedger.objects.bulk_create(
            PhoneLedger(phone=f"+7999{number:07}", disabled_at=timezone.now())
            for number in range(1_001)
        )
        assert "Locked phones more than 1,000" in words_of(read(admin_client))

    @pytest.mark.parametrize(("count", "told"), [(1_000, "1,000"), (1_001, "more than 1,000")])
    def test_so_are_blocked_prefixes(self, admin_client, clock, count, told):
        until = timezone.now() + timedelta(hours=1)
        BlockedPrefix.objects.bulk_create(
            BlockedPrefix(prefix=f"+7{number:07}", until=until) for number in range(count)
        )
        assert f"Blocked prefixes {told} +7" in words_of(read(admin_client))


class TestCount:
    """How fresh the counts are."""

    def test_a_look_counts_what_is_due(self, admin_client, traffic):
        assert "counted 1 March, 12:00" in read(admin_client)
        hours = TrafficCount.objects.filter(span=Span.HOUR)
        assert sum(hours.values_list("requested_count", flat=True)) == 10

    def test_counted_now_by_a_button(self, admin_client, traffic):
        read(admin_client)
        ask()
        response = admin_client.post(COUNT, {"period": "7d", "account": "memory"}, follow=True)
        assert response.redirect_chain == [(f"{URL}?period=7d&account=memory", 302)]
        html = response.content.decode()
        assert "Counted up to now." in html
        assert "Asked for 11 100.0%" in words_of(html)

    def test_it_goes_back_nowhere_else(self, admin_client):
        response = admin_client.post(COUNT, {"period": "//evil.example", "next": "//evil.example"})
        assert response.url == f"{URL}?period=24h"

    def test_a_link_counts_nothing(self, admin_client):
        assert admin_client.get(COUNT).status_code == 405

    def test_s16_another_site_cannot_press_the_button(self, admin_user):
        strict = Browser(enforce_csrf_checks=True)
        strict.force_login(admin_user)
        assert strict.post(COUNT).status_code == 403

    @pytest.mark.urls(__name__)
    def test_a_count_that_was_too_long_says_so(self, admin_client, traffic):
        ask(minutes=24 * 60)
        response = admin_client.post("/hurried/phone_otp/dashboard/count/", follow=True)
        assert "Count again to go on." in response.content.decode()

    def test_a_count_that_gave_way_to_another_says_so(self, admin_client, traffic, clock):
        count_traffic(timezone.now() + timedelta(minutes=1))
        response = admin_client.post(COUNT, follow=True)
        assert fakes_admin.messages_of(response) == [("warning", "Another count is at work.")]

    def test_without_a_cache_it_shows_what_was_counted(self, admin_client, traffic, settings):
        read(admin_client)
        settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
        assert "Asked for 10 100.0%" in words_of(read(admin_client))


class TestPage:
    """What the browser gets."""

    @pytest.fixture
    def hostile(self, admin_client, clock, phone_otp) -> str:
        phone_otp(PROVIDERS={HOSTILE: {"BACKEND": "locmem"}})
        ask(account=HOSTILE, outcome=HOSTILE[:24], region="<b>", refusals=("<i>",))
        AccountLedger.objects.create(alias=HOSTILE, problem="<img src=x onerror=alert(1)>")
        BlockedPrefix.objects.create(
            prefix="+7<u>", until=timezone.now() + timedelta(hours=1), reason=HOSTILE
        )
        return read(admin_client, account=HOSTILE)

    def test_s20_what_others_have_written_is_escaped(self, hostile):
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in hostile
        for written in ("<script>alert", "<img src=x", "<b>", "<i>", "<u>"):
            assert written not in hostile

    def test_a_strict_policy_for_scripts_and_styles_holds(self, admin_client, traffic):
        content = read(admin_client).partition('id="content-main"')[2].partition("<footer")[0]
        assert re.findall(r"<script[^>]*>", content) == [
            '<script id="otp-charts" type="application/json">'
        ]
        assert not re.search(r"<[^>]+\s(style|on\w+)=|<style", content)

    def test_each_chart_has_a_name_and_points_to_its_table(self, admin_client, traffic):
        html = read(admin_client)
        drawn = charts_of(html)
        assert list(drawn) == ["codes", "conversion", "failures", "waits", "hours"]
        for key in drawn:
            canvas = find(rf'<canvas id="otp-{key}" ([^>]*)>', html)
            assert 'role="img"' in canvas
            assert 'aria-label="Chart: ' in canvas
            assert f'aria-details="otp-{key}-table"' in canvas
            assert f'<table id="otp-{key}-table">' in html

    def test_the_table_has_the_numbers_of_the_chart(self, admin_client, traffic):
        html = read(admin_client)
        table = html.partition('<table id="otp-codes-table">')[2].partition("</table>")[0]
        codes = charts_of(html)["codes"]
        assert codes["steps"][-1] == "12:00"
        assert [each["values"][-2] for each in codes["series"]] == [10, 8, 5]
        assert "11:00 10 8 5" in words_of(table)

    def test_statements_stay_few_whatever_there_is(
        self, admin_client, traffic, phone_otp, django_assert_num_queries
    ):
        names = [f"account-{number}" for number in range(20)]
        phone_otp(PROVIDERS={name: {"BACKEND": "locmem"} for name in names})
        for number, name in enumerate(names):
            ask(account=name, region=("RU", "BY", "KZ")[number % 3], minutes=number * 61)
        read(admin_client)
        # Session and user, the report's four, accounts and their ledgers, prefixes, phones.
        with django_assert_num_queries(10):
            read(admin_client, period="30d")


class TestCharts:
    """From tallies to series."""

    steps = charts.TimeSteps(
        names=["Monday", "Tuesday", "Wednesday"],
        tallies=[
            Tally(requested_count=4, sent_count=4, verified_count=3),
            Tally(),
            Tally(requested_count=2),
        ],
    )

    def test_a_day_without_traffic_is_a_gap_in_the_lines(self):
        asked, sent, _verified = charts.draw_codes(self.steps).series
        assert (asked.values, asked.texts) == ([4, None, 2], ["4", "–", "2"])
        assert sent.values == [4, None, 0]

    def test_a_share_of_nothing_is_a_gap(self):
        sent, verified = charts.draw_conversion(self.steps).series
        assert (sent.values, verified.values) == ([1.0, None, 0.0], [0.75, None, None])

    def test_the_most_frequent_reasons_are_told_apart(self):
        outcomes = ["unavailable", "no_funds", "limited", "rejected", "throttled", "uncertain"]
        counts = {outcome: 10 - place for place, outcome in enumerate(outcomes)}
        tally = Tally(requested_count=1, outcomes={**counts, "sent": 99})
        chart = charts.draw_failures(charts.TimeSteps(names=["today"], tallies=[tally]))
        assert [(each.name, each.values) for each in chart.series] == [
            ("provider not reachable", [10]),
            ("no money in the account", [9]),
            ("the provider's limit for this number", [8]),
            ("rejected by the provider", [7]),
            ("other reasons", [11]),
        ]

    @pytest.mark.parametrize("throttled", [1, 3])
    def test_a_reason_looks_alike_whatever_its_rank(self, throttled):
        tally = Tally(requested_count=1, outcomes={"unavailable": 2, "throttled": throttled})
        chart = charts.draw_failures(charts.TimeSteps(names=["today"], tallies=[tally]))
        inks = {each.name: each.ink for each in chart.series}
        assert inks == {
            "provider not reachable": "reason-unavailable",
            "the provider throttles our account": "reason-throttled",
        }

    def test_each_reason_has_colour_and_hatching_of_its_own(self):
        script = (STATIC / "dashboard.js").read_text(encoding="utf-8")
        looks = dict(re.findall(r'"reason-(\w+)": (\[.+\])', script))
        failures = {*DeliveryOutcome.values} - {"sent", *NO_TRIES}
        assert set(looks) == {*failures, "other"}
        assert len(set(looks.values())) == len(looks)

    def test_a_chart_without_values_is_not_drawn(self):
        assert not charts.draw_failures(self.steps).has_values

    def test_waits_are_percentiles(self):
        counts = tuple(2 if bound == 20 else 0 for bound in (*LOGIN_BOUNDS_SECONDS, "above"))
        logins = Histogram(bounds=LOGIN_BOUNDS_SECONDS, counts=counts)
        tally = Tally(requested_count=2, login_seconds=logins)
        chart = charts.draw_waits(charts.TimeSteps(names=["today"], tallies=[tally]))
        assert [each.texts for each in chart.series] == [["18 s"], ["20 s"], ["20 s"]]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (numbers.write_share(1, 3), "33.3%"),
        (numbers.write_share(1, 0), "–"),
        (numbers.write_change(90, 100), "−10.0%"),
        (numbers.write_change(5, 0), ""),
        (numbers.write_change(10_001, 10_000), ""),
        (numbers.write_points(0.5, 0.5), ""),
        (numbers.write_points(None, 0.5), ""),
        (numbers.write_milliseconds(340.4), "340 ms"),
        (numbers.write_milliseconds(2_400), "2.4 s"),
        (numbers.write_seconds(18.4), "18 s"),
        (numbers.write_seconds(200), "3 min 20 s"),
        (numbers.write_seconds(3_599), "59 min 59 s"),
        (numbers.write_seconds(3_600), "1 h 0 min"),
        (numbers.write_seconds(86_399), "23 h 59 min"),
        (numbers.write_seconds(5_246 * 60), "3 d 15 h"),
        (numbers.write_seconds(None), "–"),
        (numbers.write_money(Decimal("1234.5"), "RUB"), "1,234.50\xa0RUB"),
        (numbers.write_money(Decimal("0.0132"), "BYN"), "0.0132\xa0BYN"),
        (numbers.write_money(Decimal(3), ""), "3.00"),
        (numbers.write_costs({"RUB": Decimal(10)}, 0), []),
        (
            numbers.write_costs({"RUB": Decimal(10), "BYN": Decimal(2)}, 4),
            ["0.5000\xa0BYN", "2.50\xa0RUB"],
        ),
    ],
)
def test_words_for_numbers(written, text):
    assert written == text


def test_periods_are_those_that_are_offered(admin_client):
    html = read(admin_client)
    assert re.findall(r'\?period=(\w+)"', html)[: len(Period)] == Period.values


class TestVendored:
    """The chart library."""

    library = STATIC / "vendor/chart.umd.min.js"

    def test_it_is_the_file_that_the_note_names(self):
        digest = hashlib.sha256(self.library.read_bytes()).hexdigest()
        assert digest in (STATIC / "vendor/README.md").read_text(encoding="utf-8")

    def test_its_licence_lies_beside_it(self):
        licence = (STATIC / "vendor/chart.LICENSE.md").read_text(encoding="utf-8")
        assert licence.startswith("The MIT License (MIT)")

    def test_a_storage_that_follows_names_can_collect_all(self, settings, tmp_path):
        settings.STATIC_ROOT = tmp_path
        manifest = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
        settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": manifest}}
        ignored = ["admin", "rest_framework"]
        call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=ignored)
        collected = json.loads((tmp_path / "staticfiles.json").read_text())["paths"]
        assert "phone_otp/vendor/chart.umd.min.js" in collected
