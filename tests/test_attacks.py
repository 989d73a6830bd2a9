"""What attackers of a running site found, each once and for all."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client as Browser
from django.utils import timezone

from django_phone_otp.devices import make_device
from django_phone_otp.models import PhoneChallenge, PhoneLedger, UserPhone
from django_phone_otp.providers import local
from django_phone_otp.providers.base import Started, StartRequest
from tests import fakes
from tests.conftest import PHONE

UNKNOWN = "+79244501004"


class ShortLived(fakes.FakeJudge):
    """Judges codes that end early."""

    key = "short-lived"

    def start(self, request: StartRequest) -> Started:
        return Started(reference="judged", lives_seconds=120)


@pytest.fixture
def owner(django_user_model):
    user = django_user_model.objects.create_user("owner")
    UserPhone.objects.create(user=user, phone=PHONE)
    return user


# Who has an account, while sign-up is closed


@pytest.mark.django_db
@pytest.mark.usefixtures("owner", "clock")
def test_s11_a_code_that_ends_early_does_not_show(post, phone_otp):
    short = {"BACKEND": "tests.test_attacks.ShortLived"}
    phone_otp(SIGNUP=False, PROVIDERS={"short": short})
    lives = [post("request", phone=each).json()["expires_in"] for each in (PHONE, UNKNOWN)]
    assert lives == [300, 300]


@pytest.mark.django_db
@pytest.mark.usefixtures("owner")
def test_s11_a_login_by_a_known_device_does_not_show_in_the_ladder(post, phone_otp, clock):
    phone_otp(SIGNUP=False)
    for phone in (PHONE, UNKNOWN):
        post("request", phone=phone)
    clock.shift(30)
    for phone in (PHONE, UNKNOWN):
        post("request", phone=phone)
    device = make_device("k" * 22, PHONE)
    asked = post("request", phone=PHONE, device=device).json()
    code = local.outbox[-1].code
    assert post("confirm", challenge=asked["challenge"], code=code).status_code == 200

    seen = [post("request", phone=phone) for phone in (PHONE, UNKNOWN)]
    assert [each.json()["retry_after"] for each in seen] == [60, 60]


# Device strings


@pytest.mark.django_db
@pytest.mark.parametrize("device", [None, [], {}, 7, True, "\x00", "x" * 5_000, ":::"], ids=repr)
def test_s07_whatever_is_no_device_string_keeps_nobody_from_logging_in(post, device):
    assert post("request", phone=PHONE, device=device).status_code == 201


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
def test_s09_ten_devices_of_a_phone_count_in_a_day(post, phone_otp, clock):
    phone_otp(LIMITS={"request_ip": "1000/h"})
    statuses = [
        post("request", phone=PHONE, device=make_device(f"{number:022}", PHONE)).status_code
        for number in range(12)
    ]
    # The eleventh counts for the phone, and so does the twelfth, which has to wait.
    assert statuses == [201] * 11 + [429]
    clock.shift(timedelta(hours=24))
    assert post("request", phone=PHONE, device=make_device("k" * 22, PHONE)).status_code == 201
    assert PhoneLedger.objects.get().devices.count() == 11


# An erasure meanwhile


def erase() -> None:
    PhoneLedger.objects.all().delete()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["request", "resend"])
def test_s23_a_message_whose_phone_is_erased_is_refused(post, phone_otp, name):
    phone_otp(PROVIDERS=fakes.providers(slow={"kind": "FakeSlow"}), RESEND_WAITS=[0])
    body = {"phone": PHONE}
    if name == "resend":
        body = {"challenge": post("request", phone=PHONE).json()["challenge"]}
    fakes.meanwhile.append(erase)
    asked = post(name, **body)
    assert (asked.status_code, asked.json()["code"]) in {
        (400, "unknown_challenge"),
        (400, "challenge_closed"),
    }
    assert not PhoneChallenge.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("code", ["012345", "999999"], ids=["right", "wrong"])
def test_s23_an_answer_whose_phone_is_erased_is_refused(post, phone_otp, code):
    phone_otp(PROVIDERS=fakes.providers(judge={"kind": "FakeJudge", "code": "012345"}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    fakes.meanwhile.append(erase)
    answer = post("confirm", challenge=challenge, code=code)
    assert (answer.status_code, answer.json()["code"]) in {
        (400, "unknown_challenge"),
        (400, "challenge_closed"),
    }
    assert not PhoneChallenge.objects.exists()


# Staff with few permissions


@pytest.fixture
def browser(client: Browser, django_user_model: Any) -> Browser:
    staff = django_user_model.objects.create_user("staff", is_staff=True)
    names = ["view_phonechallenge", "view_userphone", "delete_userphone"]
    staff.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(staff)
    return client


@pytest.fixture
def of_superuser(django_user_model: Any) -> UserPhone:
    user = django_user_model.objects.create_superuser("+79244501003")
    return UserPhone.objects.create(user=user, phone=PHONE)


@pytest.mark.django_db
def test_s21_the_phone_of_a_superuser_is_not_for_staff_to_remove(browser, of_superuser):
    page = f"/admin/phone_otp/userphone/{of_superuser.pk}/delete/"
    assert browser.post(page, {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [of_superuser.pk], "post": "yes"}
    browser.post("/admin/phone_otp/userphone/", chosen)
    assert UserPhone.objects.filter(pk=of_superuser.pk).exists()


@pytest.mark.django_db
def test_s21_others_are(browser, owner):
    owned = UserPhone.objects.get(user=owner)
    browser.post(f"/admin/phone_otp/userphone/{owned.pk}/delete/", {"post": "yes"})
    assert not UserPhone.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["", "{pk}/change/"])
def test_s21_a_user_name_that_is_the_phone_is_not_shown(browser, of_superuser, page):
    page = browser.get(f"/admin/phone_otp/userphone/{page.format(pk=of_superuser.pk)}")
    assert PHONE not in page.content.decode()
    assert f"#{of_superuser.user_id}" in page.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query",
    [
        "channel__exact=%00",
        "channel__in=a%00",
        "channel__regex=[",
        "purpose__regex=(",
        "created_at__year=99999999",
        "created_at__regex=(",
    ],
)
def test_s19_the_address_of_a_list_takes_what_its_filters_send(browser, query):
    assert browser.get(f"/admin/phone_otp/phonechallenge/?{query}").status_code in {302, 400}


@pytest.mark.django_db
@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize(
    "query",
    ["channel__exact=sms", "purpose__exact=login", "guard=region", "state=sent", "provider=locmem"],
)
def test_the_filters_of_a_list_work(browser, query):
    assert browser.get(f"/admin/phone_otp/phonechallenge/?{query}").status_code == 200
    now = timezone.now()
    dates = {"created_at__gte": str(now), "created_at__lt": str(now + timedelta(days=1))}
    assert browser.get("/admin/phone_otp/phonechallenge/", dates).status_code == 200
