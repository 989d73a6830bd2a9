"""Lists in the admin: filters that answer questions, pages without a count, bounded in any case."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import escape

from django_phone_otp.admin import filters
from django_phone_otp.admin.paging import MAX_PAGE
from django_phone_otp.choices import Channel, DeliveryOutcome, Guard, Purpose, State
from django_phone_otp.models import (
    DeliveryAttempt,
    GuardObjection,
    PhoneChallenge,
    PhoneLedger,
    UserPhone,
)
from tests.conftest import PHONE
from tests.fakes_admin import log_in, messages_of
from tests.rows import make_challenge, make_challenges, make_device, make_ledger

pytestmark = pytest.mark.django_db

LIST = "/admin/phone_otp/phonechallenge/"
SEARCH = f"{LIST}search/"
OTHER_PHONE = "+79244501004"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def ledger() -> PhoneLedger:
    return make_ledger(timedelta(0))


def listed(client: Any, **query: Any) -> list[int]:
    """Give the keys of the challenges on a page of the list."""
    response = client.get(LIST, query)
    assert response.status_code == 200, response.status_code
    return [each.pk for each in response.context["cl"].result_list]


def bare(age: timedelta, ledger: PhoneLedger, **columns: Any) -> PhoneChallenge:
    """Store a challenge without a trail."""
    challenge = make_challenge(age, ledger, **columns)
    for trail in ("deliveries", "objections"):
        getattr(challenge, trail).all().delete()
    return challenge


@pytest.mark.parametrize("page", [LIST, "/admin/phone_otp/phoneledger/"])
@pytest.mark.parametrize("number", ["9" * 5_000, str(2**63), "0", "x", "²"], ids=len)
def test_a_phone_that_is_none_is_left_out(admin_client, page, number):
    # Which then shows what it would without it, as Django's own filters do.
    assert admin_client.get(page, {"of": number}).status_code == 200


@pytest.mark.parametrize("typed", ["+7924", OTHER_PHONE, '">'])
@pytest.mark.parametrize("page", [LIST, "/admin/phone_otp/phoneledger/"])
def test_what_is_searched_for_in_vain_stands_in_the_field_once(admin_client, page, typed):
    response = admin_client.post(f"{page}search/", {"phone": typed}, follow=True)
    assert response.redirect_chain == [(page, 302)]
    assert response.context["typed"] == typed
    assert f'value="{escape(typed)}"' in response.content.decode()
    assert admin_client.get(page).context["typed"] == ""


@pytest.mark.parametrize(
    ("ip", "shown"),
    [
        ("203.0.113.207", "203.0.113.207"),
        ("2001:db8::7", "2001:<wbr>db8:<wbr>:<wbr>7"),
        (None, "–"),
    ],
)
def test_an_address_breaks_between_its_groups_alone(admin_client, ledger, ip, shown):
    make_challenge(MINUTE, ledger, ip=ip)
    html = admin_client.get(LIST).content.decode()
    assert f'<td class="field-client_ip">{shown}</td>' in html


def test_all_is_written_alike_in_each_filter(admin_client, ledger):
    make_challenge(MINUTE, ledger)
    html = admin_client.get(LIST).content.decode()
    shown = re.findall(r"<li[^>]*><a[^>]*>(all)</a>", html, re.IGNORECASE)
    assert len(shown) > 5
    assert set(shown) == {"all"}


class TestWhen:
    """The time of the request: a day, unless something else is asked for."""

    @pytest.fixture
    def ages(self, ledger) -> dict[str, int]:
        ages = {"minute": MINUTE, "hours": 2 * HOUR, "days": 2 * DAY, "weeks": 20 * DAY}
        return {name: make_challenge(age, ledger).pk for name, age in ages.items()}

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ({}, ["minute", "hours"]),
            ({"when": "hour"}, ["minute"]),
            ({"when": "day"}, ["minute", "hours"]),
            ({"when": "week"}, ["minute", "hours", "days"]),
            ({"when": "all"}, ["minute", "hours", "days", "weeks"]),
            ({"when": "nonsense"}, ["minute", "hours"]),
            ({"q": PHONE}, ["minute", "hours", "days", "weeks"]),
            ({"q": PHONE, "when": "hour"}, ["minute"]),
            (
                {"created_at__gte": "2000-01-01 00:00:00+00:00"},
                ["minute", "hours", "days", "weeks"],
            ),
        ],
        ids=str,
    )
    def test_what_it_chooses(self, admin_client, ages, query, names):
        assert listed(admin_client, **query) == [ages[name] for name in names]

    @pytest.mark.parametrize("method", ["get", "post"])
    @pytest.mark.parametrize(
        "query",
        [
            "created_at__gte=0001-01-01T00:00:00%2B23:59",
            "created_at__lt=9999-12-31T23:59:59-23:59",
            "created_at__lt=9999-12-31T23:59:59-23:59&channel=sms",
            "created_at__gte=0001-01-01",
            "created_at__gte=2026-02-30",
            "created_at__gte=",
        ],
    )
    def test_a_time_that_is_none_leads_back(self, admin_client, ages, settings, method, query):
        settings.TIME_ZONE = "Europe/Moscow"
        address = LIST if method == "get" else f"{LIST}export/"
        assert getattr(admin_client, method)(f"{address}?{query}").status_code == 302

    @pytest.mark.parametrize(
        "query", ["created_at__gte=0001-01-01T00:00:00Z", "created_at__lt=9999-12-31T23:59:59Z"]
    )
    def test_the_first_time_and_the_last_are_times(self, admin_client, ages, query):
        response = admin_client.get(f"{LIST}?{query}&channel=sms")
        assert (response.status_code, len(response.context["cl"].result_list)) == (200, 4)

    def test_a_time_without_a_zone_is_the_operators(self, admin_client, ledger):
        at = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)  # noon in Tokyo
        PhoneChallenge.objects.filter(pk=make_challenge(MINUTE, ledger).pk).update(created_at=at)
        with timezone.override("Asia/Tokyo"):
            assert len(listed(admin_client, created_at__gte="2026-03-01T12:00")) == 1
            assert len(listed(admin_client, created_at__gte="2026-03-01T12:01")) == 0
            assert len(listed(admin_client, created_at__lt="2026-03-02", channel="sms")) == 1

    def test_what_is_chosen_is_marked(self, admin_client, ages):
        html = admin_client.get(LIST).content.decode()
        marked = re.findall(r'<li class="selected"><a href="[^"]*">([^<]*)</a>', html)
        assert marked[0] == "last 24 hours"


class TestQuestions:
    """Each filter answers its question."""

    @pytest.fixture
    def pks(self, ledger) -> dict[str, int]:
        verified = {"state": State.VERIFIED, "verified_at": timezone.now()}
        device = make_device(timedelta(0), ledger)
        made = {
            "plain": bare(MINUTE, ledger),
            "failed": bare(MINUTE, ledger, state=State.FAILED, code_digest=""),
            "failed an hour ago": bare(HOUR, ledger, state=State.FAILED, code_digest=""),
            "verified": bare(MINUTE, ledger, **verified),
            "call": bare(MINUTE, ledger, channel=Channel.FLASH_CALL, account="memory"),
            "belarus": bare(MINUTE, ledger, region="BY"),
            "link": bare(MINUTE, ledger, purpose=Purpose.LINK),
            "lifepos": bare(MINUTE, ledger, client_digest="a digest"),
            "device": bare(MINUTE, ledger, device=device),
            "uncertain": bare(MINUTE, ledger),
            "blocked": bare(MINUTE, ledger, state=State.CANCELLED),
            "shadow": bare(MINUTE, ledger),
        }
        DeliveryAttempt.objects.create(
            challenge=made["uncertain"],
            account="memory",
            provider="locmem",
            channel=Channel.SMS,
            outcome=DeliveryOutcome.UNCERTAIN,
            duration_ms=1,
        )
        for name, is_blocked in (("blocked", True), ("shadow", False)):
            GuardObjection.objects.create(
                challenge=made[name], guard=Guard.PREFIX_TRAFFIC, blocked=is_blocked
            )
        return {name: each.pk for name, each in made.items()}

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ({"state": "failed"}, {"failed", "failed an hour ago"}),
            ({"state": "failed", "when": "hour"}, {"failed"}),
            ({"state": "verified"}, {"verified"}),
            ({"state": "expired"}, set()),
            ({"delivery": "uncertain"}, {"uncertain"}),
            ({"delivery": "no_funds"}, set()),
            ({"guard": "blocked"}, {"blocked"}),
            ({"guard": "prefix_traffic"}, {"blocked", "shadow"}),
            ({"guard": "region"}, set()),
            ({"channel": "flash_call"}, {"call"}),
            ({"account": "memory"}, {"call"}),
            ({"region": "BY"}, {"belarus"}),
            ({"region": "KZ"}, set()),
            ({"purpose": "link"}, {"link"}),
            ({"door": "lifepos"}, {"lifepos"}),
            ({"device": "yes"}, {"device"}),
            ({"region": "BY", "purpose": "link"}, set()),
        ],
        ids=lambda each: str(sorted(each)),  # a set is written in any order
    )
    def test_what_it_chooses(self, admin_client, pks, query, names):
        assert set(listed(admin_client, **query)) == {pks[name] for name in names}

    @pytest.mark.parametrize(
        ("query", "left_out"), [({"door": "other"}, "lifepos"), ({"device": "no"}, "device")]
    )
    def test_its_opposite(self, admin_client, pks, query, left_out):
        assert set(pks.values()) - set(listed(admin_client, **query)) == {pks[left_out]}

    @pytest.mark.parametrize("name", sorted(str(each.parameter_name) for each in filters.FILTERS))
    @pytest.mark.parametrize("value", ["\0", "' OR 1=1 --", "9" * 40, "-1", "é", "１"])
    def test_nonsense_chooses_nothing_and_breaks_nothing(self, admin_client, pks, name, value):
        assert len(listed(admin_client, **{name: value})) in (0, len(pks))

    def test_regions_are_offered_that_were_asked_for_of_late(self, admin_client, pks):
        html = admin_client.get(LIST).content.decode()
        assert re.findall(r"region=(\w+)", html) == ["BY"]

    def test_an_account_that_is_gone_can_be_asked_for(self, admin_client, pks):
        PhoneChallenge.objects.filter(pk=pks["plain"]).update(account="gone")
        assert listed(admin_client, account="gone") == [pks["plain"]]


class TestBound:
    """No filter reads the whole table: beyond so many challenges it stops, and says so."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch):
        monkeypatch.setattr(filters, "LOOKED_THROUGH", 3)

    @pytest.fixture
    def rows(self, ledger) -> list[PhoneChallenge]:
        made = make_challenges(MINUTE, ledger, 10)
        PhoneChallenge.objects.filter(pk=made[0].pk).update(
            purpose=Purpose.LINK, region="BY", state=State.FAILED
        )
        return made

    @pytest.mark.parametrize(
        "query",
        [
            {"purpose": "link"},
            {"purpose__exact": "link"},
            {"state": "failed"},
            {"region": "BY", "state": "failed"},
            {"state": "sent", "when": "all"},
            {"delivery": "uncertain"},
            {"guard": "region", "when": "all"},
        ],
        ids=str,
    )
    def test_one_that_has_no_index_looks_through_the_newest(self, admin_client, rows, query):
        response = admin_client.get(LIST, query)
        changelist = response.context["cl"]
        assert changelist.looked_back_to == rows[-4].created_at
        assert {each.pk for each in changelist.result_list} <= {each.pk for each in rows[-4:]}
        assert "looked through the newest" in response.content.decode()

    @pytest.mark.parametrize(
        "query",
        [{}, {"when": "all"}, {"region": "BY"}, {"q": PHONE, "door": "other"}],
        ids=str,
    )
    def test_one_that_has_looks_through_all(self, admin_client, rows, query):
        response = admin_client.get(LIST, query)
        assert response.context["cl"].looked_back_to is None
        assert rows[0].pk in {each.pk for each in response.context["cl"].result_list}
        assert "looked through the newest" not in response.content.decode()

    def test_where_all_are_looked_at_nothing_is_said(self, admin_client, ledger):
        make_challenges(MINUTE, ledger, 3)
        response = admin_client.get(LIST, {"purpose": "login"})
        assert response.context["cl"].looked_back_to is None

    def test_it_looks_back_from_the_time_that_is_asked(self, admin_client, rows):
        query = {"created_at__lt": rows[-2].created_at.isoformat(), "purpose": "login"}
        response = admin_client.get(LIST, query)
        assert response.context["cl"].looked_back_to == rows[-6].created_at

    def test_a_time_that_is_none_is_refused(self, admin_client, rows):
        response = admin_client.get(LIST, {"created_at__lt": "yesterday", "purpose": "login"})
        assert (response.status_code, response.url) == (302, f"{LIST}?e=1")


