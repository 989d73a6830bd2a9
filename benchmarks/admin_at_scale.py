"""The operators' admin on ten million challenges: `python -m benchmarks.admin_at_scale`.

Makes the rows in a PostgreSQL of its own, asks for the pages as an operator does, and explains what
the database did. Exit status 1: a page or a statement took longer than 200 ms, or a big table was
read from end to end. Below a million rows nothing is timed, for a small table is rightly read
whole; the pages are asked for all the same.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.database import build, count_all_traffic, read_built, serving
from benchmarks.measure import (
    LIMIT_MS,
    RUNS,
    Measurement,
    explain,
    find_filters,
    measure,
    pair,
)
from benchmarks.rows import BUSY_PHONE, Size, phone_of

TIMED_FROM_ROWS = 1_000_000
STATEMENT_TIMEOUT = "20s"  # what takes longer is an error of its page
# What makes a list look back as far as it can.
WIDEST = {"when": "all"}
TWO_FILTERS = "two filters: "
GIGABYTES_OF_ROWS = 1.7  # for each million, with indexes
_OPTIONS = {"token": "nobody-is-asked", "base_url": "http://127.0.0.1:9", "timeout": 1}


def make_settings(database: dict[str, Any]) -> dict[str, Any]:
    """Give the settings of a site with the accounts that the rows name."""
    telefon_ip = {"calls": "flash", "texts": "sms", "reverse": "reverse"}
    accounts: dict[str, Any] = {
        alias: {"BACKEND": f"telefon-ip-{name}", "OPTIONS": _OPTIONS}
        for alias, name in telefon_ip.items()
    }
    accounts["minsk"] = {
        "BACKEND": "sms-by",
        "OPTIONS": {**_OPTIONS, "type_id": "numbers", "len": 6},
    }
    where = {"base_url": _OPTIONS["base_url"], "timeout": 1}
    accounts["oneconnect"] = {
        "BACKEND": "oneconnect",
        "OPTIONS": {**where, "email": "operator@example.com", "api_key": "nobody-is-asked"},
    }
    sids = {"account_sid": "AC" + "0" * 32, "service_sid": "VA" + "0" * 32}
    accounts["twilio"] = {
        "BACKEND": "twilio-verify",
        "OPTIONS": {**where, **sids, "auth_token": "0" * 32},
    }
    return {
        "SECRET_KEY": "benchmark-only-" + "k" * 50,
        "USE_TZ": True,
        "ALLOWED_HOSTS": ["testserver"],
        "ROOT_URLCONF": "tests.urls",
        "STATIC_URL": "static/",
        "INSTALLED_APPS": [
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
            "rest_framework",
            "django_phone_otp",
        ],
        "MIDDLEWARE": [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.locale.LocaleMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        "TEMPLATES": [
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
        "AUTHENTICATION_BACKENDS": [
            "django_phone_otp.backends.PhoneOTPBackend",
            "django.contrib.auth.backends.ModelBackend",
        ],
        "DATABASES": {"default": database},
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "PHONE_OTP": {"PROVIDERS": accounts, "DEFAULT_REGION": "RU"},
    }


def tell(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201 (it is a program)


def make_bar(total: int) -> Any:
    """Make a bar for a terminal; where nobody looks, one that says a line now and then."""
    from django.core.management.base import OutputWrapper

    from django_phone_otp.management.commands.phone_otp_purge import Bar

    return Bar(OutputWrapper(sys.stderr), total) if sys.stderr.isatty() else Lines(total)


class Lines:
    """Tells how far it is each tenth of the way."""

    def __init__(self, total: int) -> None:
        self._total, self._tenths, self._began = total, 0, time.monotonic()

    def show(self, done: int) -> None:
        """Say it, if another tenth is done."""
        if done * 10 // self._total > self._tenths:
            self._tenths = done * 10 // self._total
            tell(f"  {self._tenths * 10:3d} %  {time.monotonic() - self._began:.0f} s")

    def end(self) -> None:
        """Do nothing more."""


# The pages


def log_in() -> Any:
    """Give a client that an operator with all permissions of this app is logged in with."""
    from django.contrib.auth.models import Permission, User
    from django.test import Client

    operator, _created = User.objects.get_or_create(username="operator", is_staff=True)
    operator.user_permissions.set(Permission.objects.filter(content_type__app_label="phone_otp"))
    # A page that breaks is a line of the result, and no end of all.
    client = Client(raise_request_exception=False)
    client.force_login(operator)
    return client


def measure_pages(size: Size, only: str, *, is_quick: bool) -> Iterator[Measurement]:
    """Measure each page that there is; quickly, without each two filters together."""
    client = log_in()
    # Python looks through all that a process has loaded now and then, for 70 ms, in whatever page
    # it happens to be: let it have done so.
    client.get(_find("dashboard"))
    gc.collect()
    gc.freeze()
    for name, address in list_pages(size):
        if only in name:
            yield measure(client, name, address)
    for chosen in ("", "?when=all", "?when=all&state=failed", "?when=all&delivery=uncertain"):
        name = f"CSV, its first lines {chosen}".strip()
        if only in name:
            yield measure(client, name, _find("phonechallenge_export") + chosen, method="post")
    for title, address in list_lists():
        queries = find_filters(client.get(address).content.decode())
        for words, query in _combine(queries):
            name = f"{title}, {words}{_write(query)}"
            if only in name and not (is_quick and words == TWO_FILTERS):
                runs = 0 if words == TWO_FILTERS else RUNS
                found = measure(client, name, f"{address}?{urlencode(query)}", runs=runs)
                if not runs and found.worst_ms > LIMIT_MS / 2:
                    found = measure(client, name, found.address)  # as all the others
                yield found


def _combine(queries: list[dict[str, str]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Give each filter by itself, and with the widest of times; each two with the latter."""
    widened = [WIDEST | each for each in queries if not set(WIDEST) & set(each)]
    for query in (*queries, *widened):
        yield "", query
    for query in pair(each for each in queries if not set(WIDEST) & set(each)):
        yield TWO_FILTERS, WIDEST | query


