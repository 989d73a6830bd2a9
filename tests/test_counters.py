"""Counts in the cache: the same on every cache, and on Django's backend for Redis in one go."""

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from django.core.management import call_command
from redis.exceptions import ConnectionError as NoRedis
from redis.exceptions import ResponseError

from django_phone_otp import conf, counters
from django_phone_otp.choices import Refusal
from django_phone_otp.counters import Count
from django_phone_otp.exceptions import CacheUnavailable
from django_phone_otp.flow import guards
from django_phone_otp.flow.breakers import Breaker, read_breakers
from django_phone_otp.flow.client import UNKNOWN_CLIENT
from django_phone_otp.models import PhoneChallenge
from django_phone_otp.phone import parse
from tests.conftest import PHONE
from tests.redis_server import RedisServer

# A Redis of our own is there for some Pythons alone, and says the same on every Django.
pytestmark = [pytest.mark.django_db, pytest.mark.long]

LOCMEM = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
TABLE = {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "counters"}
COUNT = Count("messages", 1_000, 60)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as redis:
        yield redis


@pytest.fixture
def redis(settings, server) -> BaseCache:
    """Django's cache on a Redis, with nothing in it."""
    # The second is the same Redis under names of its own.
    named = {**server.caches["default"], "KEY_PREFIX": "shop", "VERSION": 7}
    settings.CACHES = {**server.caches, "named": named}
    caches["default"].clear()
    return caches["default"]


@pytest.fixture(params=["redis", "locmem", "table"])
def cache(request, settings) -> BaseCache:
    """Every kind of cache in its turn."""
    if request.param == "redis":
        return request.getfixturevalue("redis")
    settings.CACHES = {"default": LOCMEM if request.param == "locmem" else TABLE}
    if request.param == "table":
        call_command("createcachetable")
    caches["default"].clear()
    return caches["default"]


def stats(cache: Any) -> dict[str, Any]:
    return dict(cache._cache.get_client(write=True).info("all"))


# On every cache


def test_a_count_begins_at_its_base(cache):
    counters.add(cache, {COUNT: 1})
    assert cache.get("messages") == 1_001


def test_a_count_goes_on_from_where_it_is(cache):
    for delta in (1, 1, -5):
        counters.add(cache, {COUNT: delta})
    assert cache.get("messages") == 997


def test_counts_are_apart(cache):
    other = Count("logins", 0, 60)
    counters.add(cache, {COUNT: 1, other: 2})
    counters.add(cache, {other: 3})
    assert cache.get_many(["messages", "logins"]) == {"messages": 1_001, "logins": 5}


def test_what_is_to_be_forgotten_is_gone(cache):
    cache.set_many({"shut": 1, "open": 2})
    counters.add(cache, {COUNT: 1}, forget=["shut", "never-there"])
    assert cache.get_many(["shut", "open", "messages"]) == {"open": 2, "messages": 1_001}


def test_to_add_nothing_changes_nothing(cache):
    counters.add(cache, {})
    assert counters.look_up(cache, ["messages"]) == {}


def test_what_is_looked_up_is_what_was_put_in(cache):
    counters.add(cache, {COUNT: 1})
    put = {"until": 1.5, "blocks": {"+7924": 2.5}, "none": 0, "word": "shut"}
    cache.set_many(put)
    found = counters.look_up(cache, ["messages", *put, "never-there"])
    assert found == {"messages": 1_001, **put}


def test_to_look_nothing_up_gives_nothing(cache):
    assert counters.look_up(cache, []) == {}


def test_a_count_that_django_has_made_goes_on(cache):
    cache.add("messages", 7, 60)
    counters.add(cache, {COUNT: 1})
    cache.incr("messages")
    assert counters.look_up(cache, ["messages"]) == {"messages": 9}


# How long a count lives


def test_a_count_in_redis_lives_from_when_it_began(redis):
    client = redis._cache.get_client(write=True)
    counters.add(redis, {COUNT: 1})
    first = client.ttl(redis.make_key("messages"))
    client.expire(redis.make_key("messages"), 20)
    counters.add(redis, {COUNT: 1})
    assert first == 60
    assert client.ttl(redis.make_key("messages")) == 20


def test_a_count_in_memory_lives_from_when_it_began(settings, clock):
    settings.CACHES = {"default": LOCMEM}
    cache = caches["default"]
    for _ in range(2):
        counters.add(cache, {COUNT: 1})
        clock.shift(29)
    before = cache.get("messages")
    clock.shift(3)
    counters.add(cache, {COUNT: 1})
    assert (before, cache.get("messages")) == (1_002, 1_001)


# On Redis


def test_redis_is_asked_under_the_names_of_the_site(redis):
    named = caches["named"]
    named.set("shut", 1)
    counters.add(redis, {COUNT: 5})
    counters.add(named, {COUNT: 1}, forget=["shut"])
    assert counters.look_up(named, ["messages", "shut"]) == {"messages": 1_001}
    assert (named.get("messages"), redis.get("messages")) == (1_001, 1_005)


