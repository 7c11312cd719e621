"""Promo codes: batches of them, who may use one by itself, and what a code that somebody presents stands for.

A batch belongs to one promotion. Its codes are made from its form and seed, or were brought in; both can go on at any
later time. Codes are unique in the organisation. What was said about a batch, a code or a link is a row that never
changes, and an event's: whether a code is in force follows from the latest switch of it and of its batch, and a link is
for good.
How texts are made and read is `promotions/codes.py`; what a code gives is its promotion's business.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from guerdon.core import members
from guerdon.core.booking import ORGANISATION, tell
from guerdon.core.commands import AddCodes, CreateCodeBatch, LinkCode, MoreCodes, StopCodes, SwitchCodes
from guerdon.core.events import Name
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.promoting import shelf
from guerdon.core.promotions import codes as texts
from guerdon.core.promotions.carts import Presented
from guerdon.core.promotions.effects import Voucher
from guerdon.core.promotions.terms import Promotion
from guerdon.core.results import CodeBatchMade, CodeLinked, CodesAdded, CodesSwitched
from guerdon.core.state import Key, NotLoaded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guerdon.core.commands import Selector
    from guerdon.core.members import Member
    from guerdon.core.state import State

Kind = Literal["generated", "uploaded"]
LinkMode = Literal["DISCOUNT", "PAYMENT_VOUCHER"]

AT_ONCE = 2_000
"""Codes in one command, so that others wait no longer than for a bulk award."""
LINKED_MAX = 50
"""Of the codes that are linked to a member, so many come along to an evaluation, those linked last first."""


class CodeBatch(Struct, frozen=True, kw_only=True):
    """Codes of one promotion that were made together; `form` is JSON, "" for codes that were brought in. How often each
    can be used is the promotion's limit over a code.

    `wanted` is what was asked for so far; `made` and `next_index` are projections: how many codes there are, and where
    the batch's permutation is read on.
    """

    id: str
    promotion: str
    kind: Kind
    name: str
    partner: str
    channel: str
    form: str
    seed: bytes
    created_at: datetime
    actor: str
    wanted: int = 0
    made: int = 0
    next_index: int = 0


class Code(Struct, frozen=True, gc=False):
    """One code as it is compared: number `no` of its batch."""

    code: str
    batch: str
    no: int


class CodeLink(Struct, frozen=True, kw_only=True):
    """A code that is one member's, from then on and for good."""

    code: str
    id: str
    member_no: int
    mode: LinkMode
    linked_at: datetime
    actor: str


class Switch(Struct, frozen=True, gc=False):
    """Whether a batch, or one code of it, is in force; the highest `version` counts."""

    version: int
    active: bool
    reason: str = ""


# -- making them ------------------------------------------------------------------------------------------------------


def create_batch(state: State, command: CreateCodeBatch) -> Outcome:
    """Begin a batch. Its codes follow with `AddCodes`."""
    promotion = shelf(state).by_id.get(command.promotion)
    if promotion is None:
        return Rejected(Rejection.PROMOTION_NOT_FOUND, "promotion", {"promotion": command.promotion})
    if promotion.kind != "code":
        return Rejected(Rejection.PROMOTION_TAKES_NO_CODES, "promotion", {"kind": promotion.kind})
    if command.form is not None:
        fault = next(texts.faults(command.form, command.count), None)
        if fault is not None:
            return Rejected(Rejection.INVALID_VALUE, fault.path, {"reason": fault.code, **fault.detail})
    batch = CodeBatch(
        id=command.id,
        promotion=promotion.id,
        kind="uploaded" if command.form is None else "generated",
        name=command.name,
        partner=command.partner,
        channel=command.channel,
        form="" if command.form is None else msgspec.json.encode(command.form).decode(),
        seed=b"" if command.form is None else command.seed,
        created_at=state.now,
        actor=command.actor,
        wanted=0 if command.form is None else command.count,
    )
    _put(state, batch)
    return Accepted(CodeBatchMade(id=batch.id, wanted=batch.wanted, made=0))


def more(state: State, command: MoreCodes) -> Outcome:
    """Ask for more codes of a generated batch."""
    batch = _batch(state, command.batch)
    if isinstance(batch, Rejected):
        return batch
    if batch.kind != "generated":
        return Rejected(Rejection.CODE_BATCH_NOT_GENERATED, "batch", {"batch": batch.id})
    fault = next(texts.faults(form_of(batch), command.count, batch.wanted), None)
    if fault is not None:
        return Rejected(Rejection.INVALID_VALUE, fault.path, {"reason": fault.code, **fault.detail})
    batch = msgspec.structs.replace(batch, wanted=batch.wanted + command.count)
    _put(state, batch)
    return Accepted(CodeBatchMade(id=batch.id, wanted=batch.wanted, made=batch.made))


