"""`phones/`: the phones of the user who is logged in, listed, made primary, unlinked."""

from base64 import b64encode
from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from django_phone_otp.flow import link_phone, list_phones, make_primary, unlink_phone
from django_phone_otp.models import UserPhone
from django_phone_otp.providers import local
from django_phone_otp.signals import phone_linked, phone_unlinked, primary_phone_changed
from tests.conftest import NOW, PHONE
from tests.steps import answer, ask

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

OTHER = "+79244501004"


@pytest.fixture
def user(django_user_model):
    owner = django_user_model.objects.create(username="owner")
    owner.set_unusable_password()
    owner.save()
    return owner


@pytest.fixture
def stranger(django_user_model):
    return django_user_model.objects.create_user("stranger")


@pytest.fixture
def member(user) -> APIClient:
    client = APIClient()
    client.force_login(user)
    return client


@pytest.fixture
def first(user) -> UserPhone:
    return UserPhone.objects.create(user=user, phone=PHONE, verified_at=NOW - timedelta(days=1))


@pytest.fixture
def second(user, first) -> UserPhone:
    return UserPhone.objects.create(user=user, phone=OTHER)


@pytest.fixture
def heard(django_capture_on_commit_callbacks):
    """Listen to a signal while a function is called: `heard(signal, function, ...)`."""

    def listen(signal, function, *arguments, **named):
        calls = []

        def hear(**told):
            calls.append({name: told[name] for name in told if name not in ("signal", "sender")})

        signal.connect(hear)
        with django_capture_on_commit_callbacks(execute=True):
            function(*arguments, **named)
        signal.disconnect(hear)
        return calls

    return listen


def phone_url(pk, action=""):
    return f"/api/phone/phones/{pk}/{action}"


# The list


def test_lists_the_phones_the_primary_one_first(member, first, second):
    response = member.get("/api/phone/phones/")
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    assert response.json() == [
        {"id": first.pk, "phone": PHONE, "primary": True, "verified_at": "2026-02-28T12:00:00Z"},
        {"id": second.pk, "phone": OTHER, "primary": False, "verified_at": "2026-03-01T12:00:00Z"},
    ]


def test_lists_nothing_of_others(member, stranger):
    UserPhone.objects.create(user=stranger, phone=PHONE)
    assert member.get("/api/phone/phones/").json() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [("get", "phones/"), ("delete", "phones/1/"), ("post", "phones/1/primary/")],
)
def test_needs_a_user(api, method, path):
    response = getattr(api, method)(f"/api/phone/{path}")
    assert (response.status_code, response.json()["code"]) == (403, "not_authenticated")


# NUL in a name is data that PostgreSQL bars.
@pytest.mark.parametrize(
    ("method", "path"),
    [("get", "phones/"), ("delete", "phones/1/"), ("post", "phones/1/primary/")],
)
def test_s19_odd_credentials_are_nobodys(api, method, path):
    credentials = "Basic " + b64encode(b"\0:x").decode()
    response = getattr(api, method)(f"/api/phone/{path}", headers={"Authorization": credentials})
    assert (response.status_code, response.json()["code"]) == (403, "not_authenticated")


