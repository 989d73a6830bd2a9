"""Refusals: what a person is told who has to wait. Layer 4."""

from ..choices import Refusal
from ..durations import advise_wait


def explain(refusal: Refusal, retry_after_seconds: int | None) -> str:
    """Say a refusal, and when to try again where that is known."""
    if not retry_after_seconds:
        return refusal.message
    return f"{refusal.reason} {advise_wait(retry_after_seconds)}"
