"""Dry runs: what a request would do, in Blnk's words. Figures are minor units as text; a refusal is an answer too."""

from __future__ import annotations

from typing import Any

from guerdon.api.blnk import wire
from guerdon.api.blnk.errors import malformed, refusal
from guerdon.api.blnk.routing import Call
from guerdon.core.accounts import Figures
from guerdon.core.commands import Post, Posting, Preview, Refund, Release, Settle
from guerdon.core.results import Projection, Side

_UPGRADE = {"BAL_NOT_FOUND": "TXN_NOT_FOUND"}


async def projections(
    call: Call, of: tuple[Post | Settle | Release | Refund, ...], *, cumulative: bool = False
) -> tuple[Projection, ...]:
    """What each command would do, after those before it where `cumulative`."""
    if not of:
        raise malformed()
    previewed = await call.submit(Preview(of=of, cumulative=cumulative, **call.common()))
    items: tuple[Projection, ...] = previewed.items
    return items


def posting(item: Projection, asked: Posting) -> dict[str, Any]:
    """A transaction that was not posted."""
    legs = asked.sources or asked.destinations
    answer = _shown(item, asked.amount, asked.asset, asked.precision) | {"reference": asked.reference}
    if item.refused is None:
        scheduled = item.transfers[0].action == "schedule"
        answer["status"] = "SCHEDULED" if scheduled else "INFLIGHT" if asked.inflight else "APPLIED"
    if legs and item.refused is None:
        role = "source" if asked.sources else "destination"
        answer["legs"] = [
            {
                "identifier": leg.account if leg.account.startswith("@") else f"bln_{leg.account}",
                "role": role,
                "precise_amount": str(transfer.amount),
                "amount": wire.major_units(transfer.amount, asked.precision),
            }
            for leg, transfer in zip(legs, item.transfers, strict=False)
        ]
    return answer


def ending(item: Projection, action: str, precision: int) -> dict[str, Any]:
    """A commit, void or refund that did not happen; its amount and currency are those of what it would make."""
    amount = sum(transfer.amount for transfer in item.transfers)
    asset = item.transfers[0].asset if item.transfers else ""
    answer = _shown(item, amount, asset, precision)
    if action:
        answer["operation"] = action
    if item.transfers:
        answer["status"] = item.transfers[0].status
    return answer


def many(results: list[dict[str, Any]], *, cumulative: bool, atomic: bool, notes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "dry_run": True,
        "would_apply": all(result["would_apply"] for result in results),
        "cumulative": cumulative,
        "atomic": atomic,
        "results": results,
        "notes": notes,
    }


def _shown(item: Projection, amount: int, asset: str, precision: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "dry_run": True,
        "would_apply": item.refused is None,
        "currency": asset,
        "amount": wire.major_units(amount, precision),
        "precise_amount": str(amount),
        "precision": precision,
        "balances": [_side(side) for side in item.sides],
    }
    if item.refused is not None:
        code, message = refusal(item.refused)
        code = _UPGRADE.get(code, code)
        answer["rejection"] = {"code": code, "reason": item.refused.code.value, "message": message}
    return answer


def _side(side: Side) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "balance_id": f"bln_{side.account_id}",
        "role": side.role,
        "currency": side.asset,
        **_figures("current", side.before),
        **_figures("resulting", side.after),
    }
    if side.virtual:
        answer["virtual"] = True
    return answer


def _figures(when: str, figures: Figures) -> dict[str, str]:
    return {
        f"{when}_balance": str(figures.balance),
        f"{when}_available": str(figures.available),
        f"{when}_credit_balance": str(figures.credit),
        f"{when}_debit_balance": str(figures.debit),
        f"{when}_inflight_debit_balance": str(figures.inflight_debit),
        f"{when}_inflight_credit_balance": str(figures.inflight_credit),
    }