class TestPages:
    """Pages are turned without a count."""

    @pytest.fixture
    def rows(self, ledger) -> list[int]:
        """The keys of 120 challenges, the newest first."""
        return [each.pk for each in make_challenges(MINUTE, ledger, 120)][::-1]

    @pytest.mark.parametrize(
        ("page", "start", "end"), [(1, 0, 50), (2, 50, 100), (3, 100, 120), (4, 120, 120)]
    )
    def test_each_shows_its_rows(self, admin_client, rows, page, start, end):
        assert listed(admin_client, p=page) == rows[start:end]

    @pytest.mark.parametrize(
        ("page", "links"), [(1, ["next"]), (2, ["prev", "next"]), (3, ["prev"])]
    )
    def test_it_links_those_beside_it(self, admin_client, rows, page, links):
        html = admin_client.get(LIST, {"p": page, "state": "sent"}).content.decode()
        found = re.findall(r'<a rel="(\w+)" href="\?([^"]+)"', html)
        assert [rel for rel, _query in found] == links
        assert all("state=sent" in query for _rel, query in found)
        assert f"Page {page}" in html

    def test_the_last_page_that_is_full_links_no_next(self, admin_client, ledger):
        make_challenges(MINUTE, ledger, 50)
        assert 'rel="next"' not in admin_client.get(LIST).content.decode()

    @pytest.mark.parametrize("page", [0, -1, MAX_PAGE + 1])
    def test_one_that_is_too_far_is_refused(self, admin_client, rows, page):
        assert admin_client.get(LIST, {"p": page}).status_code == 302

    def test_rows_of_one_moment_stand_on_one_page_each(self, admin_client, ledger):
        make_challenges(MINUTE, ledger, 60)
        PhoneChallenge.objects.update(created_at=timezone.now() - MINUTE)
        both = [*listed(admin_client), *listed(admin_client, p=2)]
        assert len(set(both)) == 60

    def test_the_oldest_first(self, admin_client, rows):
        assert listed(admin_client, o="0") == rows[::-1][:50]

    @pytest.mark.parametrize("order", ["1", "4", "5.4", "-5", "x", "99"])
    def test_no_other_order_reads_the_table(self, admin_client, rows, order):
        assert listed(admin_client, o=order) == rows[:50]

    @pytest.mark.parametrize("query", [{}, {"_facets": "True"}, {"all": ""}, {"q": PHONE}], ids=str)
    def test_nothing_is_counted(self, admin_client, rows, query):
        with CaptureQueriesContext(connection) as queries:
            assert len(listed(admin_client, **query)) == 50
        counting = [each["sql"] for each in queries.captured_queries if "COUNT(" in each["sql"]]
        assert counting == []

    def test_what_a_page_costs_does_not_grow_with_its_rows(self, admin_client, ledger):
        make_challenge(MINUTE, ledger)
        costs = []
        for _ in range(2):
            with CaptureQueriesContext(connection) as queries:
                listed(admin_client)
            costs.append(len(queries))
            make_challenges(MINUTE, ledger, 30)
        # Session, operator, regions, accounts for two filters, and the rows.
        assert costs == [6, 6]


