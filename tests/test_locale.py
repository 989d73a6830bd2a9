"""Translations: English is the source, the others are complete, what is shipped is what is written.

First the catalogs, of the app and of the example site; then the code, in which no text for people
may stand unmarked; then what a client hears who asks for a language.
"""

import ast
import builtins
import re
from collections.abc import Iterator, Sequence
from functools import cache
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from babel.messages import mofile, pofile
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from django.utils import translation
from django.utils.translation import gettext, ngettext
from django.utils.translation.template import templatize

import django_phone_otp
from django_phone_otp import exceptions
from django_phone_otp.conf import Settings
from django_phone_otp.flow.messages import write_text
from django_phone_otp.providers import local
from tests.conftest import PHONE

PACKAGE = Path(django_phone_otp.__file__).parent
TESTS = Path(__file__).resolve().parent
ROOTS = [PACKAGE, TESTS.parent / "example_project"]

ALPHABETS = {
    "be": "абвгдеёжзійклмнопрстуўфхцчшыьэюя",
    "kk": "аәбвгғдеёжзийкқлмнңоөпрстуұүфхһцчшщъыіьэюя",
    "ru": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
}


def of_catalogs(*languages: str) -> pytest.MarkDecorator:
    """Run a test for the catalogs of some languages."""
    paths = [
        pytest.param(
            root / f"locale/{language}/LC_MESSAGES/django.po", id=f"{root.name}-{language}"
        )
        for root in ROOTS
        for language in languages
    ]
    return pytest.mark.parametrize("path", paths)


of_every_catalog = of_catalogs(*ALPHABETS)

KEYWORDS = {
    **DEFAULT_KEYWORDS,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext_lazy": ((1, "c"), 2, 3),
}

# What is alike in all languages.
ALIKE = {"Telegram"}
PLACE = re.compile(r"%(?:\(\w+\))?0?\d*[a-z]|%[A-Z]+%|{\w*}")
CYRILLIC = re.compile(r"[Ѐ-ӿ]")
WORD = re.compile(r"[^\W\d_]{2,}")
END = re.compile(r"[.:?!…,;]?\Z")


def forms(text: str | Sequence[str] | None) -> tuple[str, ...]:
    """Give one form, or all of a text that depends on a number."""
    return (text,) if isinstance(text, str) else tuple(text or ("",))


@cache
def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return pofile.read_po(file, locale=path.parts[-3])


def messages(path: Path) -> list[Message]:
    return [each for each in read(path) if each.id]


def pairs(path: Path) -> Iterator[tuple[str, str]]:
    """Give each translated form with the English form that it stands for."""
    for each in messages(path):
        sources = forms(each.id)
        for number, text in enumerate(forms(each.string)):
            yield sources[min(number, len(sources) - 1)], text


@cache
def sources(root: Path) -> set[tuple[str | None, tuple[str, ...]]]:
    """Read every marked text of the code and of the templates, each with its context."""
    found = set()
    for path in [*root.rglob("*.py"), *root.rglob("templates/**/*.*")]:
        text, method = path.read_text(encoding="utf-8"), "python"
        if path.suffix != ".py":
            text, method = templatize(text), "javascript"  # calls among words that mean nothing
        for _line, each, _comments, context in extract(method, BytesIO(text.encode()), KEYWORDS):
            found.add((context, forms(each)))
    return found


# The catalogs


def test_every_language_has_its_catalogs():
    found = {path for root in ROOTS for path in root.glob("locale/*/*/*")}
    assert found == {
        root / "locale" / language / "LC_MESSAGES" / name
        for root in ROOTS
        for language in ALPHABETS
        for name in ("django.po", "django.mo")
    }


@of_every_catalog
def test_the_catalog_has_every_text_and_no_other(path):
    found = {(each.context, forms(each.id)) for each in messages(path)}
    assert found == sources(path.parents[3])


@of_every_catalog
def test_nothing_is_left_of_texts_that_are_gone(path):
    assert list(read(path).obsolete) == []


@of_every_catalog
def test_every_text_is_translated_and_none_is_doubtful(path):
    doubtful = [each for each in messages(path) if each.fuzzy or not all(forms(each.string))]
    assert [each.id for each in doubtful] == []


