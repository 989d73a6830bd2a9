"""Test phones: for whoever reviews an app, a fixed code, no message, and an end."""

import logging
from collections.abc import Callable
from datetime import date, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.checks import CheckMessage, Warning
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from django_phone_otp.checks import check_settings, check_test_phones_end
from django_phone_otp.flow import confirm_code, request_code, resend_code, try_account
from django_phone_otp.models import (
    AccountLedger,
    DeliveryAttempt,
    PhoneChallenge,
    PhoneLedger,
    UserPhone,
)
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import NOW, PHONE
from tests.fakes import accounts, providers, store_account

CODE = "390517"
LAST_DAY = date(2026, 3, 1)  # the day on which `clock` stands
ENTRY = {"code": CODE, "until": LAST_DAY}
ORDINARY = "+79244501004"

with_database = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _frozen(clock):
    """All of it happens on the last day."""


@pytest.fixture(autouse=True)
def _site(settings, phone_otp):
    settings.TIME_ZONE = "UTC"
    phone_otp(TEST_PHONES={PHONE: ENTRY})


@pytest.fixture
def ask(post) -> Callable[..., Any]:
    def send(phone: str = PHONE, **body: Any) -> Any:
        return post("request", phone=phone, **body)

    return send


@pytest.fixture
def answer(post) -> Callable[..., Any]:
    def send(asked: Any, code: str = CODE, **body: Any) -> Any:
        return post("confirm", challenge=asked.json()["challenge"], code=code, **body)

    return send


@pytest.fixture
def member(django_user_model) -> APIClient:
    client = APIClient()
    client.force_login(django_user_model.objects.create_user("member"))
    return client


def word(response: Any) -> tuple[int, str]:
    return response.status_code, response.json().get("code", "")


def sent() -> int:
    return len(local.outbox) + len(fakes.asked)


# A login


@with_database
def test_logs_in_with_its_code_and_nothing_is_sent(ask, answer):
    response = answer(ask())
    assert response.status_code == 200
    assert response.json()["user"]["phone"] == PHONE
    assert sent() == 0


@with_database
def test_is_answered_like_any_other_phone(ask):
    of_the_test, of_another = ask().json(), ask(ORDINARY).json()
    assert [body.pop("challenge") != "" for body in (of_the_test, of_another)] == [True, True]
    assert of_the_test == of_another | {"phone": "+7•••••••003"}


@with_database
def test_has_the_length_of_its_own_code(ask, phone_otp):
    phone_otp(TEST_PHONES={PHONE: {**ENTRY, "code": "12345678"}})
    assert ask().json()["code_length"] == 8


@with_database
def test_gets_its_code_again_and_nothing_is_sent(ask, answer, post, clock):
    asked = ask()
    clock.shift(30)
    again = post("resend", challenge=asked.json()["challenge"])
    assert (again.status_code, again.json()["state"]) == (200, "sent")
    assert answer(asked).status_code == 200
    assert sent() == 0


@with_database
def test_is_a_text_message_whatever_is_asked_for(ask):
    assert ask(channel="flash_call").json()["channel"] == "sms"


@with_database
@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({"PROVIDERS": {}}, id="none"),
        pytest.param({"PROVIDERS": None}, id="rows-to-come"),
        pytest.param({"PROVIDERS": accounts(by={"REGIONS": ["BY"]})}, id="elsewhere"),
        pytest.param({"ROUTES": {"BY": ["memory"], "*": ["gone"]}}, id="no-route"),
        pytest.param({"PROVIDERS": providers(calls={"kind": "FakePresence"})}, id="presence-alone"),
        pytest.param({"PROVIDERS": providers(bad={"error": "InsufficientFunds"})}, id="no-money"),
    ],
)
def test_needs_no_account_that_works(ask, answer, phone_otp, keys):
    phone_otp(**keys)
    assert answer(ask()).status_code == 200
    assert sent() == 0


