"""The page about user models: what it shows is what these tests run."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

HERE = Path(__file__).resolve().parent
TEXT = (HERE.parents[1] / "docs" / "user-models.md").read_text()
SHOWN = re.findall(r"^```python\n# accounts/models\.py: (\w+)\n(.*?)^```$", TEXT, re.M | re.S)


def test_three_models_are_shown():
    assert [name for name, _text in SHOWN] == ["by_email", "by_phone", "by_uuid"]


@pytest.mark.parametrize(("name", "text"), SHOWN, ids=[name for name, _text in SHOWN])
def test_model_of_the_page_is_the_one_that_logs_in(name, text):
    ours = (HERE / name / "models.py").read_text()
    assert text in re.sub(r"  # type: ignore\[.*\]", "", ours)


@pytest.mark.parametrize("make", ["create_user", "create_superuser"])
def test_manager_of_the_page_stores_a_phone_as_the_login_looks_for_it(make):
    names: dict[str, Any] = {"__name__": "accounts.models"}
    exec(dict(SHOWN)["by_phone"].partition("class User(")[0], names)  # noqa: S102 (our own page)
    manager = names["UserManager"]()
    manager.model = Mock()
    getattr(manager, make)("8 924 450-10-03", "secret")
    assert manager.model.call_args.kwargs["phone"] == "+79244501003"


def test_receiver_of_the_page_fills_what_is_empty():
    found = re.search(r"^```python\n# accounts/apps\.py\n(.*?)^```$", TEXT, re.M | re.S)
    assert found
    names: dict[str, Any] = {"__name__": "accounts.apps"}
    exec(found[1], names)  # noqa: S102 (our own page)
    user = SimpleNamespace(username="phone-0123456789abcdef", email="")
    names["fill"](sender=None, instance=user)
    assert user.email == "phone-0123456789abcdef@users.invalid"
    user.email = "ann@example.org"
    names["fill"](sender=None, instance=user)
    assert user.email == "ann@example.org"
