"""The scenarios: who does what, how often, and what is read off meanwhile."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from .contenders.base import Contender
from .people import Asked, Crowd, new_phones
from .sites import ALONE, MANY, Ground, Shape, Site, name_database
from .usage import Usage

PERCENTILES = (50, 95, 99)
WARM_UP_COUNT = 4  # for each who comes at once, and not less than
MIN_WARM_UP_COUNT = 20
TYPING_SECONDS = 0.3
BURST_LATENCY_SECONDS = 1.0
BURST_PEOPLE = 100
GROWTH = "old challenges"


@dataclass(frozen=True, slots=True)
class Scenario:
    """So many people at once, at a provider that takes so long."""

    at_once: int
    latency_ms: int

    @property
    def name(self) -> str:
        """Say it in words."""
        return f"{self.at_once} at once, provider at {self.latency_ms} ms"

    @property
    def shape(self) -> Shape:
        """Give how a site is served: as many requests at a time as there are people."""
        return MANY if self.at_once > 1 else ALONE

    def sign_ins(self, count: int) -> int:
        """Give how many sign-ins are enough: one after another at a slow provider take long."""
        return max(10, count // 10) if self.at_once == 1 and self.latency_ms else count


SCENARIOS = tuple(Scenario(at_once, ms) for at_once in (1, 16) for ms in (0, 150))


@dataclass(frozen=True, slots=True)
class SignIns:
    """What one contender did in one round: CPU per sign-in in seconds, all else as it says.

    `asks_per_second` are those of `request/` alone, `requests_per_second` of both steps. A delivery
    lasts from the request to the moment at which the code is out.
    """

    round: int
    scenario: str
    is_known: bool
    contender: str
    cpu: Usage
    asks_per_second: float
    requests_per_second: float
    request_ms: dict[str, float]
    confirm_ms: dict[str, float]
    delivery_ms: dict[str, float]
    sent_twice: int


@dataclass(frozen=True, slots=True)
class Burst:
    """How long it took until all were answered, and until all had their code."""

    round: int
    contender: str
    count: int
    accepted_seconds: float
    delivered_seconds: float
    sent_twice: int


def rehearse(ground: Ground, contender: Contender) -> str:
    """Have somebody sign in, twice; say what went wrong, empty where nothing did."""
    ground.set_latency(0)
    try:
        with ground.running(contender, ALONE) as site:
            _go_through(ground, site, 1, 1)
    except (RuntimeError, LookupError, OSError) as error:  # a timeout is an OSError too
        return f"{type(error).__name__}: {error}"
    return ""


def measure_sign_ins(
    ground: Ground,
    contenders: Sequence[Contender],
    scenarios: Sequence[Scenario],
    rounds: int,
    count: int,
) -> Iterator[SignIns]:
    """Have all contenders go through the scenarios, round by round, each time in another order."""
    for shape in dict.fromkeys(each.shape for each in scenarios):
        with serving(ground, [(each, "") for each in contenders], shape) as sites:
            for number in range(rounds):
                for scenario in (each for each in scenarios if each.shape == shape):
                    ground.set_latency(scenario.latency_ms / 1_000)
                    for site in in_turn(sites):
                        ground.empty(site)
                        yield from sign_in(ground, site, scenario, number, count)


@contextmanager
def serving(
    ground: Ground, contenders: Sequence[tuple[Contender, str]], shape: Shape
) -> Iterator[list[Site]]:
    """Serve all of them, each on its database, and go through each once for nothing."""
    warm_up_count = max(MIN_WARM_UP_COUNT, WARM_UP_COUNT * shape.at_once)
    with ExitStack() as stack:
        ground.set_latency(0)
        sites = []
        for contender, database in contenders:
            site = stack.enter_context(ground.running(contender, shape, database))
            _go_through(ground, site, shape.at_once, warm_up_count)
            site.pause()
            sites.append(site)
        yield sites


def in_turn(sites: Sequence[Site]) -> Iterator[Site]:
    """Give the sites in an order of chance, each with its workers at work while it has its turn."""
    for site in random.sample(sites, len(sites)):
        site.resume()
        try:
            yield site
        finally:
            site.pause()


def sign_in(
    ground: Ground, site: Site, scenario: Scenario, number: int, count: int
) -> Iterator[SignIns]:
    """Have new phones sign in, and then the same ones again, that are known now."""
    contender = site.contender
    phones = new_phones(scenario.sign_ins(count))
    _go_through(ground, site, scenario.at_once, scenario.at_once)
    with Crowd(contender, site.port, scenario.at_once) as crowd:
        for is_known in (False, True):
            before, began = ground.read_usage(site), time.perf_counter()
            asked = crowd.ask(phones, is_known=is_known)
            asking = time.perf_counter() - began
            codes, delivered = receive(ground, asked)
            began = time.perf_counter()
            confirms = crowd.answer(asked, codes, is_known=is_known)
            answering = time.perf_counter() - began
            yield SignIns(
                round=number,
                scenario=scenario.name,
                is_known=is_known,
                contender=contender.name,
                cpu=ground.read_usage(site).since(before, per=len(phones)),
                asks_per_second=len(phones) / asking,
                requests_per_second=2 * len(phones) / (asking + answering),
                request_ms=find_percentiles([each.seconds for each in asked]),
                confirm_ms=find_percentiles(confirms),
                delivery_ms=find_percentiles(
                    [at - each.at for at, each in zip(delivered, asked, strict=True)]
                ),
                sent_twice=ground.inbox.count_left(),
            )


def _go_through(ground: Ground, site: Site, at_once: int, count: int) -> None:
    """Have some sign in whom nobody measures."""
    phones = new_phones(count)
    with Crowd(site.contender, site.port, at_once) as crowd:
        for is_known in (False, True):
            asked = crowd.ask(phones, is_known=is_known)
            codes, _delivered = receive(ground, asked)
            crowd.answer(asked, codes, is_known=is_known)


def receive(ground: Ground, asked: Sequence[Asked]) -> tuple[list[str], list[float]]:
    """Wait until all codes are delivered; give them, and the times at which they were.

    What a worker has left to do then is done before anybody has typed the code.
    """
    taken = [ground.inbox.take(each.phone) for each in asked]
    time.sleep(TYPING_SECONDS)
    return [code for code, _at in taken], [at for _code, at in taken]


def find_percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Give the percentiles in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {f"p{each}": cuts[each - 1] * 1_000 for each in PERCENTILES}


def measure_growth(
    ground: Ground, contender: Contender, sizes: Sequence[int], rounds: int, count: int
) -> Iterator[SignIns]:
    """Have people sign in beside so many old challenges; `contender` of what comes is the size."""
    databases = {f"{name_database(contender)}_with_{size}": size for size in sizes}
    scenario = SCENARIOS[0]
    with serving(ground, [(contender, name) for name in databases], scenario.shape) as sites:
        for number in range(rounds):
            for site in in_turn(sites):
                size = databases[site.database]
                if not size:
                    ground.empty(site)
                for one in sign_in(ground, site, scenario, number, count):
                    yield replace(one, scenario=GROWTH, contender=str(size))


def make_old_challenges(ground: Ground, contender: Contender, sizes: Sequence[int]) -> None:
    """Make a database for each size, with so many challenges of a month."""
    for size in sizes:
        database = f"{name_database(contender)}_with_{size}"
        ground.prepare(contender, database)
        if size:
            folder = ground.folder / database
            folder.mkdir()
            fill = ["-m", "benchmarks.sign_in.fill", str(size), str(folder)]
            error = ground.run(contender, database, fill)
            if error:
                raise RuntimeError(error)
            # Filling has put the server back to what it comes with.
            ground.apply_settings()


def measure_bursts(
    ground: Ground, contenders: Sequence[Contender], rounds: int, count: int
) -> Iterator[Burst]:
    """Have a thousand people ask at a moment, at a provider that takes a second for each."""
    with serving(ground, [(each, "") for each in contenders], MANY) as sites:
        ground.set_latency(BURST_LATENCY_SECONDS)
        for number in range(rounds):
            for site in in_turn(sites):
                ground.empty(site)
                with Crowd(site.contender, site.port, BURST_PEOPLE) as crowd:
                    began, began_at = time.perf_counter(), time.time()
                    asked = crowd.ask(new_phones(count), is_known=False)
                    accepted = time.perf_counter() - began
                    _codes, delivered = receive(ground, asked)
                yield Burst(
                    round=number,
                    contender=site.contender.name,
                    count=count,
                    accepted_seconds=accepted,
                    delivered_seconds=max(delivered) - began_at,
                    sent_twice=ground.inbox.count_left(),
                )
