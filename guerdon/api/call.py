"""One request on its way through a handler: who asks, in which organisation, and how a change is handed in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from guerdon.api.auth import Principal
from guerdon.api.problem import Problem, refused
from guerdon.api.services import Services, new_command_id
from guerdon.core.commands import Command
from guerdon.core.outcomes import Rejected
from guerdon.store.read import Directory
from guerdon.writer import QueueFull, Unavailable

_KEY_MAX = 200
_AS_THEY_ARE: Mapping[str, str] = {}


class Call:
    """A request. `body` is its bytes, empty where the route takes none; `client` the address that it came from."""

    __slots__ = ("body", "client", "headers", "principal", "replayed", "request_id", "services", "target")

    def __init__(
        self,
        services: Services,
        principal: Principal | None,
        headers: dict[bytes, bytes],
        target: str,
        request_id: str,
        client: str = "",
    ) -> None:
        self.services = services
        self.principal = principal
        self.headers = headers
        self.target = target
        self.request_id = request_id
        self.client = client
        self.body = b""
        self.replayed = False

    @property
    def org_id(self) -> int:
        return 0 if self.principal is None else self.principal.org_id

    def common(self) -> dict[str, Any]:
        """The fields every command carries: id, time, actor, and the idempotency key with the request's fingerprint."""
        fields: dict[str, Any] = {
            "id": new_command_id(),
            "at": self.services.now(),
            "actor": "" if self.principal is None else self.principal.credential,
        }
        header = self.headers.get(b"idempotency-key")
        if header is not None:
            key = header.decode("latin-1")
            if not (0 < len(key) <= _KEY_MAX and key.isascii() and key.isprintable()):
                raise Problem("invalid_idempotency_key", field="Idempotency-Key")
            fields["key"] = key
            fields["fingerprint"] = hashlib.sha256(f"{self.target}\n".encode() + self.body).digest()
        return fields

    async def submit(self, command: Command, scale: int = 0, fields: Mapping[str, str] = _AS_THEY_ARE) -> Any:
        """Hand a command to the writer; its result, or the refusal as a `Problem`.

        `scale` is that of the points a refusal may speak of; `fields` are beginnings of the core's field paths, with
        what they are called in this request.
        """
        try:
            outcome = await self.services.writer.submit(self.org_id, command)
        except QueueFull as full:
            raise Problem("busy", headers=_retry_after(full.retry_after_s)) from None
        except Unavailable as unavailable:
            raise Problem("database_unavailable", headers=_retry_after(unavailable.retry_after_s)) from None
        self.replayed = outcome.replayed
        if isinstance(outcome, Rejected):
            problem = refused(outcome, scale, fields)
            problem.headers += self.answer_headers()
            raise problem
        return outcome.result

    async def directory(self) -> Directory:
        """The organisation's configuration as it stands now."""
        return (await self.services.reader.directory(self.org_id)).at(self.services.now())

    def known_directory(self) -> Directory | None:
        """The configuration as last seen by this process, None if it never was."""
        return self.services.reader.known_directory(self.org_id)

    def answer_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return ((b"idempotency-replayed", b"true"),) if self.replayed else ()


def _retry_after(seconds: int) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"retry-after", str(seconds).encode()),)
