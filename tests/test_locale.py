"""Translations: English is the source, Russian is complete, what is shipped is what is written."""

import ast
import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages import mofile, pofile

import django_phone_otp

PACKAGE = Path(django_phone_otp.__file__).parent
CATALOGS = sorted(PACKAGE.glob("locale/*/LC_MESSAGES/django.po"))
TRANSLATED = re.compile(r"""{% translate (["'])(.*?)\1""")
MARKS = {"_", "gettext", "gettext_lazy", "ngettext", "pgettext"}


def sources() -> set[str]:
    """Read every marked text of the package's code and templates."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in MARKS:
                found |= {str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)}
    for path in PACKAGE.rglob("templates/**/*.html"):
        found |= {text for _quote, text in TRANSLATED.findall(path.read_text())}
    return found


def forms(text: str | Sequence[str] | None) -> Sequence[str]:
    """Give one form, or all of a text that depends on a number."""
    return (text,) if isinstance(text, str) else tuple(text or ("",))


def read(path: Path):
    with path.open("rb") as file:
        return pofile.read_po(file, locale=path.parts[-3])


def test_there_is_a_russian_catalog():
    assert [path.parts[-3] for path in CATALOGS] == ["ru"]


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_the_catalog_has_every_text_and_no_other(path):
    found = {form for message in read(path) if message.id for form in forms(message.id)}
    assert found == sources()


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_every_text_is_translated_and_none_is_doubtful(path):
    doubtful = [each for each in read(path) if each.fuzzy or not all(forms(each.string))]
    assert [each.id for each in doubtful] == []


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_placeholders_survive_translation(path):
    for message in read(path):
        assert [str(error) for error in message.check()] == []


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_the_compiled_catalog_is_that_of_the_source(path):
    compiled = mofile.read_mo(BytesIO(path.with_suffix(".mo").read_bytes()))
    assert {forms(m.id): forms(m.string) for m in compiled if m.id} == {
        forms(m.id): forms(m.string) for m in read(path) if m.id
    }
