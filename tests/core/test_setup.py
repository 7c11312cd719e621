"""Setting up: codes are taken once, scales are for good, and policies that cannot work are refused with their place."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from guerdon.core import commands as c
from guerdon.core.outcomes import Rejection
from guerdon.core.programs import ROLES, Cap, Expiry, Policies, RedemptionRate, Rule, Stacking
from guerdon.core.promotions.windows import Window
from tests.core.world import World

from .test_postings import posting

BASE = Rule(code="base", kind="per_amount", points=1, amount=100)


def test_a_scale_is_for_good_and_the_same_again_is_no_error() -> None:
    world = World()
    world.ok(c.CreateAsset, code="POINTS", scale=3)
    world.ok(c.CreateAsset, code="POINTS", scale=3)
    assert world.no(c.CreateAsset, code="POINTS", scale=2).code is Rejection.ASSET_IN_USE
    assert world.state.config.assets["POINTS"].scale == 3


@pytest.mark.parametrize("scale", [-1, 19, 10**6])
def test_a_scale_is_between_0_and_18(scale: int) -> None:
    assert World().no(c.CreateAsset, code="X", scale=scale).code is Rejection.INVALID_VALUE


def test_the_first_program_of_an_asset_has_the_plain_names() -> None:
    world = World().with_program()
    world.ok(c.CreateAsset, code="MILES", scale=0)
    for code, asset in (("second", "POINTS"), ("miles", "MILES")):
        world.ok(c.CreateProgram, code=code, name=code, asset=asset, policies=Policies())
    found = {(a.indicator, a.asset) for a in world.state.accounts.values() if a.role == "pool"}
    assert found == {("@PointsPool", "POINTS"), ("@PointsPool:second", "POINTS"), ("@PointsPool", "MILES")}
    assert len(world.state.program_accounts) == 3 * len(ROLES)


def test_a_pool_that_a_raw_transfer_opened_becomes_the_programs() -> None:
    world = World()
    world.ok(c.CreateAsset, code="POINTS", scale=0)
    early = posting("e", asset="POINTS", precision=1, source="@PointsPool", destination="@Else", allow_overdraft=True)
    world.ok(c.Post, postings=(early,))
    before = world.state.found["internal", "@PointsPool", "POINTS"]
    world.ok(c.CreateProgram, code="club", name="Club", asset="POINTS", policies=Policies())
    assert world.state.program_accounts[1, "pool"] == before
    assert world.state.accounts[before].role == "pool"
    assert world.internal("@PointsPool").debit == 100


@pytest.mark.parametrize(
    ("policies", "field"),
    [
        ({"timezone": "Mars/Base"}, "policies.timezone"),
        ({"timezone": "../../etc/passwd"}, "policies.timezone"),
        ({"timezone": ""}, "policies.timezone"),
        ({"expiry": Expiry(kind="days", count=0)}, "policies.expiry.count"),
        ({"expiry": Expiry(kind="days", count=10**9)}, "policies.expiry.count"),
        ({"expiry": Expiry(kind="months", count=-1)}, "policies.expiry.count"),
        ({"expiry": Expiry(kind="never", count=1)}, "policies.expiry.count"),
        ({"redemption_rate": RedemptionRate(0, 100)}, "policies.redemption_rate"),
        ({"redemption_rate": RedemptionRate(10, -1)}, "policies.redemption_rate"),
        ({"currency": "XYZ"}, "policies.currency"),
        ({"rules": (BASE, BASE)}, "policies.rules[1].code"),
        ({"rules": (Rule(code="a", kind="fixed", points=0),)}, "policies.rules[0]"),
        ({"rules": (Rule(code="a", kind="per_amount", points=1, amount=0),)}, "policies.rules[0]"),
        ({"rules": tuple(Rule(code=str(n), kind="fixed", points=1) for n in range(201))}, "policies.rules"),
    ],
)
def test_policies_that_cannot_work_are_refused(policies: dict[str, Any], field: str) -> None:
    world = World().with_program()
    refused = world.no(c.CreateProgram, code="x", name="x", asset="POINTS", policies=Policies(**policies))
    assert refused.field == field
    assert world.no(c.ChangeProgram, program=("code", "main"), policies=Policies(**policies)).field == field


def test_a_change_makes_the_next_version_and_lots_keep_theirs() -> None:
    world = World().with_program()
    amy = world.member("amy")
    world.buy("B-1", 100, amy)
    world.ok(c.ChangeProgram, program=("code", "main"), policies=Policies(rules=(BASE,)), name="Renamed")
    world.buy("B-2", 100, amy)
    assert [lot.version for lot in world.state.lots.values()] == [1, 2]
    assert next(iter(world.state.config.programs.values())).name == "Renamed"


def test_codes_are_taken_once_and_what_they_name_must_exist() -> None:
    world = World().with_program()
    program = ("code", "main")
    taken = world.no(c.CreateProgram, code="main", name="x", asset="POINTS", policies=Policies())
    assert taken.code is Rejection.CODE_TAKEN
    missing = world.no(c.CreateProgram, code="x", name="x", asset="NONE", policies=Policies())
    assert missing.code is Rejection.ASSET_NOT_FOUND
    assert world.no(c.CreateTill, code="T", store=("code", "S"), program=program).code is Rejection.STORE_NOT_FOUND
    world.ok(c.CreateStore, code="S", name="Main Street")
    assert world.no(c.CreateStore, code="S", name="x").code is Rejection.CODE_TAKEN
    other = ("code", "none")
    assert world.no(c.CreateTill, code="T", store=("code", "S"), program=other).code is Rejection.PROGRAM_NOT_FOUND
    world.ok(c.CreateTill, code="T", store=("code", "S"), program=program)
    assert world.no(c.CreateTill, code="T", store=("code", "S"), program=program).code is Rejection.CODE_TAKEN


def test_a_till_tells_store_and_program_and_must_agree_with_the_store_named() -> None:
    world = World().with_program()
    policies = next(iter(world.state.config.programs.values())).policies
    world.ok(c.CreateProgram, code="bistro", name="Bistro", asset="POINTS", policies=policies)
    for code in ("S1", "S2"):
        world.ok(c.CreateStore, code=code, name=code)
    till = world.ok(c.CreateTill, code="T", store=("code", "S1"), program=("code", "bistro"))
    amy = world.member("amy")
    bought = world.buy("B-1", 100, amy, where=c.Where(till=("code", "T"), source="INSTORE"))
    event = world.state.events[bought.event_no]
    assert (event.till_no, event.source, world.state.config.programs[event.program_no].code) == (
        till.number, "INSTORE", "bistro",
    )  # fmt: skip
    assert world.internal("@PointsPool:bistro").debit == 1
    wrong = world.no(c.Redeem, member=amy, points=1, where=c.Where(till=("code", "T"), store=("code", "S2")))
    assert (wrong.code, wrong.field) == (Rejection.INVALID_VALUE, "till")
    kiosk = world.no(c.Redeem, member=amy, points=1, where=c.Where(source="KIOSK"))
    assert kiosk.code is Rejection.SOURCE_NOT_FOUND
    world.ok(c.RegisterSource, code="KIOSK")
    world.ok(c.Redeem, member=amy, points=1, program=("code", "bistro"), where=c.Where(source="KIOSK"))


RULE_FAULTS: list[tuple[dict[str, Any], str, Rejection]] = [
    ({"windows": (Window(start=60, end=60),)}, "windows[0].end", Rejection.WINDOW_NEVER_OPEN),
    ({"windows": (Window(start=-1),)}, "windows[0]", Rejection.INVALID_VALUE),
    ({"windows": (Window(weekdays=frozenset({8})),)}, "windows[0].weekdays", Rejection.INVALID_VALUE),
    ({"windows": (Window(days=frozenset({0})),)}, "windows[0].days", Rejection.INVALID_VALUE),
    (
        {"starts_at": datetime(2027, 2, 1, tzinfo=UTC), "ends_at": datetime(2027, 2, 1, tzinfo=UTC)},
        "ends_at",
        Rejection.WINDOW_NEVER_OPEN,
    ),
    (
        {"windows": (Window(weekdays=frozenset({1})), Window(start=600, end=660))},
        "windows[1]",
        Rejection.WINDOWS_OVERLAP,
    ),
    (
        {"windows": (Window(weekdays=frozenset({1}), start=1380, end=60), Window(weekdays=frozenset({2}), end=90))},
        "windows[1]",
        Rejection.WINDOWS_OVERLAP,
    ),
    (
        {"windows": (Window(days=frozenset({-1})), Window(days=frozenset({29})))},
        "windows[1]",
        Rejection.WINDOWS_OVERLAP,
    ),
    ({"stores": ("nowhere",)}, "stores[0]", Rejection.STORE_NOT_FOUND),
    ({"sources": ("TELEX",)}, "sources[0]", Rejection.SOURCE_NOT_FOUND),
    ({"caps": (Cap(code="c", points=0),)}, "caps[0].points", Rejection.INVALID_VALUE),
    ({"caps": (Cap(code="c", points=1, per="rolling"),)}, "caps[0].days", Rejection.INVALID_VALUE),
    ({"caps": (Cap(code="c", points=1, per="day", days=2),)}, "caps[0].days", Rejection.INVALID_VALUE),
    ({"caps": (Cap(code="c", points=1), Cap(code="c", points=2))}, "caps[1].code", Rejection.CODE_TAKEN),
]


@pytest.mark.parametrize(("fields", "where", "code"), RULE_FAULTS, ids=[where for _, where, _ in RULE_FAULTS])
def test_a_rule_that_cannot_work_is_refused_with_its_place(fields: dict[str, Any], where: str, code: Rejection) -> None:
    world = World().with_program()
    refused = world.no(
        c.ChangeProgram,
        program=("code", "main"),
        policies=Policies(rules=(msgspec.structs.replace(BASE, **fields),)),
    )
    assert (refused.code, refused.field) == (code, f"policies.rules[0].{where}")


def test_windows_that_only_touch_do_not_overlap() -> None:
    windows = (
        Window(weekdays=frozenset({1}), start=1380, end=60),
        Window(weekdays=frozenset({2}), start=60, end=120),
        Window(weekdays=frozenset({6, 7}), days=frozenset({1})),
        Window(weekdays=frozenset({6, 7}), days=frozenset({2, -1})),
    )
    World().with_program(rules=(msgspec.structs.replace(BASE, windows=windows),))


@pytest.mark.parametrize(
    ("stacking", "code"),
    [
        ((Stacking(), Stacking(mode="best")), Rejection.CODE_TAKEN),
        ((Stacking(group="nobody"),), Rejection.INVALID_VALUE),
    ],
)
def test_groups_that_are_named_twice_or_have_no_rule_are_refused(
    stacking: tuple[Stacking, ...], code: Rejection
) -> None:
    world = World().with_program()
    policies = Policies(rules=(BASE,), stacking=stacking)
    assert world.no(c.ChangeProgram, program=("code", "main"), policies=policies).code is code
