"""What is measured: people sign in at a site as `benchmarks.sign_in` serves it; servers are asked.

PostgreSQL tells rows, sizes and the bytes of its write-ahead log (WAL), Redis its keys.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.sign_in.contenders.base import Contender
from benchmarks.sign_in.people import PATIENCE_SECONDS, Crowd, new_phones
from benchmarks.sign_in.scenarios import make_old_challenges, receive
from benchmarks.sign_in.sites import ALONE, Ground, Shape, Site, connecting, name_database
from benchmarks.sign_in.usage import Usage

WARM_UP_COUNT = 50
BATCH_COUNT = 50
CROWD = Shape(processes=1, threads=4)
BUSY_SECONDS = 0.2  # of a provider at which each of them meets the others
RELOAD_SECONDS = 0.5  # a changed setting counts from the next statement on, but not at once


@dataclass(frozen=True, slots=True)
class Writes:
    """Rows of a table that are written, for each sign-in.

    `hot` are those of `updated` that no index hears of.
    """

    inserted: float
    updated: float
    hot: float
    deleted: float


@dataclass(frozen=True, slots=True)
class Keys:
    """What each person leaves in the cache for so many seconds, from an address of their own."""

    lifetime_seconds: int
    count: float
    bytes: float


@dataclass(frozen=True, slots=True)
class SignIn:
    """What one sign-in took; WAL without images of pages.

    `seconds` are those for which it was waited, in both steps, for a provider that takes none.
    """

    contender: str
    is_known: bool
    cpu: Usage
    seconds: float
    wal_bytes: float
    writes: dict[str, Writes]


@dataclass(frozen=True, slots=True)
class Row:
    """How many bytes a row has in its table, and in all of its indexes."""

    in_table: float
    in_indexes: float

    @property
    def bytes(self) -> float:
        """Give the sum."""
        return self.in_table + self.in_indexes


@dataclass(frozen=True, slots=True)
class Connections:
    """What a site of `CROWD` holds, with its workers."""

    contender: str
    database: int
    cache: int


@dataclass(frozen=True, slots=True)
class PageImages:
    """Bytes of WAL for each sign-in beside old challenges: without images of pages, and with."""

    old_count: int
    without: float
    after_checkpoint: float
    later: float


def measure_sign_ins(ground: Ground, contender: Contender, count: int) -> Iterator[SignIn]:
    """Have new phones sign in, and then the same ones again, that are known now."""
    phones = new_phones(WARM_UP_COUNT + count)
    ground.redis.flushall()
    _write_page_images(ground, wanted=False)
    for is_known in (False, True):
        writes = _read_writes(ground, contender)
        with ground.running(contender, ALONE) as site, Crowd(contender, site.port, 1) as crowd:
            sign_in(ground, crowd, phones[:WARM_UP_COUNT], is_known=is_known)
            usage, position = ground.read_usage(site), _read_position(ground)
            seconds = sign_in(ground, crowd, phones[WARM_UP_COUNT:], is_known=is_known) / count
            cpu = ground.read_usage(site).since(usage, per=count)
            wal_bytes = (_read_position(ground) - position) / count
        _wait_for_end(ground, site)  # a connection tells what it wrote at its end at the latest
        written = _read_writes(ground, contender)
        yield SignIn(
            contender=contender.name,
            is_known=is_known,
            cpu=cpu,
            seconds=seconds,
            wal_bytes=wal_bytes,
            writes=find_writes(writes, written, per=len(phones)),
        )


def sign_in(ground: Ground, crowd: Crowd, phones: Sequence[str], *, is_known: bool) -> float:
    """Have all of them sign in; give the seconds for which they waited for answers, together."""
    seconds = 0.0
    for start in range(0, len(phones), BATCH_COUNT):
        asked = crowd.ask(phones[start : start + BATCH_COUNT], is_known=is_known)
        seconds += sum(each.seconds for each in asked)
        seconds += sum(crowd.answer(asked, receive(ground, asked)[0], is_known=is_known))
    return seconds


def measure_rows(ground: Ground, contender: Contender) -> dict[str, Row]:
    """Weigh the rows that are there after VACUUM; room that dead rows left in the files counts."""
    database = name_database(contender)
    ground.query("VACUUM ANALYZE", database)
    found = _select(
        ground,
        """
        SELECT relname, n_live_tup, pg_relation_size(relid), pg_indexes_size(relid)
        FROM pg_stat_user_tables WHERE n_live_tup > 0
        """,
        database,
    )
    return {name: Row(table / rows, indexes / rows) for name, rows, table, indexes in found}


def measure_keys(ground: Ground, count: int) -> list[Keys]:
    """Weigh what is in the cache after so many people have signed in."""
    return find_keys(_read_keys(ground), per=WARM_UP_COUNT + count)


def measure_connections(ground: Ground, contender: Contender) -> Connections:
    """Count what a site holds when as many people were there at once as it serves."""
    known = {each["id"] for each in ground.redis.client_list()}
    ground.set_latency(BUSY_SECONDS)
    with (
        ground.running(contender, CROWD) as site,
        Crowd(contender, site.port, CROWD.at_once) as crowd,
    ):
        sign_in(ground, crowd, new_phones(WARM_UP_COUNT), is_known=False)
        database = _count_connections(ground, site)
        cache = sum(each["id"] not in known for each in ground.redis.client_list())
    ground.set_latency(0)
    return Connections(contender.name, database, cache)


def measure_page_images(
    ground: Ground, contender: Contender, old_count: int, count: int
) -> PageImages:
    """Have people sign in beside old challenges: right after a checkpoint, later, and without.

    What is written to a page for the first time after a checkpoint has the whole page copied into
    the WAL. In tables of a few pages that is soon over; so there are old challenges.
    """
    make_old_challenges(ground, contender, [old_count])
    database = f"{name_database(contender)}_with_{old_count}"
    with (
        ground.running(contender, ALONE, database) as site,
        Crowd(contender, site.port, 1) as crowd,
    ):

        def measure() -> float:
            position = _read_position(ground)
            sign_in(ground, crowd, new_phones(count), is_known=False)
            return (_read_position(ground) - position) / count

        sign_in(ground, crowd, new_phones(WARM_UP_COUNT), is_known=False)
        _write_page_images(ground, wanted=False)
        without = measure()
        _write_page_images(ground, wanted=True)
        ground.query("CHECKPOINT")
        return PageImages(old_count, without, after_checkpoint=measure(), later=measure())


# What the servers tell


def find_writes(
    before: Mapping[str, Sequence[int]], after: Mapping[str, Sequence[int]], *, per: int
) -> dict[str, Writes]:
    """Give what was written in between; a table that was not written to is left out."""
    found = {}
    for name, counts in after.items():
        past = before.get(name, (0,) * len(counts))
        written = [new - old for new, old in zip(counts, past, strict=True)]
        if any(written):
            found[name] = Writes(*(each / per for each in written))
    return found


def find_keys(keys: Sequence[tuple[int, int]], *, per: int) -> list[Keys]:
    """Add up keys, each with its bytes and the seconds it has left, by their lifetime in hours.

    Keys without an end belong to the broker of a queue, and do not become more.
    """
    lifetimes: dict[int, list[int]] = {}
    for size, seconds in keys:
        if seconds > 0:
            hours = max(1, round(seconds / 3_600))
            lifetimes.setdefault(hours * 3_600, []).append(size)
    return [
        Keys(lifetime, len(sizes) / per, sum(sizes) / per)
        for lifetime, sizes in sorted(lifetimes.items())
    ]


def _read_writes(ground: Ground, contender: Contender) -> dict[str, Sequence[int]]:
    found = _select(
        ground,
        "SELECT relname, n_tup_ins, n_tup_upd, n_tup_hot_upd, n_tup_del FROM pg_stat_user_tables",
        name_database(contender),
    )
    return {name: counts for name, *counts in found}


def _wait_for_end(ground: Ground, site: Site) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _count_connections(ground, site):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{site.contender.name} keeps its connections to the database")
        time.sleep(0.05)


def _count_connections(ground: Ground, site: Site) -> int:
    sql = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{site.database}'"  # noqa: S608 (ours)
    [(count,)] = _select(ground, sql)
    return int(count)


def _read_position(ground: Ground) -> int:
    [(position,)] = _select(ground, "SELECT pg_current_wal_lsn() - '0/0'")
    return int(position)


def _write_page_images(ground: Ground, *, wanted: bool) -> None:
    ground.query(f"ALTER SYSTEM SET full_page_writes = {'on' if wanted else 'off'}")
    ground.query("SELECT pg_reload_conf()")
    time.sleep(RELOAD_SECONDS)


def _read_keys(ground: Ground) -> list[tuple[int, int]]:
    from redis import Redis

    path = ground.redis.connection_pool.connection_kwargs["path"]
    found = []
    for name in ground.redis.info("keyspace"):
        with Redis(unix_socket_path=path, db=int(name.removeprefix("db"))) as redis:
            found += [(redis.memory_usage(key) or 0, redis.ttl(key)) for key in redis.scan_iter()]
    return found


def _select(ground: Ground, sql: str, database: str = "postgres") -> list[Any]:
    with connecting(ground.database, database) as connection:
        return list(connection.execute(sql).fetchall())
