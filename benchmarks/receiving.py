"""A receiver of webhooks in a process of its own: answers 200 at once, and tells how late messages were.

`python -m benchmarks.receiving` prints its port; a GET tells the lags in seconds so far, one a line, and forgets them.
"""

from __future__ import annotations

import asyncio
import re
import time
from datetime import datetime

_RECORDED = re.compile(rb'"recorded_at":"([^"]+)"')
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Receiver(asyncio.Protocol):
    lags: list[float] = []  # noqa: RUF012  # of all connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._read = b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head, body_at = self._read[:end], end + 4
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            if len(self._read) < body_at + size:
                return
            body, self._read = self._read[body_at : body_at + size], self._read[body_at + size :]
            self._transport.write(self._answer(head, body))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        text = b""
        if head.startswith(b"GET"):
            text = "\n".join(f"{lag:.6f}" for lag in self.lags).encode()
            self.lags.clear()
        elif (recorded := _RECORDED.search(body)) is not None:
            self.lags.append(time.time() - datetime.fromisoformat(recorded[1].decode()).timestamp())
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(text), text)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
