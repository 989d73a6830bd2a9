"""What was measured, and what follows for so many sign-ins a second, as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from benchmarks.sign_in.contenders import find
from benchmarks.sign_in.report import DOCS, MEASURED
from benchmarks.sign_in.statements import Counted

from .measure import Connections, Keys, PageImages, Row, SignIn, Writes

PAGE = DOCS / "capacity.md"
INLINE, TASKS = "inline", "tasks"
RATES = (1, 100, 10_000)
DAY_SECONDS = 86_400
PROVIDER_SECONDS = 0.3
# What goes with its challenge after `RETENTION_DAYS`.
RETAINED = {
    "phone_otp_phonechallenge",
    "phone_otp_deliveryattempt",
    "phone_otp_confirmattempt",
    "phone_otp_guardobjection",
}
# How long else rows are kept which do not stay for as long as their person.
KEPT = {
    "phone_otp_phoneledger": "while it counts",
    "django_tasks_database_dbtaskresult": "until it is pruned",
}


@dataclass(slots=True)
class Found:
    """All that was measured, and on what."""

    circumstances: str
    retention_days: int
    sign_ins: list[SignIn] = field(default_factory=list)
    statements: list[Counted] = field(default_factory=list)
    rows: dict[str, Row] = field(default_factory=dict)
    keys: list[Keys] = field(default_factory=list)
    connections: list[Connections] = field(default_factory=list)
    page_images: PageImages | None = None

    def one(self, contender: str, *, is_known: bool = True) -> SignIn:
        """Give the sign-in of a contender."""
        return next(
            each
            for each in self.sign_ins
            if each.contender == contender and each.is_known is is_known
        )

    @property
    def retained_bytes(self) -> float:
        """Give what a sign-in keeps on the disk until it is purged."""
        writes = self.one(INLINE).writes
        names = RETAINED & writes.keys()
        return sum(writes[name].inserted * self.rows[name].bytes for name in names)

    @property
    def person_bytes(self) -> float:
        """Give what a person keeps on the disk."""
        writes = self.one(INLINE, is_known=False).writes
        names = [name for name in writes if name not in RETAINED and name in self.rows]
        return sum(writes[name].inserted * self.rows[name].bytes for name in names)

    @property
    def key_byte_seconds(self) -> float:
        """Give bytes times seconds that a sign-in takes in the cache: for each in a second, bytes.

        Where each is of another person, from another address: the most that it can be.
        """
        return sum(each.bytes * each.lifetime_seconds for each in self.keys)

    def work(self, what: str, contender: str = INLINE, *, is_known: bool = True) -> int:
        """Give the statements, commits or commands of both steps."""
        counted = next(
            each
            for each in self.statements
            if each.contender == contender and each.is_known is is_known
        )
        return int(getattr(counted.request, what) + getattr(counted.confirm, what))


@dataclass(frozen=True, slots=True)
class Need:
    """What is needed for one sign-in a second; for a hundred it is a hundred times as much."""

    name: str
    one: float
    is_bytes: bool = False
    unit: str = ""

    def write(self, rate: int) -> str:
        """Write it for so many a second."""
        number = write_bytes(self.one * rate) if self.is_bytes else write_number(self.one * rate)
        return f"{number}{self.unit}"


def reckon(found: Found, contender: str) -> Iterator[Need]:
    """Reckon what is needed; known phones, as most sign-ins are of people who were there before."""
    one = found.one(contender)
    if contender == INLINE:
        yield Need("site: cores", one.cpu.site)
        threads = one.seconds + PROVIDER_SECONDS
        yield Need(f"site: threads, at a provider of {PROVIDER_SECONDS} s", threads)
    else:
        yield Need("site and workers: cores", one.cpu.site)
        yield Need("site: threads", one.seconds)
        name = f"workers: deliveries at one moment, at a provider of {PROVIDER_SECONDS} s"
        yield Need(name, PROVIDER_SECONDS)
    yield Need("database: cores", one.cpu.database)
    for what in ("statements", "commits"):
        yield Need(f"database: {what}", found.work(what, contender), unit="/s")
    yield Need("database: WAL without images of pages", one.wal_bytes, is_bytes=True, unit="/s")
    yield Need("Redis: commands", found.work("commands", contender), unit="/s")


def reckon_all(found: Found) -> Iterator[Need]:
    """Reckon what is needed whatever sends."""
    days = found.retention_days
    retained = found.retained_bytes * DAY_SECONDS * days
    yield Need(f"disk: challenges and attempts of {days} days", retained, is_bytes=True)
    yield Need("Redis: memory for keys, at most", found.key_byte_seconds, is_bytes=True)
    yield Need("provider: messages a day", DAY_SECONDS)


def write_page(found: Found) -> str:
    """Write all tables."""
    return "\n\n".join(
        [
            found.circumstances,
            "### A sign-in",
            _table(_head(found), _rows_of_sign_ins(found)),
            "### Rows that it writes",
            _table(
                ("table", *_each_phone("inserted", "updated", "HOT", "deleted")), _writes(found)
            ),
            "### Bytes of a row",
            _table(("table", "in the table", "in its indexes", "kept"), _rows_of_rows(found)),
            _write_sum(found),
            *_write_page_images(found),
            "### Keys in Redis",
            _table(("gone after", "keys of a person", "bytes"), _rows_of_keys(found)),
            "### Connections",
            _table(("one process of four threads", "database", "Redis"), _connections(found)),
            "### So many a second",
            *_write_rates(found),
        ]
    )


def update_page(found: Found, page: Path = PAGE) -> None:
    """Put the tables into the documentation, in the place of those that are there."""
    tables = write_page(found)
    text = page.read_text()
    page.write_text(MEASURED.sub(lambda place: f"{place[1]}{tables}{place[2]}", text))


def write_number(value: float) -> str:
    """Write a number with two digits that say something, a very small one with one."""
    if value < 0.0095:
        return f"{value:.1g}"
    for limit, digits in ((0.0995, 3), (0.995, 2), (9.95, 1)):
        if value < limit:
            return f"{value:.{digits}f}"
    return f"{value:,.0f}"


def write_bytes(value: float) -> str:
    """Write bytes in the unit that suits."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{write_number(value)} {unit}"
        value /= 1_000
    return f"{write_number(value)} TB"


