"""What the pages say agrees with the API, also where their programs cannot be run."""

import re
from http import HTTPStatus

import pytest

from django_phone_otp.choices import Channel, Refusal, State
from django_phone_otp.door import STATUS

from .pages import FOLDER, read_files, read_page

LANGUAGES = ["curl", "python", "javascript", "kotlin", "swift"]
STEPS = dict(
    re.findall(r"^\| `(\w+)` \| `(code|captcha|resend|wait|phone)` \|$", read_page("index"), re.M)
)
HTTP_API = (FOLDER.parent / "http-api.md").read_text(encoding="utf-8")
KEYS = set(re.findall(r'"(\w+)":', HTTP_API)) | set(re.findall(r"^\| `(\w+)` \|", HTTP_API, re.M))
# What a client that leaves one of these out does wrong.
NEEDED = {
    *("phone", "device", "challenge", "channel", "captcha_token", "code", "token"),
    *("state", "hint", "resend_in", "call_to", "detail", "attempts_left"),
    *("idempotency-key", "retry-after", "accept-language"),
}
SNAKE_CASE = re.compile(r"""(?<=["'])[a-z]+(?:_[a-z]+)+(?=\\?["'])""")


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


@pytest.fixture(params=LANGUAGES)
def code(request: pytest.FixtureRequest) -> str:
    return "\n".join(read_files(request.param).values())


def step_of_status(status: int) -> str:
    return "wait" if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500 else "phone"


def test_page_names_all_that_a_client_needs(code):
    named = set(re.findall(r"[\w-]+", code))
    named |= {snake_case(each) for each in named} | {each.lower() for each in named}
    assert named >= NEEDED


def test_page_names_nothing_that_the_api_does_not_have(code):
    known = KEYS | {*Refusal.values, *State.values, *Channel.values}
    assert set(SNAKE_CASE.findall(code)) - known == set()


def test_page_names_each_word_that_its_status_does_not_explain(code):
    assert [each for each in STEPS if not re.search(rf"\b{each}\b", code)] == []


def test_page_names_each_channel(code):
    assert [each for each in Channel.values if not re.search(rf"\b{each}\b", code)] == []


def test_page_keeps_its_code_narrow(code):
    assert [line for line in code.splitlines() if len(line) > 100] == []


def test_keys_of_swift_structs_are_keys_of_the_api():
    structs = re.findall(
        r"struct \w+: Decodable.*?\n\}", read_files("swift")["PhoneLogin.swift"], re.S
    )
    lists = re.findall(r"^ +let ([\w, ]+):", "\n".join(structs), re.M)
    named = {snake_case(each.strip()) for names in lists for each in names.split(",")}
    assert len(named) == 13
    assert named - KEYS == set()


def test_swift_parses():
    tree_sitter = pytest.importorskip("tree_sitter", reason="tree-sitter is missing")
    grammar = pytest.importorskip("tree_sitter_swift", reason="tree-sitter-swift is missing")
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    for text in read_files("swift").values():
        assert not parser.parse(text.encode()).root_node.has_error


def test_steps_of_the_index_are_words_of_the_api():
    assert set(STEPS) <= set(Refusal.values)


def test_words_that_the_index_leaves_out_are_explained_by_their_status():
    others = {each for each in Refusal if each.value not in STEPS}
    assert {step_of_status(STATUS[each]) for each in others} == {"phone"}


def test_index_names_each_page():
    pages = {path.stem for path in FOLDER.glob("*.md")} - {"index"}
    assert pages == set(LANGUAGES)
    assert [each for each in LANGUAGES if f"({each}.md)" not in read_page("index")] == []
