"""Accounts: which of them a number is sent through, in what order, and what a broken one costs."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_phone_otp import conf
from django_phone_otp.exceptions import ChannelNotOffered, NoAccountInUse
from django_phone_otp.flow import request_code
from django_phone_otp.flow.accounts import (
    Account,
    find_account,
    find_route,
    list_entries,
    list_providers,
    load_account,
)
from django_phone_otp.models import (
    AccountLedger,
    DeliveryAttempt,
    PhoneChallenge,
    ProviderAccount,
    UserPhone,
)
from django_phone_otp.phone import parse
from django_phone_otp.providers import local
from django_phone_otp.sealing import seal
from tests.conftest import PHONE
from tests.fakes import accounts, providers, store_account

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

BELARUSIAN = "+375291234567"
SECRET = "hunter2-key"


def route(
    phone: str = PHONE, *, channel: str | None = None, after: str = "", discreet: bool = False
) -> list[str]:
    """Name the accounts that would be tried for a phone, in order."""
    found = find_route(parse(phone), channel, conf.read(), after=after, discreet=discreet)
    return [each.alias for each in found]


def load(alias: str) -> Account:
    return load_account(alias, conf.read())


@pytest.fixture
def rows_alone(phone_otp):
    phone_otp(PROVIDERS=None)


@pytest.fixture
def told(caplog):
    """Give what operators were told of accounts: `told()`."""

    def read() -> list[tuple[str, ...]]:
        mine = [each for each in caplog.records if each.name == "django_phone_otp.flow.accounts"]
        assert {each.event for each in mine} <= {"account_broken"}
        return [(each.levelname, *each.phone_otp.values()) for each in mine]

    return read


# Order


def test_accounts_of_one_priority_are_tried_as_they_are_written(phone_otp):
    phone_otp(PROVIDERS=providers(b={}, c={}, a={}))
    assert route() == ["b", "c", "a"]


def test_the_lowest_priority_is_tried_first(phone_otp):
    phone_otp(PROVIDERS=accounts(a={"PRIORITY": 101}, b={}, c={"PRIORITY": 99}))
    assert route() == ["c", "b", "a"]


def test_rows_and_settings_are_tried_in_one_order(phone_otp):
    phone_otp(PROVIDERS=accounts(setting={"PRIORITY": 50}))
    store_account("last", priority=51)
    store_account("first", priority=-1)
    assert route() == ["first", "setting", "last"]


def test_a_row_has_the_priority_of_a_setting_that_names_none(phone_otp):
    phone_otp(PROVIDERS=accounts(a={}, b={"PRIORITY": 101}, c={"PRIORITY": 99}))
    store_account("row")
    assert route() == ["c", "a", "row", "b"]


def test_a_route_of_the_settings_comes_before_priority(phone_otp):
    phone_otp(PROVIDERS=accounts(a={"PRIORITY": 1}, b={"PRIORITY": 2}), ROUTES={"*": ["b", "a"]})
    assert route() == ["b", "a"]


def test_a_route_may_name_rows_and_accounts_that_are_not_there(phone_otp):
    phone_otp(PROVIDERS=providers(a={}), ROUTES={"*": ["nowhere", "row", "a"]})
    store_account("row")
    assert route() == ["row", "a"]


def test_a_route_leaves_out_those_that_it_does_not_name(phone_otp):
    phone_otp(PROVIDERS=providers(a={}, b={}), ROUTES={"*": ["b"]})
    assert route() == ["b"]


def test_an_account_serves_its_regions(phone_otp):
    phone_otp(PROVIDERS=accounts(by={"REGIONS": ["BY"]}, two={"REGIONS": ["BY", "RU"]}, all={}))
    assert (route(PHONE), route(BELARUSIAN)) == (["two", "all"], ["by", "two", "all"])


@pytest.mark.usefixtures("rows_alone")
def test_a_row_serves_its_regions():
    store_account("by", regions=["BY"])
    store_account("all")
    assert (route(PHONE), route(BELARUSIAN)) == (["all"], ["all", "by"])


def test_a_route_does_not_widen_an_accounts_regions(phone_otp):
    phone_otp(PROVIDERS=accounts(by={"REGIONS": ["BY"]}, all={}), ROUTES={"*": ["by", "all"]})
    assert route() == ["all"]


def test_a_provider_may_refuse_numbers(phone_otp):
    phone_otp(PROVIDERS=providers(ru={"kind": "FakeRussian"}, all={}))
    assert (route(PHONE), route(BELARUSIAN)) == (["ru", "all"], ["all"])


def test_a_number_that_no_account_serves_cannot_be_used(post, phone_otp):
    phone_otp(PROVIDERS=accounts(by={"REGIONS": ["BY"]}))
    response = post("request", phone=PHONE)
    assert (response.status_code, response.json()["code"]) == (400, "phone_not_allowed")
    assert not PhoneChallenge.objects.exists()


# Rows


def test_a_row_stands_beside_the_settings(phone_otp):
    phone_otp(PROVIDERS=providers(setting={}))
    store_account("row")
    assert route() == ["setting", "row"]


def test_a_row_wins_over_a_setting_of_its_alias(post, phone_otp):
    phone_otp(PROVIDERS=providers(texts={"error": "Misconfigured"}))
    store_account("texts", {"code": "424242"})
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert post("confirm", challenge=challenge, code="424242").status_code == 200


def test_all_of_a_row_wins_over_all_of_a_setting(phone_otp):
    phone_otp(PROVIDERS=accounts(a={"PRIORITY": 1, "REGIONS": ["BY"], "DAILY_LIMIT": 5}, b={}))
    store_account("a", priority=101)
    assert route() == ["b", "a"]
    assert load("a").daily_limit is None


def test_a_disabled_row_is_not_used(phone_otp):
    phone_otp(PROVIDERS=providers(setting={}))
    store_account("row", enabled=False)
    assert route() == ["setting"]


def test_a_disabled_row_hides_the_setting_of_its_alias(phone_otp):
    phone_otp(PROVIDERS=providers(a={}, b={}))
    store_account("a", enabled=False)
    assert route() == ["b"]
    assert find_account("a", conf.read()) is None


@pytest.mark.usefixtures("rows_alone")
def test_a_row_counts_from_the_next_request_on(phone_otp):
    row = store_account("a")
    store_account("b")
    before = route()
    row.priority = 101
    row.save()
    changed = route()
    row.delete()
    assert (before, changed, route()) == (["a", "b"], ["b", "a"], ["b"])


@pytest.mark.usefixtures("rows_alone")
def test_rows_are_listed_by_priority_and_then_by_alias():
    for alias, priority in (("a", 101), ("c", 99), ("b", 99)):
        store_account(alias, priority=priority)
    assert [each.alias for each in list_entries(conf.read())] == ["b", "c", "a"]


def test_what_a_row_says_is_made_ready_once():
    row = store_account("row", {"code": "424242"})
    first = load("row").provider
    row.priority = 1
    row.save()
    assert load("row").provider is first


def test_options_that_were_written_past_us_count_at_once():
    store_account("row", {"code": "424242"})
    before = load("row").provider.options.code
    ProviderAccount.objects.update(sealed_options=seal({"code": "012345"}))
    assert (before, load("row").provider.options.code) == ("424242", "012345")


def test_a_row_that_was_open_is_closed_without_its_key(settings):
    store_account("row", {"code": "424242"})
    load("row")
    settings.SECRET_KEY = "another-" + "k" * 50
    with pytest.raises(ImproperlyConfigured, match="neither SECRET_KEY nor"):
        load("row")
    settings.SECRET_KEY_FALLBACKS = ["tests-only-" + "k" * 50]
    assert load("row").provider.options.code == "424242"


@pytest.mark.usefixtures("rows_alone")
def test_all_accounts_may_be_rows(post):
    store_account("row", backend="locmem")
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert PhoneChallenge.objects.get().account == "row"
    code = local.outbox[0].code
    assert post("confirm", challenge=challenge, code=code).status_code == 200


def test_a_site_without_an_account_is_misconfigured(phone_otp):
    phone_otp(PROVIDERS={})
    with pytest.raises(ImproperlyConfigured, match="is empty and there is no account"):
        route()


@pytest.mark.parametrize("configured", [None, {}])
def test_accounts_that_are_all_switched_off_are_none_in_use(phone_otp, configured):
    phone_otp(PROVIDERS=configured)
    store_account("row", enabled=False)
    with pytest.raises(NoAccountInUse):
        route()


def test_operators_who_have_yet_to_add_an_account_have_none_in_use(phone_otp):
    phone_otp(PROVIDERS=None)
    with pytest.raises(NoAccountInUse):
        route()


def test_without_an_account_in_use_the_person_is_told_to_come_back(post, phone_otp, caplog):
    challenge = post("request", phone=PHONE).json()["challenge"]
    phone_otp(PROVIDERS=None, RESEND_WAITS=[0])
    answers = [post("request", phone=PHONE), post("resend", challenge=challenge)]
    assert [(each.status_code, each.json()["code"]) for each in answers] == [
        (503, "unavailable")
    ] * 2
    assert "no_account_in_use" in caplog.text


@pytest.mark.parametrize("regions", [5, True, 1.5, "RU", [5], [["RU"]], {"RU": 1}])
def test_a_row_with_regions_that_are_none_costs_nobody_a_login(post, regions):
    store_account("row", backend="locmem", regions=regions)
    assert post("request", phone=PHONE).json()["state"] == "sent"
    (entry,) = [each for each in list_entries(conf.read()) if each.is_row]
    assert entry.problem == "account 'row': regions must be a list of texts"


@pytest.mark.parametrize("configured", [None, {}])
def test_a_site_in_development_needs_no_account(phone_otp, settings, configured):
    settings.DEBUG = True
    phone_otp(PROVIDERS=configured)
    assert route() == ["console"]


def test_a_row_is_enough_in_development(phone_otp, settings):
    settings.DEBUG = True
    phone_otp(PROVIDERS={})
    store_account("row")
    assert route() == ["row"]


def test_the_accounts_of_a_request_are_read_with_one_query(phone_otp):
    phone_otp(PROVIDERS=providers(a={}, b={}))
    store_account("row")
    with CaptureQueriesContext(connection) as queries:
        route()
    assert len(queries) == 1


def test_accounts_are_read_where_they_are_written(phone_otp, settings):
    settings.DATABASE_ROUTERS = ["tests.test_replicas.ReplicaRouter"]
    phone_otp(PROVIDERS=providers(a={"kind": "FakePrepared"}))
    store_account("row", priority=1)
    keep("a", "p-1")
    assert (route(), profile_of("a")) == (["row", "a"], "p-1")


# Limits


@pytest.mark.parametrize(
    ("kind", "written", "limit"),
    [
        pytest.param("Fake", None, None, id="none"),
        pytest.param("Fake", 7, 7, id="its-own"),
        pytest.param("FakeLimited", None, 2, id="the-providers"),
        pytest.param("FakeLimited", 7, 7, id="its-own-over-the-providers"),
    ],
)
def test_an_account_without_a_limit_for_a_phone_has_its_providers(phone_otp, kind, written, limit):
    phone_otp(PROVIDERS=accounts(setting={"kind": kind, "PHONE_DAILY_LIMIT": written}))
    store_account("row", kind=kind, phone_daily_limit=written)
    assert load("setting").phone_daily_limit == load("row").phone_daily_limit == limit


def test_settings_and_rows_have_limits_of_the_day(phone_otp):
    phone_otp(PROVIDERS=accounts(setting={"DAILY_LIMIT": 3}, unlimited={}))
    store_account("row", daily_limit=4)
    limits = [load(alias).daily_limit for alias in ("setting", "row", "unlimited")]
    assert limits == [3, 4, None]


# What is broken


def with_a_broken_seal(alias: str) -> None:
    store_account(alias, {"code": SECRET})
    ProviderAccount.objects.filter(alias=alias).update(sealed_options="gAAAAAnonsense")


BROKEN = [
    pytest.param(
        lambda: with_a_broken_seal("row"),
        'account "row": neither SECRET_KEY nor SECRET_KEY_FALLBACKS opens these options',
        id="seal",
    ),
    pytest.param(
        lambda: store_account("row", {"code": 7, "cost": SECRET}),
        """account 'row'['OPTIONS']: "code" must be str.""",
        id="options",
    ),
    pytest.param(
        lambda: store_account("row", backend="tests.fakes.Nothing"),
        (
            """account 'row'['BACKEND'] names "tests.fakes.Nothing", which cannot be imported: """
            'Module "tests.fakes" does not define a "Nothing" attribute/class'
        ),
        id="backend",
    ),
    pytest.param(
        lambda: store_account("row", kind="FakeMistaken"), "ZeroDivisionError", id="class"
    ),
]


@pytest.mark.parametrize(("store", "reason"), BROKEN)
def test_a_broken_row_is_told_to_operators_and_costs_nobody_a_login(
    post, phone_otp, told, caplog, store, reason
):
    phone_otp(PROVIDERS=providers(good={"code": "424242"}))
    store()
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert told() == [("ERROR", "row", reason)]
    assert post("confirm", challenge=challenge, code="424242").status_code == 200
    assert SECRET not in caplog.text


@pytest.mark.parametrize(("store", "reason"), BROKEN)
def test_a_broken_row_says_to_operators_what_is_wrong_when_it_is_loaded(store, reason):
    store()
    with pytest.raises(ImproperlyConfigured) as caught:
        load("row")
    assert str(caught.value) == reason


@pytest.mark.parametrize(("store", "reason"), BROKEN)
def test_of_a_broken_row_that_is_switched_off_nobody_is_told(told, store, reason):
    store()
    ProviderAccount.objects.update(enabled=False)
    assert route() == ["memory"]
    assert told() == []


def test_a_broken_row_hides_the_setting_of_its_alias(phone_otp):
    phone_otp(PROVIDERS=providers(a={}, b={}))
    with_a_broken_seal("a")
    assert route() == ["b"]


def test_a_broken_setting_is_the_sites_mistake(phone_otp):
    phone_otp(PROVIDERS=providers(a={"code": 7}, b={}))
    with pytest.raises(ImproperlyConfigured) as caught:
        route()
    assert str(caught.value) == """PHONE_OTP['PROVIDERS']['a']['OPTIONS']: "code" must be str."""


def test_s13_a_mistake_of_a_class_in_the_settings_is_named_without_its_words(phone_otp):
    phone_otp(PROVIDERS=providers(a={"kind": "FakeMistaken"}, b={}))
    with pytest.raises(ImproperlyConfigured) as caught:
        route()
    assert str(caught.value) == "ZeroDivisionError"


@pytest.mark.parametrize("enabled", [True, False])
def test_a_row_takes_the_place_of_a_broken_setting(phone_otp, enabled):
    phone_otp(PROVIDERS=providers(a={"code": 7}, b={}))
    store_account("a", enabled=enabled)
    assert route() == (["a", "b"] if enabled else ["b"])


# Moving on


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("", ["a", "b", "c"]),
        ("a", ["b", "c", "a"]),
        ("b", ["c", "a", "b"]),
        ("c", ["c", "a", "b"]),
        ("gone", ["a", "b", "c"]),
    ],
)
def test_a_route_goes_on_behind_the_account_used_last(phone_otp, after, expected):
    phone_otp(PROVIDERS=providers(a={}, b={}, c={}))
    assert route(after=after) == expected


def test_the_only_account_comes_after_itself(phone_otp):
    phone_otp(PROVIDERS=providers(a={}))
    assert route(after="a") == ["a"]


def test_who_asks_again_is_called_first_and_sent_a_text_next(post, phone_otp, clock):
    phone_otp(PROVIDERS=providers(calls={"kind": "FakeCall", "code": "0427"}, texts={}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    channels = ["flash_call"]
    for wait in (30, 60):
        clock.shift(wait)
        channels.append(post("resend", challenge=challenge).json()["channel"])
    assert channels == ["flash_call", "sms", "sms"]


def test_a_resend_goes_round_to_the_accounts_before(post, phone_otp, clock):
    phone_otp(PROVIDERS=providers(a={"error": "ProviderUnavailable"}, b={}, c={}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    phone_otp(PROVIDERS=providers(a={}, b={}, c={"error": "ProviderUnavailable"}))
    clock.shift(30)
    assert post("resend", challenge=challenge).status_code == 200
    tried = [each.account for each in DeliveryAttempt.objects.order_by("pk")]
    assert tried == ["a", "b", "c", "a"]


def test_the_channel_picks_among_the_accounts(phone_otp):
    phone_otp(PROVIDERS=providers(a={"kind": "FakeCall"}, b={}, c={"kind": "FakeCall"}, d={}))
    assert (route(channel="flash_call"), route(channel="sms")) == (["a", "c"], ["b", "d"])


def test_within_a_channel_the_route_goes_on_too(phone_otp):
    phone_otp(PROVIDERS=providers(a={}, b={"kind": "FakeCall"}, c={}, d={}))
    assert route(channel="sms", after="a") == ["c", "d", "a"]


def test_another_channel_begins_with_its_first_account(phone_otp):
    phone_otp(PROVIDERS=providers(a={}, b={"kind": "FakeCall"}, c={}, d={}))
    assert route(channel="sms", after="b") == ["a", "c", "d"]


def test_a_channel_that_no_account_has_is_not_offered(phone_otp):
    phone_otp(PROVIDERS=providers(a={}, b={"kind": "FakeCall"}))
    with pytest.raises(ChannelNotOffered):
        route(channel="telegram")


def test_a_channel_is_offered_where_its_account_serves_the_number(phone_otp):
    phone_otp(PROVIDERS=accounts(a={}, by={"kind": "FakeCall", "REGIONS": ["BY"]}))
    assert route(BELARUSIAN, channel="flash_call") == ["by"]
    with pytest.raises(ChannelNotOffered):
        route(PHONE, channel="flash_call")


# Where nothing may tell who is known


@pytest.fixture
def _calls_and_texts(phone_otp):
    phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence"}, texts={}))


@pytest.mark.usefixtures("_calls_and_texts")
def test_a_call_is_awaited_while_sign_up_is_open(post):
    assert route() == ["calls", "texts"]
    assert post("request", phone=PHONE).json()["channel"] == "reverse_call"


@pytest.mark.usefixtures("_calls_and_texts")
@pytest.mark.parametrize("is_known", [True, False])
def test_s11_no_call_is_awaited_while_sign_up_is_closed(
    post, phone_otp, django_user_model, is_known
):
    phone_otp(SIGNUP=False)
    if is_known:
        UserPhone.objects.create(user=django_user_model.objects.create_user("ann"), phone=PHONE)
    assert post("request", phone=PHONE).json()["channel"] == "sms"


@pytest.mark.usefixtures("_calls_and_texts")
@pytest.mark.parametrize("is_known", [True, False])
def test_s11_nor_can_it_be_asked_for(post, phone_otp, django_user_model, is_known):
    phone_otp(SIGNUP=False)
    if is_known:
        UserPhone.objects.create(user=django_user_model.objects.create_user("ann"), phone=PHONE)
    response = post("request", phone=PHONE, channel="reverse_call")
    assert response.status_code == 400
    assert response.json() == {"channel": ["Codes are not sent this way to this number."]}


@pytest.mark.usefixtures("_calls_and_texts")
def test_s11_nor_by_a_resend(post, phone_otp, clock):
    phone_otp(SIGNUP=False)
    challenge = post("request", phone=PHONE).json()["challenge"]
    clock.shift(30)
    assert post("resend", challenge=challenge).json()["channel"] == "sms"
    clock.shift(60)
    refused = post("resend", challenge=challenge, channel="reverse_call")
    assert refused.json() == {"channel": ["Codes are not sent this way to this number."]}


@pytest.mark.usefixtures("_calls_and_texts")
def test_who_links_a_phone_may_call_while_sign_up_is_closed(phone_otp, django_user_model):
    phone_otp(SIGNUP=False)
    user = django_user_model.objects.create_user("ann")
    asked = request_code(PHONE, purpose="link", user=user)
    assert asked.challenge
    assert asked.challenge.channel == "reverse_call"


# What was made at the service


def keep(alias: str, profile: str, **made_for: str) -> None:
    """Keep the profile of a `FakePrepared`, made for its options."""
    AccountLedger.primary().keep(alias, {"profile": profile}, {"code": "", "region": ""} | made_for)


def profile_of(alias: str) -> str:
    found = find_account(alias, conf.read())
    assert found
    return found.provider.options.profile


@pytest.fixture
def _prepared(phone_otp):
    phone_otp(PROVIDERS=providers(texts={"kind": "FakePrepared"}))


@pytest.mark.usefixtures("_prepared")
def test_kept_options_are_used_for_messages(post):
    keep("texts", "p-1")
    assert post("request", phone=PHONE).status_code == 201
    assert PhoneChallenge.objects.get().provider_ref == "p-1"


@pytest.mark.usefixtures("_prepared")
def test_an_account_that_was_not_prepared_cannot_send(post):
    assert post("request", phone=PHONE).json()["code"] == "delivery_failed"
    assert DeliveryAttempt.objects.get().outcome == "misconfigured"


def test_kept_options_are_used_for_a_row():
    store_account("row", kind="FakePrepared")
    keep("row", "p-1")
    assert profile_of("row") == "p-1"


@pytest.mark.usefixtures("_prepared")
def test_kept_options_are_used_when_an_operator_loads_the_account():
    keep("texts", "p-1")
    assert load("texts").provider.options.profile == "p-1"


@pytest.mark.usefixtures("rows_alone")
def test_kept_options_are_used_for_a_row_that_is_switched_off():
    store_account("row", kind="FakePrepared", enabled=False)
    keep("row", "p-1")
    assert load("row").provider.options.profile == "p-1"


@pytest.mark.usefixtures("_prepared")
@pytest.mark.parametrize("changed", ["code", "region"])
def test_what_was_made_for_other_options_is_not_used(changed):
    keep("texts", "p-1", **{changed: "another"})
    assert profile_of("texts") == ""


def test_what_was_kept_is_not_used_once_the_options_are_changed(phone_otp):
    keep("texts", "p-1")
    phone_otp(PROVIDERS=providers(texts={"kind": "FakePrepared", "region": "RU"}))
    changed = profile_of("texts")
    phone_otp(PROVIDERS=providers(texts={"kind": "FakePrepared"}))
    assert (changed, profile_of("texts")) == ("", "p-1")


def test_options_on_which_nothing_depends_may_change(phone_otp):
    keep("texts", "p-1")
    phone_otp(PROVIDERS=providers(texts={"kind": "FakePrepared", "timeout": 3.0}))
    assert profile_of("texts") == "p-1"


@pytest.mark.usefixtures("_prepared")
def test_kept_options_are_those_of_one_account(phone_otp):
    phone_otp(PROVIDERS=providers(texts={"kind": "FakePrepared"}, b={"kind": "FakePrepared"}))
    keep("b", "p-2")
    assert (profile_of("texts"), profile_of("b")) == ("", "p-2")


@pytest.mark.usefixtures("_prepared")
def test_what_is_kept_last_counts():
    keep("texts", "p-1")
    keep("texts", "p-2")
    assert profile_of("texts") == "p-2"
    assert AccountLedger.objects.count() == 1


def test_options_that_were_set_are_not_changed_by_what_was_kept(phone_otp):
    phone_otp(PROVIDERS=providers(texts={"kind": "FakePrepared", "profile": "set"}))
    keep("texts", "kept")
    assert profile_of("texts") == "set"


@pytest.mark.usefixtures("_prepared")
def test_preparation_leaves_the_count_of_the_day_alone(clock):
    ledger = AccountLedger.objects.create(alias="texts", day="2026-03-01", sent_count=7)
    keep("texts", "p-1")
    ledger.refresh_from_db()
    assert (str(ledger.day), ledger.sent_count) == ("2026-03-01", 7)


@pytest.mark.usefixtures("_prepared")
def test_s13_what_is_kept_is_sealed():
    keep("texts", SECRET)
    sealed = AccountLedger.objects.get().sealed_kept
    assert sealed.startswith("gAAAAA")
    assert SECRET not in sealed


@pytest.mark.usefixtures("_prepared")
def test_s12_what_is_kept_opens_with_a_fallback_key(settings):
    keep("texts", "p-1")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "new"
    assert profile_of("texts") == "p-1"


@pytest.mark.usefixtures("_prepared")
def test_what_no_key_opens_is_told_to_operators_and_not_used(settings, told):
    keep("texts", "p-1")
    settings.SECRET_KEY = "new"
    assert profile_of("texts") == ""
    reason = "neither SECRET_KEY nor SECRET_KEY_FALLBACKS opens these options"
    assert told() == [("ERROR", "texts", reason)]


@pytest.mark.usefixtures("_prepared")
def test_what_was_kept_for_an_older_schema_is_told_to_operators_and_not_used(told):
    AccountLedger.primary().keep("texts", {"colour": "red"}, {"code": "", "region": ""})
    assert profile_of("texts") == ""
    assert told() == [("ERROR", "texts", "TypeError")]


def test_ledgers_are_read_only_where_something_is_needed(phone_otp):
    phone_otp(PROVIDERS=providers(a={}, ready={"kind": "FakePrepared", "profile": "set"}))
    with CaptureQueriesContext(connection) as queries:
        route()
    assert len(queries) == 1
    phone_otp(PROVIDERS=providers(a={}, b={"kind": "FakePrepared"}, c={"kind": "FakePrepared"}))
    with CaptureQueriesContext(connection) as queries:
        route()
    assert len(queries) == 2


# What operators see


def test_entries_are_all_accounts_usable_or_not(phone_otp):
    phone_otp(PROVIDERS=providers(setting={}, broken={"code": 7}))
    store_account("off", enabled=False)
    with_a_broken_seal("sealed")
    seen = {
        each.alias: (each.is_row, each.enabled, each.account is not None)
        for each in list_entries(conf.read())
    }
    assert seen == {
        "setting": (False, True, True),
        "broken": (False, True, False),
        "off": (True, False, True),
        "sealed": (True, True, False),
    }


def test_an_entry_says_what_is_wrong_with_it(phone_otp):
    phone_otp(PROVIDERS=providers(good={}, broken={"code": 7}))
    problems = {each.alias: each.problem for each in list_entries(conf.read())}
    assert problems == {
        "good": "",
        "broken": """PHONE_OTP['PROVIDERS']['broken']['OPTIONS']: "code" must be str.""",
    }


def test_a_row_takes_the_place_of_its_setting_in_the_list(phone_otp):
    phone_otp(PROVIDERS=providers(a={}))
    store_account("a", kind="FakeCall", enabled=False)
    (entry,) = list_entries(conf.read())
    assert (entry.backend, entry.is_row, entry.enabled) == ("tests.fakes.FakeCall", True, False)


def test_s13_an_entry_can_be_printed(phone_otp):
    phone_otp(PROVIDERS=providers(a={"code": SECRET}))
    store_account("b", {"code": SECRET})
    assert SECRET not in repr(list_entries(conf.read()))
    assert SECRET not in repr(find_account("b", conf.read()))


def test_an_account_that_is_switched_off_can_be_loaded():
    store_account("off", {"code": "424242"}, enabled=False)
    assert load("off").provider.options.code == "424242"


def test_who_loads_an_account_that_is_not_there_is_told_which_are(phone_otp):
    phone_otp(PROVIDERS=providers(b={}))
    store_account("a", enabled=False)
    with pytest.raises(ImproperlyConfigured) as caught:
        load("c")
    assert str(caught.value) == 'There is no account "c". Accounts: a, b.'


def test_who_loads_an_account_where_there_is_none_is_told_so(phone_otp):
    phone_otp(PROVIDERS=None)
    with pytest.raises(ImproperlyConfigured, match=r'There is no account "c"\. Accounts: none\.'):
        load("c")


def test_loading_an_account_is_not_kept_by_another_that_is_broken(phone_otp):
    phone_otp(PROVIDERS=providers(broken={"code": 7}, good={}))
    assert load("good").alias == "good"


def test_providers_are_ours_and_those_with_an_account(phone_otp):
    phone_otp(PROVIDERS=providers(a={}, b={"kind": "FakeCall"}, c={}))
    found = list_providers(conf.read())
    assert found == sorted(found)
    assert {"fake", "fake-call", "telefon-ip-flash", "locmem"} <= set(found)
    assert found.count("fake") == 1


def test_an_account_is_found_by_its_alias(phone_otp):
    phone_otp(PROVIDERS=providers(a={}))
    store_account("row", {"code": "1"})
    found = find_account("row", conf.read())
    assert found
    assert (found.alias, found.provider.options.code) == ("row", "1")
    assert find_account("b", conf.read()) is None


def test_a_class_that_fails_over_a_number_costs_nobody_a_login(post, phone_otp, caplog):
    phone_otp(PROVIDERS=providers(first={"kind": "FakeChoosy"}, second={}))
    assert post("request", phone=PHONE).json()["state"] == "sent"
    assert "account_broken account=first reason=ZeroDivisionError" in caplog.text
