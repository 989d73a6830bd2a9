"""The page about user models: what it shows is what these tests run."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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
