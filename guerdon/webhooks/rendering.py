"""Bodies of messages: CloudEvents 1.0 in their structured form.

A body tells what happened and to whom by id, with no personal data in it; whoever wants to know more asks for it. The
same event gives the same body however often it is sent.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from guerdon.core.assets import decimal_text
from guerdon.core.messages import TYPES
from guerdon.store.read import Directory
from guerdon.store.webhook_rows import Message

MEDIA_TYPE = "application/cloudevents+json; charset=utf-8"


class Thing(Struct, frozen=True, kw_only=True):
    id: str
    code: str


class Expiring(Struct, frozen=True, kw_only=True):
    """Points of a category that end at a moment, as they stood `days_before` the day on which they do, or later."""

    points: str
    asset: str
    points_category: str
    ends_at: datetime
    days_before: int


class Data(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened. `points` is credits less debits of the member's points, with the decimals of `asset`; `released`
    are those that became regular, of what was promised or waited for a trigger; `status` is
    where the fulfilment of the `claim`, the `promotion`, or the `code` or all of `code_batch` stands after it; what an
    event does not have is left out."""

    event_log_id: int
    event: str
    event_at: datetime
    recorded_at: datetime
    points: str | None = None
    released: str | None = None
    asset: str | None = None
    member: str | None = None
    purchase: str | None = None
    purchase_number: str | None = None
    program: Thing | None = None
    store: Thing | None = None
    till: Thing | None = None
    claim: str | None = None
    reward: str | None = None
    promotion: str | None = None
    issue: str | None = None
    code: str = ""
    code_batch: str | None = None
    status: str = ""
    source: str = ""
    reference: str = ""
    reason: str = ""
    expiring: Expiring | None = None


class Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`id` is the event's, and that of the header `webhook-id`; `sequence` grows from message to message; `subject` is
    the member."""

    specversion: str
    id: str
    source: str
    type: str
    time: datetime
    datacontenttype: str
    sequence: str
    data: Data
    subject: str | None = None


class AboutClaim(Struct, frozen=True, kw_only=True):
    """What the body of an event says of a claim."""

    claim_id: str
    status: str
    reward_id: str = ""


_about_claim = msgspec.json.Decoder(AboutClaim)


def about_claim(message: Message) -> AboutClaim | None:
    return _about_claim.decode(message.claimed) if message.claimed else None


class AboutPromotion(Struct, frozen=True, kw_only=True):
    """What the body of an event says of a promotion, or of an issue or a code of it."""

    promotion: str | None = None
    issue_id: str | None = None
    code: str = ""
    batch: str | None = None
    active: bool | None = None
    status: str = ""

    @property
    def stands_at(self) -> str:
        if self.active is None:
            return self.status
        return "active" if self.active else "deactivated"


_about_promotion = msgspec.json.Decoder(AboutPromotion)
_NO_PROMOTION = AboutPromotion()


def message_id(message: Message) -> str:
    return f"evt_{message.id}"


def body(message: Message, directory: Directory, organisation: str) -> bytes:
    """The bytes that are signed and sent."""
    member = None if message.member is None else f"mem_{message.member}"
    claim = about_claim(message)
    promoted = _about_promotion.decode(message.promoted) if message.promoted else _NO_PROMOTION
    scale = 0 if message.asset is None else directory.scale_or_zero(message.asset)
    program, store, till = [
        None if found is None else Thing(id=f"{prefix}_{found.id}", code=found.code)
        for prefix, found in (
            ("prg", directory.programs.get(message.program_no)),
            ("sto", directory.stores.get(message.store_no)),
            ("til", directory.tills.get(message.till_no)),
        )
    ]
    data = Data(
        event_log_id=message.seq,
        event=message.name,
        event_at=message.event_at,
        recorded_at=message.recorded_at,
        points=None if message.asset is None else decimal_text(message.points, scale),
        released=None if message.released is None else decimal_text(message.released, scale),
        asset=message.asset,
        member=member,
        purchase=None if message.purchase is None else f"pur_{message.purchase}",
        purchase_number=message.purchase_number,
        program=program,
        store=store,
        till=till,
        claim=None if claim is None else f"clm_{claim.claim_id}",
        reward=f"rwd_{claim.reward_id}" if claim is not None and claim.reward_id else None,
        promotion=_public("prm", promoted.promotion),
        issue=_public("iss", promoted.issue_id),
        code=promoted.code,
        code_batch=_public("cbt", promoted.batch),
        status=promoted.stands_at if claim is None else claim.status,
        source=message.source,
        reference=message.reference,
        reason=message.reason,
        expiring=_expiring(message, directory),
    )
    return msgspec.json.encode(
        Envelope(
            specversion="1.0",
            id=message_id(message),
            source=f"/organisations/{organisation}",
            type=TYPES[message.name],
            time=message.event_at,
            datacontenttype="application/json",
            sequence=f"{message.seq:019d}",
            data=data,
            subject=member,
        )
    )


def _public(prefix: str, id: str | None) -> str | None:
    return None if id is None else f"{prefix}_{id}"


class _Notice(Struct, frozen=True):
    asset: str
    category: str
    points: int
    ends_at: datetime
    days: int


def _expiring(message: Message, directory: Directory) -> Expiring | None:
    if not message.notice:
        return None
    notice = msgspec.json.decode(message.notice, type=_Notice)
    return Expiring(
        points=decimal_text(notice.points, directory.scale_or_zero(notice.asset)),
        asset=notice.asset,
        points_category=notice.category,
        ends_at=notice.ends_at,
        days_before=notice.days,
    )
