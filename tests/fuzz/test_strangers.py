"""What comes beside a body: headers, cookies, credentials, methods and addresses."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.sites import PHONE, ROOMY, SITES
from tests.fuzz.strategies import (
    AUTHORIZATIONS,
    BODIES,
    COOKIES,
    CSRF,
    DEVICES,
    HEADER_VALUES,
    HEADERS,
    METHODS,
    NAMES,
    ODD_NAMES,
    ODD_WORDS,
    PHONES,
    QUERIES,
    SESSIONS,
    is_read_by_django,
)

ENDPOINTS = list(BODIES)
OWNER = {"HTTP_AUTHORIZATION": "Basic " + b64encode(b"owner:secret").decode()}
FORGERY_PROOF = {"HTTP_COOKIE": f"csrftoken={CSRF}", "HTTP_X_CSRFTOKEN": CSRF}


def test_each_header_alone(door):
    for name, values in HEADER_VALUES.items():
        for value in [*values, *ODD_WORDS[:3]]:
            if name == "CONTENT_TYPE" and not is_read_by_django(value):
                continue
            header = {name: value}
            with door.at("proxied"):
                started = door.begin(**header)
                challenge = started.challenge if started else "fresh"
                body = door.fill({"challenge": challenge, "code": "right"})
                door.ask("POST", "/api/phone/confirm/", body, **header)
                if name in {"HTTP_AUTHORIZATION", "HTTP_COOKIE"}:
                    link = {"phone": PHONE, "purpose": "link"}
                    door.ask("POST", "/api/phone/request/", link, **header)


def test_each_odd_name(door):
    for name in ODD_NAMES:
        for end in ("/", "//", "/x", "/\0/"):
            with door.at("token"):
                door.ask("GET", f"/api/phone/challenges/{name}{end}")


def test_headers(door, repeated):
    def run(seed, settings):
        @seed
        @settings
        @given(st.data(), st.sampled_from(ENDPOINTS), st.sampled_from([*SITES, *ROOMY]), HEADERS)
        def ask(data, endpoint, site, headers):
            with door.at(site):
                body = door.fill(data.draw(BODIES[endpoint]))
                door.ask("POST", f"/api/phone/{endpoint}/", body, **headers)

        ask()

    repeated(9, run)


# Somebody who sends the same credentials with each request.
PEOPLE = st.one_of(
    st.just({}),
    st.just(OWNER),
    st.just({**OWNER, **FORGERY_PROOF}),
    st.fixed_dictionaries({"HTTP_AUTHORIZATION": st.sampled_from(AUTHORIZATIONS)}),
    st.builds(lambda cookies: with_cookies(cookies), st.sampled_from(COOKIES)),
    HEADERS,
)


def with_cookies(cookies: str) -> dict[str, str]:
    return {**FORGERY_PROOF, "HTTP_COOKIE": f"{FORGERY_PROOF['HTTP_COOKIE']}; {cookies}"}


@pytest.mark.parametrize("key", SESSIONS, ids=ascii)
def test_a_session_that_is_none_keeps_nobody_from_logging_in(door, key):
    person = with_cookies(f"sessionid={key}")
    for site in ("token", "session"):
        with door.at(site):
            challenge = door.begin(**person).challenge
            body = door.fill({"challenge": challenge, "code": "right"})
            assert door.ask("POST", "/api/phone/confirm/", body, **person).status == 200


def test_people(door, repeated):
    def run(seed, settings):
        @seed
        @settings
        @given(
            person=PEOPLE,
            site=st.sampled_from([*ROOMY, "session", "proxied", "guarded"]),
            asking=st.fixed_dictionaries(
                {
                    "phone": PHONES,
                    "purpose": st.sampled_from(["login", "login", "link"]),
                    "device": DEVICES,
                }
            ),
            steps=st.lists(
                st.sampled_from(
                    ["resend", "look", "right", "wrong", "wrong", "earlier", "as a stranger"]
                ),
                min_size=1,
                max_size=8,
            ),
        )
        def ask(person, site, asking, steps):
            with door.at(site):
                answer = door.ask("POST", "/api/phone/request/", door.fill(asking), **person)
                if answer.status != 201:
                    return
                challenge = answer.json["challenge"]
                for step in steps:
                    if step == "resend":
                        door.ask("POST", "/api/phone/resend/", {"challenge": challenge}, **person)
                    elif step == "look":
                        door.ask("GET", f"/api/phone/challenges/{challenge}/", **person)
                    else:
                        code = "right" if step == "as a stranger" else step
                        body = door.fill({"challenge": challenge, "code": code})
                        credentials = {} if step == "as a stranger" else person
                        door.ask("POST", "/api/phone/confirm/", body, **credentials)

        ask()

    repeated(9, run)


def test_addresses(door, repeated):
    def run(seed, settings):
        @seed
        @settings
        @given(
            st.data(),
            METHODS | st.just("GET"),
            st.sampled_from([*ENDPOINTS, "challenges"]),
            QUERIES,
            st.sampled_from(ROOMY),
        )
        def ask(data, method, endpoint, query, site):
            with door.at(site):
                path, body = f"/api/phone/{endpoint}/", {}
                if endpoint == "challenges":
                    path += door.fill_challenge(data.draw(NAMES)) + data.draw(
                        st.sampled_from(["/", "/", "/", "", "//", "/x", "/\0/"])
                    )
                else:
                    body = door.fill(data.draw(BODIES[endpoint]))
                door.ask(method, path, body, query=query)

        ask()

    repeated(5, run)
