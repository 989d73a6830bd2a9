"""The page about compliance names tests that are there; its numbers follow from the defaults."""

import ast
import re
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest

from django_phone_otp import conf

TESTS = Path(__file__).resolve().parent
PAGE = (TESTS.parent / "docs" / "compliance.md").read_text(encoding="utf-8")
NUMBERS = [f"s{number:02}" for number in range(1, 24)]

ROWS = {row[0]: row for row in re.findall(r"^\| (s\d\d) \|(.*)\|(.*)\|(.*)\|(.*)\|$", PAGE, re.M)}
NAMED = sorted(set(re.findall(r"`([a-z_/]+\.py)::(\w*)`", PAGE)))


@cache
def names_in(path: Path) -> list[str]:
    """Name the tests of a file, and its classes."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    kinds = (ast.FunctionDef, ast.ClassDef)
    found = [node.name for node in nodes if isinstance(node, kinds)]
    return [name for name in found if name.startswith(("test_", "Test"))]


def read_chance(text: str) -> Fraction:
    """Read "1 in 50,000"."""
    part, whole = text.replace(",", "").split(" in ")
    return Fraction(int(part), int(whole))


def test_every_requirement_has_one_row():
    assert list(ROWS) == NUMBERS
    assert len(re.findall(r"^\| s\d\d ", PAGE, re.M)) == len(NUMBERS)


@pytest.mark.parametrize("number", NUMBERS)
def test_every_requirement_names_its_source_and_its_tests(number):
    _number, requirement, source, measure, tests = (each.strip() for each in ROWS[number])
    assert all([requirement, measure])
    assert re.search(r"\b[NA] \d+\.\d+|GDPR \d+", source)
    assert "::" in tests


def test_every_requirement_is_in_the_name_of_a_test():
    names = [name for path in TESTS.rglob("test_*.py") for name in names_in(path)]
    numbered = {found[1] for name in names if (found := re.match(r"test_(s\d\d)_", name))}
    assert sorted(numbered) == NUMBERS


@pytest.mark.parametrize(("file", "prefix"), NAMED)
def test_every_test_that_is_named_exists(file, prefix):
    path = TESTS / file
    assert path.exists(), f"there is no tests/{file}"
    assert [name for name in names_in(path) if name.startswith(prefix)]


@pytest.mark.parametrize(
    ("word", "digits_count"), [("four", 4), ("five", 5), ("six", 6), ("eight", 8)]
)
def test_expected_guesses_follow_from_the_defaults(word, digits_count):
    row = re.search(rf"^\| {word} digits \|(.*)\|(.*)\|(.*)\|(.*)\|$", PAGE, re.M)
    assert row
    (rate,) = conf.Settings().rates("fail_phone")
    assert rate.seconds == 86_400
    valid = 1 if digits_count <= conf.SHORT_CODE_LENGTH else 2
    guess = Fraction(valid, 10**digits_count)
    assert [read_chance(each.strip()) for each in row.groups()] == [
        guess,
        guess * rate.count,
        guess * rate.count * 30,
        guess * conf.Settings().disabling_failures_count,
    ]


def test_many_phones_follow_from_the_alarm():
    (rate,) = conf.Settings().rates("fail_all")
    guesses = rate.count * 86_400 // rate.seconds
    days_at_four, days_at_six = 10**4 / guesses, 10**6 / (2 * guesses)
    assert (round(days_at_four), round(days_at_six)) == (2, 104)
    assert "one account in two days at four digits" in PAGE
    assert re.search(r"one\s+in 104 days at six", PAGE)
