"""How many requests, and from which seed.

`PHONE_OTP_FUZZ_REQUESTS` is the number of requests of the whole package; each test has a share of
it, goes on until that many were made, and fails when it cannot. Without the variable the run is
short and always the same. A long run starts from a seed of its own, which is shown; with
`PHONE_OTP_FUZZ_SEED` it is repeated.
"""

import os
import random
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings

from tests.fuzz.door import Door

SHORT_COUNT = 600
WANTED_COUNT = int(os.environ.get("PHONE_OTP_FUZZ_REQUESTS") or SHORT_COUNT)
IS_LONG = "PHONE_OTP_FUZZ_REQUESTS" in os.environ
# Workers of pytest-xdist find the seed of their parent.
SEED = os.environ.setdefault(
    "PHONE_OTP_FUZZ_SEED", str(random.SystemRandom().getrandbits(32)) if IS_LONG else "0"
)
# A round is short, so that a test that has to stop at a number stops near it.
EXAMPLES = 200

SETTINGS = settings(
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    print_blob=False,
)


def repeat(
    door: Door, percent: float, name: str, run: Callable[[Callable[[Any], Any], settings], None]
) -> None:
    """Run rounds until `percent` of the requests were made; each from a seed of its own.

    `run` gets a decorator that sets the seed, and the settings of the round.
    """
    goal = door.count + max(1, round(WANTED_COUNT * percent / 100))
    number = 0
    while door.count < goal:
        before = door.count
        start = random.Random(f"{SEED} {name} {number}").getrandbits(64)
        examples = min(EXAMPLES, goal - door.count)
        run(seed(start), settings(SETTINGS, max_examples=examples))
        assert door.count > before, f"round {number} of {name} asked nothing"
        number += 1
    assert door.count >= goal