def stop(state: State, command: StopCodes) -> Outcome:
    """Ask for no more codes than there are; those stay. Where all are made already, nothing changes."""
    batch = _batch(state, command.batch)
    if isinstance(batch, Rejected):
        return batch
    if batch.kind != "generated":
        return Rejected(Rejection.CODE_BATCH_NOT_GENERATED, "batch", {"batch": batch.id})
    if batch.wanted > batch.made:
        batch = msgspec.structs.replace(batch, wanted=batch.made)
        _put(state, batch)
    return Accepted(CodeBatchMade(id=batch.id, wanted=batch.wanted, made=batch.made))


def add(state: State, command: AddCodes) -> Outcome:
    """Store codes of a batch. Texts that the organisation has already are left out and told by their place.

    Generated ones say where in the batch they start, so that two who continue it at once do not both; and there are
    never more than are asked for, so that what was reckoned before the batch was stopped is not stored after.
    """
    batch = _batch(state, command.batch)
    if isinstance(batch, Rejected):
        return batch
    if command.start is not None and command.start != batch.next_index:
        return Rejected(Rejection.CODE_BATCH_MOVED_ON, "start", {"next_index": batch.next_index})
    if command.start is not None and len(command.codes) > batch.wanted - batch.made:
        return Rejected(Rejection.CODE_BATCH_MOVED_ON, "codes", {"wanted": batch.wanted, "made": batch.made})
    missing = [key for text in command.codes if not state.knows(key := ("code", text))]
    if missing:
        raise NotLoaded(*missing)
    taken: list[int] = []
    here: list[int] = []
    made = batch.made
    for place, text in enumerate(command.codes):
        key = ("code", text)
        known = state.found.get(key)
        if known is not None:
            taken.append(place)
            if state.codes[text].batch == batch.id:
                here.append(place)
            continue
        made += 1
        state.put(state.codes, text, Code(text, batch.id, made))
        state.put(state.found, key, text)
    changed = msgspec.structs.replace(batch, made=made, wanted=max(batch.wanted, made))
    if command.start is not None:
        changed = msgspec.structs.replace(changed, next_index=command.start + len(command.codes))
    if changed != batch:
        _put(state, changed)
    return Accepted(
        CodesAdded(
            id=batch.id, added=made - batch.made, taken=tuple(taken), here=tuple(here), made=made, wanted=changed.wanted
        )
    )


def next_codes(batch: CodeBatch, at_most: int = AT_ONCE) -> tuple[str, ...]:
    """The codes with which a generated batch goes on, for `AddCodes` with `start=batch.next_index`."""
    count = min(at_most, batch.wanted - batch.made)
    return tuple(texts.generate(form_of(batch), batch.seed, batch.next_index, count)) if count > 0 else ()


def form_of(batch: CodeBatch) -> texts.Form:
    return msgspec.json.decode(batch.form, type=texts.Form)


# -- in force or not --------------------------------------------------------------------------------------------------


def switch(state: State, command: SwitchCodes) -> Outcome:
    """Take a batch or one of its codes out of force, or put it back. What is so already stays so."""
    if command.code:
        code = _code(state, command.code)
        if isinstance(code, Rejected):
            return code
        batch_id = code.batch
    else:
        batch = _batch(state, command.batch)
        if isinstance(batch, Rejected):
            return batch
        batch_id = batch.id
    turn(state, batch_id, command.code, active=command.active, reason=command.reason, actor=command.actor)
    return Accepted(CodesSwitched(id=command.id, active=command.active))


_ON = Switch(0, active=True)


def turn(state: State, batch: str, code: str, *, active: bool, reason: str, actor: str) -> None:
    """Switch a code, or with "" its batch, on or off, unless it is so already."""
    latest = state.code_switches.get((batch, code), _ON)
    if latest.active is active:
        return
    made = Switch(latest.version + 1, active, reason)
    state.put(state.code_switches, (batch, code), made)
    promotion = state.code_batches[batch].promotion
    body = {"promotion": promotion, "batch": batch, "code": code, "version": made.version, "active": active}
    tell(state, Name.CODE_SWITCH, ORGANISATION, actor=actor, reason=reason, body=body)


def in_force(state: State, code: Code) -> bool:
    """Whether neither the code nor its batch is switched off."""
    return batch_in_force(state, code.batch) and state.code_switches.get((code.batch, code.code), _ON).active


def batch_in_force(state: State, batch: str) -> bool:
    """Whether a batch, which is loaded, is not switched off as a whole."""
    return state.code_switches.get((batch, ""), _ON).active


# -- links ------------------------------------------------------------------------------------------------------------


