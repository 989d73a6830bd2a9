"""The door: the site's WSGI application, with every request counted and every answer judged.

Whoever asks through it cannot forget to look at the answer: one that docs/http-api.md does not
promise raises `Unfit`, which shows the request.
"""

import io
import json
import re
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import jsonschema_rs
from django.core.cache import cache
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import got_request_exception
from django.http import HttpRequest
from django.test import override_settings
from django.urls import ResolverMatch

from django_phone_otp.models import PhoneLedger
from django_phone_otp.providers import local
from tests.fuzz.described import describe_answers, path_of
from tests.fuzz.sites import PHONE, SITES, THAT_FAIL

# What every request of this process came to, such as "POST request 429 locked"; for the summary.
TALLY: Counter[str] = Counter()
REMEMBERED = 8  # challenges, and codes that no answer may have in it


class Unfit(AssertionError):
    """An answer that must not be given."""


@dataclass(frozen=True)
class Answer:
    """What came back; `json` is None for the pages that Django answers before our views."""

    status: int
    headers: dict[str, str]
    body: bytes
    json: Any = None
    cookies: list[str] = field(default_factory=list)


@dataclass
class Asked:
    """A challenge that the site has given out, with its codes from the outbox, the oldest first."""

    challenge: str
    codes: list[str]


class _Handler(WSGIHandler):
    """Remembers which view it found; None where Django answered before it looked for one."""

    match: ResolverMatch | None = None

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        self.match = super().resolve_request(request)
        return self.match