class TestSearch:
    """A phone is sent in the body, and stands in no address."""

    @pytest.mark.parametrize("typed", [PHONE, "8 924 450-10-03", "+7 (924) 450 10 03"])
    def test_a_whole_number_is_found(self, admin_client, ledger, typed):
        mine = make_challenge(20 * DAY, ledger)
        make_challenge(MINUTE, make_ledger(timedelta(0), OTHER_PHONE))
        response = admin_client.post(SEARCH, {"phone": typed}, follow=True)
        assert response.redirect_chain == [(f"{LIST}?of={ledger.pk}", 302)]
        assert [each.pk for each in response.context["cl"].result_list] == [mine.pk]

    def test_what_is_looked_at_is_said_masked(self, admin_client, ledger):
        html = admin_client.get(LIST, {"of": ledger.pk}).content.decode()
        assert "+7•••••••003" in html
        assert "4501003" not in html

    @pytest.mark.parametrize(
        ("typed", "told"),
        [
            (OTHER_PHONE, "Nothing is stored about this phone."),
            ("1003", "This phone number does not exist. Check its digits."),
            ("", "Enter a phone number, with digits, spaces and + only."),
        ],
    )
    def test_what_is_not_found_is_said(self, admin_client, ledger, typed, told):
        response = admin_client.post(SEARCH, {"phone": typed}, follow=True)
        assert [text for _level, text in messages_of(response)] == [told]

    def test_it_is_not_asked_by_address(self, admin_client):
        assert admin_client.get(SEARCH, {"phone": PHONE}).status_code == 405

    def test_s21_staff_without_permission_find_nothing(self, client, ledger):
        log_in(client, "view_userphone")
        assert client.post(SEARCH, {"phone": PHONE}).status_code == 403

    def test_no_form_of_the_page_sends_a_phone_by_address(self, admin_client, ledger):
        html = admin_client.get(LIST).content.decode()
        assert 'name="q"' not in html
        assert re.findall(r'<form method="(\w+)" action="([^"]+)" role="search"', html) == [
            ("post", SEARCH)
        ]


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ("deliveryattempt", "challenge"),
        ("confirmattempt", "challenge"),
        ("phonechallenge", "ledger"),
    ],
)
def test_nothing_completes_what_is_typed_into_an_address(admin_client, ledger, model, field):
    query = {"app_label": "phone_otp", "model_name": model, "field_name": field, "term": PHONE}
    assert admin_client.get("/admin/autocomplete/", query).status_code == 404


