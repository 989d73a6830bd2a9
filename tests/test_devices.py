"""Device strings: who has logged in with a phone once is not locked out by strangers (s07)."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.signing import TimestampSigner
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from hypothesis import strategies as st
from rest_framework.test import APIClient

from django_phone_otp import devices
from django_phone_otp.flow import confirm_code, request_code
from django_phone_otp.models import (
    ConfirmAttempt,
    DeviceLedger,
    PhoneChallenge,
    PhoneLedger,
    UserPhone,
)
from django_phone_otp.providers import local
from tests.conftest import NOW, PHONE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

OTHER = "+79244501004"
KEY = "k" * 22
HALF_A_YEAR = timedelta(days=180)
# All of these tests ask from one address.
OF_ADDRESSES = {"request_ip": "1000/h", "confirm_ip": "1000/h"}


@pytest.fixture(autouse=True)
def _no_limits_by_address(phone_otp):
    phone_otp(LIMITS=OF_ADDRESSES)


@pytest.fixture
def no_waits(phone_otp):
    phone_otp(RESEND_WAITS=[0])


@pytest.fixture
def ask(post) -> Callable[..., Any]:
    """Ask for a code, with a device string or without."""
    return lambda device="", phone=PHONE: post("request", phone=phone, device=device)


@pytest.fixture
def fail(post) -> Callable[..., Any]:
    """Answer the challenge of a response with a wrong code."""

    def answer(asked: Any) -> Any:
        return post("confirm", challenge=asked.json()["challenge"], code=wrong_code())

    return answer


@pytest.fixture
def log_in(ask, post) -> Callable[..., str]:
    """Log in, and give the device string that comes of it."""

    def go(device: str = "", phone: str = PHONE) -> str:
        challenge = ask(device, phone).json()["challenge"]
        return post("confirm", challenge=challenge, code=right_code()).json()["device"]

    return go


@pytest.fixture
def device(log_in) -> str:
    return log_in()


def right_code() -> str:
    return local.outbox[-1].code


def wrong_code() -> str:
    return "".join(str((int(digit) + 1) % 10) for digit in right_code())


def key_of(text: str, phone: str = PHONE) -> str:
    found = devices.read_device(text, phone)
    assert found
    return found.key


def counted() -> list[str]:
    """Name the devices by which challenges were asked for, in order; empty for none."""
    challenges = PhoneChallenge.objects.order_by("pk").select_related("device")
    return [each.device.key if each.device else "" for each in challenges]


# Strangers


def spend_messages(ask, fail, phone_otp):
    phone_otp(RESEND_WAITS=[0])
    for _ in range(5):
        ask()


def spend_waits(ask, fail, phone_otp):
    ask()


def spend_wrong_codes(ask, fail, phone_otp):
    phone_otp(RESEND_WAITS=[0])
    for _ in range(2):
        asked = ask()
        for _ in range(5):
            fail(asked)


@pytest.mark.parametrize("spend", [spend_messages, spend_waits, spend_wrong_codes])
def test_s07_a_stranger_does_not_lock_out_a_known_device(ask, post, fail, phone_otp, device, spend):
    spend(ask, fail, phone_otp)
    assert ask().status_code == 429
    asked = ask(device)
    assert (asked.status_code, len(local.outbox[-1].code)) == (201, 6)
    response = post("confirm", challenge=asked.json()["challenge"], code=right_code())
    assert (response.status_code, response.json()["user"]["phone"]) == (200, PHONE)


@pytest.mark.usefixtures("no_waits")
def test_s07_a_stranger_without_budget_does_not_close_a_challenge_of_a_device(
    ask, post, fail, device
):
    asked, code = ask(device), right_code()
    for _ in range(2):
        of_stranger = ask()
        for _ in range(5):
            fail(of_stranger)
    response = post("confirm", challenge=asked.json()["challenge"], code=code)
    assert response.status_code == 200


def test_s07_the_wait_that_is_told_is_the_devices_own(ask, device):
    ask()
    assert ask(device).json()["resend_in"] == 30


def test_s07_a_phone_without_a_ledger_knows_its_devices(ask, log_in, device):
    PhoneLedger.objects.all().delete()
    assert key_of(log_in(device)) == key_of(device)
    assert DeviceLedger.objects.get().ledger == PhoneLedger.objects.get()


# What counts


def test_s07_a_device_string_is_short_and_opaque(device):
    assert len(device) <= devices.MAX_DEVICE_LENGTH
    assert PHONE[1:] not in device


def test_s07_each_login_without_a_string_makes_another_key(log_in, clock, device):
    clock.shift(60)
    assert key_of(log_in()) != key_of(device)


def test_s07_nothing_is_stored_before_a_string_is_used(device):
    assert not DeviceLedger.objects.exists()


def test_s07_a_string_counts_for_180_days_and_no_longer(ask, clock, device):
    clock.shift(HALF_A_YEAR)
    ask(device)
    clock.shift(1)
    ask(device)
    assert counted() == ["", just_key(device), ""]


def test_s07_strings_under_the_secret_key_before_count(ask, device, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another" * 10
    ask(device)
    assert counted() == ["", key_of(device)]


def test_s07_a_login_renews_the_string_and_keeps_its_key(log_in, clock, device):
    clock.shift(60)
    renewed = log_in(device)
    read = devices.read_device(renewed, PHONE)
    assert read == devices.Device(key_of(device), NOW + timedelta(seconds=60))


# As good as none


def another_phones(_device: str) -> str:
    return devices.make_device(KEY, OTHER)


def another_key(device: str) -> str:
    return KEY + device[len(KEY) :]


def another_time(device: str) -> str:
    key, _time, signature = device.split(":")
    later = devices.make_device(KEY, PHONE).split(":")[1]
    return f"{key}:{later[:-1]}z:{signature}"


def another_signature(device: str) -> str:
    return device[:-1] + ("A" if device[-1] != "A" else "B")


def another_secret(_device: str) -> str:
    with override_settings(SECRET_KEY="another" * 10):
        return devices.make_device(KEY, PHONE)


def signed_for_no_phone(_device: str) -> str:
    return TimestampSigner(salt="django_phone_otp.devices.").sign(KEY)


def without_time(device: str) -> str:
    return ":".join(device.split(":")[::2])


def shouted(device: str) -> str:
    return device.upper()


def just_key(device: str) -> str:
    return device.partition(":")[0]


def doubled(device: str) -> str:
    return f"{device}:{device}"


FORGED = [
    *(another_phones, another_key, another_time, another_signature, another_secret),
    *(signed_for_no_phone, without_time, shouted, doubled, just_key),
]


@contextmanager
def put_back() -> Iterator[None]:
    """Put the database back afterwards; not `atomic`, in which none of ours may be."""
    before = connection.savepoint()
    assert before
    yield
    connection.savepoint_rollback(before)


@pytest.fixture
def look(ask) -> Callable[..., Any]:
    """Ask, and give all that can be seen from outside; the database is put back afterwards."""

    def see(device: str = "", phone: str = PHONE) -> Any:
        with put_back(), CaptureQueriesContext(connection) as queries:
            response = ask(device, phone)
        body = {key: value for key, value in response.json().items() if key != "challenge"}
        headers = {k: v for k, v in response.headers.items() if k != "Content-Length"}
        return response.status_code, body, headers, dict(response.cookies), len(queries)

    return see


@pytest.mark.parametrize("forge", FORGED)
def test_s07_a_string_that_is_not_good_is_as_good_as_none(look, ask, device, forge):
    forged = forge(device)
    assert forged != device
    assert look(forged) == look()
    ask()
    assert look(forged) == look()


@pytest.mark.parametrize("forge", FORGED)
def test_s07_a_string_that_is_not_good_has_no_budget(ask, device, forge):
    ask()
    assert ask(forge(device)).json()["code"] == "resend_too_soon"
    assert not DeviceLedger.objects.exists()


def test_s07_a_string_of_another_phone_is_nothing_even_if_both_are_ones_own(ask, log_in, device):
    log_in(phone=OTHER)
    ask(phone=OTHER)
    assert ask(device, OTHER).json()["code"] == "resend_too_soon"


def test_s07_a_string_that_is_too_old_is_as_good_as_none(look, clock, device):
    clock.shift(HALF_A_YEAR + timedelta(seconds=1))
    assert look(device) == look()


def test_s07_a_revoked_string_is_as_good_as_none(look, device):
    PhoneLedger.objects.revoke_devices(PHONE, timezone.now())
    assert look(device) == look()


@budget(max_examples=300, deadline=None)
@given(
    st.text() | st.text(alphabet=":", max_size=200) | st.text("aZ09-_:=\x00\ud800é", max_size=130)
)
def test_s07_no_text_is_read_as_a_device(text):
    assert devices.read_device(text, PHONE) is None


@budget(max_examples=300, deadline=None)
@given(place=st.integers(0, 80), put=st.characters(max_codepoint=127) | st.just(""))
def test_s07_no_string_that_differs_in_one_character_is_read(place, put):
    device = devices.make_device(KEY, PHONE)
    changed = device[:place] + put + device[place + 1 :]
    assert (devices.read_device(changed, PHONE) is None) == (changed != device)


HOSTILE = [
    *("\x00", "a\x00b", "\ud800", "é" * 60, "٣:٣:٣", ":" * 4_000, "a" * 4_097, "=" * 90, "::"),
    *("a:b:c", f"{KEY}::", f"{KEY}:{'z' * 60}:{'A' * 43}", "' OR 1=1 --", "a\nb", "%s%n{}"),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_s19_a_hostile_text_is_no_server_error(api, text):
    body = json.dumps({"phone": PHONE, "device": text})
    response = api.generic("POST", "/api/phone/request/", body, "application/json")
    assert response.status_code in {201, 400}
    assert set(counted()) <= {""}


@pytest.mark.parametrize("value", [None, [], {}, True, 1.5])
def test_s19_a_device_that_is_no_text_is_no_server_error(api, value):
    body = json.dumps({"phone": PHONE, "device": value})
    response = api.generic("POST", "/api/phone/request/", body, "application/json")
    assert response.status_code in {201, 400}


@budget(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=5_000))
def test_s19_a_hostile_cookie_counts_as_none(text):
    api = APIClient()
    cookie = f"{devices.COOKIE_NAME}={text}"
    with put_back():
        response = api.post(
            "/api/phone/request/", {"phone": PHONE}, format="json", HTTP_COOKIE=cookie
        )
        found = counted()
    assert (response.status_code, found) == (201, [""])


# Revocation


@pytest.mark.usefixtures("no_waits")
def test_s07_strings_up_to_the_second_of_a_revocation_count_no_more(ask, log_in, clock, device):
    clock.shift(0.9)
    same_second = log_in()
    PhoneLedger.objects.revoke_devices(PHONE, timezone.now())
    clock.shift(0.1)
    later = log_in()
    for each in (device, same_second, later):
        ask(each)
    assert counted()[-3:] == ["", "", key_of(later)]


def test_s07_a_revocation_takes_the_ledgers_along(ask, log_in, device):
    ask(device)
    of_other = log_in(phone=OTHER)
    ask(of_other, OTHER)
    PhoneLedger.objects.revoke_devices(PHONE, timezone.now())
    assert DeviceLedger.objects.get().key == key_of(of_other, OTHER)


@pytest.mark.usefixtures("no_waits")
def test_s07_a_challenge_outlives_the_revocation_and_counts_for_the_phone(ask, fail, device):
    asked = ask(device)
    PhoneLedger.objects.revoke_devices(PHONE, timezone.now())
    assert fail(asked).json() == {
        "detail": "This code is not right.",
        "code": "wrong_code",
        "attempts_left": 4,
    }
    assert len(PhoneLedger.objects.get().failures) == 1


def test_s07_a_login_by_a_revoked_device_makes_another_key(ask, post, clock, device):
    asked = ask(device)
    PhoneLedger.objects.revoke_devices(PHONE, timezone.now())
    clock.shift(1)
    response = post("confirm", challenge=asked.json()["challenge"], code=right_code())
    assert key_of(response.json()["device"]) != key_of(device)


def test_s07_a_phone_whose_ledger_is_gone_can_have_its_devices_revoked(ask, device):
    PhoneLedger.objects.all().delete()
    PhoneLedger.objects.revoke_devices(PHONE, timezone.now())
    ask(device)
    assert counted() == [""]


# Budgets of its own


@pytest.mark.usefixtures("no_waits")
def test_s07_a_device_gets_its_five_messages_an_hour(ask, clock, device):
    assert [ask(device).status_code for _ in range(5)] == [201] * 5
    assert ask(device).json()["retry_after"] == 3_600
    clock.shift(3_599)
    assert ask(device).json()["code"] == "too_many_requests"
    clock.shift(1)
    assert ask(device).status_code == 201


def test_s07_a_budget_of_a_device_may_be_set(ask, phone_otp, device):
    phone_otp(RESEND_WAITS=[0], LIMITS={**OF_ADDRESSES, "send_device": "2/h"})
    assert [ask(device).status_code for _ in range(3)] == [201, 201, 429]


def test_s07_a_device_climbs_a_ladder_of_its_own(ask, clock, phone_otp, device):
    phone_otp(LIMITS={**OF_ADDRESSES, "send_device": "100/d"})
    waits = []
    for _ in range(6):
        assert ask(device).status_code == 201
        waits.append(ask(device).json()["retry_after"])
        clock.shift(waits[-1])
    assert waits == [30, 60, 120, 300, 600, 600]


@pytest.mark.usefixtures("no_waits")
def test_s07_a_device_has_its_ten_wrong_codes_a_day(ask, fail, clock, device):
    answers = []
    for _ in range(3):
        asked = ask(device)
        answers += [fail(asked).json()["code"] for _ in range(4) if asked.status_code == 201]
    assert answers == ["wrong_code"] * 10 + ["too_many_requests"] * 2
    assert ask(device).json()["retry_after"] == 86_400
    clock.shift(86_400)
    assert ask(device).status_code == 201


@pytest.mark.usefixtures("no_waits")
def test_s07_wrong_codes_of_a_device_may_be_set(ask, fail, phone_otp, device):
    phone_otp(LIMITS={**OF_ADDRESSES, "fail_device": "2/d"})
    asked = ask(device)
    codes = [fail(asked).json()["code"] for _ in range(3)]
    assert codes == ["wrong_code", "wrong_code", "too_many_requests"]


@pytest.mark.usefixtures("no_waits")
def test_s07_a_device_uses_up_nothing_of_its_phone(ask, fail, device):
    before = PhoneLedger.objects.values("sends", "failures", "ladder_step", "last_sent_at").get()
    fail(ask(device))
    after = PhoneLedger.objects.values("sends", "failures", "ladder_step", "last_sent_at").get()
    assert after == before
    assert [len(before["sends"]), before["failures"], before["ladder_step"]] == [1, [], 0]


@pytest.mark.usefixtures("no_waits")
def test_s07_a_device_without_a_budget_locks_out_neither_its_phone_nor_another(ask, log_in, device):
    other = log_in()
    for _ in range(6):
        ask(device)
    assert [ask(each).status_code for each in (device, other, "")] == [429, 201, 201]


@pytest.mark.usefixtures("no_waits")
def test_s07_wrong_codes_of_a_device_are_not_anothers(ask, fail, log_in, device):
    other = log_in()
    for _ in range(2):
        asked = ask(device)
        for _ in range(5):
            fail(asked)
    assert [ask(each).status_code for each in (device, other, "")] == [429, 201, 201]


def test_s07_logins_do_not_refill_the_budget_of_a_device(ask, log_in, device):
    # Each login starts the ladder anew, and gives the next string: of one and the same device.
    held = device
    for _ in range(5):
        held = log_in(held)
    assert ask(held).json() == {
        "detail": "Too many requests. Try again later.",
        "code": "too_many_requests",
        "retry_after": 3_600,
    }
    assert ask(device).status_code == 429


@pytest.mark.usefixtures("no_waits")
def test_s07_logins_do_not_refill_the_wrong_codes_of_a_device(ask, fail, log_in, device):
    asked = ask(device)
    for _ in range(4):
        fail(asked)
    log_in(device)
    assert len(DeviceLedger.objects.get().failures) == 4


def test_s07_strings_of_one_device_share_one_budget(ask, log_in, clock, device):
    clock.shift(60)
    renewed = log_in(device)
    ask(device)
    assert ask(renewed).json()["code"] == "resend_too_soon"


def test_s07_a_login_by_a_device_ends_its_ladder_and_not_that_of_the_phone(ask, post, device):
    ask()
    asked = ask(device)
    post("confirm", challenge=asked.json()["challenge"], code=right_code())
    assert (ask(device).status_code, ask().status_code) == (201, 429)


def test_s07_a_login_without_the_device_leaves_its_ladder_alone(ask, log_in, device):
    ask(device)
    log_in()
    assert ask(device).json()["code"] == "resend_too_soon"


def test_s07_a_resend_counts_where_its_request_did(ask, post, clock, device):
    challenge = ask(device).json()["challenge"]
    assert post("resend", challenge=challenge).json()["code"] == "resend_too_soon"
    clock.shift(30)
    assert post("resend", challenge=challenge).json()["resend_in"] == 60
    assert len(DeviceLedger.objects.get().sends) == 2
    assert len(PhoneLedger.objects.get().sends) == 1


def test_s07_a_challenge_tells_the_wait_of_its_device(ask, api, device):
    challenge = ask(device).json()["challenge"]
    assert api.get(f"/api/phone/challenges/{challenge}/").json()["resend_in"] == 30


def test_s07_a_locked_challenge_tells_the_wait_of_its_device(ask, fail, device):
    ask()
    asked = ask(device)
    for _ in range(5):
        fail(asked)
    assert (fail(asked).json()["code"], fail(asked).json()["retry_after"]) == ("locked", 30)


def test_s07_a_link_may_be_asked_for_by_a_device(ask, device, django_user_model):
    ask()
    user = django_user_model.objects.get()
    asked = request_code(PHONE, purpose="link", user=user, device=device)
    assert asked.challenge
    assert counted()[-1] == key_of(device)


# A hundred in a row


def test_s06_wrong_codes_of_a_device_count_for_the_phones_row(ask, fail, device):
    asked = ask(device)
    for _ in range(3):
        fail(asked)
    assert PhoneLedger.objects.get().failures_in_row == 3


def test_s06_the_hundredth_in_a_row_locks_the_phone_whoever_gives_it(ask, post, fail, device):
    asked = ask(device)
    PhoneLedger.objects.update(failures_in_row=99)
    assert fail(asked).json()["code"] == "wrong_code"
    assert PhoneLedger.objects.get().disabled_at == NOW
    response = post("confirm", challenge=asked.json()["challenge"], code=right_code())
    assert (response.status_code, response.json()["code"]) == (429, "locked")


def test_s06_a_locked_phone_refuses_its_devices(ask, post, device):
    asked, code = ask(device), right_code()
    PhoneLedger.objects.update(disabled_at=NOW)
    response = post("confirm", challenge=asked.json()["challenge"], code=code)
    assert response.json()["code"] == "locked"
    assert ask(device).json() == {
        "detail": "Too many wrong codes. Ask for a new code later.",
        "code": "locked",
        "retry_after": 3_600,
    }


def test_s06_a_right_code_of_a_device_ends_the_row(log_in, device):
    PhoneLedger.objects.update(failures_in_row=99)
    log_in(device)
    assert PhoneLedger.objects.get().failures_in_row == 0


@pytest.mark.usefixtures("no_waits")
def test_s06_an_operator_who_lifts_the_lock_forgives_the_devices_too(ask, fail, device):
    for _ in range(2):
        asked = ask(device)
        for _ in range(5):
            fail(asked)
    PhoneLedger.objects.update(disabled_at=NOW, failures_in_row=100)
    PhoneLedger.objects.enable(PHONE)
    assert (ask().status_code, ask(device).status_code) == (201, 201)


def test_every_wrong_code_of_a_device_is_noted(ask, fail, device):
    fail(ask(device))
    assert list(ConfirmAttempt.objects.order_by("pk").values_list("refusal", flat=True)) == [
        "",
        "wrong_code",
    ]


# Browsers


class TestCookie:
    """With the session issuer a browser keeps the string, and no script need know of it."""

    @pytest.fixture(autouse=True)
    def _session_issuer(self, phone_otp):
        phone_otp(TOKEN_ISSUER="session")

    @pytest.mark.parametrize("is_secure", [True, False])
    def test_s07_is_kept_by_the_browser_alone(self, post, api, ask, settings, is_secure):
        settings.SESSION_COOKIE_SECURE = is_secure
        response = post("confirm", challenge=ask().json()["challenge"], code=right_code())
        cookie = response.cookies["phone_otp_device"]
        assert cookie.value == response.json()["device"]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
        assert (cookie["max-age"], cookie["secure"]) == (15_552_000, is_secure or "")

    def test_s07_is_honoured(self, ask, api, device):
        APIClient().post("/api/phone/request/", {"phone": PHONE}, format="json")
        assert ask().status_code == 201
        assert counted()[-1] == key_of(device)

    def test_s07_is_second_to_what_the_body_says(self, ask, log_in, device):
        log_in(phone=OTHER)  # in the same browser, whose cookie is then of that phone
        ask(device)
        assert counted()[-1] == key_of(device)

    def test_s07_a_refused_code_sets_none(self, ask, fail):
        assert "phone_otp_device" not in fail(ask()).cookies


def test_s07_without_sessions_no_cookie_is_set(post, ask):
    response = post("confirm", challenge=ask().json()["challenge"], code=right_code())
    assert "device" in response.json()
    assert not response.cookies


# What is seen


@pytest.fixture
def walk(post, api, clock, device, log_in, phone_otp):
    """Go through all steps with a device and note what can be seen from outside."""
    strings = {PHONE: device, OTHER: log_in(phone=OTHER)}
    UserPhone.objects.get(phone=OTHER).user.delete()
    phone_otp(SIGNUP=False)

    def go(phone):
        seen = []

        def note(send):
            with CaptureQueriesContext(connection) as queries:
                response = send()
            body = {k: v for k, v in response.json().items() if k not in ("challenge", "phone")}
            size, cookies = len(response.content), dict(response.cookies)
            seen.append((response.status_code, body, size, cookies, len(queries)))
            return response

        string = strings[phone]
        challenge = note(lambda: post("request", phone=phone, device=string)).json()["challenge"]
        note(lambda: post("request", phone=phone, device=string))
        note(lambda: api.get(f"/api/phone/challenges/{challenge}/"))
        clock.shift(30)
        note(lambda: post("resend", challenge=challenge))
        for _ in range(6):
            note(lambda: post("confirm", challenge=challenge, code="000000"))
        note(lambda: post("request", phone=phone, device=string))
        return seen

    return go


def test_s11_a_device_of_a_phone_without_a_user_looks_like_any_other(walk):
    known, unknown = walk(PHONE), walk(OTHER)
    assert [status for status, *_rest in known] == [201, 429, 200, 200, *[400] * 5, 429, 429]
    for step, (of_known, of_unknown) in enumerate(zip(known, unknown, strict=True)):
        assert of_known == of_unknown, step
    assert {each.phone for each in local.outbox[2:]} == {PHONE}


def dump() -> str:
    out = StringIO()
    call_command("dumpdata", stdout=out)
    return out.getvalue()


def test_s13_the_database_holds_no_device_string(phone_otp, log_in):
    phone_otp(TOKEN_ISSUER="session")
    device = log_in(log_in())
    key, _time, signature = device.split(":")
    assert key in dump()
    assert signature not in dump()


def test_s13_no_log_holds_a_device_string(caplog, ask, fail, log_in, device):
    caplog.set_level("DEBUG")
    log_in(device)
    fail(ask(device))
    ask(device)
    ask(device + "x")
    key, _time, signature = device.split(":")
    assert key not in caplog.text
    assert signature not in caplog.text


def test_a_door_of_ones_own_passes_the_string_on(device):
    request_code(PHONE)
    asked = request_code(PHONE, device=device)
    assert asked.challenge
    assert confirm_code(asked.challenge.public_id, right_code()).challenge