@of_every_catalog
def test_every_plural_has_all_its_forms(path):
    count = read(path).num_plurals
    counts = {each.id: len(forms(each.string)) for each in messages(path) if each.pluralizable}
    assert counts == dict.fromkeys(counts, count)


@of_every_catalog
def test_babel_finds_no_fault(path):
    assert [str(error) for each in messages(path) for error in each.check()] == []


@of_every_catalog
def test_placeholders_survive_translation(path):
    changed = [
        (source, text)
        for source, text in pairs(path)
        if sorted(PLACE.findall(source)) != sorted(PLACE.findall(text))
    ]
    assert changed == []


@of_every_catalog
def test_the_compiled_catalog_is_that_of_the_source(path):
    compiled = mofile.read_mo(BytesIO(path.with_suffix(".mo").read_bytes()))
    assert {(context_of(m), forms(m.id)): forms(m.string) for m in compiled if m.id} == {
        (m.context, forms(m.id)): forms(m.string) for m in messages(path)
    }


def context_of(message: Message) -> str | None:
    """Give the context of a message; Babel leaves it in bytes when it reads what is compiled."""
    context: str | bytes | None = message.context
    return context.decode() if isinstance(context, bytes) else context


# What a glance at a translation shows


@of_every_catalog
def test_words_are_translated(path):
    kept = {source for source, text in pairs(path) if text == source and WORD.search(of_us(source))}
    assert kept - ALIKE == set()


def of_us(text: str) -> str:
    """Give a text without its placeholders."""
    return PLACE.sub("", text)


@of_every_catalog
def test_blanks_at_the_ends_are_alike(path):
    changed = [
        (source, text)
        for source, text in pairs(path)
        if (source[: -len(source.lstrip())], source[len(source.rstrip()) :])
        != (text[: -len(text.lstrip())], text[len(text.rstrip()) :])
    ]
    assert changed == []


@of_every_catalog
def test_ends_are_punctuated_alike(path):
    changed = [
        (source, text)
        for source, text in pairs(path)
        if END.findall(source.rstrip())[0] != END.findall(text.rstrip())[0]
    ]
    assert changed == []


@of_every_catalog
def test_beginnings_are_alike_in_case(path):
    # Labels stand in the middle of Django's sentences, and Django capitalises them elsewhere.
    changed = [
        (source, text)
        for source, text in pairs(path)
        if source.lstrip()[0].isalpha()
        and text.lstrip()[0].isalpha()
        and source.lstrip()[0].isupper() != text.lstrip()[0].isupper()
        and not text.split()[0].isupper()  # an abbreviation
    ]
    assert changed == []


@of_every_catalog
def test_what_is_wrong_with_an_option_begins_with_its_name(path):
    # The admin finds the field by it.
    changed = [
        (source, text)
        for source, text in pairs(path)
        if source.startswith('"') and source.split('"')[:2] != text.split('"')[:2]
    ]
    assert changed == []


@of_every_catalog
def test_letters_are_those_of_the_language(path):
    alphabet = ALPHABETS[path.parts[-3]]
    strange = [
        text for _source, text in pairs(path) if set(CYRILLIC.findall(text.lower())) - set(alphabet)
    ]
    assert strange == []


@of_every_catalog
def test_no_word_is_in_two_scripts(path):
    mixed = re.compile(r"[A-Za-z][Ѐ-ӿ]|[Ѐ-ӿ][A-Za-z]")
    assert [text for _source, text in pairs(path) if mixed.search(of_us(text))] == []


@of_every_catalog
def test_no_word_of_latin_letters_is_made_up(path):
    latin = re.compile(r"[A-Za-z]+")
    made_up = [
        text
        for source, text in pairs(path)
        if set(latin.findall(text.lower())) - set(latin.findall(source.lower()))
    ]
    assert made_up == []


