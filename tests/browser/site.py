"""The site under test: Django's own test server, with the strictest policy that a site may have.

The server is a thread of the tests, so that they can move its clock and change its settings.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.test import override_settings
from django.test.testcases import LiveServerThread

from example_project.gateway import Gateway

HOST = "127.0.0.1"

# No inline script and no inline style, no other host, no `eval`, no frame.
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}

SETTINGS: dict[str, Any] = {
    "ROOT_URLCONF": "tests.browser.urls",
    "LOGIN_URL": "phone_otp_web:login",
    "LOGIN_REDIRECT_URL": "/",
    "TIME_ZONE": "Europe/Moscow",  # where most of the example's people live
}


class StrictHandler(StaticFilesHandler):
    """Serve pages and static files; whatever goes out has the policy."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer."""
        policy = "; ".join(f"{name} {sources}" for name, sources in POLICY.items())

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, ("Content-Security-Policy", policy)], *rest)

        return super().__call__(environ, start)


def keys_for(gateway: Gateway, *accounts: str) -> dict[str, Any]:
    """Give PHONE_OTP of a site with these accounts, each the last word of a provider's key."""
    options = {"token": "token-of-the-tests", "base_url": gateway.url}
    return {
        "PROVIDERS": {
            alias: {"BACKEND": f"telefon-ip-{alias}", "OPTIONS": options} for alias in accounts
        },
        "DEFAULT_REGION": "RU",
    }


@contextmanager
def serving() -> Iterator[str]:
    """Serve the site; give its address."""
    with override_settings(**SETTINGS):
        thread = LiveServerThread(HOST, StrictHandler)
        thread.daemon = True
        thread.start()
        thread.is_ready.wait()
        if thread.error:
            raise thread.error
        try:
            yield f"http://{HOST}:{thread.port}"
        finally:
            thread.terminate()
