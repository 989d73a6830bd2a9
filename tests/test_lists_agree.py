"""What stands in two places stands alike in both; and the names that others rely on."""

import ast
import re
from collections.abc import Mapping
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
from django.dispatch import Signal

import django_phone_otp
from django_phone_otp import captcha, conf, flow, issuers, models, providers, signals
from django_phone_otp.choices import Channel, Custody, DeliveryOutcome
from django_phone_otp.exceptions import DeliveryError
from django_phone_otp.flow.deliveries import CONSEQUENCES
from django_phone_otp.providers import Provider

PACKAGE = Path(django_phone_otp.__file__).parent
TESTS = Path(__file__).resolve().parent
DOCS = TESTS.parent / "docs"

MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "migrations" / "__init__.py"
)
PROVIDERS = [pytest.param(key, path, id=key) for key, path in providers.REGISTRY.items()]


def load(path: str) -> type:
    module, _dot, name = path.rpartition(".")
    return getattr(import_module(module), name)


def modules_of(registry: Mapping[str, str]) -> set[str]:
    """Name the modules in which the classes of a registry live."""
    return {path.split(".")[-2] for path in registry.values()}


def modules_in(package: str) -> set[str]:
    """Name the modules of a package that are there for a plug-in, not for all of them."""
    found = {path.stem for path in (PACKAGE / package).glob("*.py")}
    return found - {"__init__", "base", "options"}


def read(path: Path) -> str:
    assert path.exists(), f"there is no {path.relative_to(TESTS.parent)}"
    return path.read_text(encoding="utf-8")


# Plug-ins


@pytest.mark.parametrize(
    ("package", "registry"),
    [
        pytest.param("providers", providers.REGISTRY, id="providers"),
        pytest.param("issuers", issuers.REGISTRY, id="issuers"),
        pytest.param("captcha", captcha.REGISTRY, id="captcha"),
    ],
)
def test_registry_names_each_module_of_its_package(package, registry):
    assert modules_of(registry) == modules_in(package)


@pytest.mark.parametrize(
    ("base", "registry"),
    [
        pytest.param(Provider, providers.REGISTRY, id="providers"),
        pytest.param(issuers.Issuer, issuers.REGISTRY, id="issuers"),
        pytest.param(captcha.Captcha, captcha.REGISTRY, id="captcha"),
    ],
)
def test_registry_names_classes_that_are_there(base, registry):
    assert [path for path in registry.values() if not issubclass(load(path), base)] == []


@pytest.mark.parametrize(("key", "path"), PROVIDERS)
def test_provider_knows_its_own_key(key, path):
    found = load(path)
    assert issubclass(found, Provider)
    assert found.key == key


def test_each_module_of_providers_has_a_file_of_tests():
    found = {path.stem.removeprefix("test_") for path in (TESTS / "providers").glob("test_*.py")}
    # Two are about what all providers share.
    assert found - {"base", "contract"} == modules_in("providers")


def test_each_provider_has_a_page_and_each_page_a_provider():
    assert (DOCS / "providers").is_dir(), "there is no docs/providers"
    pages = {path.stem for path in (DOCS / "providers").glob("*.md")}
    assert pages - {"index"} == set(providers.REGISTRY)


@pytest.mark.parametrize(("key", "path"), PROVIDERS)
def test_page_of_a_provider_names_its_key_and_its_options(key, path):
    found = load(path)
    assert issubclass(found, Provider)
    own = set(found.Options.__dataclass_fields__) - {"base_url", "timeout"}
    page = read(DOCS / "providers" / f"{key}.md")
    assert [name for name in sorted({key} | own) if f"`{name}`" not in page] == []


def test_each_provider_stands_in_the_overview():
    overview = read(DOCS / "providers" / "index.md")
    found = set(re.findall(r"^\| `([a-z0-9-]+)` +\|", overview, re.MULTILINE))
    assert found >= set(providers.REGISTRY)


def test_each_wire_file_has_a_provenance():
    folder = TESTS / "providers" / "wire"
    row = re.compile(r"^\| `([\w.]+)` \| (?:documented|observed|assumed) \|", re.MULTILINE)
    described = row.findall(read(folder / "README.md"))
    assert sorted(described) == sorted(path.name for path in folder.glob("*.json"))


def test_each_wire_file_is_used():
    tests = "".join(path.read_text() for path in (TESTS / "providers").glob("test_*.py"))
    unused = [
        path.name
        for path in (TESTS / "providers" / "wire").glob("*.json")
        if f'"{path.stem}"' not in tests
    ]
    assert unused == []


# Settings