BELARUSIAN_FAULTS = [
    pytest.param(r"[аеёіоуыэюя] ?у", id="u-after-a-vowel"),
    pytest.param(r"(?:^|[^аеёіоуыэюя ]|[^аеёіоуыэюя] )ў", id="short-u-after-no-vowel"),
    # "дзеяньне", "сьцерці": not of the official spelling, which banks and shops write
    pytest.param(r"сьц|зьм|зьв|сьв|ньн|льл|цьц", id="classical-spelling"),
    pytest.param(r"\w['`]\w", id="typewriter-apostrophe"),
]


@pytest.mark.parametrize("fault", BELARUSIAN_FAULTS)
@of_catalogs("be")
def test_belarusian_is_spelled_by_its_rules(path, fault):
    texts = [text for _source, text in pairs(path)]
    assert [text for text in texts if re.search(fault, text.lower())] == []


@of_catalogs("uk")
def test_ukrainian_has_its_apostrophe(path):
    assert [text for _source, text in pairs(path) if re.search(r"\w['`]\w", text)] == []


def test_kazakh_uses_all_letters_of_its_own():
    path = PACKAGE / "locale" / "kk" / "LC_MESSAGES" / "django.po"
    letters = set("".join(text for _source, text in pairs(path)).lower())
    assert set("әғқңөұүі") - letters == set()


# Of two words or more; more would mean that somebody pasted.
LIKE_RUSSIAN = {
    "be": {"{code} — ваш код для {site}.", "{code} — ваш код.", "без канала"},
    "kk": set(),
    "uk": {
        "{code} — ваш код для {site}.",
        "{code} — ваш код.",
        "Не пропущено",
        "Не пропущено: %(guard)s",
        "не пропущено",
        "номер у провайдера",
        "половина людей",
        "у кого код",
        "через %(count)d день",
        "через %(count)d дня",
        "через %(count)d секунду",
    },
}


@of_catalogs(*LIKE_RUSSIAN)
def test_no_text_is_the_russian_one(path):
    language = path.parts[-3]
    russian = dict(pairs(path.parents[2] / "ru" / "LC_MESSAGES" / "django.po"))
    same = {text for source, text in pairs(path) if text == russian[source]}
    long = {text for text in same if len(WORD.findall(of_us(text))) > 1}
    assert long - LIKE_RUSSIAN[language] == set()


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        pytest.param("be", ["1 запыт", "3 запыты", "5 запытаў", "12 запытаў", "21 запыт"], id="be"),
        pytest.param("kk", ["1 сұрау", "3 сұрау", "5 сұрау", "12 сұрау", "21 сұрау"], id="kk"),
        pytest.param(
            "ru", ["1 запрос", "3 запроса", "5 запросов", "12 запросов", "21 запрос"], id="ru"
        ),
        pytest.param("uk", ["1 запит", "3 запити", "5 запитів", "12 запитів", "21 запит"], id="uk"),
    ],
)
def test_numbers_take_their_forms(language, texts):
    with translation.override(language):
        found = [
            ngettext("%(count)d challenge", "%(count)d challenges", count) % {"count": count}
            for count in (1, 3, 5, 12, 21)
        ]
    assert found == texts


@pytest.mark.parametrize("language", ["en", *ALPHABETS])
def test_a_message_begins_with_its_code_and_fits_one_text(settings, language):
    # 70 characters of UCS-2: what goes over is paid for twice.
    settings.ALLOWED_HOSTS = [f"{'a' * 32}.example"]
    with translation.override(language):
        text = write_text("012345", Settings())
    assert (text.startswith("012345 "), len(text.encode("utf-16-be")) <= 140) == (True, True)


def test_the_page_about_languages_has_the_terms_of_the_catalogs():
    page = (TESTS.parent / "docs" / "languages.md").read_text(encoding="utf-8")
    rows = [re.split(r" *\| *", line)[1:-1] for line in page.splitlines() if line[:2] == "| "]
    (languages,) = [row[1:] for row in rows if row[0] == "term"]
    assert sorted(languages) == sorted(ALPHABETS)
    terms = {
        (row[0], language): term
        for row in rows
        if len(row) == len(languages) + 1
        for language, term in zip(languages, row[1:], strict=True)
        if (None, (row[0],)) in sources(PACKAGE)
    }
    assert len(terms) > 20
    assert terms == {(word, language): translate(word, language) for word, language in terms}


