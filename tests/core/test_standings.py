"""What is told of tiers, and when: the same, whoever looks in between."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec import json

from guerdon.core import commands as c
from guerdon.core.outcomes import Rejection
from guerdon.core.standings import tier_of
from guerdon.core.tiers import Level, TierTerms, Window
from tests.core.world import START, World

LEVELS = (
    Level(code="blue", name="Blue", at_least=0),
    Level(code="silver", name="Silver", at_least=10_000),
    Level(code="gold", name="Gold", at_least=30_000),
)


def terms(**fields: Any) -> TierTerms:
    values: dict[str, Any] = {
        "figure": "spend",
        "window": Window(kind="calendar", months=12),
        "levels": LEVELS,
        "timezone": "UTC",
        "currency": "USD",
    }
    return TierTerms(**{**values, **fields})


class Club(World):
    """A program with tiers from the start."""

    def __init__(self, **fields: Any) -> None:
        super().__init__()
        self.with_program()
        self.main = ("code", "main")
        self.ok(c.ChangeTiers, program=self.main, terms=terms(**fields))

    def no_of(self, member: tuple[str, str]) -> int:
        return int(self.state.found["member", *member])

    def tier(self, member: tuple[str, str], at: datetime | None = None) -> str:
        return tier_of(self.state, self.no_of(member), min(self.state.config.programs), at or self.now)

    def review(self, *members: tuple[str, str]) -> Any:
        return self.ok(c.ReviewTiers, members=tuple(self.no_of(member) for member in members))

    def told(self, member: tuple[str, str]) -> list[tuple[str, str, str]]:
        """Every change that was told, in order: from, to, why."""
        return [(said["from"], said["to"], said["reason"]) for _, said in self.changes(member)]

    def changes(self, member: tuple[str, str], name: str = "TierChange") -> list[tuple[Any, Any]]:
        return [
            (event, json.decode(event.body))
            for event in self.state.events.values()
            if event.name == name and event.member_no == self.no_of(member)
        ]


def test_a_purchase_that_reaches_a_tier_says_so_once() -> None:
    club = Club()
    ada = club.member("ada")
    club.buy("1", 9_999, ada)
    assert (club.tier(ada), club.told(ada)) == ("blue", [])
    club.buy("2", 1, ada)
    club.buy("3", 1, ada)
    assert (club.tier(ada), club.told(ada)) == ("silver", [("blue", "silver", "reached")])


def test_what_lapsed_is_told_by_the_review_or_else_before_the_next_purchase() -> None:
    stories = []
    for reviewed in (True, False):
        club = Club(downgrade="one")
        ada = club.member("ada")
        club.buy("1", 30_000, ada)
        club.now = START.replace(year=2030)
        if reviewed:
            club.review(ada)
            club.later(days=1)
        assert club.tier(ada) == "blue"
        club.now = START.replace(year=2030, month=6)
        club.buy("2", 10_000, ada)
        stories.append([(event.event_at, said) for event, said in club.changes(ada)])
        assert club.told(ada) == [
            ("blue", "gold", "reached"),
            ("gold", "silver", "lapsed"),
            ("silver", "blue", "lapsed"),
            ("blue", "silver", "reached"),
        ]
    assert stories[0] == stories[1]


def test_a_return_undoes_the_tier_that_it_had_reached() -> None:
    club = Club()
    ada = club.member("ada")
    club.buy("1", 10_000, ada)
    club.later(days=3)
    club.ok(c.ReturnPurchase, purchase=("number", "1"), number="R")
    assert club.told(ada) == [("blue", "silver", "reached"), ("silver", "blue", "returned")]
    assert club.tier(ada, START) == "silver", "it was so until the return"


def test_a_late_purchase_keeps_a_tier_that_had_lapsed() -> None:
    club = Club(window=Window(kind="rolling", days=30))
    ada = club.member("ada")
    club.buy("1", 10_000, ada)
    club.later(days=32)
    club.review(ada)
    club.buy("2", 10_000, ada, where=c.Where(event_at=START + timedelta(days=30)))
    assert club.told(ada) == [
        ("blue", "silver", "reached"),
        ("silver", "blue", "lapsed"),
        ("blue", "silver", "late"),
    ]


def test_a_merge_brings_what_the_other_bought() -> None:
    club = Club()
    ada, bea = club.member("ada"), club.member("bea")
    victim = club.no_of(bea)
    club.buy("1", 6_000, ada)
    club.buy("2", 6_000, bea)
    club.later(days=1)
    club.ok(c.MergeMembers, victim=bea, survivor=ada)
    assert (club.tier(ada), club.told(ada)) == ("silver", [("blue", "silver", "merged")])
    club.later(days=1)
    club.ok(c.ReturnPurchase, purchase=("number", "2"), number="R")
    assert club.tier(ada) == "blue"
    club.later(days=900)
    assert club.ok(c.ReviewTiers, members=(victim,)).members == 0


def test_a_program_that_gets_tiers_looks_at_what_was_bought_before() -> None:
    world = World().with_program()
    ada = world.member("ada")
    world.buy("1", 30_000, ada)
    world.later(days=1)
    world.ok(c.ChangeTiers, program=("code", "main"), terms=terms(), starts_at=world.now + timedelta(days=1))
    world.later(days=2)
    no = world.state.found["member", *ada]
    assert world.ok(c.ReviewTiers, members=(no,)).told == 1
    (event,) = [each for each in world.state.events.values() if each.name == "TierChange"]
    assert json.decode(event.body)["reason"] == "structure"
    assert event.event_at == START + timedelta(days=2)
    assert world.ok(c.ReviewTiers, members=(no,)).told == 0


def test_a_new_structure_counts_for_all_from_its_start_and_not_before() -> None:
    club = Club()
    ada = club.member("ada")
    club.buy("1", 12_000, ada)
    easy = (*LEVELS[:2], Level(code="gold", name="Gold", at_least=12_000))
    club.later(days=1)
    club.ok(c.ChangeTiers, program=club.main, terms=terms(levels=easy), starts_at=club.now + timedelta(days=5))
    assert club.tier(ada) == "silver"
    club.later(days=5)
    assert club.tier(ada) == "gold"
    club.buy("2", 1, ada)
    assert club.told(ada) == [("blue", "silver", "reached"), ("silver", "gold", "structure")]


def keeping(at_least: int, **before: Any) -> tuple[Club, tuple[str, str]]:
    """Ada has silver for 150.00, for 30 days; after ten of them silver is dearer, and who has it keeps it."""
    club = Club(window=Window(kind="rolling", days=30), **before)
    ada = club.member("ada")
    club.buy("1", 15_000, ada)
    club.later(days=10)
    dearer = (LEVELS[0], Level(code="silver", name="Silver", at_least=at_least), LEVELS[2])
    new = terms(window=Window(kind="rolling", days=30), levels=dearer, grace_days=7, keep=True)
    club.ok(c.ChangeTiers, program=club.main, terms=new)
    return club, ada


def test_a_structure_may_leave_members_what_they_had_until_the_one_before_would_have_ended_it() -> None:
    club, ada = keeping(20_000)
    club.review(ada)
    assert (club.tier(ada), club.told(ada)) == ("silver", [("blue", "silver", "reached")])
    midnight = (START + timedelta(days=31)).replace(hour=0)
    assert club.tier(ada, midnight - timedelta(seconds=1)) == "silver"
    assert club.tier(ada, midnight) == "blue", "without another grace"
    club.now = midnight
    club.review(ada)
    assert club.told(ada)[1:] == [("silver", "blue", "lapsed")]


def test_who_bought_first_under_the_new_structure_keeps_nothing() -> None:
    club, _ = keeping(20_000)
    bea = club.member("bea")
    club.buy("2", 15_000, bea)
    assert club.tier(bea) == "blue"


def test_what_is_kept_ends_earlier_for_nobody_who_reaches_it_anew() -> None:
    club, ada = keeping(20_000)
    club.later(days=10)
    club.buy("2", 20_000, ada)
    at = START + timedelta(days=31)
    assert club.tier(ada, at) == "gold", "150.00 and 200.00"
    assert club.tier(ada, START + timedelta(days=45)) == "silver"
    assert club.tier(ada, START + timedelta(days=60)) == "blue"


def test_a_late_purchase_and_a_return_change_what_was_kept() -> None:
    club, ada = keeping(20_000)
    club.buy("2", 15_000, ada, where=c.Where(event_at=START + timedelta(days=5)))
    assert club.tier(ada) == "gold", "300.00 before the new structure began"
    club.ok(c.ReturnPurchase, purchase=("number", "1"), number="R-1")
    assert club.tier(ada) == "silver", "150.00 of them"
    club.ok(c.ReturnPurchase, purchase=("number", "2"), number="R-2")
    assert club.tier(ada) == "blue"


def test_what_a_structure_before_never_takes_is_kept_for_good() -> None:
    club, ada = keeping(20_000, downgrade="none")
    assert club.tier(ada, START + timedelta(days=3_000)) == "silver"


def test_a_tier_that_is_no_more_is_not_kept() -> None:
    club = Club()
    ada = club.member("ada")
    club.buy("1", 15_000, ada)
    levels = (LEVELS[0], Level(code="ruby", name="Ruby", at_least=20_000))
    club.ok(c.ChangeTiers, program=club.main, terms=terms(levels=levels, keep=True))
    assert club.tier(ada) == "blue"


def test_notice_is_given_before_a_tier_falls_and_only_once_for_a_fall() -> None:
    club = Club(notice_days=30)
    ada = club.member("ada")
    club.buy("1", 10_000, ada)
    club.now = START.replace(year=2028, month=12, day=1)
    club.review(ada)
    assert not club.changes(ada, "TierAboutToFall")
    club.later(days=3)
    club.review(ada)
    club.review(ada)
    ((_, said),) = club.changes(ada, "TierAboutToFall")
    assert (said["from"], said["to"], said["falls_at"]) == ("silver", "blue", "2029-01-01T00:00:00Z")
    club.buy("2", 10_000, ada)
    club.now = START.replace(year=2029, month=12, day=31)
    club.review(ada)
    assert len(club.changes(ada, "TierAboutToFall")) == 2


def test_points_and_visits_and_numbers_of_lines_can_be_counted() -> None:
    levels = (Level(code="one", name="One", at_least=2),)
    by_points = Club(figure="points", currency="", levels=levels)
    by_visits = Club(figure="visits", currency="", levels=levels)
    nights = (Level(code="one", name="One", at_least=2_500),)
    by_nights = Club(figure="attribute", currency="", attribute="nights", levels=nights)
    stay = (c.Line(sku="room", quantity=2000, amount=200, attributes={"nights": "2.5"}),)
    for club in (by_points, by_visits, by_nights):
        ada = club.member("ada")
        club.ok(c.RecordPurchase, number="1", currency="USD", member=ada, lines=stay)
    assert [club.tier(("external_id", "ada")) for club in (by_points, by_visits, by_nights)] == ["one", "", "one"]
    half = (c.ReturnLine(line=1, quantity=1000),)
    for club in (by_points, by_visits, by_nights):
        club.buy("2", 0, ("external_id", "ada"))
        club.ok(c.ReturnPurchase, purchase=("number", "1"), number="R", lines=half)
    assert [club.tier(("external_id", "ada")) for club in (by_points, by_visits, by_nights)] == ["", "one", ""]
    by_visits.ok(c.ReturnPurchase, purchase=("number", "1"), number="R2")
    assert by_visits.tier(("external_id", "ada")) == ""


def test_each_thing_that_cannot_be_a_structure_is_refused_by_name() -> None:
    club = Club()
    silver = LEVELS[1]
    cases: list[tuple[dict[str, Any], Rejection, str]] = [
        ({"levels": ()}, Rejection.INVALID_VALUE, "levels"),
        ({"levels": (silver, silver)}, Rejection.CODE_TAKEN, "levels[1].code"),
        (
            {"levels": (silver, Level(code="gold", name="Gold", at_least=10_000))},
            Rejection.THRESHOLDS_OVERLAP,
            "levels[1].at_least",
        ),
        (
            {"levels": (Level(code="a", name="A", at_least=0, below=11_000), silver)},
            Rejection.THRESHOLDS_OVERLAP,
            "levels[0].below",
        ),
        (
            {"levels": (Level(code="a", name="A", at_least=0, below=9_000), silver)},
            Rejection.THRESHOLDS_LEAVE_A_GAP,
            "levels[0].below",
        ),
        ({"window": Window(kind="rolling")}, Rejection.WINDOW_OF_ZERO, "window"),
        ({"window": Window(kind="calendar")}, Rejection.WINDOW_OF_ZERO, "window"),
        ({"window": Window(kind="calendar", months=5)}, Rejection.INVALID_VALUE, "window.months"),
        ({"window": Window(kind="rolling", months=1, days=1)}, Rejection.INVALID_VALUE, "window.days"),
        ({"timezone": "Mars"}, Rejection.INVALID_VALUE, "timezone"),
        ({"currency": "XXX"}, Rejection.ASSET_NOT_FOUND, "currency"),
        ({"figure": "visits"}, Rejection.INVALID_VALUE, "currency"),
        ({"attribute": "nights"}, Rejection.INVALID_VALUE, "attribute"),
        ({"grace_days": 400}, Rejection.INVALID_VALUE, "grace_days"),
    ]
    for fields, code, field in cases:
        refused = club.no(c.ChangeTiers, program=club.main, terms=terms(**fields))
        assert (refused.code, refused.field) == (code, field), fields
    past = club.now - timedelta(seconds=1)
    refused = club.no(c.ChangeTiers, program=club.main, terms=terms(), starts_at=past)
    assert refused.code == Rejection.STARTS_IN_THE_PAST
