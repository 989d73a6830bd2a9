"""Requirements of `docs/compliance.md`, each over HTTP, where the whole of the app has its say."""

import pytest
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import Permission
from django.test import Client
from rest_framework.test import APIClient

from django_phone_otp.models import PhoneChallenge, PhoneLedger, UserPhone
from django_phone_otp.providers import local
from django_phone_otp.signals import phone_linked
from tests.conftest import PHONE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

OTHER = "+79244501004"


@pytest.fixture
def ask(post):
    """Ask for a code and give what answers the challenge rightly."""

    def send(phone: str = PHONE, **body) -> dict[str, str]:
        response = post("request", phone=phone, **body)
        assert response.status_code == 201, response.json()
        return {"challenge": response.json()["challenge"], "code": local.outbox[-1].code}

    return send


@pytest.fixture
def owner(django_user_model):
    user = django_user_model.objects.create_user("owner")
    UserPhone.objects.create(user=user, phone=PHONE)
    return user


@pytest.fixture
def member(django_user_model):
    """A user without a phone, logged in."""
    client = APIClient()
    client.force_login(django_user_model.objects.create_user("member"))
    return client


def wrong(code: str) -> str:
    return code[:-1] + str((int(code[-1]) + 1) % 10)


def word(response) -> str:
    return response.json().get("code", "")


def test_s02_a_code_is_good_for_its_time_and_no_longer(post, ask, clock):
    right = ask()
    clock.shift(299)
    other = ask(OTHER)
    clock.shift(1)
    assert word(post("confirm", **right)) == "expired"
    assert post("confirm", **other).status_code == 200


def test_s05_four_wrong_codes_a_resend_and_one_more_are_five(post, ask, clock):
    right = ask()
    guess = {**right, "code": wrong(right["code"])}
    for left in (4, 3, 2, 1):
        assert post("confirm", **guess).json()["attempts_left"] == left
    clock.shift(30)
    assert post("resend", challenge=right["challenge"]).status_code == 200
    assert post("confirm", **guess).json()["attempts_left"] == 0
    assert word(post("confirm", **{**right, "code": local.outbox[-1].code})) == "locked"


def test_s05_a_new_request_does_not_forget_wrong_codes(post, ask, clock):
    right = ask()
    for _ in range(5):
        post("confirm", **{**right, "code": wrong(right["code"])})
    clock.shift(60)
    ask()
    ledger = PhoneLedger.objects.get()
    assert (len(ledger.failures), ledger.failures_in_row) == (5, 5)


@pytest.mark.parametrize("is_answered_first", [True, False])
def test_s08_a_new_request_leaves_the_challenge_before_it_alone(
    post, ask, clock, is_answered_first
):
    mine = ask()
    clock.shift(30)
    strangers = ask()
    if not is_answered_first:
        for _ in range(5):
            post("confirm", **{**strangers, "code": wrong(strangers["code"])})
    assert post("confirm", **mine).status_code == 200


def test_s08_nobody_else_knows_the_challenge(ask):
    first, second = ask()["challenge"], ask(OTHER)["challenge"]
    assert first != second
    assert len(first) == len(second) == 32  # 192 bits


def test_s10_the_code_of_a_login_fails_for_a_link(post, ask, member, clock):
    login = ask()
    clock.shift(30)
    link = post("request", client=member, phone=PHONE, purpose="link").json()["challenge"]
    answer = post("confirm", client=member, challenge=link, code=login["code"])
    assert (word(answer), answer.json()["attempts_left"]) == ("wrong_code", 4)
    assert not UserPhone.objects.exists()


def test_s10_the_code_of_a_link_fails_for_a_login(post, ask, member, clock, owner):
    login = ask()
    clock.shift(30)
    post("request", client=member, phone=PHONE, purpose="link")
    assert word(post("confirm", **{**login, "code": local.outbox[-1].code})) == "wrong_code"


@pytest.mark.parametrize(
    ("proxies", "expected"), [(0, "127.0.0.1"), (1, "203.0.113.9"), (2, "198.51.100.7")]
)
def test_s14_an_address_cannot_be_chosen(api, phone_otp, proxies, expected):
    phone_otp(TRUSTED_PROXIES=proxies)
    api.post(
        "/api/phone/request/",
        {"phone": PHONE},
        format="json",
        headers={"X-Forwarded-For": "192.0.2.1, 198.51.100.7, 203.0.113.9"},
    )
    assert PhoneChallenge.objects.get().ip == expected


def test_s14_forged_addresses_share_one_budget(api, phone_otp):
    phone_otp(LIMITS={"request_ip": "3/h"})
    statuses = [
        api.post(
            "/api/phone/request/",
            {"phone": f"+7924450200{number}"},
            format="json",
            headers={"X-Forwarded-For": f"203.0.113.{number}"},
        ).status_code
        for number in range(5)
    ]
    assert statuses == [201, 201, 201, 429, 429]