def _head(found: Found) -> Sequence[str]:
    names = dict.fromkeys(each.contender for each in found.sign_ins)
    titles = [_title(name) for name in names]
    return ("", *(f"{title}: {phone}" for title in titles for phone in ("known", "new")))


def _each_phone(*names: str) -> Iterator[str]:
    for phone in ("known", "new"):
        yield from (f"{phone}: {name}" if not number else name for number, name in enumerate(names))


def _rows_of_sign_ins(found: Found) -> Iterator[Sequence[str]]:
    names = dict.fromkeys(each.contender for each in found.sign_ins)
    ordered = [found.one(name, is_known=known) for name in names for known in (True, False)]
    for part in ("site", "database", "cache"):
        words = {"site": "the site and its workers", "cache": "Redis"}.get(part, "the database")
        cells = (write_number(getattr(each.cpu, part) * 1_000) for each in ordered)
        yield f"CPU of {words}, ms", *cells
    for what in ("statements", "commits", "commands"):
        words = {"commits": "commits that write", "commands": "commands to Redis"}.get(what, what)
        counts = (found.work(what, each.contender, is_known=each.is_known) for each in ordered)
        yield words, *map(str, counts)
    for each in fields(Writes):
        words = {"hot": "of these HOT"}.get(each.name, f"rows {each.name}")
        sums = (
            sum(getattr(one, each.name) for one in sign_in.writes.values()) for sign_in in ordered
        )
        yield words, *map(write_number, sums)
    yield "waited for answers, ms", *(write_number(each.seconds * 1_000) for each in ordered)
    yield "WAL without images of pages", *(write_bytes(each.wal_bytes) for each in ordered)


def _writes(found: Found) -> Iterator[Sequence[str]]:
    last = TASKS if any(each.contender == TASKS for each in found.sign_ins) else INLINE
    pair = [found.one(last, is_known=is_known).writes for is_known in (True, False)]
    none = Writes(0, 0, 0, 0)
    for name in sorted({*pair[0], *pair[1]}):
        cells = [getattr(one.get(name, none), each.name) for one in pair for each in fields(Writes)]
        yield f"`{name}`", *map(write_number, cells)


def _rows_of_rows(found: Found) -> Iterator[Sequence[str]]:
    written = {name for each in found.sign_ins for name in each.writes}
    for name in sorted(written & set(found.rows)):
        row = found.rows[name]
        days = f"{found.retention_days} days"
        kept = days if name in RETAINED else KEPT.get(name, "with the person")
        yield f"`{name}`", write_bytes(row.in_table), write_bytes(row.in_indexes), kept


def _write_sum(found: Found) -> str:
    retained, person = write_bytes(found.retained_bytes), write_bytes(found.person_bytes)
    return f"That is {retained} for each sign-in until it is purged, and {person} for each person."


def _write_page_images(found: Found) -> Iterator[str]:
    images = found.page_images
    if images is None:
        return
    yield "### WAL with images of pages"
    cells = (write_bytes(each) for each in (images.without, images.after_checkpoint, images.later))
    head = ("a new phone, inline", "without", "right after a checkpoint", "later")
    yield _table(head, [(f"beside {images.old_count:,} old challenges", *cells)])


def _rows_of_keys(found: Found) -> Iterator[Sequence[str]]:
    for each in found.keys:
        cells = write_number(each.count), write_bytes(each.bytes)
        yield f"{each.lifetime_seconds // 3_600} h", *cells


def _connections(found: Found) -> Iterator[Sequence[str]]:
    for each in found.connections:
        yield _title(each.contender), str(each.database), str(each.cache)


def _write_rates(found: Found) -> Iterator[str]:
    for name in dict.fromkeys(each.contender for each in found.sign_ins):
        yield _table(_head_of_rates(_title(name)), map(_row_of_rates, reckon(found, name)))
    yield _table(_head_of_rates("whatever sends"), map(_row_of_rates, reckon_all(found)))


def _head_of_rates(title: str) -> Sequence[str]:
    return (title, *(f"{rate:,}/s" for rate in RATES))


def _row_of_rates(need: Need) -> Sequence[str]:
    return (need.name, *(need.write(rate) for rate in RATES))


def _title(contender: str) -> str:
    """Name what sends the messages."""
    return "inline" if contender == INLINE else find(contender).title.partition(", ")[2]


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    marks = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, marks, *rows))