@with_database
def test_takes_nothing_from_the_budget_of_an_account(ask, phone_otp):
    phone_otp(PROVIDERS=accounts(texts={"DAILY_LIMIT": 1, "PHONE_DAILY_LIMIT": 1}))
    ask()
    assert not AccountLedger.objects.exists()
    assert ask(ORDINARY).json()["state"] == "sent"


@with_database
def test_a_user_who_may_not_log_in_still_may_not(ask, answer, django_user_model):
    user = django_user_model.objects.create_user("gone", is_active=False)
    UserPhone.objects.create(user=user, phone=PHONE)
    assert word(answer(ask())) == (400, "phone_not_allowed")


# Its end


@with_database
def test_counts_until_the_end_of_its_last_day(ask, answer, clock):
    clock.shift(timedelta(hours=11, minutes=54))
    assert answer(ask()).status_code == 200
    assert sent() == 0


@with_database
def test_is_a_phone_like_any_other_from_the_day_after(ask, answer, clock):
    clock.shift(timedelta(hours=12))
    asked = ask()
    assert word(answer(asked)) == (400, "wrong_code")
    assert answer(asked, local.outbox[0].code).status_code == 200


@with_database
def test_the_day_is_that_of_the_site(ask, settings, clock):
    settings.TIME_ZONE = "Asia/Kamchatka"  # midnight there, twelve hours ahead
    ask()
    assert sent() == 1
    settings.TIME_ZONE = "America/Los_Angeles"
    clock.shift(timedelta(hours=19, minutes=59))
    ask()
    assert sent() == 1


@with_database
def test_an_end_may_be_text(ask, phone_otp):
    phone_otp(TEST_PHONES={PHONE: {"code": CODE, "until": "2026-03-01"}})
    ask()
    assert sent() == 0
    phone_otp(TEST_PHONES={ORDINARY: {"code": CODE, "until": "2026-02-28"}})
    ask(ORDINARY)
    assert sent() == 1


@with_database
def test_a_resend_after_the_end_is_a_message(ask, post, clock):
    clock.shift(timedelta(hours=11, minutes=59, seconds=45))
    asked = ask()
    clock.shift(30)
    assert post("resend", challenge=asked.json()["challenge"]).status_code == 200
    assert sent() == 1


@with_database
@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"code": CODE}, id="no-end"),
        pytest.param({"until": LAST_DAY}, id="no-code"),
        pytest.param({"code": CODE, "until": None}, id="None"),
        pytest.param({"code": CODE, "until": "soon"}, id="words"),
        pytest.param({"code": CODE, "until": NOW}, id="moment"),
        pytest.param(CODE, id="code-alone"),
    ],
)
def test_an_entry_that_cannot_be_read_opens_nothing(phone_otp, entry):
    phone_otp(TEST_PHONES={PHONE: entry})
    with pytest.raises(ImproperlyConfigured) as caught:
        request_code(PHONE)
    assert str(caught.value) == f"PHONE_OTP['TEST_PHONES']['{PHONE}'] must have 'code' and 'until'."
    assert not PhoneChallenge.objects.exists()


@with_database
@pytest.mark.parametrize(("code", "why"), [("", "is missing"), (390517, "must be str")])
def test_a_code_that_nobody_could_type_opens_nothing(phone_otp, code, why):
    phone_otp(TEST_PHONES={PHONE: {**ENTRY, "code": code}})
    with pytest.raises(ImproperlyConfigured, match=why) as caught:
        request_code(PHONE)
    assert "390517" not in str(caught.value)


# Limits, all of them


@with_database
def test_waits_between_two_requests(ask):
    ask()
    assert word(ask()) == (429, "resend_too_soon")


@with_database
def test_has_the_budget_of_a_phone(ask, phone_otp):
    phone_otp(RESEND_WAITS=[0])
    assert [word(ask()) for _ in range(6)] == [(201, "")] * 5 + [(429, "too_many_requests")]