def translate(text: str, language: str) -> str:
    with translation.override(language):
        return gettext(text)


# What is not marked
#
# Two nets, for code: one for the places that show a text to people, however short it is; one for
# anything that reads like a sentence, wherever it stands.

MARKS = set(KEYWORDS)

# What takes a text for people: a keyword or an attribute of a class.
SHOWN = {
    "default_error_messages",
    "description",
    "empty_label",
    "empty_value_display",
    "error_messages",
    "help_text",
    "hint",
    "label",
    "message",
    "search_help_text",
    "short_description",
    "title",
    "verbose_name",
    "verbose_name_plural",
}
# Keys of answers and of settings of a form.
ANSWERED = {"detail", *SHOWN}
# Calls whose arguments are read by people, and from which of them on.
TOLD = {
    "add_error": 1,
    "message_user": 1,
    "error": 1,  # messages.error(request, …)
    "input": 0,
    "option": 0,
    "write": 0,  # self.stdout.write(…)
    "ChannelNotOffered": 0,
    "CodeRequired": 0,
    "CommandError": 0,
    "InvalidPhone": 0,
    "NotAuthenticated": 0,
    "ParseError": 0,
    "PermissionDenied": 0,
    "Throttled": 0,
    "ValidationError": 0,
}

# What may stay English.
NOT_FOR_PEOPLE = {
    "checks": "read by developers, as Django's own checks",
    "checks.py": "as above",
    "events.py": "what the log has, and what it means: one language",
    "fill_traffic.py": "of the example: made-up traffic, for developers",
    "metrics.py": "the help of a metric is English, as that of other exporters",
    "testing.py": "read by authors of providers",
    "migrations": "a history",
    "operations.py": "the OpenAPI schema, read by authors of apps",
    "schema.py": "as above",
}
# Here these go into the OpenAPI schema, and nowhere else: no form is made of them.
OF_SCHEMA = {"api": {"description", "help_text", "title"}}
DEVELOPERS_CALLS = {
    "logger": "logs are searched and counted: one language",
    "log_response": "as above",
    "add_argument": "`--help` is English, as that of Django's own commands",
    "print": "the console provider, for development",
    "startswith": "compares what a service writes",
    "cast": "a type",
}
DEVELOPERS_NAMES = {
    "COMPLAINT": "of a check, and of ImproperlyConfigured",
    "help": "`--help`, of a command",
    "detail": "kept with a delivery and logged: one language, whoever reads it",
    "mistake": "as `detail`",
    "reason": "as `detail`",
    "what": "a piece of an exception",
    "service": "a name",
    "permissions": "Django keeps the names of permissions in the database, in English",
    "__all__": "names",
    "content_type": "a header of HTTP",
    "headers": "as above",
    "template": "SQL of a database function",
}
ERRORS_FOR_DEVELOPERS = {
    "ImproperlyConfigured",
    "IntegrityError",
    "InvalidProxyURL",
    *(name for name in vars(builtins) if name.endswith("Error")),
    *(name for name in vars(exceptions) if name[0].isupper() and name not in TOLD),
}
STAYS_ENGLISH = {
    ("admin/challenges.py", '<span class="otp-state" data-tone="{}">{}</span>'): "markup",
    ("admin/filters.py", "LIFE POS"): "a name",
    ("admin/timeline.py", "LIFE POS"): "a name",
    ("captcha/siteverify.py", "Authentication failed"): "a word of the service",
    ("captcha/siteverify.py", "text in ASCII without spaces"): "a piece of ImproperlyConfigured",
    ("captcha/siteverify.py", "https:// with a host and at most a path"): "as above",
    ("captcha/siteverify.py", "above 0 and at most "): "as above",
    ("door.py", "JSON parse error - "): "DRF says it so; Python's words follow, in English",
    ("flow/accounts.py", ": regions must be a list of texts"): "as ImproperlyConfigured, of a row",
    ("flow/budgets.py", "a call of this phone is awaited already"): "a `detail`",
    ("flow/queue.py", "no account of the route has room"): "a `detail`",
    ("flow/queue.py", "no account of the route is in use"): "a `detail`",
    ("flow/queue.py", "the queue is out of reach"): "a `detail`",
    ("flow/queue.py", "the site's settings are wrong"): "a `detail`",
    ("flow/queue.py", "too late: nobody waits for it"): "a `detail`",
    ("flow/sweep.py", "no worker took it in time"): "a `detail`",
    ("flow/sweep.py", "the process that was sending it has ended"): "a `detail`",
    ("loading.py", "one of "): "a piece of ImproperlyConfigured",
    ("providers/sms_by.py", "a list of password objects"): "a piece of an exception",
    ("providers/sms_by.py", "this password object"): "a piece of an exception",
    ("providers/sms_by.py", "the state of this message"): "a piece of an exception",
    ("providers/sms_by.py", "not sent yet"): "the service's own words, in English for the log",
    ("web/views.py", "POST, OPTIONS"): "a header of HTTP",
}
SENTENCE = re.compile(r"[a-z]{2,}[,;:.]? [a-z]{2,}", re.IGNORECASE)


