"""Those who log in while machines fail: people of the stress test who come from many addresses."""

import math
import threading
import time
from collections import Counter
from datetime import datetime
from typing import Any, cast

from tests.stress.people import Person
from tests.stress.services import Services

from .machines import Cluster

SHARED_ADDRESSES = [f"198.51.100.{number}" for number in range(1, 5)]


class Caller(Person):
    """Asks any of the sites, until it is `enough`.

    `let_through` counts by address the messages that were asked for, and not refused.
    """

    message_seconds = 3.0  # workers may have to come back first

    def __init__(self, cluster: Cluster, seed: int, enough: threading.Event) -> None:
        # Of the services a person needs the messages alone, where no channel is chosen.
        services = cast(Services, cluster.post)
        super().__init__(0, services, seed, began=time.monotonic(), ends=math.inf)
        self.let_through: Counter[str] = Counter()
        self._ports = [site.port for site in cluster.sites]
        self._enough = enough

    def _goes_on(self) -> bool:
        return not self._enough.is_set()

    def _choose_port(self) -> int:
        return self._random.choice(self._ports)

    def _choose_channel(self) -> str:
        return ""

    def _answer(self, challenge: str, phone: str, began: datetime) -> None:
        """Type the code when the site says that it is sent, as an app does."""
        until = time.monotonic() + self.message_seconds
        while time.monotonic() < until:
            seen = self._look(challenge)
            if seen is None or seen.body.get("state") != "sending":
                break
            time.sleep(0.1)
        super()._answer(challenge, phone, began)

    def _choose_address(self) -> str:
        if self._happens(0.3):
            return self._random.choice(SHARED_ADDRESSES)
        return f"10.{'.'.join(str(self._random.randrange(256)) for _ in range(3))}"

    def _exchange(
        self, method: str, name: str, body: dict[str, str], **more_headers: str
    ) -> tuple[int, dict[str, Any]]:
        address = self._choose_address()
        headers = {"X-Forwarded-For": address, **more_headers}
        status, answer = super()._exchange(method, name, body, **headers)
        if name in ("request", "resend") and status in (200, 201):
            self.let_through[address] += 1
        return status, answer
