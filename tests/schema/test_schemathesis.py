"""Schemathesis against a running site, with all its checks and in all its phases.

What is sent as described has to be accepted: so the phones are those of the site, and the
challenges and phones in other requests are made while it goes on. In process, at sites of all
kinds, and with what is wrong in other ways, tests/fuzz does it.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.engine import events, from_schema
from schemathesis.hooks import unregister

from tests.fuzz.described import describe
from tests.schema.conftest import CODE, PHONES
from tests.schema.lenience import is_elsewhere, is_taken_all_the_same

pytestmark = pytest.mark.long

LOGIN_PHONES, LINKED_PHONES = PHONES[:5], PHONES[5:]
CONFIG: dict[str, Any] = {
    "seed": 0,
    "workers": 1,
    "cache": {"enabled": False},  # each run begins anew, and leaves nothing behind
    "generation": {"max-examples": 15, "deterministic": True},
    "phases": {"stateful": {"max-steps": 6}},
}
PHASES = {"examples", "coverage", "fuzzing", "stateful"}
# All that was answered: 405 where another method was tried, 401 and 404 by phones/ alone, and no
# other 4xx than those of a request that was made wrong on purpose.
ANSWERS = {
    "POST /api/phone/request/": {201, 400, 405, 415},
    "POST /api/phone/resend/": {200, 400, 405, 415},
    "POST /api/phone/confirm/": {200, 400, 405, 415},
    "GET /api/phone/challenges/{challenge}/": {200, 400, 405},
    "GET /api/phone/phones/": {200, 401, 405},
    "DELETE /api/phone/phones/{phone_id}/": {204, 401, 404, 405},
    "POST /api/phone/phones/{phone_id}/primary/": {200, 401, 404, 405},
}

schemathesis.openapi.format("site-phone", st.sampled_from(LOGIN_PHONES))
schemathesis.openapi.format("right-code", st.sampled_from([CODE, "012-345", " 012 345 "]))


class Feed:
    """Puts what lives into the requests that are as described."""

    def __init__(self, site: str, token: str) -> None:
        self._url = f"{site}/api/phone/"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Token {token}"
        self._fresh_phones = iter(LINKED_PHONES)
        self._begun: set[str] = set()
        self.answers: dict[str, set[int]] = {}

    def fill(self, case: Case) -> None:
        if case.meta is not None and case.meta.generation.mode.is_negative:
            return
        body, path = case.body, case.path_parameters
        if isinstance(body, dict) and body.get("purpose") == "link":
            body["phone"] = next(self._fresh_phones)  # the others may be somebody else's by now
        if isinstance(body, dict) and "challenge" in body and not self._is_open(body["challenge"]):
            body["challenge"] = self._begin(LOGIN_PHONES[0])
        if case.operation.label.endswith("/confirm/") and isinstance(body, dict):
            body["code"] = body.get("code") or CODE  # no call is awaited
        if "challenge" in path and path["challenge"] not in self._begun:
            path["challenge"] = self._begin(LOGIN_PHONES[0])
        if "phone_id" in path:
            path["phone_id"] = self._link_phone()

    def note(self, case: Case, response: Any) -> None:
        self.answers.setdefault(case.operation.label, set()).add(response.status_code)
        if response.status_code in (200, 201) and "challenge" in response.text:
            self._begun.add(response.json()["challenge"])

    def _is_open(self, challenge: Any) -> bool:
        if challenge not in self._begun:
            return False
        found = self._session.get(f"{self._url}challenges/{challenge}/")
        return bool(found.json()["state"] == "sent")

    def _begin(self, phone: str, purpose: str = "login") -> str:
        body = {"phone": phone, "purpose": purpose}
        challenge = str(self._session.post(f"{self._url}request/", json=body).json()["challenge"])
        self._begun.add(challenge)
        return challenge

    def _link_phone(self) -> int:
        phone = next(self._fresh_phones)
        body = {"challenge": self._begin(phone, "link"), "code": CODE}
        assert self._session.post(f"{self._url}confirm/", json=body).status_code == 200
        phones = self._session.get(f"{self._url}phones/").json()
        return next(int(each["id"]) for each in phones if each["phone"] == phone)


@pytest.fixture
def feed(site: str, token: str) -> Iterator[Feed]:
    fed = Feed(site, token)

    @schemathesis.hook
    def before_call(context: Any, case: Case, kwargs: Any) -> None:
        fed.fill(case)

    @schemathesis.hook
    def after_call(context: Any, case: Case, response: Any) -> None:
        if response.headers.get("content-type") != ["text/html; charset=utf-8"]:
            fed.note(case, response)

    @schemathesis.hook
    def filter_failure(context: Any, failure: Any, case: Case, response: Any) -> bool:
        if isinstance(failure, AcceptedNegativeData):
            return not is_taken_all_the_same(case)
        return not is_elsewhere(case)

    yield fed
    for each in (before_call, after_call, filter_failure):
        unregister(each)


@pytest.fixture
def schema(site: str, token: str) -> Any:
    document = describe()
    schemas = document["components"]["schemas"]
    schemas["CodeRequest"]["properties"]["phone"]["format"] = "site-phone"
    schemas["ConfirmRequest"]["properties"]["code"]["format"] = "right-code"
    headers = {"Authorization": f"Token {token}"}
    config = schemathesis.Config.from_dict({**CONFIG, "headers": headers})
    made = schemathesis.openapi.from_dict(document, config=config)
    made.config.update(base_url=site)
    return made


def test_site_is_as_it_is_described(feed, schema):
    phases, problems = set(), []
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError):
            problems.append(str(event.value))
        if isinstance(event, events.FatalError):
            problems.append(str(event.exception))
        if isinstance(event, events.ScenarioFinished):
            phases.add(event.phase.value)
            problems += [
                f"{event.phase.value}: {check.failure_info.failure}"
                f"\n{check.failure_info.code_sample}"
                for checks in event.recorder.checks.values()
                for check in checks
                if check.failure_info is not None
            ]
    assert problems == []
    assert phases == PHASES
    assert feed.answers == ANSWERS
