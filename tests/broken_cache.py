"""A cache whose server is gone."""

from typing import Any

from django.core.cache.backends.base import BaseCache


class BrokenCache(BaseCache):
    """Fails as a client of Redis does when nobody listens."""

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def add(self, *_args: Any, **_kwargs: Any) -> bool:
        raise ConnectionError("connection refused")

    def clear(self) -> None:
        """Nothing is there to clear."""
