"""The hash chain over events and transfers, in sequence order.

`hash = sha256(hash of the row before + canonical form)`. The canonical form of a row is the JSON object of its record:
every column but `hash`, in the record's order, without spaces; instants in UTC with `Z`, microseconds only where there
are any; null for nothing. It depends on nothing but the row, so that `verify` computes it again from what is stored,
and on no grouping. The first row follows 32 zero bytes.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from guerdon.core.accounts import Transfer
from guerdon.core.events import Event

START = bytes(32)

canonical = msgspec.json.Encoder().encode
"""The bytes of a row. Two rows that differ in anything have different bytes: JSON texts quote, and names tell the
kind.
"""


def link(before: bytes, row: Event | Transfer) -> bytes:
    """The hash of `row` when it follows the row with the hash `before`."""
    return sha256(before + canonical(row)).digest()
