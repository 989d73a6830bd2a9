"""Faults in an account's address, and faults ordered for everybody."""

import pytest

from example_project.gateway import Gateway
from tests.gateway.conftest import asker

SEND = "/api/v1/authcalls/token/get_code/89244501003/"
EVERY_PROTOCOL = [
    ("GET", SEND),
    ("GET", "/api/v1/getBalance?token=token"),
    ("POST", "/api/v1/mfa/sms_auth"),
    ("GET", "/api/v1/balance"),
    ("GET", "/v2/Services/VA1"),
    ("GET", "/api/v1/no-such-call"),
]


def statuses(ask, count: int = 3) -> list[int]:
    return [ask("GET", SEND).status for _ in range(count)]


# In an address


@pytest.mark.parametrize(("method", "path"), EVERY_PROTOCOL)
def test_address_carries_a_fault(ask, method, path):
    assert ask(method, f"/~429{path}").status == 429
    assert ask(method, path).status != 429


def test_address_carries_seconds(ask):
    assert ask("GET", f"/~latency=0.001{SEND}").status == 200


def test_address_may_be_quoted(ask):
    assert ask("GET", f"/~latency%3D0{SEND}").status == 200


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        ("nonsense", "'nonsense' is not a fault; known: latency, "),
        ("latency", "order it as latency=<seconds>"),
        ("latency=", "order it as latency=<seconds>"),
        ("latency=-1", "order it as latency=<seconds>"),
        ("latency=inf", "order it as latency=<seconds>"),
        ("html=1", "order it as html"),
        ("html=", "order it as html"),
    ],
)
def test_unknown_fault_is_refused(gateway, ask, fault, detail):
    for got in (ask("GET", f"/~{fault}{SEND}"), ask("POST", "/fault/", {"fault": fault})):
        assert got.status == 400
        assert got.json["detail"].startswith(detail)
    with pytest.raises(ValueError, match=detail.split(";")[0]):
        gateway.fault = fault
    assert (gateway.fault, gateway.message_count) == ("", 0)


@pytest.mark.parametrize("path", ["/screen/", "/screen/+79244501003.json", "/counts/", "/fault/"])
def test_fault_in_an_address_applies_to_protocols_only(ask, path):
    assert ask("GET", f"/~429{path}").status == 200


@pytest.mark.parametrize("path", ["/~429", "/~429/"])
def test_address_of_a_fault_alone_is_the_gateways_home(ask, path):
    assert ask("GET", path).headers["Location"] == "/screen/"


# To order


@pytest.mark.parametrize(("method", "path"), EVERY_PROTOCOL)
def test_order_is_for_every_protocol(gateway, ask, method, path):
    gateway.fault = "429"
    assert ask(method, path).status == 429


@pytest.mark.parametrize("path", ["/screen/", "/counts/", "/fault/"])
def test_order_is_for_protocols_only(gateway, ask, path):
    gateway.order("429", times=1)
    assert ask("GET", path).status == 200
    assert gateway.ordered == ("429", 1)


def test_order_ends(gateway, ask):
    gateway.fault = "429"
    assert statuses(ask) == [429, 429, 429]
    gateway.fault = ""
    assert statuses(ask) == [200, 200, 200]


def test_order_is_for_so_many_requests(gateway, ask):
    gateway.order("429", times=2)
    assert (statuses(ask, 1), gateway.ordered) == ([429], ("429", 1))
    assert (statuses(ask), gateway.ordered) == ([429, 200, 200], ("", 0))


def test_later_order_replaces_the_earlier(gateway, ask):
    gateway.order("429", times=1)
    gateway.order("404")
    assert statuses(ask) == [404, 404, 404]


def test_account_with_its_own_fault_leaves_the_ordered_one(gateway, ask):
    gateway.order("429", times=1)
    assert ask("GET", f"/~404{SEND}").status == 404
    assert gateway.ordered == ("429", 1)


def test_gateway_may_begin_with_a_fault():
    with Gateway(fault="429") as gateway:
        assert (gateway.ordered, statuses(asker(gateway), 2)) == (("429", None), [429, 429])


@pytest.mark.parametrize("times", [0, -1])
def test_order_for_no_request_is_refused(gateway, times):
    with pytest.raises(ValueError, match="times must be at least 1"):
        gateway.order("429", times)


# Over HTTP


def test_order_over_http(ask):
    got = ask("POST", "/fault/", {"fault": "latency=0.001", "times": "2"})
    assert (got.status, got.json) == (200, {"fault": "latency=0.001", "times": 2})
    statuses(ask, 1)
    assert ask("GET", "/fault/").json == {"fault": "latency=0.001", "times": 1}


def test_order_over_http_without_end(ask):
    assert ask("POST", "/fault/", {"fault": "429"}).json == {"fault": "429", "times": None}
    assert statuses(ask) == [429, 429, 429]


@pytest.mark.parametrize(("method", "form"), [("DELETE", None), ("POST", {"fault": ""})])
def test_order_ends_over_http(gateway, ask, method, form):
    gateway.fault = "429"
    assert ask(method, "/fault/", form).json == {"fault": "", "times": 0}
    assert statuses(ask, 1) == [200]


@pytest.mark.parametrize(
    "form", [{}, {"times": "1"}, {"fault": "429", "times": "x"}, {"fault": "429", "times": "0"}]
)
def test_bad_order_over_http_changes_nothing(gateway, ask, form):
    gateway.fault = "404"
    assert ask("POST", "/fault/", form).status == 400
    assert gateway.fault == "404"
