"""Scenarios of tiers: what `core_driver` and `http_driver` have in addition for these words."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Protocol

import msgspec

from guerdon.core import commands as c
from guerdon.core.assets import decimal_text
from guerdon.core.standings import foresee
from guerdon.core.tiers import Progress, in_force, progress, tier_at
from tests.model.store import activity_of
from tests.scenarios.language import Step
from tests.scenarios.tier_words import start, tier_terms


class TierCommands:
    """Steps as commands."""

    def _envelope(self, at: Any, name: str = "") -> dict[str, Any]:
        raise NotImplementedError

    def _tiers(self, step: Step) -> c.Command:
        program = ("code", step["name"])
        starts_at = start(step["starts_on"], step.at)
        return c.ChangeTiers(
            **self._envelope(step.at), program=program, terms=tier_terms(step["terms"]), starts_at=starts_at
        )


class Rows(Protocol):
    def __call__(self, table: str) -> dict[Any, Any]: ...


def observe_tiers(step: Step, rows: Rows, member_no: int) -> None:
    """Whether a member stands, and was told, in the first program, as a line says."""
    structures = tuple(each for (no, _), each in sorted(rows("tiers").items()) if no == 1)
    done = activity_of(rows, member_no)
    standing, coming = foresee(structures, rows("standings").get((member_no, 1)), done, member_no, step.at)
    structure = in_force(structures, step.at)
    assert structure is not None, step.where
    if step.verb == "was_told":
        events = [each for _, each in sorted(rows("events").items()) if each.member_no == member_no]
        bodies = [json.loads(each.body) for each in (*events, *coming) if each.name == "TierChange"]
        told = ", ".join(f"{said['to'] or 'none'} {said['reason']}" for said in bodies)
        assert told == step["told"], f"{step.where}: {told}"
        return
    if standing is None:
        assert (step.verb, tier_at(structures, done, step.at) or "none") == ("tier", step["tier"]), step.where
        return
    found = progress(structure.terms, standing.joined_at, standing.reckoning, step.at)
    _check(step, found, 2 if structure.terms.figure == "spend" else 0)


def _check(step: Step, found: Progress, scale: int) -> None:
    if step.verb == "tier":
        seen: tuple[str, ...] = (found.code or "none",)
        expected: tuple[str, ...] = (step["tier"],)
    elif step.verb == "lacks":
        seen = (decimal_text(found.missing, scale), found.next_code, _day(found.by))
        expected = (step["figure"], step["tier"], step["day"])
    elif step["never"]:
        seen, expected = (_day(found.falls_at),), ("",)
    else:
        seen, expected = (found.falls_to or "none", _day(found.falls_at)), (step["tier"], step["day"])
    assert seen == expected, f"{step.where}: {found}"


def _day(at: datetime | None) -> str:
    return "" if at is None else at.date().isoformat()


class TierRequests:
    """Steps as requests, and what they are answered."""

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        raise NotImplementedError

    def _get(self, path: str) -> Any:
        raise NotImplementedError

    def _tiers(self, step: Step) -> Any:
        terms = tier_terms(step["terms"])
        scale = 2 if terms.figure == "spend" else 0
        body = msgspec.to_builtins(terms)
        body["existing_tiers"] = "keep" if body.pop("keep") else "change"
        for level in body["levels"]:
            level["at_least"] = decimal_text(level["at_least"], scale)
        starts_at = start(step["starts_on"], step.at)
        body["starts_at"] = starts_at and starts_at.isoformat()
        return self._send("POST", f"/v1/programs/{step['name']}/tiers", body)

    def _standing(self, step: Step) -> Any:
        return self._get(f"/v1/members/external_id:{step['member']}/tiers")["programs"][0]

    def _see_tier(self, step: Step) -> None:
        found = self._standing(step)["tier"] or "none"
        assert found == step["tier"], f"{step.where}: {found}"

    def _see_lacks(self, step: Step) -> None:
        found = self._standing(step)["next"]
        seen = (found["missing"], found["tier"], (found["by"] or "")[:10])
        assert seen == (step["figure"], step["tier"], step["day"]), f"{step.where}: {seen}"

    def _see_falls(self, step: Step) -> None:
        found = self._standing(step)["falls"]
        seen = None if found is None else (found["tier"] or "none", found["at"][:10])
        assert seen == (None if step["never"] else (step["tier"], step["day"])), f"{step.where}: {seen}"

    def _see_was_told(self, step: Step) -> None:
        page = self._get(f"/v1/members/external_id:{step['member']}/tiers/history?limit=100")["data"]
        told = ", ".join(f"{each['tier'] or 'none'} {each['reason']}" for each in reversed(page))
        assert told == step["told"], f"{step.where}: {told}"