def _write(query: dict[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in query.items())


def list_lists() -> list[tuple[str, str]]:
    """Give the lists whose filters are gone through."""
    return [("challenges", _find("phonechallenge_changelist"))]


def list_pages(size: Size) -> Iterator[tuple[str, str]]:
    """Give names and addresses of what operators look at."""
    from django.urls import reverse

    from django_phone_otp.choices import Period
    from django_phone_otp.models import PhoneChallenge, PhoneLedger, UserPhone

    dashboard = _find("dashboard")
    for period in Period.values:
        yield f"dashboard, {period}", f"{dashboard}?period={period}"
        for query in ("account=calls", "channel=sms", "region=RU", "account=minsk&region=BY"):
            yield f"dashboard, {period}, {query}", f"{dashboard}?period={period}&{query}"
    challenges = _find("phonechallenge_changelist")
    yield "challenges", challenges
    yield "challenges, page 2", f"{challenges}?p=2"
    yield "challenges, page 50", f"{challenges}?p=50"
    yield "challenges, page 200 of all times", f"{challenges}?when=all&p=200"
    yield "challenges, the oldest first", f"{challenges}?when=all&o=1"
    newest = PhoneChallenge.objects.order_by("-created_at")[0]
    locked = PhoneLedger.objects.filter(disabled_at__isnull=False).order_by("-disabled_at")[0]
    for name, ledger in (
        ("a phone", newest.ledger),
        ("a phone with thousands", PhoneLedger.objects.get(phone=phone_of(BUSY_PHONE))),
    ):
        yield f"challenges of {name}", f"{challenges}?of={ledger.pk}"
        yield f"challenges of {name}, by number", f"{challenges}?{urlencode({'q': ledger.phone})}"
        yield f"challenges of {name}, failed", f"{challenges}?of={ledger.pk}&state=failed"
    yield "challenges of an unknown phone", f"{challenges}?{urlencode({'q': '+79990000000'})}"
    for name, pk in (("of a new one", newest.pk), ("of the longest", size.long_challenge)):
        yield f"timeline {name}", _find("phonechallenge_change", pk)
    ledgers = _find("phoneledger_changelist")
    yield "locked phones", ledgers
    yield "locked phones, page 2", f"{ledgers}?p=2"
    yield "locked phones, one phone", f"{ledgers}?of={locked.pk}"
    yield "a locked phone", _find("phoneledger_change", locked.pk)
    user_phones, owned = _find("userphone_changelist"), UserPhone.objects.order_by("-pk")[0]
    yield "users' phones", user_phones
    yield "users' phones, page 2", f"{user_phones}?p=2"
    yield "users' phones, search: a phone", f"{user_phones}?{urlencode({'q': owned.phone})}"
    yield "users' phones, search: a user", f"{user_phones}?q={owned.user.username}"
    yield "a user's phone", _find("userphone_change", owned.pk)
    yield "blocked prefixes", _find("blockedprefix_changelist")
    yield "provider accounts", _find("provideraccount_changelist")
    yield "the admin's index of the app", reverse("admin:app_list", args=["phone_otp"])


def _find(name: str, *arguments: Any) -> str:
    from django.urls import reverse

    return reverse(f"admin:phone_otp_{name}", args=arguments)


# What comes of it


def write_table(measured: Sequence[Measurement], size: Size, until: datetime) -> str:
    """Write what was measured as Markdown; filters are one line, with the slowest of them."""
    from django.db import connection

    version = ".".join(map(str, divmod(connection.pg_version, 10_000)))  # type: ignore[attr-defined]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    groups: dict[str, list[Measurement]] = {}
    for each in measured:
        groups.setdefault(_name_group(each.name), []).append(each)
    lines = [
        f"{until:%Y-%m-%d}: {size.challenges:,} challenges of 30 days, {size.phones:,} phones.",
        f"{os.cpu_count()} processors, {memory:.0f} GB of memory, PostgreSQL {version} with the",
        f"settings that it comes with, Python {platform.python_version()}.",
        "",
        "| page | median | worst | statements | slowest |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(_write_row(name, found) for name, found in groups.items()),
    ]
    return "\n".join(lines) + "\n"


def _name_group(name: str) -> str:
    if TWO_FILTERS in name:
        return f"{name.partition(TWO_FILTERS)[0]}two filters"
    start, is_filtered, _rest = name.partition("=")
    return f"{start.rpartition(' ')[0].rstrip(',')}, filtered" if is_filtered else name


def _write_row(name: str, measured: Sequence[Measurement]) -> str:
    median = max(each.median_ms for each in measured)
    worst = max(each.worst_ms for each in measured)
    count = max(len(each.statements) for each in measured)
    slowest = max(each.statement_ms for each in measured)
    many = f" ({len(measured)})" if len(measured) > 1 else ""
    return f"| {name}{many} | {median:.0f} ms | {worst:.0f} ms | {count} | {slowest:.0f} ms |"


def judge(measured: Sequence[Measurement]) -> list[str]:
    """Say what is not as it has to be, each with the statement and its plan."""
    lines = []
    for each in measured:
        problems = list(each.problems())
        if not problems:
            continue
        lines.append(f"{each.name}: {'; '.join(dict.fromkeys(problems))}\n    {each.address}")
        for statement in each.statements.values():
            if statement.scanned or statement.worst_ms > LIMIT_MS / 2:
                sql = re.sub(r'^SELECT "[^()]*? FROM ', "SELECT … FROM ", statement.sql)[:3_000]
                lines.append(
                    f"    {statement.worst_ms:.0f} ms  {sql}\n"
                    f"    with {statement.params!r:.500}\n    {statement.plan}"
                )
    return lines


def run(options: argparse.Namespace, folder: Path) -> int:
    """Build or take what is there, measure, and say what came of it; give the exit status."""
    import django
    from django.conf import settings

    with serving(folder) as database:
        settings.configure(**make_settings(database))
        django.setup()
        built = read_built(folder)
        if built is None:
            size = Size(options.rows)
            until = build(folder, size, tell, make_bar)
        else:
            size, until = built
            tell(f"Measuring the {size.challenges:,} challenges that are in {folder}")
        with _at(until) if built else nullcontext():
            tell("Counting the traffic")
            count_all_traffic(until, tell)
            _set_timeout()
            tell("Asking for the pages")
            return _measure_and_judge(options, size, until)


def _set_timeout() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, false)", [STATEMENT_TIMEOUT])


