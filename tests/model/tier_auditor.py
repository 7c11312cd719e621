"""Tiers counted again from bills and what came back of them: the one that a member was told last is the one that was
theirs when anybody last had reason to tell it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from typing import Any, Protocol

from guerdon.core.tiers import TierTerms
from tests.model.naive_tiers import Bought, Started, tier_under


class Rows(Protocol):
    def __call__(self, table: str) -> dict[Any, Any]: ...


def audit(rows: Rows) -> None:
    """Raises `AssertionError` with the standing that is wrong."""
    if not rows("tiers"):
        return
    told: dict[tuple[int, int], list[tuple[datetime, str, str]]] = defaultdict(list)
    for _, event in sorted(rows("events").items()):
        if event.name == "TierChange":
            said = json.loads(event.body)
            told[event.member_no, said["program_no"]].append((event.recorded_at, said["from"], said["to"]))
    for (member_no, program_no), standing in rows("standings").items():
        mine = told[member_no, program_no]
        for (_, _, before), (_, after, _) in pairwise(mine):
            assert before == after, (standing, mine)
        assert not mine or standing.tier == mine[-1][2], (standing, mine)
        if rows("members")[member_no].status != "merged":
            _told_last(rows, standing, [at for at, _, _ in mine])


def _told_last(rows: Rows, standing: Any, told: list[datetime]) -> None:
    """It was told when something was bought or came back, at a merge, at a change of the tier, and when the first
    structure began. Of two structures that meet at that moment, either may have been the one.
    """
    family = _family(rows, standing.member_no)
    bills = [
        each
        for each in rows("purchases").values()
        if each.member_no in family and each.program_no == standing.program_no
    ]
    numbers = {bill.no for bill in bills}
    backs = [each for each in rows("returns").values() if each.purchase_no in numbers]
    events = [rows("events")[each.event_seq] for each in (*bills, *backs)]
    events += [e for e in rows("events").values() if e.name == "CustomerMerge" and e.member_no in family]
    structures = [each for (no, _), each in sorted(rows("tiers").items()) if no == standing.program_no]
    begins = min(each.starts_at for each in structures)
    at = max([begins, *told, *(event.recorded_at for event in events)])
    known = [each for each in structures if each.recorded_at <= at]
    joined = min(rows("members")[no].registered_at for no in family)

    def bought(terms: TierTerms) -> list[Bought]:
        return [_bought(terms, bill, [back for back in backs if back.purchase_no == bill.no]) for bill in bills]

    found = {
        tier_under([Started(each.starts_at, each.terms) for each in some], joined, bought, at)
        for some in (known, [each for each in known if each.starts_at < at or each.starts_at == begins])
    }
    assert standing.tier in found, (standing, found, at)


def _family(rows: Rows, member_no: int) -> set[int]:
    """A member and those who were merged into them."""
    family = {member_no}
    while more := {each.no for each in rows("members").values() if each.survivor_no in family} - family:
        family |= more
    return family


def _bought(terms: TierTerms, bill: Any, backs: list[Any]) -> Bought:
    """A bill and what came back of it, in the units of a figure."""
    left = [line.quantity if line.quantity > 0 else 1000 for line in bill.lines]
    gone: list[tuple[datetime, int]] = []
    for back in sorted(backs, key=lambda each: each.no):
        for position, quantity in back.lines:
            left[position] -= quantity
        at = max(back.event_at, bill.event_at)
        if terms.figure == "visits":
            gone.append((at, 0 if any(left) else 1))
        elif terms.figure == "points":
            gone.append((at, sum(back.earned)))
        else:
            gone.append((at, back.paid))
    assert terms.figure != "attribute", "nobody here counts numbers of lines"
    amount = {"visits": 1, "points": sum(sum(each.parts) for each in bill.division.earned), "spend": bill.paid}
    counts = terms.figure != "spend" or bill.currency == terms.currency
    return Bought(bill.event_at, amount[terms.figure], tuple(gone)) if counts else Bought(bill.event_at, 0)