class Door:
    """A WSGI application that lets requests in and raises `Unfit` for a bad answer."""

    def __init__(self, note: str = "") -> None:
        self._handler = _Handler()
        self._validators = _Validators()
        self._note = note
        self._site = ""
        self._seen_count = 0  # messages of the outbox
        self._recent_codes: deque[str] = deque(maxlen=REMEMBERED)
        self._asked: dict[str, deque[Asked]] = {}
        self._devices: dict[str, str] = {}  # by phone
        self.count = 0

    @contextmanager
    def at(self, site: str) -> Iterator[None]:
        """Let the requests of this block go to one of `SITES`."""
        before, self._site = self._site, site
        with override_settings(PHONE_OTP=SITES[site]):
            yield
        self._site = before

    @property
    def asked(self) -> deque[Asked]:
        """The last challenges of this site, which another site may not know what to do with."""
        return self._asked.setdefault(self._site, deque(maxlen=REMEMBERED))

    def forget(self) -> None:
        """Begin anew: no challenges, and no budgets used up."""
        self._asked.clear()
        PhoneLedger.objects.all().delete()
        cache.clear()

    # Asking

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] = b"",
        *,
        query: str = "",
        **environ: str,
    ) -> Answer:
        """Send a request as a WSGI server hands it over; `environ` adds to it or replaces.

        Text is latin-1, as in PEP 3333. An empty `CONTENT_LENGTH` leaves the header out.
        """
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        given: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(raw)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(raw),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            **environ,
        }
        if not given["CONTENT_LENGTH"]:
            del given["CONTENT_LENGTH"]
        return self._let_in(given)

    def begin(self, **environ: str) -> Asked | None:
        """Ask for a code; None where this site gives none."""
        answer = self.ask("POST", "/api/phone/request/", {"phone": PHONE}, **environ)
        return self.asked[-1] if answer.status == 201 else None

    def fill(self, body: Any) -> Any:
        """Put real challenges and codes in the place of the words for them in `strategies`."""
        if not isinstance(body, dict):
            return body
        filled = dict(body)
        challenge = filled.get("challenge")
        if isinstance(challenge, str):
            filled["challenge"] = challenge = self.fill_challenge(challenge)
        code, device = filled.get("code"), filled.get("device")
        if isinstance(code, str):
            filled["code"] = self._fill_code(code, challenge)
        if isinstance(device, str):
            filled["device"] = self._fill_device(device, filled.get("phone"))
        return filled

    def fill_challenge(self, word: str) -> str:
        """Give the challenge that a word such as "recent-2" means; other words as they are."""
        if word == "fresh":
            started = self.begin()
            return started.challenge if started else word
        if re.fullmatch("recent-[0-9]", word) and self.asked:
            return self.asked[-1 - int(word[7:]) % len(self.asked)].challenge
        return word

    def _fill_code(self, word: str, challenge: Any) -> str:
        codes = next((each.codes for each in self.asked if each.challenge == challenge), [])
        newest = codes[-1] if codes else "012345"
        kinds: dict[str, Callable[[], str]] = {
            "right": lambda: newest,
            "earlier": lambda: codes[0] if codes else newest,
            "wrong": lambda: newest[:-1] + ("1" if newest.endswith("0") else "0"),
            "spaced": lambda: f" {newest[:3]} - {newest[3:]} ",
            "arabic": lambda: newest.translate({48 + n: 0x660 + n for n in range(10)}),
            "padded": lambda: newest + "\0",
        }
        return kinds[word]() if word in kinds else word

    def _fill_device(self, word: str, phone: Any) -> str:
        mine = self._devices.get(phone, "") if isinstance(phone, str) else ""
        others = list(self._devices.values()) or [""]
        kinds = {"mine": mine or others[-1], "another's": others[0], "mine, altered": mine[:-1]}
        return kinds.get(word, word)

    # Answering

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Be a WSGI application, for schemathesis."""
        answer = self._let_in(environ)
        headers = [*answer.headers.items(), *(("Set-Cookie", each) for each in answer.cookies)]
        start_response(f"{answer.status} -", headers)
        return [answer.body]

    def _let_in(self, environ: dict[str, Any]) -> Answer:
        self.count += 1
        raw = environ["wsgi.input"].read()
        environ["wsgi.input"] = io.BytesIO(raw)
        faults: list[str] = []

        def keep(**_: Any) -> None:
            faults.append(traceback.format_exc())

        got_request_exception.connect(keep)
        self._handler.match = None
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[..., None]:
            started.append((status, headers))
            return lambda data: None

        try:
            response = self._handler(environ, start)
            body = b"".join(response)
            response.close()
        except Exception as error:
            raise Unfit(self._show(environ, raw, f"it raised {error!r}")) from error
        finally:
            got_request_exception.disconnect(keep)
        [(line, sent)] = started
        status = int(line.split()[0])
        cookies = [value for name, value in sent if name == "Set-Cookie"]
        headers = {name: value for name, value in sent if name != "Set-Cookie"}
        answer = Answer(status, headers, body, _read(body), cookies)
        try:
            self._judge(environ, answer)
        except AssertionError as error:
            shown = f"{status} {headers} {cookies}\n{body[:2000].decode(errors='replace')}"
            problem = f"{error}\n\nanswer:\n{shown}\n{''.join(faults)}"
            raise Unfit(self._show(environ, raw, problem)) from None
        finally:
            self._count(environ, answer)
        return answer

    def _judge(self, environ: Mapping[str, Any], answer: Answer) -> None:
        """Say what is wrong with an answer, as an `AssertionError`."""
        found, is_error = self._handler.match, answer.status >= 500
        may_fail = found and answer.status == 503 and self._site in THAT_FAIL
        assert not is_error or may_fail, "a server error"
        self._learn(answer)
        self._find_codes(answer)
        if not found or "phone_otp" not in found.app_names:
            return  # not our view: what Django says of a bad Host or path is its own business
        content_type = answer.headers.get("Content-Type")
        if answer.status == 204:
            assert (content_type, answer.body) == (None, b""), "it has a body"
        else:
            assert content_type == "application/json", f"it is {content_type}"
            assert answer.json is not None, "it is no JSON"
        caching = answer.headers.get("Cache-Control")
        assert caching == "no-store", f"Cache-Control is {caching}"
        seconds = answer.headers.get("Retry-After")
        assert (seconds is not None) == (answer.status == 429), f"Retry-After is {seconds}"
        if seconds is not None:
            assert seconds == str(answer.json["retry_after"]), f"Retry-After is {seconds}"
        method = str(environ["REQUEST_METHOD"]).upper()
        self._validators.check(path_of(found.route), method, answer)
        if found.url_name in ("request", "resend") and answer.status in (200, 201):
            is_fresh = answer.json["state"] in ("sending", "sent")
            # A repetition tells how its challenge stands by now.
            assert is_fresh or "HTTP_IDEMPOTENCY_KEY" in environ, "the new challenge is over"

    def _find_codes(self, answer: Answer) -> None:
        whole = answer.body.decode(errors="replace") + repr(answer.headers) + repr(answer.cookies)
        for code in self._recent_codes:
            # Six digits in a row are in many a random token; alone they are a code.
            assert not re.search(rf"(?<![\w-]){code}(?![\w-])", whole), f"it has the code {code}"

    def _learn(self, answer: Answer) -> None:
        new = [message.code for message in local.outbox[self._seen_count :]]
        self._seen_count = len(local.outbox)
        self._recent_codes.extend(new)
        if not isinstance(answer.json, dict):
            return
        if answer.status == 200 and "device" in answer.json:
            self._devices[answer.json["user"]["phone"]] = answer.json["device"]
        if isinstance(answer.json.get("challenge"), str):
            challenge = answer.json["challenge"]
            known = next((each for each in self.asked if each.challenge == challenge), None)
            if known:
                known.codes.extend(new)
            else:
                self.asked.append(Asked(challenge, new))

    def _count(self, environ: Mapping[str, Any], answer: Answer) -> None:
        name = self._handler.match.url_name if self._handler.match else "(none)"
        body = answer.json if isinstance(answer.json, dict) else {}
        code = body.get("code", "(fields)" if body and answer.status == 400 else "")
        word = code if isinstance(code, str) else "(fields)"
        TALLY[f"{name} {answer.status} {word}".strip()] += 1

    def _show(self, environ: Mapping[str, Any], raw: bytes, problem: str) -> str:
        own = {
            name: value
            for name, value in environ.items()
            if name.startswith(("HTTP_", "CONTENT_", "REMOTE_ADDR"))
        }
        path = quote(str(environ["PATH_INFO"]), encoding="latin-1", errors="replace")
        target = f"{path}?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else path
        lines = [
            problem,
            f"request {self.count} at the site {self._site!r}; {self._note}",
            f"{environ['REQUEST_METHOD']} {target}",
            *(f"{name}: {value!r}" for name, value in own.items()),
            f"{raw!r}"
            if len(raw) < 3000
            else f"{raw[:1500]!r} … {raw[-1500:]!r}, {len(raw)} bytes",
        ]
        return "\n".join(lines)


def _read(body: bytes) -> Any:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    try:
        return json.loads(body.decode(), parse_constant=refuse)
    except ValueError:
        return None


class _Validators:
    """The answers' schemas of docs/openapi.yaml."""

    # What no client asks for: another method, and `?format=` with anything but json.
    UNDESCRIBED = {405: "method_not_allowed", 404: "not_found"}

    def __init__(self) -> None:
        self._document = describe_answers()
        self._made: dict[str, jsonschema_rs.Validator] = {}

    def check(self, path: str, method: str, answer: Answer) -> None:
        item = self._document["paths"][path]
        # HEAD is answered as GET is; the server leaves the body out.
        described = "get" if method == "HEAD" else method.lower()
        word = answer.json.get("code") if isinstance(answer.json, dict) else None
        if described not in item or word in self.UNDESCRIBED.values():
            assert word == self.UNDESCRIBED.get(answer.status), f"{method}: {answer.status} {word}"
            assert set(answer.json) == {"detail", "code"}, "it has more in it"
            assert described not in item or word == "not_found", f"{method} is described"
            return
        responses = item[described]["responses"]
        assert str(answer.status) in responses, f"{path} never answers {answer.status}"
        if answer.status == 204:
            return
        escaped = quote(path.replace("/", "~1"), safe="~")
        pointer = f"#/paths/{escaped}/{described}/responses/{answer.status}"
        error = next(self._validator(pointer).iter_errors(answer.json), None)
        assert error is None, f"not as described in {pointer}: {error}"

    def _validator(self, pointer: str) -> jsonschema_rs.Validator:
        if pointer not in self._made:
            schema = {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$ref": f"{pointer}/content/application~1json/schema",
                "paths": self._document["paths"],
                "components": self._document["components"],
            }
            self._made[pointer] = jsonschema_rs.validator_for(schema)
        return self._made[pointer]
