"""Schemathesis: what docs/openapi.yaml describes, sent as described and otherwise, in sequences."""

from base64 import b64encode
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode

from django_phone_otp.api.views import MAX_IDEMPOTENCY_KEY_LENGTH
from tests.fuzz import strategies  # noqa: F401 (makes the formats known)
from tests.fuzz.described import describe_requests
from tests.fuzz.door import Door
from tests.fuzz.rounds import SETTINGS
from tests.fuzz.sites import ROOMY, SITES
from tests.schema.lenience import is_taken_all_the_same

CONFIG = schemathesis.Config.from_dict(
    {
        "seed": 0,
        "checks": {
            # A text that stands for a phone or a challenge is most often none. What is accepted
            # when it should be is asked in tests/schema, of phones and challenges that live.
            "positive_data_acceptance": {
                "expected-statuses": ["2xx", "400", "401", "403", "404", "409", "429", "5xx"]
            },
            # It wants 401. The first authentication of these sites, the session, names no scheme.
            "missing_required_header": {"enabled": False},
            # The door knows where one is in order.
            "not_a_server_error": {"enabled": False},
        },
        "phases": {
            "fuzzing": {"enabled": False},
            "stateful": {"generation": {"mode": "positive"}},
        },
    }
)
SCHEMA = schemathesis.openapi.from_dict(describe_requests(), config=CONFIG)
OWNER = {"Authorization": "Basic " + b64encode(b"owner:secret").decode()}
LOGIN = ["requestCode", "resendCode", "confirmCode", "getChallenge"]
PHONES = ["listPhones", "unlinkPhone", "makePhonePrimary"]


def fill(door, case: Case, site: str = "token") -> None:
    key = case.headers.get("Idempotency-Key")
    if key and len(key) <= MAX_IDEMPOTENCY_KEY_LENGTH:
        # The sites share one database: a repetition would be told what another site said.
        case.headers["Idempotency-Key"] = f"{site} {key}"[:MAX_IDEMPOTENCY_KEY_LENGTH]
    case.body = door.fill(case.body)
    challenge = case.path_parameters.get("challenge")
    if isinstance(challenge, str):
        # With a slash in it, it is another address, and Django's 404.
        filled = door.fill_challenge(challenge).replace("/", "_").replace("%2F", "_")
        case.path_parameters["challenge"] = filled
    phone_id = case.path_parameters.get("phone_id", "1")
    if not (str(phone_id).isascii() and str(phone_id).isdigit()):
        case.path_parameters["phone_id"] = "0"  # the same


def ask_and_check(door, case: Case, **headers: str) -> None:
    response = case.call(app=door, headers=headers)
    if not is_taken_all_the_same(case):
        case.operation.schema.app = door  # for the checks that ask once more
        case.validate_response(response, headers=headers, transport_kwargs={"app": door})


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("name", [*LOGIN, *PHONES])
def test_an_operation(door, repeated, name, mode):
    operation = SCHEMA.find_operation_by_id(name)

    def run(seed, settings):
        @seed
        @settings
        @given(
            operation.as_strategy(generation_mode=mode),
            st.sampled_from([*SITES, *ROOMY]),
            st.sampled_from([{}, OWNER]),
        )
        def ask(case, site, headers):
            with door.at(site):
                fill(door, case, site)
                ask_and_check(door, case, **headers)

        ask()

    repeated(4 if name in LOGIN else 1, run)


@SCHEMA.parametrize()
@SETTINGS
def test_the_edges(door, case: Case):
    with door.at("token"):
        fill(door, case)
        ask_and_check(door, case)


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
