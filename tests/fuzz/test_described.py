"""Schemathesis: what openapi.yaml describes, sent as described and otherwise, and in sequences."""

from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode

from tests.fuzz import strategies  # noqa: F401 (makes the formats known)
from tests.fuzz.door import SCHEMA_FILE, Door
from tests.fuzz.rounds import SETTINGS
from tests.fuzz.sites import ROOMY, SITES

CONFIG = schemathesis.Config.from_dict(
    {
        "seed": 0,
        "checks": {
            # A challenge of the right shape is still unknown; a phone may be written as a number.
            "positive_data_acceptance": {"enabled": False},
            "negative_data_rejection": {"enabled": False},
            # The door knows where one is in order.
            "not_a_server_error": {"enabled": False},
        },
        "phases": {
            "fuzzing": {"enabled": False},
            "stateful": {"generation": {"mode": "positive"}},
        },
    }
)
SCHEMA = schemathesis.openapi.from_path(SCHEMA_FILE, config=CONFIG)


def fill(door, case: Case) -> None:
    case.body = door.fill(case.body)
    challenge = case.path_parameters.get("challenge")
    if isinstance(challenge, str):
        # With a slash in it, it is another address, and Django's 404.
        filled = door.fill_challenge(challenge).replace("/", "_").replace("%2F", "_")
        case.path_parameters["challenge"] = filled


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("name", ["request", "resend", "confirm", "challenge"])
def test_an_operation(door, repeated, name, mode):
    operation = SCHEMA.find_operation_by_id(name)

    def run(seed, settings):
        @seed
        @settings
        @given(operation.as_strategy(generation_mode=mode), st.sampled_from([*SITES, *ROOMY]))
        def ask(case, site):
            with door.at(site):
                fill(door, case)
                case.validate_response(case.call(app=door))

        ask()

    repeated(4, run)


@SCHEMA.parametrize()
@SETTINGS
def test_the_edges(door, case: Case):
    with door.at("token"):
        fill(door, case)
        case.validate_response(case.call(app=door))


class Walk(SCHEMA.as_state_machine()):  # type: ignore[misc]  # a class made at run time
    """Operations one after the other, with the challenge of the answer before."""

    door: Door

    def setup(self) -> None:
        # Hypothesis looks for steps that it can repeat: no walk may depend on the one before.
        self.door.forget()

    def before_call(self, case: Case) -> None:
        fill(self.door, case)

    def get_call_kwargs(self, case: Case) -> dict[str, Any]:
        return {"app": self.door}


@pytest.mark.parametrize("site", ["token", "session", "closed", "calls", "strict"])
def test_a_walk(door, repeated, site):
    def run(seed, settings):
        walk = type("Walk", (Walk,), {"door": door})
        steps = {"max_examples": max(1, settings.max_examples // 8), "stateful_step_count": 8}
        with door.at(site):
            seed(walk).run(settings=hypothesis.settings(settings, **steps))

    repeated(5, run)
