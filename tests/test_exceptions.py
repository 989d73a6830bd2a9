"""The tree of exceptions."""

import re

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_phone_otp import exceptions
from django_phone_otp.exceptions import DeliveryError, PhoneOTPError, TransportError

CLASSES = {
    name: value
    for name, value in vars(exceptions).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}


def _drawn() -> dict[str, str]:
    """Read the tree of the docstring: each class and the one it hangs on."""
    parents: dict[str, str] = {}
    above: dict[int, str] = {}
    for line in (exceptions.__doc__ or "").splitlines():
        found = re.match(r"^    ((?:│   |    )*)(?:├── |└── )?([A-Z]\w+)", line)
        if found and (found[2] == "PhoneOTPError" or "── " in line):
            depth = line.index(found[2]) // 4
            above[depth] = found[2]
            parents[found[2]] = above.get(depth - 1, "")
    return parents


def test_every_class_stands_in_the_tree_of_the_docstring():
    assert _drawn().keys() == CLASSES.keys()


@pytest.mark.parametrize("name", CLASSES)
def test_class_hangs_where_the_docstring_draws_it(name):
    parent = _drawn()[name]
    assert CLASSES[name].__bases__[0].__name__ == (parent or "Exception")


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_says_when_it_is_raised(name):
    assert CLASSES[name].__doc__


@pytest.mark.parametrize("name", ["InvalidPhone", "ChannelNotOffered"])
def test_what_a_person_typed_is_a_value_error(name):
    assert issubclass(CLASSES[name], ValueError)


def test_configuration_errors_stand_outside():
    assert not issubclass(ImproperlyConfigured, PhoneOTPError)


def test_transport_errors_are_no_delivery_errors():
    # A provider must say what a silence means before the dispatcher sees it.
    assert not issubclass(TransportError, DeliveryError)
