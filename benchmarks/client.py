"""The load: raw HTTP over so many connections, each sending its next request when it has its answer.

A process of its own, told what to do by one JSON object on its input; it answers with one on its output.
"""

from __future__ import annotations

import asyncio
import json
import sys
from array import array
from collections import Counter
from itertools import count
from time import perf_counter
from typing import Any, cast
from uuid import uuid4

import uvloop


class Connection(asyncio.Protocol):
    """One caller."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._rest = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by descent
        self._send()

    def _send(self) -> None:
        self._since = perf_counter()
        self._number, request = self._load.request()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        end = self._rest.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._rest[:end].lower()
        start = head.find(b"content-length:")
        length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
        if len(self._rest) < end + 4 + length:
            return
        now = perf_counter()
        status, body = int(head[9:12]), self._rest[end + 4 :]
        self._rest = b""
        following = self._load.following(self._number, status, body)
        if following is not None:
            self._transport.write(following)
            return
        self._load.answered(status, now - self._since, body)
        if now < self._load.until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._load.statuses[0] += 1
        if not self.done.done():
            self.done.set_result(None)


class Load:
    """What to send, until when, and what came of it."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self._asked = asked
        self._numbers = count(1)
        self._run = uuid4().hex[:12]
        self._items = asked["items"]
        self.until = perf_counter() + asked["seconds"]
        self.statuses: Counter[int] = Counter()
        self.seconds = array("d")
        self.first_error = ""
        self._head = (
            f"POST %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {asked['key']}\r\nX-Blnk-Key: {asked['key']}\r\n"
            "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        )

    def request(self) -> tuple[int, bytes]:
        """The next request, and its number."""
        number = next(self._numbers)
        if self._asked["kind"] == "award":
            path, body = f"/v1/members/{self._items[number % len(self._items)]}/awards", AWARD
        elif self._asked["kind"] == "claim":
            path = f"/v1/members/{self._items[number % len(self._items)]}/claims?rewards=0"
            body = f'{{"reward":"{self._asked["reward"]}"}}'
        elif self._asked["kind"] == "post":
            path, body = "/blnk/transactions", self._post(number)
        elif self._asked["kind"] == "purchase":
            path, body = "/v1/purchases", self._purchase(number)
        elif self._asked["kind"] in ("evaluate", "reserve"):
            path, body = "/v1/promotions/evaluate", self._cart(number)
        else:
            path, body = "/blnk/transactions/bulk", self._bulk(number)
        return number, self._framed(path, body)

    def following(self, number: int, status: int, body: bytes) -> bytes | None:
        """What the caller asks next before it is done: the purchase of the cart that was reserved."""
        if self._asked["kind"] != "reserve" or status >= 400 or _RESERVATION not in body:
            return None
        start = body.index(_RESERVATION) + len(_RESERVATION)
        reservation = body[start : body.index(b'"', start)].decode()
        return self._framed("/v1/purchases", self._purchase(number, f'"reservation":"rsv_{reservation}",'))

    def _framed(self, path: str, body: str) -> bytes:
        return (self._head % (path, len(body)) + body).encode()

    def _cart(self, number: int) -> str:
        kept = f'"cart":"{self._run}-{number}","reserve_seconds":600,' if self._asked["kind"] == "reserve" else ""
        return f"{{{kept}{self._content(number)}}}"

    def _purchase(self, number: int, more: str = "") -> str:
        return f'{{"number":"{self._run}-{number}",{more}{self._content(number)}}}'

    def _content(self, number: int) -> str:
        """Whose cart, what is in it, and one code: a shopper's own, used once, or a word that many know, by turns."""
        own, words, carts = self._asked["own"], self._asked["words"], self._asked["carts"]
        shared = number % 2 or number // 2 >= len(own)
        code = words[number % len(words)] if shared else own[number // 2]
        member = self._items[number * 7919 % len(self._items)]
        return f'"currency":"USD","member":"{member}","codes":["{code}"],"lines":{carts[number % len(carts)]}'

    def _post(self, number: int) -> str:
        return (
            f'{{"precise_amount":10,"precision":1,"reference":"{self._run}-{number}","currency":"POINTS",'
            f'"source":"@PointsPool","destination":"{self._items[number % len(self._items)]}","allow_overdraft":true,'
            '"description":"Points for a purchase","skip_queue":true}'
        )

    def _bulk(self, number: int) -> str:
        size = self._asked["size"]
        return json.dumps(
            {
                "atomic": True,
                "skip_queue": True,
                "transactions": [
                    {
                        "amount": 1,
                        "precision": 1,
                        "reference": f"{self._run}-{number}-{n}",
                        "currency": "POINTS",
                        "source": "@PointsPool",
                        "destination": self._items[(number * size + n) % len(self._items)],
                        "allow_overdraft": True,
                        "description": "bench",
                    }
                    for n in range(size)
                ],
            }
        )

    def answered(self, status: int, seconds: float, body: bytes) -> None:
        self.statuses[status] += 1
        self.seconds.append(seconds)
        if status >= 400 and not self.first_error:
            self.first_error = body.decode(errors="replace")


_RESERVATION = b'"reservation":{"id":"rsv_'
AWARD = json.dumps({"points": "1", "reason": "bench"})


async def main(asked: dict[str, Any]) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    load = Load(asked)
    since = perf_counter()
    made = [
        await loop.create_connection(lambda: Connection(load), asked["host"], asked["port"])
        for _ in range(asked["connections"])
    ]
    await asyncio.gather(*(connection.done for _, connection in made))
    return {
        "seconds": perf_counter() - since,
        "statuses": dict(load.statuses),
        "took": [round(seconds, 6) for seconds in load.seconds],
        "first_error": load.first_error,
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(json.load(sys.stdin)))))
