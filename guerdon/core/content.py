"""What a request says, apart from who sends it and when: for telling a repetition from a contradiction.

Also how results are stored beside the facts they answer, and replayed.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from guerdon.core.commands import Command
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.results import AnyResult, Result

_ENVELOPE = {"id", "at", "actor", "key", "fingerprint", "register"}
"""Who asks and how, not what: a purchase is the same whether or not its member may be registered for it."""
_encoder = msgspec.json.Encoder(order="deterministic")
_fields: dict[type[Command], tuple[str, ...]] = {}


def fingerprint(command: Command) -> bytes:
    """SHA-256 over the command's kind and fields, without its envelope."""
    kind = type(command)
    names = _fields.get(kind)
    if names is None:
        names = _fields[kind] = tuple(n for n in kind.__struct_fields__ if n not in _ENVELOPE)
    said = [kind.__name__, *(getattr(command, name) for name in names)]
    return sha256(_encoder.encode(said)).digest()


def encode(result: Result) -> str:
    return _encoder.encode(result).decode()


def decode(text: str) -> AnyResult:
    return _decoder.decode(text)


def replay(known: bytes, result: str, content: bytes, code: Rejection, field: str) -> Outcome:
    """The stored answer when the same is asked again; `code` when something else is asked under the same name."""
    if known != content:
        return Rejected(code, field)
    return Accepted(decode(result), replayed=True)


_decoder: msgspec.json.Decoder[AnyResult] = msgspec.json.Decoder(AnyResult)