@with_database
@pytest.mark.parametrize("limit", ["request_ip", "send_region", "send_all"])
def test_counts_for_address_region_and_site(ask, phone_otp, limit):
    phone_otp(LIMITS={limit: "1/h"})
    ask()
    assert word(ask(ORDINARY)) == (429, "too_many_requests")
    assert sent() == 0


@with_database
def test_wrong_codes_use_up_its_tries(ask, answer):
    asked = ask()
    wrong = [answer(asked, "000000").json().get("attempts_left") for _ in range(5)]
    assert wrong == [4, 3, 2, 1, 0]
    assert word(answer(asked)) == (429, "locked")


@with_database
def test_a_code_of_four_digits_has_three_tries(ask, answer, phone_otp):
    phone_otp(TEST_PHONES={PHONE: {**ENTRY, "code": "3905"}})
    asked = ask()
    assert [answer(asked, "0000").json().get("attempts_left") for _ in range(3)] == [2, 1, 0]
    assert word(answer(asked, "3905")) == (429, "locked")


@with_database
def test_is_disabled_like_any_other(ask, answer, phone_otp):
    phone_otp(LIMITS={"fail_phone_total": 2})
    asked = ask()
    answer(asked, "000000")
    answer(asked, "000000")
    assert word(answer(asked)) == (429, "locked")
    assert PhoneLedger.objects.get(phone=PHONE).disabled_at == NOW


@with_database
def test_its_code_works_once(ask, answer):
    asked = ask()
    assert answer(asked).status_code == 200
    assert word(answer(asked)) == (400, "challenge_closed")


@with_database
def test_its_code_is_too_old_after_its_time(ask, answer, clock):
    asked = ask()
    clock.shift(301)
    assert word(answer(asked)) == (400, "expired")


@with_database
@pytest.mark.parametrize(
    "keys",
    [{"ALLOWED_REGIONS": ["BY"]}, {"DENIED_REGIONS": ["RU"]}, {"NUMBER_TYPES": ["fixed_line"]}],
)
def test_guards_stand_before_it(ask, phone_otp, keys):
    phone_otp(**keys)
    assert word(ask()) == (400, "phone_not_allowed")


@with_database
def test_guards_count_it(ask, phone_otp):
    rules = {"MODE": "block", "FREE": 1, "PER_LOGIN": 1}
    phone_otp(GUARDS={"region_traffic": rules})
    ask()
    assert word(ask(ORDINARY)) == (429, "too_many_requests")


@with_database
def test_the_captcha_stands_before_it(ask, phone_otp):
    phone_otp(CAPTCHA={"BACKEND": "tests.fakes.FakeCaptcha"})
    assert word(ask()) == (403, "captcha_required")
    assert ask(captcha_token="human").status_code == 201


# Sign-up closed


@with_database
@pytest.mark.parametrize("code", [CODE, "3905", "12345678"])
def test_while_sign_up_is_closed_nobody_sees_whether_it_has_a_user(
    ask, answer, phone_otp, django_user_model, code
):
    entry = {**ENTRY, "code": code}
    phone_otp(SIGNUP=False, TEST_PHONES={PHONE: entry, ORDINARY: entry})
    UserPhone.objects.create(user=django_user_model.objects.create_user("known"), phone=PHONE)
    known, unknown = ask(), ask(ORDINARY)
    bodies = [{**each.json(), "challenge": "", "phone": ""} for each in (known, unknown)]
    assert bodies[0] == bodies[1]
    assert bodies[0]["code_length"] == len(code)
    wrong = [answer(each, "0" * len(code)).json() for each in (known, unknown)]
    assert wrong[0] == wrong[1]
    assert [answer(each, code).status_code for each in (known, unknown)] == [200, 400]


@with_database
def test_while_sign_up_is_closed_it_makes_no_user(ask, answer, phone_otp, django_user_model):
    phone_otp(SIGNUP=False)
    assert word(answer(ask())) == (400, "wrong_code")
    assert not django_user_model.objects.exists()


