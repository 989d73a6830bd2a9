"""A site with read replicas: a login reads where it writes, for a replica may be behind."""

import pytest
from django.utils.connection import ConnectionDoesNotExist

from django_phone_otp.flow import link_phone
from django_phone_otp.models import PhoneChallenge, UserPhone
from django_phone_otp.providers import local
from tests.conftest import PHONE
from tests.steps import answer, ask

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


class ReplicaRouter:
    """Sends reads of the app, and of users, to a database that does not exist."""

    def db_for_read(self, model, **_hints):
        return "replica" if model._meta.app_label in ("phone_otp", "auth") else None

    def db_for_write(self, model, **_hints):
        return "default"


@pytest.fixture(autouse=True)
def _replica(settings):
    settings.DATABASE_ROUTERS = ["tests.test_replicas.ReplicaRouter"]


def test_the_replica_is_where_reads_go():
    with pytest.raises(ConnectionDoesNotExist):
        PhoneChallenge.objects.count()


@pytest.mark.parametrize("signup", [True, False])
def test_a_login_reads_where_it_writes(post, api, clock, phone_otp, django_user_model, signup):
    phone_otp(SIGNUP=signup)
    user = django_user_model.objects.create_user("known")
    UserPhone.primary().create(user=user, phone=PHONE)
    challenge = post("request", phone=PHONE).json()["challenge"]
    clock.shift(30)
    assert post("resend", challenge=challenge).status_code == 200
    assert post("confirm", challenge=challenge, code="not it").json()["attempts_left"] == 4
    assert api.get(f"/api/phone/challenges/{challenge}/").json()["state"] == "sent"
    response = post("confirm", challenge=challenge, code=local.outbox[-1].code)
    assert response.json()["user"]["id"] == user.pk


def test_linking_a_phone_reads_where_it_writes(django_user_model):
    user = django_user_model._base_manager.using("default").create(username="owner")
    verified = answer(ask(purpose="link", user=user), user=user)
    assert link_phone(verified) is None
    assert UserPhone.primary().get().user_id == user.pk


def test_a_new_user_is_made_where_it_is_read(post):
    challenge = post("request", phone=PHONE).json()["challenge"]
    response = post("confirm", challenge=challenge, code=local.outbox[0].code)
    assert response.json()["user"]["created"]