def _table_of(heading: str, name: str) -> dict[str, str]:
    """Read a table of the settings page: the name in backticks, then the default in backticks."""
    _before, _found, after = read(DOCS / "settings.md").partition(f"\n{heading}\n")
    section = re.split(r"^## ", after, flags=re.MULTILINE)[0]
    rows = re.findall(rf"^\| `({name})` +\| `([^`]*)` +\|", section, re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a name stands in the table twice"
    return dict(rows)


def _documented_defaults() -> dict[str, str]:
    return _table_of("## All keys", "[A-Z_]+")


def test_each_setting_stands_in_the_table_of_the_docs():
    assert list(_documented_defaults()) == list(conf.KEYS)


@pytest.mark.parametrize("key", conf.KEYS)
def test_documented_default_is_the_default(key):
    documented = ast.literal_eval(_documented_defaults()[key])
    default = getattr(conf.Settings(), key.lower())
    is_list = isinstance(default, tuple)
    assert (tuple(documented) if is_list else documented) == default


@pytest.mark.parametrize("key", conf.KEYS)
def test_each_setting_has_a_heading_of_its_own(key):
    assert re.search(rf"^###? .*`{key}`", read(DOCS / "settings.md"), re.MULTILINE)


def test_documented_limits_are_the_limits():
    documented = _table_of("### `LIMITS`", "[a-z_]+")
    found = {name: ast.literal_eval(default) for name, default in documented.items()}
    assert found == dict(conf.DEFAULT_LIMITS)


# Words


def test_each_delivery_error_has_its_consequence():
    assert set(CONSEQUENCES) == set(DeliveryError.__subclasses__())


def test_each_consequence_has_an_outcome_of_its_own():
    outcomes = [each.outcome for each in CONSEQUENCES.values()]
    assert len(set(outcomes)) == len(outcomes)
    # Those that no error of a provider stands for.
    others = {"sent", "withheld", "test", "over_budget", "phone_over_budget"}
    assert set(outcomes) == set(DeliveryOutcome) - others


@pytest.mark.parametrize(("key", "path"), PROVIDERS)
def test_provider_has_a_channel_that_exists(key, path):
    found = load(path)
    assert issubclass(found, Provider)
    assert found.channel in Channel
    assert getattr(found, "custody", Custody.LOCAL) in Custody


# Public names: whoever takes one away breaks somebody's site


@pytest.mark.parametrize(
    ("module", "names"),
    [
        pytest.param(
            flow,
            [
                "Answer",
                "Asked",
                "Client",
                "Decision",
                "Login",
                "OwnedPhone",
                "Refusal",
                "confirm_code",
                "find_challenge",
                "find_latest",
                "give_device",
                "link_phone",
                "list_phones",
                "look_at_challenge",
                "make_primary",
                "request_code",
                "resend_code",
                "seconds_until_resend",
                "spend_challenge",
                "try_account",
                "unlink_phone",
            ],
            id="flow",
        ),
        pytest.param(
            models,
            [
                "AccountLedger",
                "BlockedPrefix",
                "ConfirmAttempt",
                "Dashboard",
                "DeliveryAttempt",
                "DeviceLedger",
                "GuardObjection",
                "IssuedCode",
                "PendingDelivery",
                "PhoneChallenge",
                "PhoneLedger",
                "ProviderAccount",
                "TrafficCount",
                "TrafficSource",
                "UserPhone",
            ],
            id="models",
        ),
        pytest.param(
            providers,
            [
                "ENTRY_POINT_GROUP",
                "REGISTRY",
                "Provider",
                "find_provider_class",
                "list_keys",
                "load_provider",
            ],
            id="providers",
        ),
        pytest.param(issuers, ["REGISTRY", "Issuer", "load_issuer"], id="issuers"),
        pytest.param(captcha, ["REGISTRY", "Captcha", "load_captcha"], id="captcha"),
    ],
)
def test_public_names(module, names):
    assert sorted(module.__all__) == sorted(names)
    assert [name for name in names if not hasattr(module, name)] == []


def test_signals():
    assert {name for name, value in vars(signals).items() if isinstance(value, Signal)} == {
        "code_sent",
        "delivery_failed",
        "code_rejected",
        "phone_verified",
        "phone_locked",
        "phone_linked",
        "phone_unlinked",
        "primary_phone_changed",
        "alarm_raised",
        "account_inspected",
        "breaker_closed",
        "breaker_opened",
        "code_requested",
        "guard_objected",
        "login_accepted",
    }


def test_each_signal_has_its_arguments_in_a_comment_above():
    lines = Path(signals.__file__).read_text().splitlines()
    bare = [
        line
        for above, line in pairwise(lines)
        if line.endswith("= Signal()") and not above.startswith("# ")
    ]
    assert bare == []


def test_entry_point_group_is_the_documented_one():
    assert providers.ENTRY_POINT_GROUP == "django_phone_otp.providers"


# Modules


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_module_says_what_lives_there(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
