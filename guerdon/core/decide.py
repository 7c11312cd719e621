"""The table from command to function, and the one way through: outcome known, decide, keep or undo, remember the
answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from guerdon.core import (
    access,
    adjustments,
    awards,
    cart_returns,
    carts,
    claims,
    codes,
    crossings,
    endings,
    expiry,
    holds,
    imports,
    issues,
    ledger,
    members,
    merges,
    metadata,
    notices,
    points,
    pools,
    postings,
    previews,
    promoting,
    purchases,
    referrals,
    refunds,
    returns,
    rewards,
    segments,
    setup,
    standings,
    structures,
    transfers,
    unlocks,
    webhooks,
)
from guerdon.core import commands as c
from guerdon.core.assets import AMOUNT_MAX
from guerdon.core.content import fingerprint
from guerdon.core.outcomes import Accepted, Outcome, Rejected, Rejection
from guerdon.core.results import AnyResult
from guerdon.core.state import Again, MuchDue, State


def decide(command: c.Command, state: State) -> Outcome:
    """Decide one command and change the state accordingly; a refusal changes nothing but its stored outcome. Versions
    of policies whose time has come begin before.

    With an idempotency key the same request gets the stored answer, accepted or refused, and another request under the
    same key is refused. Raises `NotLoaded`, with the state as it was, when the batch lacks a row, and `Again` when more
    has come due than one command posts: a part of that is posted then, and the command is still to be decided.
    """
    mark = state.begin(command.id, command.at, command.actor)
    try:
        return _decided(command, state)
    except MuchDue as much:
        state.rollback(mark)
        return _in_parts(command, state, mark, much)
    except BaseException:
        state.rollback(mark)
        raise


def _decided(command: c.Command, state: State) -> Outcome:
    """Decide, and keep what an accepted command changed, and that versions began."""
    if state.config.planned:
        setup.begin_planned(state, "guerdon")
    mark = state.mark()
    if command.key:
        return _once(command, state, mark)
    try:
        outcome = _made(command, state, mark)
    except ledger.AmountOutOfRange:
        outcome = _OUT_OF_RANGE
    if isinstance(outcome, Rejected):
        state.rollback(mark)
    state.accept()
    return outcome


def _in_parts(command: c.Command, state: State, mark: int, much: MuchDue) -> Outcome:
    """Post a part of what has come due and ask for the command again. Where there is not so much before the command, it
    makes what comes due itself, and is decided whole.
    """
    try:
        if not points.post_part(state, much):
            state.rollback(mark)
            state.begin(command.id, command.at, command.actor)
            state.in_parts = False
            return _decided(command, state)
    except BaseException:
        state.rollback(mark)
        raise
    state.accept()
    raise Again


def _made(command: c.Command, state: State, mark: int) -> Outcome:
    """Decide, and book what ran low by it."""
    outcome = DECISIONS[type(command)](state, command)
    if isinstance(outcome, Accepted):
        if crossings.watched(command):
            crossings.book(state, mark, command.actor)
        if pools.watched(state):
            pools.book(state, mark, command.actor)
    return outcome


_OUT_OF_RANGE = Rejected(Rejection.AMOUNT_OUT_OF_RANGE, "", {"maximum": str(AMOUNT_MAX)})


def _once(command: c.Command, state: State, mark: int) -> Outcome:
    """Decide under an idempotency key."""
    said = command.fingerprint or fingerprint(command)
    stored = state.find(("outcome", command.actor, command.key))
    if stored is not None:
        if stored[0] != said:
            return Rejected(Rejection.IDEMPOTENCY_KEY_REUSED, "Idempotency-Key", {"key": command.key})
        return replayed(stored[1])
    try:
        outcome = _made(command, state, mark)
    except ledger.AmountOutOfRange:
        outcome = _OUT_OF_RANGE
    if isinstance(outcome, Rejected):
        state.rollback(mark)
    answer = _answers.encode(outcome).decode()
    state.put(state.outcomes, (command.actor, command.key), (said, answer, state.now))
    state.put(state.found, ("outcome", command.actor, command.key), (said, answer))
    state.accept()
    return outcome


class _Stored(msgspec.Struct, frozen=True, tag="accepted"):
    """An accepted outcome as it is stored, with its result's type known."""

    result: AnyResult
    replayed: bool = False