def test_s16_an_inactive_user_stays_out_and_inactive(post, ask, owner):
    owner.is_active = False
    owner.save()
    response = post("confirm", **ask())
    owner.refresh_from_db()
    assert (response.status_code, word(response)) == (400, "phone_not_allowed")
    assert (owner.is_active, owner.last_login) == (False, None)


def test_s16_a_login_cycles_the_session_key(post, api, ask, phone_otp, owner):
    phone_otp(TOKEN_ISSUER="session")
    session = api.session  # whoever planted it knows its key
    session["basket"] = "7"
    session.save()
    before = session.session_key
    assert post("confirm", **ask()).status_code == 200
    assert api.session.session_key != before
    assert api.session[SESSION_KEY] == str(owner.pk)


@pytest.mark.parametrize("sign", ["origin", "sec-fetch-site", "referer"])
def test_s16_a_foreign_page_logs_no_browser_in(ask, phone_otp, sign):
    phone_otp(TOKEN_ISSUER="session")
    right = ask()
    browser = APIClient(enforce_csrf_checks=True)
    response = browser.post(
        "/api/phone/confirm/", right, format="json", headers={sign: "https://evil.example"}
    )
    assert (response.status_code, word(response)) == (403, "permission_denied")
    assert SESSION_KEY not in browser.session
    assert PhoneChallenge.objects.get().attempts_left == 5


def test_s17_linking_needs_a_user(post):
    response = post("request", phone=OTHER, purpose="link")
    assert (response.status_code, word(response)) == (403, "not_authenticated")
    assert not local.outbox


def test_s17_only_who_asked_for_a_link_may_answer_it(post, member, django_user_model):
    response = post("request", client=member, phone=OTHER, purpose="link")
    link = {"challenge": response.json()["challenge"], "code": local.outbox[-1].code}
    stranger = APIClient()
    stranger.force_login(django_user_model.objects.create_user("stranger"))
    for client in (stranger, APIClient()):
        assert word(post("confirm", client=client, **link)) == "unknown_challenge"
    assert not UserPhone.objects.exists()


def test_s17_a_phone_of_another_user_is_not_linked(post, member, owner):
    response = post("request", client=member, phone=PHONE, purpose="link")
    link = {"challenge": response.json()["challenge"], "code": local.outbox[-1].code}
    assert word(post("confirm", client=member, **link)) == "phone_not_allowed"
    assert UserPhone.objects.get().user == owner


def test_s17_a_changed_phone_is_announced_with_the_one_before(
    post, phone_otp, owner, django_capture_on_commit_callbacks
):
    phone_otp(USER_PHONE_FIELD="username")  # a unique field that holds one phone of a user
    owner.username = PHONE
    owner.save()
    client = APIClient()
    client.force_login(owner)
    heard = []

    def hear(**arguments):
        heard.append((arguments["previous_phone"], arguments["phone"]))

    phone_linked.connect(hear)
    response = post("request", client=client, phone=OTHER, purpose="link")
    link = {"challenge": response.json()["challenge"], "code": local.outbox[-1].code}
    with django_capture_on_commit_callbacks(execute=True):
        assert post("confirm", client=client, **link).status_code == 200
    assert heard == [(PHONE, OTHER)]


@pytest.mark.parametrize(
    "phone",
    [
        pytest.param("+7 924 450-10-03 ext. 5", id="extension"),
        pytest.param("+79244501003\0", id="nul"),
        pytest.param("+7" + "9" * 40, id="too-long"),
        pytest.param("+78095551234", id="premium-rate"),
        pytest.param("+448435551234", id="shared-cost"),
    ],
)
def test_s18_what_cannot_log_in_is_a_400_and_costs_nothing(post, phone):
    response = post("request", phone=phone)
    assert response.status_code == 400
    assert not PhoneLedger.objects.exists()
    assert not local.outbox


@pytest.mark.parametrize("typed", ["8 924 450-10-03", "+7 924 4501003", "８９２４４５０１００３"])
def test_s18_a_spelling_is_counted_as_the_phone(post, ask, typed):
    ask()
    assert word(post("request", phone=typed)) == "resend_too_soon"
    assert PhoneLedger.objects.get().phone == PHONE


LISTS = ["phonechallenge", "userphone", "provideraccount"]


@pytest.mark.parametrize("model", LISTS)
def test_s21_staff_without_permission_see_nothing(ask, owner, django_user_model, model):
    ask()
    client = Client()
    client.force_login(django_user_model.objects.create_user("staff", is_staff=True))
    assert client.get(f"/admin/phone_otp/{model}/").status_code == 403
    assert "phone_otp" not in client.get("/admin/").content.decode()


@pytest.mark.parametrize("model", ["phonechallenge", "userphone"])
def test_s21_staff_who_may_view_see_masked_phones(ask, owner, django_user_model, model):
    ask()
    staff = django_user_model.objects.create_user("staff", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename=f"view_{model}"))
    client = Client()
    client.force_login(staff)
    page = client.get(f"/admin/phone_otp/{model}/").content.decode()
    assert "+7•••••••003" in page
    assert PHONE.removeprefix("+7") not in page