class Text(NamedTuple):
    """A text that is not marked, and where it stands: its module, and what is around it."""

    module: str
    text: str
    around: tuple[str, ...]


def unmarked(node: ast.AST, module: str, around: tuple[str, ...] = ()) -> Iterator[Text]:
    """Find the texts of some code that are neither marked nor docstrings."""
    if isinstance(node, ast.Call):
        if name_of(node.func) in MARKS:
            return
        around = (*around, *ast.unparse(node.func).split("."))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        around = (*around, *map(name_of, targets))
    elif isinstance(node, ast.keyword):
        around = (*around, str(node.arg))
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield Text(module, node.value, around)
    for field, child in fields_of(node):
        if field not in ("annotation", "returns"):
            yield from unmarked(child, module, around)


def fields_of(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for field, value in ast.iter_fields(node):
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST):
                yield field, each


def name_of(node: ast.AST) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


@cache
def modules(root: Path) -> dict[str, ast.Module]:
    """Read the code that people may hear something of."""
    paths = {path.relative_to(root).as_posix(): path for path in root.rglob("*.py")}
    return {
        name: ast.parse(path.read_text(encoding="utf-8"))
        for name, path in sorted(paths.items())
        if not set(name.split("/")) & set(NOT_FOR_PEOPLE)
    }


def is_text(node: ast.AST | None) -> bool:
    """Say whether an expression has words that are not marked: in it, not in what it calls."""
    if node is None or isinstance(node, ast.Call):
        return False
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and bool(WORD.search(of_us(node.value)))
    if isinstance(node, ast.Dict):
        return any(map(is_text, node.values))
    if isinstance(node, ast.Subscript | ast.Compare):
        return False
    return any(map(is_text, ast.iter_child_nodes(node)))


def of_schema(module: str) -> set[str]:
    """Name what goes into the schema alone."""
    return OF_SCHEMA.get(module.split("/")[0], set())


def shown(node: ast.AST, module: str) -> Iterator[ast.AST | None]:
    """Give what code shows to people: labels, choices, errors, answers."""
    if isinstance(node, ast.Assign) and set(map(name_of, node.targets)) & SHOWN:
        yield node.value
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        answered = node.targets[0].slice
        if isinstance(answered, ast.Constant) and answered.value in ANSWERED:
            yield node.value
    if isinstance(node, ast.AnnAssign) and name_of(node.target) in SHOWN:
        yield node.value
    if isinstance(node, ast.ClassDef) and "Words" in map(name_of, node.bases):
        yield from (
            word.value.elts[1]
            for word in node.body
            if isinstance(word, ast.Assign) and isinstance(word.value, ast.Tuple)
        )
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value in ANSWERED:
                yield value
    if isinstance(node, ast.Call):
        name = name_of(node.func)
        named = SHOWN - of_schema(module)
        yield from (each.value for each in node.keywords if each.arg in named)
        if name == "option":
            yield from (each.value for each in node.keywords if each.arg == "help")
        if name in TOLD and "logger" not in ast.unparse(node.func):
            yield from node.args[TOLD[name] :]
        is_field = ast.unparse(node.func).startswith("models.") and name.endswith("Field")
        if is_field and module.startswith("models/"):
            yield from node.args[:1]