_answers = msgspec.json.Encoder()
_stored: msgspec.json.Decoder[_Stored | Rejected] = msgspec.json.Decoder(_Stored | Rejected)


def replayed(answer: str) -> Outcome:
    """A stored answer, marked as such."""
    stored = _stored.decode(answer)
    if isinstance(stored, Rejected):
        return msgspec.structs.replace(stored, replayed=True)
    return Accepted(stored.result, replayed=True)


DECISIONS: dict[type[c.Command], Callable[[State, Any], Outcome]] = {
    c.OpenLedger: ledger.open_ledger,
    c.RenameLedger: ledger.rename_ledger,
    c.OpenAccount: ledger.open_account,
    c.AssignAccount: ledger.assign_account,
    c.Post: postings.post,
    c.Settle: holds.settle,
    c.Release: holds.release,
    c.Refund: refunds.refund,
    c.Preview: previews.preview,
    c.RunScheduled: postings.run_scheduled,
    c.Annotate: metadata.annotate,
    c.IssueKey: access.issue,
    c.RevokeKey: access.revoke,
    c.AddWebhook: webhooks.add,
    c.ChangeWebhook: webhooks.change,
    c.RotateWebhookSecret: webhooks.rotate,
    c.ReplayWebhook: webhooks.replay,
    c.PauseWebhook: webhooks.pause,
    c.NoteFailingWebhook: webhooks.note_failing,
    c.RemoveWebhook: webhooks.remove,
    c.CreateAsset: setup.create_asset,
    c.CreateProgram: setup.create_program,
    c.ChangeProgram: setup.change_program,
    c.ChangeTiers: structures.change,
    c.PreviewTiers: structures.preview,
    c.ReviewTiers: standings.review,
    c.CreateSegment: segments.create,
    c.ChangeSegment: segments.change,
    c.ListMembers: segments.put_members,
    c.GiveNotice: notices.give,
    c.PreviewChange: setup.preview_change,
    c.FollowPolicy: endings.follow_all,
    c.FinishFollowing: endings.finish,
    c.CreateStore: setup.create_store,
    c.CreateTill: setup.create_till,
    c.RegisterSource: setup.register_source,
    c.CreatePromotion: promoting.create,
    c.ChangePromotion: promoting.change,
    c.RunPromotion: promoting.run,
    c.CopyPromotion: promoting.copy,
    c.SetLane: promoting.set_lane,
    c.EvaluateCart: carts.evaluate,
    c.CommitCart: carts.commit,
    c.ReturnCart: cart_returns.take_back,
    c.CancelReservation: carts.cancel,
    c.RegisterMember: members.register,
    c.ChangeMember: members.change,
    c.RemoveMember: members.remove,
    c.RecordPurchase: purchases.record,
    c.ReturnPurchase: returns.take_back,
    c.Redeem: points.redeem,
    c.PreviewRedemption: points.preview_redemption,
    c.ReverseRedemption: points.reverse,
    c.Award: awards.award,
    c.AwardMany: awards.award_many,
    c.AdjustPoints: adjustments.adjust,
    c.DecideAdjustment: adjustments.decide,
    c.TransferPoints: transfers.transfer,
    c.MergeMembers: merges.merge,
    c.Refer: referrals.refer,
    c.ReturnReferral: referrals.take_back,
    c.CreateRewardList: rewards.create_list,
    c.ChangeRewardList: rewards.change_list,
    c.CreateReward: rewards.create,
    c.ChangeReward: rewards.change,
    c.ClaimReward: claims.claim,
    c.MoveClaim: claims.move,
    c.ExpireLots: points.expire,
    c.CreateCodeBatch: codes.create_batch,
    c.MoreCodes: codes.more,
    c.StopCodes: codes.stop,
    c.AddCodes: codes.add,
    c.SwitchCodes: codes.switch,
    c.LinkCode: codes.link,
    c.IssuePromotion: issues.issue,
    c.IssuePromotions: issues.issue_many,
    c.ActivateIssue: issues.activate,
    c.RevokeIssue: issues.revoke,
    c.UnlockPoints: unlocks.unlock,
    c.ChangeExpiry: expiry.change,
    c.ImportPoints: imports.take,
}
