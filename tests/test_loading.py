"""From a name in the settings to a class."""

import sys
from uuid import uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_phone_otp import loading
from django_phone_otp.loading import load_class
from django_phone_otp.providers import ENTRY_POINT_GROUP, load_provider
from django_phone_otp.providers.local import Console


class Animal:
    pass


class Dog(Animal):
    pass


class Stone:
    pass


dog = Dog()

KNOWN = {"dog": "tests.test_loading.Dog", "ant": "tests.test_loading.Ant"}
SETTING = "PHONE_OTP['ANIMAL']"


def load(name: str, **parts) -> type[Animal]:
    return load_class(name, base=Animal, known=KNOWN, setting=SETTING, **parts)


def complaint(name: str, **parts) -> str:
    """Load what cannot be loaded, and give what a person is told."""
    with pytest.raises(ImproperlyConfigured) as caught:
        load(name, **parts)
    return str(caught.value)


@pytest.fixture
def group() -> str:
    """Name a group that no other test has asked for."""
    return f"tests.{uuid4().hex}"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with one module and its entry points, as pip would."""

    def _install(entry_points: str, source: str) -> None:
        (tmp_path / "acme_calls.py").write_text(source)
        info = tmp_path / "acme_calls-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-calls\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        monkeypatch.syspath_prepend(tmp_path)

    loading.entry_points.cache_clear()
    yield _install
    loading.entry_points.cache_clear()
    sys.modules.pop("acme_calls", None)


CAT = "from tests.test_loading import Animal\n\nclass Cat(Animal):\n    pass\n"
PROVIDER = """
from django_phone_otp.choices import Channel, Custody
from django_phone_otp.providers import Provider

class Acme(Provider):
    key = "acme"
    channel = Channel.SMS
    custody = Custody.LOCAL

    def start(self, request):
        raise AssertionError
"""


def test_key():
    assert load("dog") is Dog


def test_dotted_path():
    assert load("tests.test_loading.Dog") is Dog


def test_base_itself_will_do():
    assert load("tests.test_loading.Animal") is Animal


def test_unknown_key_names_the_setting_and_what_exists():
    assert complaint("cow") == (
        "PHONE_OTP['ANIMAL'] names \"cow\", which does not exist. "
        "Use one of ant, dog, or the dotted path of a class."
    )


def test_unknown_key_listsentry_points_too(install, group):
    install(f"[{group}]\ncat = acme_calls:Cat\n", CAT)
    assert "Use one of ant, cat, dog, or the dotted path" in complaint("cow", group=group)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("tests.nowhere.Dog", "No module named 'tests.nowhere'", id="no-module"),
        pytest.param("nowhere.Dog", "No module named 'nowhere'", id="no-package"),
        pytest.param(
            "tests.test_loading.Cow",
            'Module "tests.test_loading" does not define a "Cow" attribute/class',
            id="no-class",
        ),
        pytest.param(
            "ant", 'Module "tests.test_loading" does not define a "Ant" attribute/class', id="key"
        ),
    ],
)
def test_what_cannot_be_imported_says_why(name, reason):
    assert complaint(name) == f'{SETTING} names "{name}", which cannot be imported: {reason}'


@pytest.mark.parametrize("name", [".", ".Dog", "..Dog", "Dog.", "tests..Dog"])
def test_malformed_path_is_told_like_any_other_mistake(name):
    assert complaint(name).startswith(f'{SETTING} names "{name}", which cannot be imported')


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("tests.test_loading.Stone", id="another-class"),
        pytest.param("tests.test_loading.dog", id="instance"),
        pytest.param("tests.test_loading", id="module"),
        pytest.param("tests.test_loading.load", id="function"),
    ],
)
def test_what_has_the_wrong_base_is_refused(name):
    wanted = "tests.test_loading.Animal"
    assert complaint(name) == f'{SETTING} names "{name}", which is no subclass of {wanted}.'


def test_entry_point_of_another_package(install, group):
    install(f"[{group}]\ncat = acme_calls:Cat\n", CAT)
    assert load("cat", group=group).__module__ == "acme_calls"


def test_entry_point_of_another_group_is_not_asked(install, group):
    install(f"[{group}]\ncat = acme_calls:Cat\n", CAT)
    assert "which does not exist" in complaint("cat", group=f"{group}.other")


def test_entry_point_of_the_wrong_class_is_refused(install, group):
    install(f"[{group}]\ncat = acme_calls:Cat\n", "class Cat:\n    pass\n")
    assert "which is no subclass of tests.test_loading.Animal" in complaint("cat", group=group)


def test_entry_point_that_does_not_import_says_why(install, group):
    install(f"[{group}]\ncat = acme_calls:Cat\n", "import no_such_module\n")
    assert "cannot be imported: No module named 'no_such_module'" in complaint("cat", group=group)


def test_an_installed_package_cannot_take_over_a_key_of_ours(install, group):
    install(f"[{group}]\ndog = acme_calls:Cat\n", CAT)
    assert load("dog", group=group) is Dog


def test_provider_of_another_package_is_found_by_its_entry_point(install):
    install(f"[{ENTRY_POINT_GROUP}]\nacme = acme_calls:Acme\n", PROVIDER)
    assert load_provider("acme", {}, setting="X").key == "acme"


def test_provider_of_another_package_cannot_take_over_ours(install):
    install(f"[{ENTRY_POINT_GROUP}]\nconsole = acme_calls:Acme\n", PROVIDER)
    assert type(load_provider("console", {}, setting="X")) is Console


def test_unknown_provider_names_the_setting():
    with pytest.raises(ImproperlyConfigured, match=r"^PROVIDERS\['a'\]\['BACKEND'\] names \"no\""):
        load_provider("no", {}, setting="PROVIDERS['a']")


def test_wrong_options_name_the_setting():
    with pytest.raises(ImproperlyConfigured) as caught:
        load_provider("telefon-ip-sms", {"own_code": 1}, setting="PROVIDERS['a']")
    message = "PROVIDERS['a']['OPTIONS']: \"token\" is missing. \"own_code\" must be bool."
    assert str(caught.value) == message