# Found by the first net, and no text for people.
SHOWN_AS_IT_IS = {
    "apps.py: 'phone_otp'": "the label of an app is a name in code",
    "door.py: f'JSON parse error - {error}'": "see below",
}


@pytest.mark.parametrize("root", [pytest.param(root, id=root.name) for root in ROOTS])
def test_what_is_shown_to_people_is_marked(root):
    found = {
        f"{module}: {ast.unparse(text)}"
        for module, tree in modules(root).items()
        if not module.startswith("gateway/")  # of the example: plays the services
        for node in ast.walk(tree)
        for text in shown(node, module)
        if text is not None and is_text(text)
    }
    assert found - set(SHOWN_AS_IT_IS) == set()


def sentences() -> list[Text]:
    return [
        each
        for module, tree in modules(PACKAGE).items()
        for each in unmarked(tree, module)
        if SENTENCE.search(each.text)
    ]


def test_no_sentence_is_unmarked():
    allowed = set(DEVELOPERS_CALLS) | set(DEVELOPERS_NAMES) | ERRORS_FOR_DEVELOPERS
    found = {
        (each.module, each.text)
        for each in sentences()
        if not set(each.around) & (allowed | of_schema(each.module)) or "option" in each.around
    }
    assert found - set(STAYS_ENGLISH) == set()


def test_what_stays_english_is_there():
    assert set(STAYS_ENGLISH) - {(each.module, each.text) for each in sentences()} == set()


class Reader(HTMLParser):
    """Collects what a person reads on a page: its text, and the attributes that are read out."""

    READ = ("alt", "aria-label", "aria-description", "placeholder", "title")

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        given = dict(attrs)
        is_button = tag == "input" and given.get("type") in ("submit", "button", "reset")
        read = (*self.READ, "value") if is_button else self.READ
        self.read += [given[name] or "" for name in read if name in given]

    def handle_data(self, data: str) -> None:
        if self._tag not in ("script", "style"):
            self.read.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""


MARKED_IN_TEMPLATES = re.compile(
    r"{% *(blocktrans\w*).*?{% *end\1 *%}|{% *comment.*?{% *endcomment *%}|{#.*?#}", re.DOTALL
)
# The admin's block for classes of the page: no words, though they stand in no tag here.
CLASSES_IN_TEMPLATES = re.compile(r"{% *block bodyclass *%}.*?{% *endblock *%}", re.DOTALL)
GIVEN_IN_TEMPLATES = re.compile(r"\|(?:default|default_if_none|yesno):(\"[^\"]*\"|'[^']*')")
TAG_OF_TEMPLATES = re.compile(r"{%.*?%}|{{.*?}}", re.DOTALL)


def words_on(path: Path) -> list[str]:
    """Give the words of a template that are not marked."""
    text = MARKED_IN_TEMPLATES.sub("", path.read_text(encoding="utf-8"))
    reader = Reader()
    reader.feed(TAG_OF_TEMPLATES.sub("", CLASSES_IN_TEMPLATES.sub("", text)))
    reader.close()
    found = [*reader.read, *GIVEN_IN_TEMPLATES.findall(text)]
    return [each.strip() for each in found if WORD.search(each)]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.relative_to(root.parent).as_posix())
        for root in ROOTS
        for path in sorted(root.rglob("templates/**/*.html"))
    ],
)
def test_no_word_of_a_page_is_unmarked(path):
    assert words_on(path) == []


# What a client hears

