"""Clients that never give up: each operation is sent until answered, sometimes again, sometimes not waited for."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Self

from tests.torture.site import Answer, Site

GIVE_UP_S = 60


@dataclass(frozen=True, eq=False)
class Operation:
    """One thing to do, with the key under which it is done once."""

    key: str
    path: str
    body: dict[str, Any]


@dataclass
class Load:
    """Some clients at work until told to stop. `answers` holds the definite answer of every finished operation."""

    site: Site
    seed: int
    members: int
    clients: int = 8
    answers: dict[Operation, Answer] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    sent: int = 0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._client, args=(n,)) for n in range(self.clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _client(self, number: int) -> None:
        chance = random.Random(f"{self.seed}/{number}")
        count = 0
        while not self._stop.is_set():
            count += 1
            operation = _operation(chance, f"{self.seed}-{number}-{count}", self.members)
            self._finish(chance, operation)

    def _finish(self, chance: random.Random, operation: Operation) -> None:
        """Send until answered, then perhaps again: every answer must be the same."""
        until = time.monotonic() + GIVE_UP_S
        first: Answer | None = None
        repeats = chance.choice((1, 1, 1, 2, 3))
        while repeats:
            if time.monotonic() > until:
                self.faults.append(f"no answer within {GIVE_UP_S} s: {operation}")
                return
            answer = self._send(chance, operation)
            if answer is None:
                time.sleep(0.05)
                continue
            if first is None:
                first = answer
            elif answer.body != first.body or answer.status != first.status:
                self.faults.append(f"two answers to {operation}: {first} and {answer}")
            repeats -= 1
        if first is not None:
            self.answers[operation] = first

    def _send(self, chance: random.Random, operation: Operation) -> Answer | None:
        """The definite answer, or None when there was none and it has to be asked again."""
        impatient = chance.random() < 0.05
        self.sent += 1
        try:
            answer = self.site.call(
                "POST",
                operation.path,
                operation.body,
                key=operation.key,
                port=chance.choice(self.site.ports),
                timeout=0.004 if impatient else 10,
            )
        except OSError:
            return None
        if answer.status == 503:
            return None
        if answer.status >= 500:
            self.faults.append(f"{answer.status} for {operation}: {answer.body}")
            return None
        return answer


def _operation(chance: random.Random, name: str, members: int) -> Operation:
    member = f"external_id:M-{chance.randrange(members)}"
    if chance.random() < 0.6:
        body: dict[str, Any] = {
            "number": f"B-{name}",
            "member": member,
            "currency": "USD",
            "lines": [{"sku": "A", "amount_minor": chance.randrange(0, 20_000)} for _ in range(chance.randint(1, 4))],
        }
        if chance.random() < 0.3:
            body["spend_points"] = str(chance.randint(1, 120))
        return Operation(name, "/v1/purchases", body)
    body = {"points": str(chance.randint(1, 150)), "reason": "torture"}
    return Operation(name, f"/v1/members/{member}/redemptions", body)
