"""Identifiers inside the core: plain uuid text, 36 characters, no prefix.

A command brings its own UUIDv7 with the last six hex digits zero; what it makes is numbered in those six digits.
So the core needs no randomness, and the same command makes the same ids however often it is decided.
"""

from __future__ import annotations

SUB_ID_MAX = 0xFFFFFF


def id_prefix(command_id: str) -> str:
    """What the ids of all that a command makes begin with; six hex digits follow."""
    return command_id[:30]


def sub_id(command_id: str, ordinal: int) -> str:
    """The id of the `ordinal`-th thing that a command makes (0 is the command's main object)."""
    return f"{id_prefix(command_id)}{ordinal:06x}"