def link(state: State, command: LinkCode) -> Outcome:
    """Make a code one member's. Linking it to the same member again changes nothing; to another one is refused."""
    code = _code(state, command.code)
    if isinstance(code, Rejected):
        return code
    member = members.resolve(state, command.member, field="customerId")
    if isinstance(member, Rejected):
        return member
    known = state.code_links.get(code.code)
    if known is not None and _owner(state, known) != member.no:
        return Rejected(Rejection.CODE_LINKED_TO_ANOTHER, "code", {"code": code.code})
    if not in_force(state, code):
        return Rejected(Rejection.CODE_DEACTIVATED, "code", {"code": code.code})
    terms = _terms(state, code)
    if terms.status == "ended" or (terms.ends_at is not None and state.now >= terms.ends_at):
        return Rejected(Rejection.CODE_EXPIRED, "code", {"code": code.code, "ended_at": terms.ends_at})
    mode = mode_of(terms)
    if command.mode != mode:
        return Rejected(Rejection.CODE_OF_ANOTHER_MODE, "mode", {"mode": mode})
    if known is None:
        known = CodeLink(
            code=code.code,
            id=command.id,
            member_no=member.no,
            mode=command.mode,
            linked_at=state.now,
            actor=command.actor,
        )
        state.put(state.code_links, code.code, known)
        remember(state, member.no, code.code)
        body = {"link_id": known.id, "code": code.code, "promotion": terms.id, "mode": known.mode}
        tell(state, Name.CODE_LINK, member.no, actor=command.actor, body=body)
    return Accepted(CodeLinked(id=known.id, code=code.code, member_no=member.no, linked_at=known.linked_at))


def mode_of(terms: Promotion) -> LinkMode:
    """A gift voucher pays; everything else is off the price."""
    return "PAYMENT_VOUCHER" if any(isinstance(effect, Voucher) for effect in terms.effects) else "DISCOUNT"


def remember(state: State, member_no: int, code: str) -> None:
    """Let the link be found by whoever asks for the member's codes in this batch."""
    key: Key = ("codes_of", member_no)
    if state.knows(key):
        state.put(state.found, key, _in_order(state, (code, *(state.find(key) or ()))))


def _in_order(state: State, codes: Iterable[str]) -> tuple[str, ...]:
    """Linked codes as they are loaded: those linked last first, and by their texts those linked at once."""
    return tuple(sorted(sorted(codes), key=lambda code: state.code_links[code].linked_at, reverse=True))


def merge_links(state: State, victim_no: int, survivor_no: int) -> None:
    """Let the links of a member who is merged be found by whoever asks for the survivor's codes in this batch."""
    key: Key = ("codes_of", survivor_no)
    if key in state.found:
        both = (*(state.find(("codes_of", victim_no)) or ()), *(state.find(key) or ()))
        state.put(state.found, key, _in_order(state, both))


# -- what is presented ------------------------------------------------------------------------------------------------


def presented_keys(codes: Iterable[str], member: Selector | None) -> list[Key]:
    """What must be loaded for `presented`: the codes as typed, and those that are linked to the member."""
    found: list[Key] = [("code", code) for code in map(texts.read, codes) if code is not None]
    if member is not None:
        found.append(("codes_of", *member))
    return found


def presented(state: State, codes: Iterable[str], member: Member | None) -> tuple[Presented, ...]:
    """Codes as an evaluation takes them: the typed ones in their order, then those that are linked to the member and
    were not typed. What is no code, or of no promotion, is unknown. Raises `NotLoaded`.
    """
    found = [_presented(state, typed) for typed in codes]
    if member is None:
        return tuple(found)
    linked = state.find(("codes_of", member.no)) or ()
    typed_ones = {each.code for each in found}
    return (*found, *(_presented(state, code) for code in linked[:LINKED_MAX] if code not in typed_ones))


def _presented(state: State, typed: str) -> Presented:
    text = texts.read(typed)
    if text is None:
        return Presented(code=typed[: texts.LENGTH_MAX])
    if state.find(("code", text)) is None:
        return Presented(code=text)
    code = state.codes[text]
    owner = state.code_links.get(text)
    return Presented(
        code=text,
        promotion=state.code_batches[code.batch].promotion,
        status="live" if in_force(state, code) else "deactivated",
        linked_to="" if owner is None else state.members[_owner(state, owner)].id,
    )


def _owner(state: State, link: CodeLink) -> int:
    """Whose a linked code is now: a merge takes it along."""
    if link.member_no not in state.members:
        raise NotLoaded(("member", "number", str(link.member_no)))
    return members.family(state, link.member_no)[-1]


# -- finding ----------------------------------------------------------------------------------------------------------


def _terms(state: State, code: Code) -> Promotion:
    return shelf(state).by_id[state.code_batches[code.batch].promotion]


def _batch(state: State, id: str) -> CodeBatch | Rejected:
    if state.find(("code_batch", id)) is None:
        return Rejected(Rejection.CODE_BATCH_NOT_FOUND, "batch", {"batch": id})
    return state.code_batches[id]


def _code(state: State, text: str) -> Code | Rejected:
    if state.find(("code", text)) is None:
        return Rejected(Rejection.CODE_NOT_FOUND, "code", {"code": text})
    return state.codes[text]


def _put(state: State, batch: CodeBatch) -> None:
    state.put(state.code_batches, batch.id, batch)
    state.put(state.found, ("code_batch", batch.id), batch.id)