class TestUserPhones:
    """The list of users' phones says which one is primary."""

    url = "/admin/phone_otp/userphone/"

    @pytest.fixture
    def owned(self) -> list[UserPhone]:
        ann = get_user_model().objects.create_user("ann")
        bob = get_user_model().objects.create_user("bob")
        return [
            UserPhone.objects.create(user=user, phone=f"+7924450100{number}")
            for number, user in enumerate([ann, ann, bob])
        ]

    def primary(self, client) -> list[bool]:
        rows = client.get(self.url).context["cl"].result_list
        return [each.primary_pk == each.pk for each in reversed(rows)]

    def test_the_first_one_is(self, admin_client, owned):
        assert self.primary(admin_client) == [True, False, True]

    def test_the_one_that_was_made_primary_is(self, admin_client, owned):
        UserPhone.objects.filter(pk=owned[1].pk).update(made_primary_at=timezone.now())
        assert self.primary(admin_client) == [False, True, True]

    def test_its_page_says_so(self, admin_client, owned):
        html = admin_client.get(f"{self.url}{owned[1].pk}/change/").content.decode()
        assert "icon-no" in html

    def search(self, client: Any, typed: str) -> Any:
        return client.post(f"{self.url}search/", {"phone": typed}, follow=True)

    @pytest.mark.parametrize(
        ("typed", "numbers"),
        [("8 924 450-10-01", [1]), (" ann ", [0, 1]), ("bob", [2]), ("+79244501002", [2])],
    )
    def test_a_search_stands_in_no_address(self, admin_client, owned, typed, numbers):
        response = self.search(admin_client, typed)
        pks = [owned[number].pk for number in numbers]
        assert response.redirect_chain == [(f"{self.url}?of={','.join(map(str, pks))}", 302)]
        assert sorted(each.pk for each in response.context["cl"].result_list) == pks

    @pytest.mark.parametrize("typed", ["", " ", "1003", "carol", "+79244501009", "a\0"])
    def test_what_is_not_found_is_said(self, admin_client, owned, typed):
        response = self.search(admin_client, typed)
        assert [text for _, text in messages_of(response)] == [
            "Nobody has this phone, or this name."
        ]

    def test_what_is_not_found_stands_in_the_field_again(self, admin_client, owned):
        html = self.search(admin_client, "carol").content.decode()
        assert re.findall(r'id="otp-search"[^>]* value="([^"]*)"', html) == ["carol"]

    @pytest.mark.parametrize("of", ["", "x", "9" * 5_000, "²", "-1", "9" * 19, "0,,"])
    def test_rows_that_are_none_are_left_out(self, admin_client, owned, of):
        response = admin_client.get(self.url, {"of": of})
        assert len(response.context["cl"].result_list) == 3

    def test_a_search_is_not_asked_by_address(self, admin_client):
        assert admin_client.get(f"{self.url}search/", {"phone": PHONE}).status_code == 405
        html = admin_client.get(self.url).content.decode()
        assert re.findall(r'<form method="(\w+)" action="([^"]+)" role="search"', html) == [
            ("post", f"{self.url}search/")
        ]
        assert 'name="q"' not in html

    def test_s21_staff_without_permission_find_nothing(self, client, owned):
        log_in(client, "view_phonechallenge")
        assert client.post(f"{self.url}search/", {"phone": "ann"}).status_code == 403

    def test_they_are_not_counted(self, admin_client, owned):
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(self.url)
        assert not [each for each in queries.captured_queries if "COUNT(" in each["sql"]]

    def test_an_action_is_for_those_on_the_page(self, admin_client):
        user = get_user_model().objects.create_user("ann")
        UserPhone.objects.bulk_create(
            UserPhone(user=user, phone=f"+7924450{number}") for number in range(1_000, 1_110)
        )
        html = admin_client.get(self.url).content.decode()
        assert "Select all" not in re.sub(r'aria-label="[^"]*"', "", html)
