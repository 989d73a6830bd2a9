"""The login page of the documentation, in a browser: the session is the login, CSRF is enforced."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session

from .conftest import CODE, PATIENCE_SECONDS, RU, Site

pytestmark = pytest.mark.browser

# What a person does there: types, taps, and reads.
PERSON = """
<script type="module">
  for (const [form, name, value, isDone] of [%s]) {
    form.elements[name].value = value;
    form.requestSubmit();
    while (!isDone()) await new Promise((done) => setTimeout(done, 20));
  }
</script>
"""
FORMS = "document.forms"
TYPES_PHONE = f'[{FORMS}.ask, "phone", "{RU}", () => !{FORMS}.answer.hidden]'
IS_REFUSED = """() => document.querySelector("[role=alert]").innerText"""


@pytest.fixture
def chromium(site_with_sessions: Site, tmp_path: Path) -> Callable[..., list[str]]:
    """Give the command that opens the page, where a person does these steps."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("chromium is missing: Debian's package chromium")

    def open_page(code: str, *options: str) -> list[str]:
        page = tmp_path / "templates" / "login.html"
        types_code = f'[{FORMS}.answer, "code", "{code}", {IS_REFUSED}]'
        page.write_text(page.read_text() + PERSON % f"{TYPES_PHONE}, {types_code}")
        return [
            *(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *(f"--user-data-dir={tmp_path / 'profile'}", *options),
            f"{site_with_sessions.url}/login/",
        ]

    return open_page


def test_right_code_logs_the_browser_in(chromium, site_with_sessions):
    browser = subprocess.Popen(chromium(CODE), stderr=subprocess.DEVNULL)
    try:
        site_with_sessions.wait_for("/")  # where the page leads after a login
    finally:
        browser.terminate()
        browser.wait(PATIENCE_SECONDS)
    user = get_user_model().objects.get()
    assert Session.objects.get().get_decoded()["_auth_user_id"] == str(user.pk)


def test_wrong_code_is_told_with_the_tries_that_are_left(chromium):
    command = chromium("543210", "--dump-dom", "--virtual-time-budget=5000")
    shown = subprocess.check_output(
        command, stderr=subprocess.DEVNULL, text=True, timeout=PATIENCE_SECONDS
    )
    assert 'role="alert">This code is not right. (4)</p>' in shown
