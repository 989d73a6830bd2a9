"""Run the gateway by itself: `python -m example_project.gateway`."""

import argparse
import signal
import sys
import threading
from types import FrameType

from . import DEFAULT_PORT, FAULTS, HOST, Gateway
from .controls import COUNTS_PATH, FAULT_PATH
from .gateway import PROTOCOLS


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit status."""
    options = _parse(arguments)
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    try:
        gateway = Gateway(
            options.latency, port=options.port, tokens=options.token, fault=options.fault
        )
        gateway.start()
    except (OSError, OverflowError) as error:
        print(f"Cannot listen on {HOST}:{options.port}: {error}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"--fault {options.fault}: {error}", file=sys.stderr)
        return 2
    _introduce(gateway)
    stop.wait()
    gateway.stop()
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m example_project.gateway",
        description="A local stand-in for the providers that shows the phone's screen.",
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument(
        "--latency",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="wait that long before each answer, as a real provider does",
    )
    parser.add_argument(
        "--token", action="append", help="a valid secret, may be repeated (default: every one)"
    )
    parser.add_argument("--fault", default="", help="begin with this fault; see the list it prints")
    return parser.parse_args(arguments)


def _introduce(gateway: Gateway) -> None:
    print(f"Gateway:            {gateway.url}")
    print(f"The phone's screen: {gateway.screen_url}")
    print("\nThe base_url of an account, whatever its provider:")
    for start, protocol in PROTOCOLS.items():
        print(f"  {protocol.provider:16} {gateway.url}  (answers {start})")
    print("\nFaults, for one account in its base_url, or for all of them to order:")
    print(f"  {gateway.url}/~html")
    print(f"  curl -d fault=html -d times=3 {gateway.url}{FAULT_PATH}")
    print(f"  curl -X DELETE {gateway.url}{FAULT_PATH}")
    print(f"  curl {gateway.url}{COUNTS_PATH}")
    for name, fault in FAULTS.items():
        form = f"{name}=<seconds>" if fault.takes_seconds else name
        sent = "" if fault.is_delivered else "; no message"
        print(f"  {form:18} {fault.what}{sent}")
    print("\nCtrl-C ends it.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