# Links


@with_database
def test_can_be_linked_and_nothing_is_sent(ask, answer, member):
    asked = ask(client=member, purpose="link")
    assert answer(asked, client=member).status_code == 200
    assert UserPhone.objects.get().user.get_username() == "member"
    assert sent() == 0


@with_database
def test_s17_is_not_taken_from_the_user_who_has_it(ask, answer, member, django_user_model):
    UserPhone.objects.create(user=django_user_model.objects.create_user("demo"), phone=PHONE)
    asked = ask(client=member, purpose="link")
    assert word(answer(asked, client=member)) == (400, "phone_not_allowed")


@with_database
def test_s10_its_login_is_not_a_link(ask, answer, member):
    assert answer(ask()).json()["user"]["created"] is True
    assert UserPhone.objects.get().user.get_username() != "member"


# Whose account it opens


@with_database
@pytest.mark.parametrize("flag", ["is_staff", "is_superuser"])
def test_logs_nobody_in_who_may_do_more_than_others(ask, answer, django_user_model, flag):
    user = django_user_model.objects.create_user("boss", **{flag: True})
    UserPhone.objects.create(user=user, phone=PHONE)
    assert word(answer(ask())) == (400, "phone_not_allowed")
    assert not Token.objects.exists()


@with_database
@pytest.mark.parametrize("flag", ["is_staff", "is_superuser"])
def test_is_linked_to_nobody_who_may_do_more_than_others(ask, answer, django_user_model, flag):
    boss = APIClient()
    boss.force_login(django_user_model.objects.create_user("boss", **{flag: True}))
    asked = ask(client=boss, purpose="link")
    assert word(answer(asked, client=boss)) == (400, "phone_not_allowed")
    assert not UserPhone.objects.exists()


@with_database
@pytest.mark.parametrize("purpose", ["login", "link"])
def test_nor_after_a_resend_that_a_provider_has_sent(
    ask, answer, post, clock, phone_otp, django_user_model, purpose
):
    boss = APIClient()
    user = django_user_model.objects.create_user("boss", is_staff=True)
    boss.force_login(user)
    if purpose == "login":
        UserPhone.objects.create(user=user, phone=PHONE)
    asked = ask(client=boss, purpose=purpose)
    clock.shift(60)
    phone_otp(TEST_PHONES={})  # or midnight of the last day
    assert post("resend", client=boss, challenge=asked.json()["challenge"]).status_code == 200
    assert sent() == 1
    assert word(answer(asked, client=boss)) == (400, "phone_not_allowed")


@with_database
def test_staff_log_in_with_phones_that_are_theirs(ask, answer, django_user_model):
    user = django_user_model.objects.create_user("boss", is_staff=True)
    UserPhone.objects.create(user=user, phone=ORDINARY)
    asked = ask(ORDINARY)
    assert answer(asked, local.outbox[0].code).status_code == 200


# What operators see


@with_database
def test_operators_see_that_it_was_a_test_phone(ask):
    ask()
    challenge, attempt = PhoneChallenge.objects.get(), DeliveryAttempt.objects.get()
    assert (challenge.account, challenge.provider) == ("test-phone", "test-phone")
    assert (attempt.account, attempt.provider) == ("test-phone", "test-phone")


@with_database
def test_operators_see_no_cost_and_no_reference(ask):
    ask()
    attempt = DeliveryAttempt.objects.get()
    assert (attempt.cost, attempt.currency, attempt.provider_ref) == (None, "", "")


@with_database
def test_the_admin_shows_that_it_was_a_test_phone(ask, admin_client):
    ask()
    pk = PhoneChallenge.objects.get().pk
    html = admin_client.get(f"/admin/phone_otp/phonechallenge/{pk}/change/").content.decode()
    assert "test-phone" in html
    assert CODE not in html


