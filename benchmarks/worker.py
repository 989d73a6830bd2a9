"""One worker of a site, as gunicorn starts it, inside this process: for `startup` and `memory`.

Imports next to nothing by itself: what it imported would not be counted with the site.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# What the app's own dependencies bring, and a site may not have had before.
OUR_DEPENDENCIES = (
    "certifi",
    "charset_normalizer",
    "cryptography",
    "django_ratelimit",
    "idna",
    "phonenumbers",
    "requests",
    "urllib3",
)
# What DRF imports where it is installed, and is installed here for other reasons.
STRANGERS = ("docutils", "inflection", "markdown", "pygments", "uritemplate", "yaml")
METRICS = ("prometheus_client",)

# What each site has besides Django, DRF and its tokens. "bare" is a site before the app was
# installed: DRF imports requests wherever it finds it. "row" has its account in a row.
APPS: dict[str, Sequence[str]] = {
    "bare": (),
    "site": (),
    "app": ("django_phone_otp",),
    "app, metrics": ("django_phone_otp",),
    "app, row": ("django_phone_otp",),
    "site, admin": ("django.contrib.messages", "django.contrib.admin"),
    "app, admin": ("django.contrib.messages", "django.contrib.admin", "django_phone_otp"),
    "allauth": ("allauth", "allauth.account", "allauth.headless"),
}
USER_NAME, PASSWORD = "somebody", "correct horse"

Application = Callable[..., Any]


def hide_packages(site: str) -> None:
    """Keep from being imported what a site would not have installed."""
    hidden = [*STRANGERS, *(() if "metrics" in site else METRICS)]
    if site == "bare":
        hidden += OUR_DEPENDENCIES
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's sign for "not there"


def configure(site: str, database: dict[str, Any]) -> None:
    """Configure Django for a site."""
    from django.conf import settings

    installed = APPS[site]
    middleware = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    backends = ["django.contrib.auth.backends.ModelBackend"]
    of_apps: dict[str, Any] = {}
    if "django.contrib.messages" in installed:
        middleware.append("django.contrib.messages.middleware.MessageMiddleware")
    if "django_phone_otp" in installed:
        backends.insert(0, "django_phone_otp.backends.PhoneOTPBackend")
        of_apps["PHONE_OTP"] = {
            "PROVIDERS": None if "row" in site else {"memory": {"BACKEND": "locmem"}},
            "TOKEN_ISSUER": "token",
            "LIMITS": dict.fromkeys(("request_ip", "confirm_ip"), "1000000/h"),
        }
    if "allauth" in installed:
        middleware.append("allauth.account.middleware.AccountMiddleware")
        backends.append("allauth.account.auth_backends.AuthenticationBackend")
        of_apps |= {"HEADLESS_ONLY": True, "ACCOUNT_LOGIN_BY_CODE_ENABLED": True}
    settings.configure(
        SECRET_KEY="benchmark-only-" + "k" * 50,
        ALLOWED_HOSTS=["testserver"],
        USE_TZ=True,
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # a login takes no time
        ROOT_URLCONF="benchmarks.worker_urls",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "rest_framework",
            "rest_framework.authtoken",
            *installed,
        ],
        MIDDLEWARE=middleware,
        AUTHENTICATION_BACKENDS=backends,
        DATABASES={"default": database},
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        **of_apps,
    )


def load() -> Application:
    """Load the site as a worker does before its first request, and what that one would import."""
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
    from django.contrib.auth import get_backends
    from django.urls import get_resolver

    get_backends()
    _ = get_resolver().url_patterns
    return application


def make_tables(site: str) -> None:
    """Make the tables of the site, and the rows that it needs."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    users: Any = get_user_model()
    users._default_manager.create_user(USER_NAME, password=PASSWORD)
    if "row" in site:
        from django_phone_otp.models import ProviderAccount

        ProviderAccount.objects.create(alias="memory", backend="locmem")


def post(application: Application, path: str, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Ask as a server would, and give the status and the answer."""
    data = json.dumps(body).encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.7",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(data)),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(data),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    statuses: list[str] = []
    with _closing(application(environ, lambda status, _headers: statuses.append(status))) as parts:
        answer = b"".join(parts)
    return int(statuses[0].split()[0]), json.loads(answer)


@contextmanager
def _closing(response: Any) -> Iterator[Any]:
    try:
        yield response
    finally:
        response.close()  # as the server does: connections are looked after then


def phone_of(number: int) -> str:
    """Give the phone of one of ten million people: limits are per phone."""
    return f"+7924{number:07d}"


def sign_in(application: Application, phone: str) -> None:
    """Log in with a phone."""
    from django_phone_otp.providers.local import outbox

    status, asked = post(application, "/api/phone/request/", {"phone": phone})
    if status != 201:
        raise RuntimeError(f"request/ answered {status}: {asked}")
    answer = {"challenge": asked["challenge"], "code": outbox.pop().code}
    status, said = post(application, "/api/phone/confirm/", answer)
    if status != 200:
        raise RuntimeError(f"confirm/ answered {status}: {said}")


def sign_in_with_password(application: Application) -> None:
    """Log in by DRF's own view, as a site without the app does."""
    status, said = post(application, "/token/", {"username": USER_NAME, "password": PASSWORD})
    if status != 200:
        raise RuntimeError(f"token/ answered {status}: {said}")


def read_memory() -> dict[str, float]:
    """Read what this process holds, in MiB: all its pages, and those that are its own alone.

    Its own are those that it has written to: what it shares with other workers of the site, such as
    the text of libraries, costs nothing more for one more of them.
    """
    with open("/proc/self/smaps_rollup") as lines:  # noqa: PTH123 (pathlib would be counted)
        kib = {name: int(rest.split()[0]) for name, rest in map(_split, lines) if "kB" in rest}
    return {"rss": kib["Rss"] / 1024, "own": kib["Private_Dirty"] / 1024}


def _split(line: str) -> tuple[str, str]:
    name, _colon, rest = line.partition(":")
    return name, rest


def at_depth(depth: int, call: Callable[..., None], *arguments: Any) -> None:
    """Call a function from so many frames deep.

    Since 3.11 Python keeps frames in blocks of 16 KiB: a loop that calls where one ends maps and
    unmaps the next each time, 40 ms in one start. Where that happens is an accident of the depth.
    """
    if depth:
        at_depth(depth - 1, call, *arguments)
    else:
        call(*arguments)


def report_start(site: str, database: dict[str, Any], number: int, began: float) -> None:
    """Start a site, log in as the person of this number, and print as JSON what it took.

    `began` is when the process was started, on the clock of `time.monotonic`.
    """
    hide_packages(site)
    configure(site, database)
    application = load()
    # The processor time is that of the whole process, the interpreter's start included.
    took: dict[str, Any] = {
        "cpu_ms": time.process_time() * 1_000,
        "wall_ms": (time.monotonic() - began) * 1_000,
        **read_memory(),
        "modules": sorted(sys.modules),
    }
    if "django_phone_otp" in APPS[site]:
        sign_in(application, phone_of(number))
    elif site != "allauth":
        sign_in_with_password(application)
    after = {f"{name}_after": held for name, held in read_memory().items()}
    print(json.dumps(took | after))  # noqa: T201 (its parent reads it)