def _at(until: datetime) -> Any:
    """Go back to the moment at which the rows end: "the last hour" is empty otherwise."""
    import time_machine

    return time_machine.travel(until, tick=True)


def _measure_and_judge(options: argparse.Namespace, size: Size, until: datetime) -> int:
    measured = []
    for each in measure_pages(size, options.only, is_quick=options.quick):
        measured.append(each)
        if size.challenges >= TIMED_FROM_ROWS:
            explain(each)
            mark = "!" if list(each.problems()) else " "
            if mark == "!" or TWO_FILTERS not in each.name:
                _tell_times(mark, each)
        elif each.status != 200:
            tell(f"! {each.status}  {each.name}")
    if size.challenges < TIMED_FROM_ROWS:
        tell(f"{len(measured)} pages asked for; {size.challenges:,} rows are too few to judge by.")
        return int(any(each.status != 200 for each in measured))
    table, problems = write_table(measured, size, until), judge(measured)
    tell("\n" + table)
    if options.table:
        options.table.write_text(table)
    for line in problems:
        tell(line)
    tell(f"{len(measured)} pages measured, {RUNS} times each.")
    return int(bool(problems))


def _tell_times(mark: str, each: Measurement) -> None:
    tell(
        f"{mark} {each.median_ms:6.0f} {each.worst_ms:6.0f} ms, "
        f"a statement {each.statement_ms:6.0f} ms  {each.name}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run it; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.admin_at_scale")
    parser.add_argument("--rows", type=int, default=10_000_000, help="challenges; %(default)s")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep the database there, to measure again"
    )
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the table there")
    parser.add_argument("--only", default="", metavar="WORDS", help="pages with these in the name")
    parser.add_argument("--quick", action="store_true", help="leave out each two filters together")
    options = parser.parse_args(arguments)
    # An exception ends the server; the signal by itself would leave it running.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    folder = options.keep or Path(tempfile.mkdtemp(prefix="phone-otp-benchmark-"))
    folder.mkdir(parents=True, exist_ok=True)
    needed = options.rows / 1_000_000 * GIGABYTES_OF_ROWS
    free = shutil.disk_usage(folder).free / 2**30
    try:
        if not (folder / "data").exists() and free < needed + 1:
            tell(f"{folder} has {free:.0f} GB free, and about {needed + 1:.0f} are needed.")
            return 2
        return run(options, folder)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