@with_database
def test_a_trial_along_its_route_sends_nothing():
    store_account("texts")
    asked = try_account(None, PHONE)
    assert [(each.account, each.provider) for each in asked.attempts] == [
        ("test-phone", "test-phone")
    ]
    assert sent() == 0


@with_database
def test_a_trial_through_an_account_sends_nothing_either():
    store_account("texts")
    asked = try_account("texts", PHONE)
    assert [each.account for each in asked.attempts] == ["test-phone"]
    assert sent() == 0


@with_database
def test_operators_can_look_for_test_phones(ask, admin_client):
    ask()
    page = admin_client.get("/admin/phone_otp/phonechallenge/", {"provider": "test-phone"})
    specs = {each.parameter_name: each for each in page.context["cl"].filter_specs}
    assert ("test-phone", "test-phone") in specs["provider"].lookup_choices


@with_database
def test_s13_its_code_is_in_no_log_and_in_no_row(ask, answer, caplog):
    caplog.set_level(logging.DEBUG)
    answer(ask())
    out = StringIO()
    call_command("dumpdata", "phone_otp", stdout=out)
    assert CODE not in caplog.text
    assert CODE not in out.getvalue()


# Through the flow


@with_database
def test_the_flow_gives_it_what_the_api_gives(clock):
    asked = request_code(PHONE).challenge
    assert asked
    assert asked.state == "sent"
    clock.shift(30)
    assert resend_code(asked.public_id).refusal is None
    assert confirm_code(asked.public_id, CODE).challenge
    assert sent() == 0


@with_database
def test_it_is_known_however_it_is_typed():
    assert request_code("8 (924) 450-10-03").challenge
    assert sent() == 0


@with_database
def test_other_phones_have_other_codes():
    asked = request_code(ORDINARY).challenge
    assert asked
    assert local.outbox[0].code != CODE
    assert confirm_code(asked.public_id, CODE).refusal == "wrong_code"


# What `check` says


def complaints(**keys: Any) -> list[CheckMessage]:
    with override_settings(PHONE_OTP={"PROVIDERS": None, **keys}):
        return check_settings()


def told(**keys: Any) -> list[str]:
    return [each.msg.removeprefix("PHONE_OTP['TEST_PHONES']") for each in complaints(**keys)]


@with_database
@pytest.mark.parametrize("deploy", [False, True])
@pytest.mark.parametrize(
    "entry", [{"code": CODE, "until": "2026-02-28"}, {"code": CODE}], ids=["expired", "endless"]
)
def test_check_fails_for_one_that_has_expired_or_never_does(phone_otp, entry, deploy):
    phone_otp(TEST_PHONES={PHONE: entry})
    with pytest.raises(SystemCheckError, match=r"\(phone_otp\.E028\)"):
        call_command("check", deploy=deploy, stderr=StringIO())


def test_check_and_site_agree_on_the_day(settings):
    settings.TIME_ZONE = "Asia/Kamchatka"
    assert len(complaints(TEST_PHONES={PHONE: ENTRY})) == 1
    settings.TIME_ZONE = "America/Los_Angeles"
    assert complaints(TEST_PHONES={PHONE: ENTRY}) == []


FLASH_CALLS = {"calls": {"BACKEND": "telefon-ip-flash", "OPTIONS": {"token": "t"}}}
REVERSE_CALLS = {"back": {"BACKEND": "telefon-ip-reverse", "OPTIONS": {"token": "t"}}}
SHORT_BY_CHOICE = {
    "by": {"BACKEND": "sms-by", "OPTIONS": {"token": "t", "type_id": "numbers", "len": 4}}
}