def test_s21_a_cache_of_whole_pages_shows_them_to_nobody_else(settings, member, api, first):
    settings.MIDDLEWARE = [
        "django.middleware.cache.UpdateCacheMiddleware",
        *settings.MIDDLEWARE,
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
    response = member.get("/api/phone/phones/")
    assert response.json()
    assert not response.wsgi_request._cache_update_cache
    assert api.get("/api/phone/phones/").status_code == 403


# The primary one


def test_another_phone_is_made_primary(member, first, second):
    response = member.post(phone_url(second.pk, "primary/"))
    assert response.status_code == 200
    assert [(each["id"], each["primary"]) for each in response.json()] == [
        (second.pk, True),
        (first.pk, False),
    ]


def test_the_last_that_was_made_primary_is(user, clock, first, second):
    make_primary(user, second.pk)
    clock.shift(1)
    make_primary(user, first.pk)
    assert [each.id for each in list_phones(user)] == [first.pk, second.pk]


def test_a_phone_of_another_user_is_not_known(member, first, stranger):
    theirs = UserPhone.objects.create(user=stranger, phone=OTHER)
    response = member.post(phone_url(theirs.pk, "primary/"))
    assert (response.status_code, response.json()) == (
        404,
        {"detail": "This phone is not known here.", "code": "unknown_phone"},
    )
    assert UserPhone.objects.get(pk=theirs.pk).made_primary_at is None


def test_the_change_is_told_with_the_phone_before(user, first, second, heard):
    assert heard(primary_phone_changed, make_primary, user, second.pk) == [
        {"user": user, "phone": OTHER, "previous_phone": PHONE}
    ]


def test_what_changes_nothing_is_not_told(user, first, second, heard):
    assert heard(primary_phone_changed, make_primary, user, first.pk) == []


# Linked


def test_a_link_is_told_with_the_primary_phone_until_then(user, first, second, heard):
    make_primary(user, second.pk)
    verified = answer(ask("+79244501005", purpose="link", user=user), user=user)
    (told,) = heard(phone_linked, link_phone, verified)
    assert (told["phone"], told["previous_phone"]) == ("+79244501005", OTHER)


def test_a_linked_phone_is_not_primary(user, first):
    link_phone(answer(ask(OTHER, purpose="link", user=user), user=user))
    assert [(each.phone, each.is_primary) for each in list_phones(user)] == [
        (PHONE, True),
        (OTHER, False),
    ]


def test_a_phone_that_is_linked_again_has_no_other_before_it(user, first, heard):
    verified = answer(ask(purpose="link", user=user), user=user)
    (told,) = heard(phone_linked, link_phone, verified)
    assert told["previous_phone"] is None
    assert UserPhone.objects.get().verified_at == NOW


# Unlinked


def test_a_phone_is_unlinked(member, first, second):
    response = member.delete(phone_url(second.pk))
    assert (response.status_code, response.content) == (204, b"")
    assert list(UserPhone.objects.all()) == [first]


def test_an_unlinked_phone_logs_somebody_else_in(member, post, first, second):
    member.delete(phone_url(second.pk))
    challenge = post("request", phone=OTHER).json()["challenge"]
    response = post("confirm", challenge=challenge, code=local.outbox[-1].code)
    assert response.json()["user"]["created"] is True


def test_it_is_told(user, first, second, heard):
    assert heard(phone_unlinked, unlink_phone, user, second.pk) == [{"user": user, "phone": OTHER}]


def test_the_next_phone_is_primary_then(user, first, second):
    unlink_phone(user, first.pk)
    assert [(each.phone, each.is_primary) for each in list_phones(user)] == [(OTHER, True)]


def test_the_last_way_to_log_in_stays(member, first, heard):
    assert heard(phone_unlinked, member.delete, phone_url(first.pk)) == []
    response = member.delete(phone_url(first.pk))
    assert (response.status_code, response.json()["code"]) == (409, "last_phone")
    assert UserPhone.objects.exists()


def test_unless_that_is_meant(member, first):
    assert member.delete(phone_url(first.pk) + "?even_last=true").status_code == 204
    assert not UserPhone.objects.exists()


@pytest.mark.parametrize("said", ["", "?even_last=", "?even_last=false", "?even_last=1"])
def test_nothing_but_true_means_it(member, first, said):
    assert member.delete(phone_url(first.pk) + said).status_code == 409


def test_with_a_password_it_is_not_the_last_way(user, first):
    user.set_password("a password")
    user.save()
    assert unlink_phone(user, first.pk) is None


def test_an_empty_password_is_no_way_to_log_in(django_user_model):
    owner = django_user_model.objects.create(username="by-hand")  # password=""
    phone = UserPhone.objects.create(user=owner, phone=PHONE)
    assert unlink_phone(owner, phone.pk) == "last_phone"


@pytest.mark.parametrize("pk", ["theirs", 0, 10**30])
def test_what_is_not_ones_own_is_not_unlinked(member, first, second, stranger, pk):
    theirs = UserPhone.objects.create(user=stranger, phone="+79244501006")
    response = member.delete(phone_url(theirs.pk if pk == "theirs" else pk))
    assert (response.status_code, response.json()["code"]) == (404, "unknown_phone")
    assert UserPhone.objects.count() == 3


def test_a_browser_needs_a_csrf_token(user, first, second):
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(user)
    assert browser.delete(phone_url(second.pk)).json()["code"] == "permission_denied"
    assert UserPhone.objects.count() == 2


# A field of the user model


@pytest.fixture
def _field(phone_otp, user):
    user.username = PHONE
    user.save()
    phone_otp(USER_PHONE_FIELD="username")


@pytest.mark.usefixtures("_field")
def test_the_phone_of_the_field_is_number_0(member):
    assert member.get("/api/phone/phones/").json() == [
        {"id": 0, "phone": PHONE, "primary": True, "verified_at": None}
    ]


@pytest.mark.usefixtures("_field")
def test_it_is_primary_as_it_is(member):
    assert member.post(phone_url(0, "primary/")).status_code == 200
    assert member.post(phone_url(1, "primary/")).status_code == 404


@pytest.mark.usefixtures("_field")
def test_a_field_that_takes_no_null_is_not_emptied(member):
    response = member.delete(phone_url(0) + "?even_last=true")
    assert (response.status_code, response.json()["code"]) == (409, "last_phone")


@pytest.mark.usefixtures("_field")
def test_no_row_is_looked_for_beside_the_field(member, user):
    row = UserPhone.objects.create(user=user, phone=OTHER)
    assert member.delete(phone_url(row.pk)).status_code == 404
    assert UserPhone.objects.exists()


# What it costs


@pytest.mark.parametrize(
    ("function", "count"), [(list_phones, 1), (make_primary, 3), (unlink_phone, 6)]
)
def test_statements(user, first, second, django_assert_num_queries, function, count):
    arguments = () if function is list_phones else (second.pk,)
    with django_assert_num_queries(count):
        function(user, *arguments)