def test_all_that_is_asked_at_one_moment_is_one_exchange_with_redis(redis):
    others = {Count(f"level-{number}", 0, 60): 1 for number in range(3)}
    counters.look_up(redis, ["messages"])
    before = stats(redis)
    counters.add(redis, {COUNT: 1, **others}, forget=["shut", "closed"])
    counters.look_up(redis, ["messages", "level-0", "shut"])
    after = stats(redis)
    # One for each of the two, and one to ask for these numbers.
    assert after["total_reads_processed"] - before["total_reads_processed"] == 3
    assert after["total_connections_received"] == before["total_connections_received"]


def test_a_redis_that_was_started_anew_counts_at_once(redis, server):
    counters.add(redis, {COUNT: 1})
    server.stop()
    server.start()
    counters.add(redis, {COUNT: 1})
    server.stop()
    server.start()
    assert counters.look_up(redis, ["messages"]) == {}


def test_a_cache_that_nobody_has_is_not_kept(settings, redis):
    cache: Any = RedisCache(settings.CACHES["default"]["LOCATION"], {})
    counters.add(cache, {COUNT: 1})
    kept = weakref.ref(cache._cache)
    del cache
    gc.collect()
    assert kept() is None


def test_what_the_site_writes_numbers_with_is_used(settings, redis):
    numbers = {"serializer": "tests.test_counters.Backwards"}
    settings.CACHES = {"default": {**settings.CACHES["default"], "OPTIONS": numbers}}
    cache = caches["default"]
    cache.set("word", "shut")
    counters.add(cache, {COUNT: 1})
    assert counters.look_up(cache, ["word", "messages"]) == {"word": "shut", "messages": 1_001}


class Backwards:
    """Writes texts from right to left, and numbers as Redis counts them."""

    def dumps(self, value: object) -> str:
        return str(value) if isinstance(value, int) else str(value)[::-1]

    def loads(self, data: bytes) -> object:
        return int(data) if data.isdigit() else data.decode()[::-1]


class OwnClient(RedisCacheClient):
    """A site's own way to its Redis."""

    asked: list[str] = []

    def incr(self, key: Any, delta: int) -> int:
        self.asked.append(f"incr {delta}")
        return super().incr(key, delta)

    def get_many(self, keys: Any) -> dict[Any, Any]:
        self.asked.append("get_many")
        return super().get_many(keys)


class OwnRedisCache(RedisCache):
    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = OwnClient


def test_a_sites_own_way_to_its_redis_is_gone(settings, redis):
    own = {**settings.CACHES["default"], "BACKEND": "tests.test_counters.OwnRedisCache"}
    settings.CACHES = {"default": own}
    cache = caches["default"]
    OwnClient.asked.clear()
    cache.add("messages", 1, 60)
    counters.add(cache, {COUNT: -5})
    assert counters.look_up(cache, ["messages"]) == {"messages": -4}
    assert OwnClient.asked == ["incr -5", "get_many"]


# What goes wrong


def test_what_is_no_number_cannot_be_counted(redis):
    redis.set("messages", "seven")
    with pytest.raises(ResponseError, match="not an integer"):
        counters.add(redis, {COUNT: 1})


@pytest.fixture
def no_redis(settings, tmp_path) -> BaseCache:
    """Django's cache where no Redis listens, which says so at once."""
    options = {"retry": None}
    url = f"unix://{tmp_path}/nobody"
    one = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url}
    settings.CACHES = {"default": {**one, "OPTIONS": options}}
    return caches["default"]


def test_a_redis_out_of_reach_is_an_error(no_redis):
    with pytest.raises(NoRedis):
        counters.add(no_redis, {COUNT: 1})
    with pytest.raises(NoRedis):
        counters.look_up(no_redis, ["messages"])


@pytest.mark.usefixtures("no_redis")
def test_with_redis_out_of_reach_guards_let_nobody_through():
    with pytest.raises(CacheUnavailable):
        guards.examine(parse(PHONE), UNKNOWN_CLIENT, conf.read(), is_trusted=False)


@pytest.mark.usefixtures("no_redis")
def test_with_redis_out_of_reach_all_breakers_are_closed(caplog):
    assert read_breakers(["a"]) == {"a": Breaker()}
    assert "cache_unavailable breaker=all error=ConnectionError" in caplog.text


# As guards use it


def test_what_guards_count_in_redis_is_what_they_look_at(redis, phone_otp, clock):
    rules = {"MODE": "block", "FREE": 2, "PER_LOGIN": 1, "WINDOW": 600, "PAUSE": 0}
    phone_otp(GUARDS={"prefix_traffic": rules})
    number, challenge = parse(PHONE), PhoneChallenge(phone=PHONE, region="RU")

    def ask() -> Refusal | None:
        examined = guards.examine(number, UNKNOWN_CLIENT, conf.read(), is_trusted=False)
        if not examined.denial:
            examined.count()
        return examined.denial.refusal if examined.denial else None

    before = [ask() for _ in range(3)]
    guards.count_login(challenge, conf.read())
    assert before == [None, None, Refusal.TOO_MANY_REQUESTS]
    assert [ask(), ask()] == [None, Refusal.TOO_MANY_REQUESTS]
