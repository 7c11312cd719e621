"""Codes as rewards: which code of a batch a claim hands out, and what becomes of it when the claim is taken back.

Codes go out in the order of their numbers. One that is linked, switched off or used already is passed over, however it
came to that. A code that was handed out is the member's for good (`CodeLink`), so it is never handed out again: taken
back, it is switched off, and that is possible only while nobody has used it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from guerdon.core import codes
from guerdon.core.codes import Code, CodeLink
from guerdon.core.outcomes import Rejected, Rejection
from guerdon.core.promoting import shelf
from guerdon.core.state import Key, NotLoaded

if TYPE_CHECKING:
    from guerdon.core.catalogue import Reward
    from guerdon.core.state import State

RUN = 64
"""So many free codes are loaded of a batch at a time."""


class CodeRun(Struct, frozen=True):
    """Codes of a batch that were free when they were loaded, in order. `upto` is the number up to which all such are
    among them; `whole` says that the batch had no more.
    """

    codes: tuple[str, ...]
    upto: int
    whole: bool


def run_key(reward: Reward) -> Key:
    """What must be loaded before the reward can be claimed."""
    return ("code_run", reward.terms.codes, reward.given)


def is_over(state: State, reward: Reward) -> bool:
    """Whether the promotion whose codes these are has ended, so that a code would give nothing any more. Raises
    `NotLoaded`.
    """
    if state.found.get(("code_batch", reward.terms.codes)) is None:
        raise NotLoaded(("code_batch", reward.terms.codes), run_key(reward))
    terms = shelf(state).by_id[state.code_batches[reward.terms.codes].promotion]
    return terms.status == "ended" or (terms.ends_at is not None and state.now >= terms.ends_at)


def next_free(state: State, reward: Reward) -> Code | None:
    """The code that the next claim gets, None when there is none left. Raises `NotLoaded`."""
    batch = reward.terms.codes
    run: CodeRun | None = state.found.get(("code_run", batch))
    if run is None:
        if run_key(reward) not in state.asked:
            raise NotLoaded(run_key(reward))
        run = CodeRun((), 0, whole=True)  # nothing is stored of it
    if not codes.batch_in_force(state, batch):
        return None
    used = {use.code for use in state.promotion_uses.values()}
    for text in run.codes:
        if _is_free(state, text, used):
            return state.codes[text]
    if not run.whole:
        raise NotLoaded(run_key(reward))
    made_since = [code for code in state.codes.values() if code.batch == batch and code.no > run.upto]
    return min((code for code in made_since if _is_free(state, code.code, used)), key=lambda x: x.no, default=None)


def _is_free(state: State, text: str, used: set[str]) -> bool:
    return text not in state.code_links and text not in used and codes.in_force(state, state.codes[text])


def hand_out(state: State, code: Code, member_no: int, claim: str, actor: str) -> CodeLink:
    """Make a code the member's. The link goes by the claim's id, and it is the claim's event that tells of it."""
    terms = shelf(state).by_id[state.code_batches[code.batch].promotion]
    link = CodeLink(
        code=code.code,
        id=claim,
        member_no=member_no,
        mode=codes.mode_of(terms),
        linked_at=state.now,
        actor=actor,
    )
    state.put(state.code_links, code.code, link)
    codes.remember(state, member_no, code.code)
    return link


def take_back(state: State, text: str, reason: str, actor: str) -> Rejected | None:
    """Switch a code off that was handed out, unless it was used."""
    missing = [key for key in (("code", text), ("code_uses", text)) if not state.knows(key)]
    if missing:
        raise NotLoaded(*missing)
    uses = [use for use in state.promotion_uses.values() if use.code == text]
    if sum(-1 if use.of_seq else 1 for use in uses) > 0:
        return Rejected(Rejection.CODE_ALREADY_USED, "claim", {"code": text})
    codes.turn(state, state.codes[text].batch, text, active=False, reason=reason, actor=actor)
    return None
