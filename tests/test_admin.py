"""The admin: a window on challenges, and the door for users' phones."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from django_phone_otp.models import PhoneChallenge, UserPhone
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import PHONE

pytestmark = pytest.mark.django_db

LIST = "/admin/phone_otp/phonechallenge/"


@pytest.fixture
def challenge(post, phone_otp) -> PhoneChallenge:
    accounts = fakes.providers(first={"error": "ProviderUnavailable", "words": "GET host: refused"})
    phone_otp(PROVIDERS={**accounts, "memory": {"BACKEND": "locmem"}})
    public_id = post("request", phone=PHONE).json()["challenge"]
    post("confirm", challenge=public_id, code="not it")
    return PhoneChallenge.objects.get()


@pytest.fixture
def page_of(challenge) -> str:
    return reverse("admin:phone_otp_phonechallenge_change", args=[challenge.pk])


def rows(response) -> int:
    return len(response.context["cl"].result_list)


def test_the_list_masks_phones(admin_client, challenge):
    html = admin_client.get(LIST).content.decode()
    assert "+7•••••••003" in html
    assert "4501003" not in html


def test_a_challenge_shows_its_deliveries_and_answers(admin_client, page_of):
    html = admin_client.get(page_of).content.decode()
    assert "GET host: refused" in html
    assert "provider not reachable" in html
    assert "This code is not right." in html
    assert "4501003" not in html


def test_no_page_shows_a_code_or_its_digest(admin_client, page_of, challenge):
    html = admin_client.get(page_of).content.decode()
    assert local.outbox[0].code not in html
    assert challenge.code_digest.split("$")[2] not in html


def test_nothing_can_be_added_changed_or_deleted(admin_client, page_of):
    assert admin_client.get(LIST + "add/").status_code == 403
    assert admin_client.post(page_of, {"state": "verified"}).status_code == 403
    assert (
        admin_client.post(page_of.replace("change", "delete"), {"post": "yes"}).status_code == 403
    )
    assert PhoneChallenge.objects.get().state == "sent"


@pytest.mark.parametrize("typed", [PHONE, "8 924 450-10-03", "+7 (924) 450 10 03"])
def test_a_full_number_is_found_however_it_is_typed(admin_client, challenge, typed):
    assert rows(admin_client.get(LIST, {"q": typed})) == 1


@pytest.mark.parametrize("typed", ["+79244501004", "1003", "9244", "x"])
def test_parts_of_a_number_find_nothing(admin_client, challenge, typed):
    assert rows(admin_client.get(LIST, {"q": typed})) == 0


@pytest.mark.parametrize(
    "lookup",
    ["phone__startswith", "phone", "public_id__startswith", "code_digest__regex", "ledger__phone"],
)
def test_the_address_cannot_ask_for_what_the_page_hides(admin_client, challenge, lookup):
    assert admin_client.get(LIST, {lookup: "+7924"}).status_code == 400


def test_the_order_does_not_tell_digits(admin_client, challenge):
    html = admin_client.get(LIST).content.decode()
    sortable = re.findall(r'class="[^"]*sortable[^"]*column-(\w+)', html)
    assert "masked_phone" not in sortable
    assert "created_at" in sortable


def test_a_filter_with_nonsense_shows_everything(admin_client, challenge):
    assert rows(admin_client.get(LIST, {"provider": "\x00"})) == 1


def test_a_user_is_shown_without_a_name_that_may_be_the_phone(
    admin_client, page_of, challenge, django_user_model
):
    owner = django_user_model.objects.create_user("+79244501003")
    PhoneChallenge.objects.update(user=owner)
    html = admin_client.get(page_of).content.decode()
    assert f'<a href="/admin/auth/user/{owner.pk}/change/">#{owner.pk}</a>' in html
    assert "4501003" not in html


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"state": "sent"}, 1),
        ({"state": "verified"}, 0),
        ({"state": "locked"}, 0),
        ({"state": "expired"}, 0),
        ({"channel__exact": "sms"}, 1),
        ({"channel__exact": "flash_call"}, 0),
        ({"provider": "locmem"}, 1),
        ({"provider": "fake"}, 0),
        ({"created_at__gte": "2000-01-01 00:00:00+00:00"}, 1),
        ({"created_at__gte": "2999-01-01 00:00:00+00:00"}, 0),
    ],
    ids=str,
)
def test_filters(admin_client, challenge, query, count):
    assert rows(admin_client.get(LIST, query)) == count


@pytest.mark.parametrize(("changes", "state"), [({"attempts_left": 0}, "locked"), ({}, "expired")])
def test_states_that_follow_from_numbers_can_be_filtered(admin_client, challenge, changes, state):
    PhoneChallenge.objects.update(**(changes or {"expires_at": challenge.created_at}))
    assert rows(admin_client.get(LIST, {"state": state})) == 1
    assert rows(admin_client.get(LIST, {"state": "sent"})) == 0


def test_staff_without_permission_see_nothing(client, challenge, page_of, django_user_model):
    client.force_login(django_user_model.objects.create_user("staff", is_staff=True))
    assert client.get(LIST).status_code == 403
    assert client.get(page_of).status_code == 403


def test_staff_who_may_view_see_masked_phones(client, page_of, django_user_model):
    staff = django_user_model.objects.create_user("staff", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_phonechallenge"))
    client.force_login(staff)
    html = client.get(page_of).content.decode()
    assert "+7•••••••003" in html
    assert "4501003" not in html


class TestUserPhones:
    """Users' phones can be added and removed, and are never shown whole."""

    url = "/admin/phone_otp/userphone/"

    @pytest.fixture
    def owned(self, django_user_model):
        return UserPhone.objects.create(
            user=django_user_model.objects.create_user("ann"), phone=PHONE
        )

    def test_the_pages_mask_them(self, admin_client, owned):
        for page in (self.url, f"{self.url}{owned.pk}/change/", f"{self.url}{owned.pk}/delete/"):
            html = admin_client.get(page).content.decode()
            assert "+7•••••••003" in html
            assert "4501003" not in html

    def test_one_is_added_as_people_type(self, admin_client, admin_user):
        admin_client.post(f"{self.url}add/", {"user": admin_user.pk, "phone": "8 924 450-10-03"})
        assert UserPhone.objects.get().phone == PHONE

    def test_nonsense_is_refused_with_a_reason(self, admin_client, admin_user):
        response = admin_client.post(f"{self.url}add/", {"user": admin_user.pk, "phone": "12"})
        assert "This phone number does not exist." in response.content.decode()

    def test_a_phone_of_somebody_else_is_refused_with_a_reason(
        self, admin_client, owned, admin_user
    ):
        response = admin_client.post(f"{self.url}add/", {"user": admin_user.pk, "phone": PHONE})
        assert "already exists" in response.content.decode()

    def test_the_address_cannot_ask_for_digits(self, admin_client, owned):
        assert admin_client.get(self.url, {"phone__startswith": "+7924"}).status_code == 400

    def test_staff_cannot_give_a_superuser_a_phone_and_log_in_with_it(
        self, client, admin_user, django_user_model
    ):
        staff = django_user_model.objects.create_user("staff", is_staff=True)
        staff.user_permissions.set(Permission.objects.filter(codename__endswith="userphone"))
        client.force_login(staff)
        response = client.post(f"{self.url}add/", {"user": admin_user.pk, "phone": PHONE})
        assert "Only a superuser may give a superuser a phone." in response.content.decode()
        client.post(f"{self.url}add/", {"user": staff.pk, "phone": PHONE})
        assert UserPhone.objects.get().user == staff

    def test_one_is_found_by_its_number(self, admin_client, owned):
        assert rows(admin_client.get(self.url, {"q": "8 924 4501003"})) == 1
        assert rows(admin_client.get(self.url, {"q": "1003"})) == 0

    def test_the_phones_of_a_user_are_found(self, admin_client, owned):
        assert rows(admin_client.get(self.url, {"q": "ann"})) == 1
        assert rows(admin_client.get(self.url, {"q": "bob"})) == 0

    def test_a_number_that_gets_no_codes_is_refused(self, admin_client, admin_user):
        body = {"user": admin_user.pk, "phone": "+7 800 100-00-00"}
        response = admin_client.post(f"{self.url}add/", body)
        assert "This phone number cannot be used here." in response.content.decode()
