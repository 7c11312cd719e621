"""Answers that move a fulfilment: what a receiver says to `reward.claimed` counts, if it is signed.

A receiver that delivers rewards may answer the message with `{"status": "processing"}` (or `completed`, `denied`,
`cancelled`, with a `reason`), signed like our own messages: with the endpoint's secret, under the message's id, for
now. Whoever only stands between us, or answers whatever comes, cannot sign, and moves nothing.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from guerdon.core import signatures
from guerdon.core.events import Name
from guerdon.store.webhook_rows import Message
from guerdon.webhooks.rendering import about_claim, message_id
from guerdon.webhooks.sending import Answer


class Move(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: Literal["processing", "completed", "denied", "cancelled"]
    reason: Annotated[str, Meta(max_length=500)] = ""


_move = msgspec.json.Decoder(Move)


def claim_of(message: Message, answer: Answer) -> str | None:
    """The claim (by id) that an answer means to move; None where it does not mean to."""
    if message.name != Name.REWARD_CLAIM or not answer.accepted or "webhook-signature" not in answer.headers:
        return None
    about = about_claim(message)
    return None if about is None else about.claim_id


def read(message: Message, answer: Answer, secrets: list[bytes], now: int) -> Move | str:
    """Where an answer moves the fulfilment, or why it is not heard."""
    fault = signatures.fault(secrets, answer.headers, answer.body, message_id(message), now)
    if fault:
        return fault
    try:
        return _move.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "it names no status that a fulfilment can be moved to"
