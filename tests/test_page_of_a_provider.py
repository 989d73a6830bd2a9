"""The page "Write a provider": its two files run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from django_phone_otp.providers import load_provider

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "write-a-provider.md"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Write the files that the page shows, each named in its first line."""
    for name, text in re.findall(
        r"^```python\n# (\S+\.py)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert sorted(path.name for path in tmp_path.rglob("*.py")) == ["sms.py", "test_sms.py"]
    return tmp_path


def test_its_test_passes(shop):
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider"),
            *("--rootdir", str(shop), "-c", os.devnull, "--ds", "tests.settings"),
            str(shop),
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(shop), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"^1[0-9] passed", ran.stdout, re.MULTILINE)


def test_its_line_of_settings_is_accepted(shop, monkeypatch):
    monkeypatch.syspath_prepend(shop)
    line = re.search(r'"BACKEND": "(shop[\w.]+)", "OPTIONS": \{"(\w+)"', PAGE.read_text())
    assert line
    provider = load_provider(line[1], {line[2]: "0123456789abcdef"}, setting="account")
    assert (provider.key, provider.options.sender) == ("acme-sms", "")