@pytest.mark.parametrize(
    ("code", "given", "expected"),
    [
        pytest.param("3905", {"m": {"BACKEND": "locmem"}}, 6, id="texts"),
        pytest.param("39051", {"m": {"BACKEND": "locmem"}}, 6, id="five"),
        pytest.param("3905", SHORT_BY_CHOICE, 6, id="choice"),
        pytest.param("3905", REVERSE_CALLS, 6, id="no-code"),
        pytest.param("390", FLASH_CALLS, 4, id="calls"),
        pytest.param("390", None, 4, id="rows"),
    ],
)
def test_s01_its_code_has_six_digits_unless_a_channel_forces_fewer(code, given, expected):
    message = f"['{PHONE}']['code'] must be {expected} to 16 digits, as text."
    assert message in told(TEST_PHONES={PHONE: {**ENTRY, "code": code}}, PROVIDERS=given)


@pytest.mark.parametrize("given", [FLASH_CALLS, None], ids=["calls", "rows"])
def test_its_code_may_be_as_short_as_those_of_calls(given):
    assert complaints(TEST_PHONES={PHONE: {**ENTRY, "code": "3905"}}, PROVIDERS=given) == []


@pytest.mark.parametrize("phone", ["+12025550123", "+61491570006", "+4915228817386"])
def test_numbers_that_regulators_keep_free_may_be_test_phones(phone):
    assert complaints(TEST_PHONES={phone: ENTRY}) == []


@with_database
@pytest.mark.parametrize("phone", ["+12025550123", "+61491570006", "+4915228817386"])
def test_numbers_that_regulators_keep_free_log_in(ask, answer, phone_otp, phone):
    phone_otp(TEST_PHONES={phone: ENTRY})
    assert answer(ask(phone)).status_code == 200


@pytest.mark.parametrize("phone", ["+447700900123", "+15555550100", "+70000000000"])
def test_numbers_that_do_not_exist_may_not(phone):
    assert told(TEST_PHONES={phone: ENTRY}) == [
        f" names '{phone}', which is no phone in E.164 such as '+79244501003'."
    ]


def test_numbers_that_are_never_sent_a_code_may_not():
    assert told(TEST_PHONES={"+78001234567": ENTRY}) == [
        " names '+78001234567', which nobody can log in with: such numbers get no code."
    ]


def test_an_account_may_not_have_its_name():
    mine = {"test-phone": {"BACKEND": "locmem"}}
    assert " is shown as the account 'test-phone': give yours another alias." in told(
        TEST_PHONES={PHONE: ENTRY}, PROVIDERS=mine
    )
    assert not any("alias" in each for each in told(TEST_PHONES={}, PROVIDERS=mine))


@pytest.mark.parametrize(("days", "expected"), [(366, []), (367, ["phone_otp.W028"])])
def test_an_end_more_than_a_year_away_is_warned_of(phone_otp, days, expected):
    phone_otp(TEST_PHONES={PHONE: {**ENTRY, "until": LAST_DAY + timedelta(days=days)}})
    assert [each.id for each in check_test_phones_end()] == expected


def test_a_warning_of_a_late_end_says_which(phone_otp):
    phone_otp(TEST_PHONES={PHONE: ENTRY, ORDINARY: {"code": CODE, "until": "2999-12-31"}})
    assert check_test_phones_end() == [
        Warning(
            f"PHONE_OTP['TEST_PHONES']['{ORDINARY}']['until'] is more than a year away.",
            hint="Until then whoever learns the code can log in. A review takes days, not years.",
            id="phone_otp.W028",
        )
    ]


@pytest.mark.parametrize("given", [None, [], {"TEST_PHONES": []}, {"TEST_PHONES": {PHONE: {}}}])
def test_what_is_wrong_is_not_warned_of_as_well(settings, given):
    settings.PHONE_OTP = given
    assert check_test_phones_end() == []


@with_database
def test_a_late_end_is_warned_of_at_deployment(phone_otp):
    phone_otp(TEST_PHONES={PHONE: {"code": CODE, "until": "2999-12-31"}})
    said = {}
    for deploy in (False, True):
        out = StringIO()
        call_command("check", deploy=deploy, stdout=out, stderr=out)
        said[deploy] = "phone_otp.W028" in out.getvalue()
    assert said == {False: False, True: True}