HINTS = {
    "be": "Увядзіце код з паведамлення, якое мы вам адправілі.",
    "en": "Enter the code from the text message that we sent you.",
    "kk": "Біз жіберген хабарламадағы кодты енгізіңіз.",
    "ru": "Введите код из сообщения, которое мы вам отправили.",
    "uk": "Введіть код із повідомлення, яке ми вам надіслали.",
}
TEXTS = {
    "be": "{} — ваш код для testserver.",
    "en": "{} is your code for testserver.",
    "kk": "{} — testserver үшін кодыңыз.",
    "ru": "{} — ваш код для testserver.",
    "uk": "{} — ваш код для testserver.",
}
REFUSALS = {
    "be": "Такі запыт невядомы. Атрымайце новы код.",
    "en": "This request is not known. Ask for a new code.",
    "kk": "Мұндай сұрау белгісіз. Жаңа код сұраңыз.",
    "ru": "Такой запрос неизвестен. Запросите новый код.",
    "uk": "Такий запит невідомий. Отримайте новий код.",
}
FIELD_ERRORS = {
    "be": "Такога нумара не існуе. Праверце лічбы.",
    "en": "This phone number does not exist. Check its digits.",
    "kk": "Мұндай нөмір жоқ. Цифрларын тексеріңіз.",
    "ru": "Такого номера не существует. Проверьте цифры.",
    "uk": "Такого номера не існує. Перевірте цифри.",
}


@pytest.fixture
def say(api):
    """Post to the API in a language: `say("uk", "request", phone=PHONE)`."""

    def post(accepted: str, path: str, **body: Any) -> Any:
        headers = {"accept-language": accepted} if accepted else {}
        return api.post(f"/api/phone/{path}/", body, format="json", headers=headers)

    return post


@pytest.mark.django_db
@pytest.mark.parametrize("language", HINTS)
def test_the_hint_is_in_the_language_of_the_client(say, language):
    assert say(language, "request", phone=PHONE).json()["hint"] == HINTS[language]


@pytest.mark.django_db
@pytest.mark.parametrize("language", TEXTS)
def test_the_text_message_is_in_the_language_of_the_client(say, language):
    say(language, "request", phone=PHONE)
    assert local.outbox[0].text == TEXTS[language].format(local.outbox[0].code)


@pytest.mark.django_db
@pytest.mark.parametrize("language", REFUSALS)
def test_a_refusal_is_in_the_language_of_the_client(say, language):
    answer = say(language, "confirm", challenge="x" * 32, code="012345").json()
    assert (answer["code"], answer["detail"]) == ("unknown_challenge", REFUSALS[language])


@pytest.mark.django_db
@pytest.mark.parametrize("language", FIELD_ERRORS)
def test_a_field_error_is_in_the_language_of_the_client(say, language):
    answer = say(language, "request", phone="+7 000 000-00-00").json()
    assert answer == {"phone": [FIELD_ERRORS[language]]}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        pytest.param("be-BY", "be", id="be-BY"),
        pytest.param("kk-KZ", "kk", id="kk-KZ"),
        pytest.param("kk-Cyrl-KZ", "kk", id="kk-Cyrl-KZ"),
        pytest.param("ru-BY", "ru", id="ru-BY"),
        pytest.param("UK-ua", "uk", id="uk-UA-in-other-case"),
        pytest.param("en-GB", "en", id="en-GB"),
        pytest.param("uk-UA,uk;q=0.9,en;q=0.8", "uk", id="as-browsers-send-it"),
        pytest.param("ru;q=0.3, kk;q=0.8, be;q=0.5", "kk", id="by-weight"),
        pytest.param("pl, de;q=0.9, be;q=0.1", "be", id="the-first-that-is-there"),
        pytest.param("", "en", id="nothing-asked"),
        pytest.param("*", "en", id="any"),
        pytest.param("pl-PL, pl;q=0.9", "en", id="none-that-is-there"),
    ],
)
def test_the_language_is_the_best_of_those_accepted(say, accepted, language):
    assert say(accepted, "request", phone=PHONE).json()["hint"] == HINTS[language]


@pytest.mark.django_db
def test_a_language_that_is_not_there_falls_back_to_that_of_the_site(say, settings):
    settings.LANGUAGE_CODE = "kk"
    assert say("pl", "request", phone=PHONE).json()["hint"] == HINTS["kk"]


@pytest.mark.django_db
def test_a_language_that_the_site_does_not_offer_is_not_spoken(say, settings):
    settings.LANGUAGES = [("en", "English"), ("ru", "Русский")]
    assert say("uk, ru;q=0.5", "request", phone=PHONE).json()["hint"] == HINTS["ru"]
