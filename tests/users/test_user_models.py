"""The user models that sites have, each in a process of its own: Django has one in a process."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.databases import INHERITED

pytestmark = pytest.mark.long

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PATIENCE_SECONDS = 300
MODELS = sorted(path.parent.name for path in HERE.glob("*/settings.py"))
WANTED = ("knox", "rest_framework_simplejwt")


def database_of_its_own(model: str, folder: Path) -> dict[str, Any]:
    """Give the running suite's server and a database beside the suite's, which would be dropped."""
    database = json.loads(os.environ[INHERITED])
    if database["ENGINE"].endswith("sqlite3"):
        name = str(folder / "database.sqlite3")
        return {**database, "NAME": name, "TEST": {"NAME": name}}
    return {**database, "TEST": {"NAME": f"users_{model}_{os.getpid()}"}}


@pytest.fixture
def run(tmp_path):
    """Run a file of this folder on a site with one of the models: `run("logins.py", model)`."""
    if missing := [each for each in WANTED if not find_spec(each)]:
        pytest.skip(f"not installed: {', '.join(missing)}")

    def in_a_process(file: str, model: str) -> None:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
        ran = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *("--ds", f"tests.users.{model}.settings", str(HERE / file)),
            ],
            cwd=ROOT,
            env=kept | {INHERITED: json.dumps(database_of_its_own(model, tmp_path))},
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        assert ran.returncode == 0, f"{model}, {file}:\n{ran.stdout}{ran.stderr}"

    return in_a_process


def test_models_are_all_there():
    assert MODELS == ["by_django", "by_email", "by_nickname", "by_phone", "by_uuid"]


@pytest.mark.parametrize("model", MODELS)
def test_every_issuer_logs_in_every_user_model(run, model):
    run("logins.py", model)


@pytest.mark.parametrize("model", ["by_django", "by_nickname"])
def test_knox_logs_in_as_its_settings_say(run, model):
    run("knox_logins.py", model)


def test_phones_move_as_the_page_says(run):
    run("moving.py", "by_nickname")
