"""The migrations of the page about user models. `test_user_models` runs this, for one model."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import IntegrityError

from django_phone_otp.exceptions import InvalidPhone
from django_phone_otp.flow import list_phones, make_primary
from django_phone_otp.models import UserPhone
from tests.conftest import PHONE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "user-models.md"
OTHER = "+79244501004"

pytestmark = pytest.mark.django_db


class AppsOfThePage:
    """The app registry, for code that takes the user model for one of the app `accounts`."""

    def get_model(self, label: str, name: str) -> Any:
        return get_user_model() if label == "accounts" else apps.get_model(label, name)


def migrate(name: str) -> None:
    """Run what the page's migration of this name runs."""
    text = re.search(rf"^```python\n# \S+{name}\.py\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert text
    names: dict[str, Any] = {"__name__": name}
    exec(text[1], names)  # noqa: S102 (our own page)
    (operation,) = names["Migration"].operations
    operation.code(AppsOfThePage(), None)


def make_user(phone: str | None = None) -> Any:
    model: Any = get_user_model()
    return model._default_manager.create(phone=phone)


@pytest.mark.parametrize("written", [PHONE, "8 924 450-10-03"])
def test_field_to_rows(written):
    user = make_user(written)
    make_user(None)
    make_user("")
    migrate("phones_to_rows")
    assert list(UserPhone.objects.values_list("user", "phone")) == [(user.pk, PHONE)]


def test_field_to_rows_stops_at_what_is_no_phone():
    make_user(PHONE)
    make_user("call me")
    with pytest.raises(InvalidPhone):
        migrate("phones_to_rows")
    assert not UserPhone.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_field_to_rows_stops_at_one_phone_of_two_users():
    make_user(PHONE)
    make_user("89244501003")
    with pytest.raises(IntegrityError):
        migrate("phones_to_rows")
    assert not UserPhone.objects.exists()


def test_rows_to_field():
    user, nobody = make_user(), make_user()
    UserPhone.objects.create(user=user, phone=PHONE)
    migrate("phones_to_field")
    user.refresh_from_db()
    nobody.refresh_from_db()
    assert (user.phone, nobody.phone) == (PHONE, None)


@pytest.mark.parametrize(
    ("made_primary", "kept"), [((), PHONE), ((OTHER,), OTHER), ((OTHER, PHONE), PHONE)]
)
def test_rows_to_field_keep_the_primary_one(clock, phone_otp, made_primary, kept):
    phone_otp(USER_PHONE_FIELD=None)
    user = make_user()
    rows = {each: UserPhone.objects.create(user=user, phone=each) for each in (PHONE, OTHER)}
    for phone in made_primary:
        clock.shift(60)
        assert make_primary(user, rows[phone].pk) is None
    assert list_phones(user)[0].phone == kept
    migrate("phones_to_field")
    user.refresh_from_db()
    assert user.phone == kept
