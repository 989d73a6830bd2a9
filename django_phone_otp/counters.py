"""Counts in the cache, several at once. Layer 2.

Django's API takes one count at a time, and its backend for Redis makes a client anew for each call,
which takes longer than to ask Redis. Where that backend is in use, all that is asked at one moment
goes out together, by a client that is kept; everywhere else one by one, as Django has it.

Errors are those of the cache: `flow.limits.reaching_cache` makes one of ours of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from django.core.cache import BaseCache
from django.core.cache.backends.redis import RedisCacheClient


class Count(NamedTuple):
    """A number in the cache: it begins at `base`, and is gone after `lifetime_seconds`."""

    key: str
    base: int
    lifetime_seconds: int


def look_up(cache: BaseCache, keys: Sequence[str]) -> dict[str, Any]:
    """Give what the cache has under these keys; a key under which there is nothing is left out."""
    redis = _find_redis(cache)
    if redis is None or not keys:
        return cache.get_many(keys)
    values = redis.mget(map(cache.make_key, keys))
    read = cache._cache._serializer.loads  # type: ignore[attr-defined]
    found = zip(keys, values, strict=True)
    return {key: read(value) for key, value in found if value is not None}


def add(cache: BaseCache, deltas: Mapping[Count, int], *, forget: Sequence[str] = ()) -> None:
    """Add to counts, each of which begins if it is not there yet, and forget what is under keys."""
    redis = _find_redis(cache)
    if redis is None:
        for count, delta in deltas.items():
            _add_one(cache, count, delta)
        if forget:
            cache.delete_many(forget)
        return
    pipeline = redis.pipeline(transaction=False)
    for count, delta in deltas.items():
        key = cache.make_key(count.key)
        pipeline.set(key, count.base, ex=count.lifetime_seconds, nx=True)
        pipeline.incrby(key, delta)
    if forget:
        pipeline.delete(*map(cache.make_key, forget))
    pipeline.execute()


def _add_one(cache: BaseCache, count: Count, delta: int) -> None:
    try:
        cache.incr(count.key, delta)
    except ValueError:  # nothing there yet
        cache.add(count.key, count.base, count.lifetime_seconds)
        cache.incr(count.key, delta)


# Django has one cache for each thread, and each of these one `RedisCacheClient`.
_kept: WeakKeyDictionary[RedisCacheClient, Any] = WeakKeyDictionary()


def _find_redis(cache: BaseCache) -> Any:
    """Find the Redis behind a cache; None where Django's own backend is not in use.

    Of that backend `_cache` is relied on, its `get_client` and its `_serializer`. A class that a
    site has put in the place of `RedisCacheClient` may choose its servers in a way of its own.
    """
    made = getattr(cache, "_cache", None)
    if type(made) is not RedisCacheClient:
        return None
    if made not in _kept:
        _kept[made] = made.get_client(write=True)
    return _kept[made]
