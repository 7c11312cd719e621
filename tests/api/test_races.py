"""Who comes too late, asks for too much, or asks for it twice: refused with a code of its own, and nothing written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.api.conftest import Shop
from tests.api.test_loyalty import bill
from tests.conftest import Database

ADA = "/v1/members/external_id:C-1"
BOB = "/v1/members/external_id:C-2"
TWO = bill("B-1", 0) | {
    "lines": [{"sku": "food", "quantity": "2", "amount_minor": 10_000}, {"sku": "wine", "amount_minor": 5_000}]
}


class Desk:
    """A shop with two members, and a look at everything its database holds."""

    def __init__(self, shop: Shop, dsn: str) -> None:
        self.api = shop.api
        self._dsn = dsn
        self.api.post("/v1/members", {"external_id": "C-2"})

    def rows(self) -> dict[str, int]:
        """How many rows each table has, and how far the sequence is."""
        with psycopg.connect(self._dsn) as connection:
            names = connection.execute(
                "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
            ).fetchall()
            counts = {name: connection.execute(f"select count(*) from {name}".encode()).fetchall() for (name,) in names}
            head = connection.execute("select max(seq) from heads").fetchall()
        return {"head": head[0][0]} | {name: count[0][0] for name, count in counts.items()}

    @contextmanager
    def nothing_written(self) -> Iterator[None]:
        before, figures = self.rows(), self.figures()
        yield
        assert (self.rows(), self.figures()) == (before, figures)

    def figures(self) -> Any:
        return [[each["regular"], each["promised"]] for who in (ADA, BOB) for each in self._programs(who)]

    def _programs(self, who: str) -> Any:
        return self.api.get(f"{who}/balances")["programs"]

    def spendable(self, who: str) -> str:
        return str(self._programs(who)[0]["regular"]["spendable"])

    def refused(self, path: str, body: Any, status: int, code: str, field: str | None = None) -> Any:
        with self.nothing_written():
            return self.api.refused("POST", path, body, status, code, field)

    def at_once(self, path: str, bodies: list[Any]) -> Counter[str]:
        """What became of requests sent together: the code of each refusal, "" for what was done."""
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda body: self.api.call("POST", path, body), bodies))
        assert all(answer.status_code < 500 for answer in answers)
        return Counter(answer.json().get("code", "") for answer in answers)


@pytest.fixture
def desk(shop: Shop, database: Database) -> Desk:
    desk = Desk(shop, database.superuser_dsn)
    desk.api.post("/v1/purchases", TWO)
    return desk


def test_of_many_redemptions_for_the_last_points_one_is_made(desk: Desk) -> None:
    codes = desk.at_once(f"{ADA}/redemptions", [{"points": "150"}] * 8)
    assert codes == {"": 1, "insufficient_points": 7}
    assert (len(desk.api.get(f"{ADA}/redemptions")["data"]), desk.spendable(ADA)) == (1, "0")
    desk.refused(f"{ADA}/redemptions", {"points": "1"}, 422, "insufficient_points", "points")


def test_of_a_redemption_no_more_is_reversed_than_was_spent(desk: Desk) -> None:
    spent = desk.api.post(f"{ADA}/redemptions", {"points": "100"})
    path = f"/v1/redemptions/{spent['id']}/reversals"
    assert desk.at_once(path, [{"points": "30"}] * 8) == {"": 3, "reversal_exceeds_redemption": 5}
    problem = desk.refused(path, {"points": "11"}, 422, "reversal_exceeds_redemption", "points")
    assert (problem["redeemed"], problem["reversed"], problem["left"]) == ("100", "90", "10")
    desk.api.post(path, {})
    desk.refused(path, {"points": "1"}, 409, "already_reversed")
    assert desk.spendable(ADA) == "150"


def test_a_reversal_is_not_reversed(desk: Desk) -> None:
    spent = desk.api.post(f"{ADA}/redemptions", {"points": "100"})
    undone = desk.api.post(f"/v1/redemptions/{spent['id']}/reversals", {"points": "40"})
    desk.refused(f"/v1/redemptions/{undone['id']}/reversals", {}, 409, "reversal_is_final", "redemption")
    desk.refused(f"/v1/redemptions/{undone['id'].replace('rvs', 'rdm')}/reversals", {}, 404, "redemption_not_found")


def test_a_transfer_is_refused_to_oneself_to_the_merged_and_over_the_limit(desk: Desk) -> None:
    path = f"{ADA}/transfers"
    desk.refused(path, {"recipient": "external_id:C-1", "points": "10"}, 400, "same_member", "recipient")
    desk.refused(path, {"recipient": "external_id:C-2", "points": "151"}, 422, "insufficient_points", "points")
    desk.api.patch("/v1/programs/classic", {"transfer_limits": {"count_per_day": 1}})
    to_bob = {"recipient": "external_id:C-2", "points": "10"}
    assert desk.at_once(path, [to_bob] * 8) == {"": 1, "transfer_limit_exceeded": 7}
    desk.refused(path, to_bob, 422, "transfer_limit_exceeded")
    bob = desk.api.get(BOB)["id"]
    desk.api.post("/v1/members", {"external_id": "C-3"})
    desk.api.post(f"/v1/members/{bob}/merges", {"survivor": "external_id:C-3"})
    with_id = {"recipient": bob, "points": "10"}
    problem = desk.refused(path, with_id, 409, "member_merged", "recipient")
    assert problem["survivor"]


def test_goods_come_back_once_and_no_more_of_them_than_were_bought(desk: Desk) -> None:
    path = "/v1/purchases/number:B-1/returns"
    food = [{"line": 1, "quantity": "1"}]
    codes = desk.at_once(path, [{"number": f"R-{i}", "lines": food} for i in range(8)])
    assert codes[""] == 2
    assert set(codes) <= {"", "already_returned", "return_exceeds_purchase"}
    desk.refused(path, {"number": "R-9", "lines": food}, 409, "already_returned", "lines[0]")
    too_much = [{"line": 2, "quantity": "1.001"}]
    desk.refused(path, {"number": "R-9", "lines": too_much}, 422, "return_exceeds_purchase", "lines[0]")
    nowhere = [{"line": 2, "quantity": "1"}, {"line": 3, "quantity": "1"}]
    desk.refused(path, {"number": "R-9", "lines": nowhere}, 404, "line_not_found", "lines[1]")
    desk.refused(path, {"number": "R-9", "lines": [{"sku": "x", "quantity": "1"}]}, 404, "line_not_found", "lines[0]")
    assert desk.spendable(ADA) == "50"
    assert desk.at_once(path, [{"number": f"W-{i}"} for i in range(8)]) == {"": 1, "already_returned": 7}
    desk.refused(path, {"number": "R-9"}, 409, "already_returned", "purchase")
    assert desk.spendable(ADA) == "0"


def test_a_member_is_merged_once_and_never_into_itself(desk: Desk) -> None:
    ada = desk.api.get(ADA)["id"]
    desk.refused(f"{ADA}/merges", {"survivor": ada}, 400, "same_member", "survivor")
    codes = desk.at_once(f"/v1/members/{ada}/merges", [{"survivor": "external_id:C-2"}] * 8)
    assert codes == {"": 1, "member_merged": 7}
    desk.refused(f"/v1/members/{ada}/merges", {"survivor": "external_id:C-2"}, 409, "member_merged", "member")
    desk.refused(f"{BOB}/merges", {"survivor": ada}, 409, "member_merged", "survivor")
    assert desk.spendable(BOB) == "150"


def test_what_was_unlocked_is_not_converted_again(desk: Desk) -> None:
    promised = {"kind": "fixed", "code": "later", "points": "20", "points_category": "promised", "release_days": 14}
    desk.api.patch("/v1/programs/classic", {"earning_rules": [promised]})
    desk.api.post("/v1/purchases", bill("B-2", 1000))
    path, what = f"{ADA}/unlocks", {"purchase": "number:B-2"}
    assert desk.at_once(path, [what] * 8) == {"": 1, "already_unlocked": 7}
    desk.refused(path, what, 409, "already_unlocked")
    desk.refused(path, {}, 409, "nothing_promised")
    assert desk.spendable(ADA) == "170"


def test_points_are_not_made_to_end_in_the_past(desk: Desk) -> None:
    path = f"{ADA}/expiry-changes"
    desk.refused(path, {"last_day": "2020-01-01"}, 400, "expiry_in_the_past", "last_day")
    desk.api.post(path, {"last_day": "2099-12-31"})
    desk.refused(path, {"days": -36_500}, 400, "expiry_in_the_past", "days")
    desk.refused(path, {"days": 0}, 400, "invalid_value", "days")
    assert desk.spendable(ADA) == "150"
