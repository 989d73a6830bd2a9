"""What a new user has in it, by the kind of its user name; and what a check says beforehand."""

import re
import uuid
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.checks import Warning, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.validators import RegexValidator, validate_email
from django.db import models
from django.db.models.functions import Lower
from django.test.utils import isolate_apps

from django_phone_otp.checks import check_new_users
from django_phone_otp.conf import Settings
from django_phone_otp.flow.users import new_user
from tests.conftest import PHONE

RANDOM = "[0-9a-f]{16}"


@pytest.fixture
def use_model(settings, monkeypatch):
    """Make a user model with these fields the site's, without tables."""

    def use(**columns: Any) -> None:
        with isolate_apps("tests"):
            names = {"__module__": __name__, "USERNAME_FIELD": "name", **columns}
            model = type("Person", (AbstractBaseUser,), names)
        monkeypatch.setitem(apps.all_models["tests"], "person", model)
        settings.AUTH_USER_MODEL = "tests.Person"

    return use


def text(length: int | None = 150, **options: Any) -> models.CharField:
    return models.CharField(max_length=length, unique=True, **options)


# The user name


def name_of_a_new_user() -> Any:
    return new_user(PHONE, Settings()).get_username()


@pytest.mark.parametrize("length", [22, 150, None])
def test_name_says_where_the_user_comes_from(use_model, length):
    use_model(name=text(length))
    assert re.fullmatch(f"phone-{RANDOM}", name_of_a_new_user())


@pytest.mark.parametrize("length", [16, 21])
def test_short_name_is_random_alone(use_model, length):
    use_model(name=text(length))
    assert re.fullmatch(RANDOM, name_of_a_new_user())


@pytest.mark.parametrize("length", [36, 254])
def test_email_address_can_never_be_delivered_to(use_model, length):
    use_model(name=models.EmailField(unique=True, max_length=length))
    address = name_of_a_new_user()
    validate_email(address)
    assert re.fullmatch(rf"phone-{RANDOM}@phone\.invalid", address)


@pytest.mark.parametrize("length", [30, 35])
def test_short_email_address_is_random_alone(use_model, length):
    use_model(name=models.EmailField(unique=True, max_length=length))
    assert re.fullmatch(rf"{RANDOM}@phone\.invalid", name_of_a_new_user())


def test_text_that_has_to_be_an_email_address_gets_one(use_model):
    use_model(name=text(validators=[validate_email]))
    assert re.fullmatch(rf"phone-{RANDOM}@phone\.invalid", name_of_a_new_user())


def test_no_two_new_users_have_one_name(use_model):
    use_model(name=text(16))
    assert len({name_of_a_new_user() for _ in range(100)}) == 100


def test_name_that_may_be_null_is_null(use_model):
    use_model(name=models.EmailField(unique=True, null=True))
    assert name_of_a_new_user() is None


def test_name_that_the_model_makes_is_left_to_it(use_model):
    use_model(name=text(default=lambda: "made-by-the-model"))
    assert name_of_a_new_user() == "made-by-the-model"


# One value for all of them would be taken by the first.
def test_name_with_a_fixed_default_is_made_all_the_same(use_model):
    use_model(name=text(default=""))
    assert re.fullmatch(f"phone-{RANDOM}", name_of_a_new_user())


def test_name_that_is_the_phone_is_the_phone(use_model):
    use_model(name=text(16))
    assert new_user(PHONE, Settings(user_phone_field="name")).get_username() == PHONE


@pytest.mark.parametrize(
    ("field", "length"),
    [
        pytest.param(text(15), 16, id="short"),
        pytest.param(models.EmailField(max_length=29, unique=True), 30, id="short-email"),
        pytest.param(models.IntegerField(unique=True), 16, id="number"),
    ],
)
def test_name_that_cannot_be_made_is_a_mistake_of_the_site(use_model, field, length):
    use_model(name=field)
    with pytest.raises(ImproperlyConfigured) as raised:
        new_user(PHONE, Settings())
    assert str(raised.value) == (
        f"No user name can be made for tests.Person.name: the field must be text of {length} "
        "characters, null=True, or have a function as its default."
    )


# The check


def gaps() -> list[str]:
    found = check_new_users()
    assert {(type(each), each.id) for each in found} <= {(Warning, "phone_otp.W020")}
    return [each.msg for each in found]


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(models.DateField(null=True), id="null"),
        pytest.param(models.DateField(auto_now_add=True), id="filled-by-itself"),
        pytest.param(models.IntegerField(default=0), id="default"),
        pytest.param(models.IntegerField(db_default=0), id="default-of-the-database"),
        pytest.param(models.CharField(max_length=9), id="empty-text"),
        pytest.param(text(null=True), id="unique-and-null"),
        pytest.param(models.UUIDField(unique=True, default=uuid.uuid4), id="unique-and-made"),
        pytest.param(
            models.GeneratedField(expression=Lower("name"), output_field=text(), db_persist=True),
            id="generated",
        ),
    ],
)
def test_model_that_takes_new_users_is_not_complained_of(use_model, field):
    use_model(name=text(), other=field)
    assert gaps() == []


def test_required_field_is_named_before_the_first_sign_up_fails(use_model):
    use_model(name=text(), born=models.DateField())
    assert [each for each in run_checks() if each.id == "phone_otp.W020"] == [
        Warning(
            "tests.Person.born is required, and a new user has none: sign-up fails.",
            hint="Give the field null=True or a function as its default, or fill it in a receiver "
            "of pre_save and silence this check; or close SIGNUP.",
            id="phone_otp.W020",
        )
    ]


@pytest.mark.parametrize("blank", [False, True])
def test_unique_field_is_named_before_the_second_sign_up_fails(use_model, blank):
    use_model(name=text(), email=models.EmailField(unique=True, blank=blank))
    assert gaps() == [
        "tests.Person.email is unique, and new users have it empty: the second sign-up fails."
    ]


def test_name_that_cannot_be_made_is_named(use_model):
    use_model(name=text(15))
    assert [each.partition(":")[0] for each in gaps()] == [
        "No user name can be made for tests.Person.name"
    ]


# As where the phone is the user name, and USER_PHONE_FIELD was forgotten.
def test_name_that_the_field_refuses_is_named(use_model):
    use_model(name=text(validators=[RegexValidator(r"\+\d+")]))
    (found,) = gaps()
    assert re.fullmatch(
        "tests.Person.name does not take the user name that a new user gets, "
        rf"such as phone-{RANDOM}\.",
        found,
    )


def test_field_of_the_phone_is_filled(use_model, phone_otp):
    use_model(name=text(16, validators=[RegexValidator(r"\+\d+")]))
    phone_otp(USER_PHONE_FIELD="name")
    assert gaps() == []


def test_nothing_is_asked_of_the_model_while_sign_up_is_closed(use_model, phone_otp):
    use_model(name=text(15), born=models.DateField())
    phone_otp(SIGNUP=False)
    assert gaps() == []


@pytest.mark.parametrize("value", [{"USER_PHONE_FIELD": "no_field"}, "no dict"])
def test_settings_that_another_check_complains_of_are_left_to_it(use_model, settings, value):
    use_model(name=text(15))
    settings.PHONE_OTP = value
    assert gaps() == []
