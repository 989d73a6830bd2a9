"""A month of traffic for the example site: made up, deterministic, and sent to nobody.

`people` has who asks, `services` how the services behave, `flow` what the app does with a request,
`month` what happens when, and `store` writes it. Nothing here calls a provider.
"""

from .month import Story, tell_story
from .store import clear, find_strangers, write

__all__ = ["Story", "clear", "find_strangers", "tell_story", "write"]
