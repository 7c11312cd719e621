"""The liability report: what programs owe, recomputed from raw rows, month by month; and reports as CSV."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from tests.api.conftest import Api, Shop, served, set_up
from tests.api.test_ledger_filters import SEED, Histories
from tests.api.test_loyalty import bill
from tests.conftest import Database

ADDS = ("opened", "issued", "reversed", "adjusted", "transferred")
TAKES = ("redeemed", "returned", "expired")
COLUMN = {"pool": "issued", "opening": "opened"}


def rows(dsn: str, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(dsn, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute(query.encode()).fetchall()


def recomputed(dsn: str, program: int, zone: str, time: str) -> dict[str, dict[str, int]]:
    """The report's months from the raw rows, transfer by transfer."""
    accounts = {row["no"]: row for row in rows(dsn, "select * from accounts")}
    months: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows(dsn, "select * from transfers where action in ('apply', 'settle') order by seq"):
        at = row["effective_at"] if time == "event" and row["effective_at"] else row["recorded_at"]
        month = at.astimezone(ZoneInfo(zone)).strftime("%Y-%m")
        for mine, other, sign in (("destination", "source", 1), ("source", "destination", -1)):
            account, counterpart = accounts[row[mine]], accounts[row[other]]
            if not account["tracks_lots"] or account["program_no"] != program:
                continue
            role = counterpart["role"] if counterpart["program_no"] == program else ""
            points = sign * int(row["amount"])
            if role == "pool" and sign < 0:
                months[month]["redeemed"] -= points
            elif role in TAKES:
                months[month][role] -= points
            else:
                months[month][COLUMN.get(role, role or "transferred")] += points
    return months


@pytest.mark.parametrize("time", ["recorded", "event"])
@pytest.mark.parametrize("seed", [SEED, SEED + 7])
def test_the_report_is_what_the_raw_rows_add_up_to_and_ties_out_to_the_ledger(
    database: Database, seed: int, time: str
) -> None:
    with served(database) as url:
        api = Api(url)
        histories = Histories(api, Random(seed))
        for days in (65, 40, 3):
            body = bill(f"old-{days}", 7_700, event_at=(datetime.now(UTC) - timedelta(days=days)).isoformat())
            api.post("/v1/purchases", body)
        for _ in range(60):
            histories.step()
        gold = {row["code"]: row["no"] for row in rows(database.superuser_dsn, "select code, no from programs")}
        for program in api.get("/v1/reports/liability", time=time)["programs"]:
            number = program["program"]["number"]
            assert gold[program["program"]["code"]] == number
            expected = recomputed(database.superuser_dsn, number, "UTC", time)
            opening = 0
            for month in program["months"]:
                told = {name: int(value) for name, value in month.items() if name != "month"}
                plain = expected.pop(month["month"], {})
                assert {name: told[name] for name in (*ADDS, *TAKES)} == {
                    name: plain.get(name, 0) for name in (*ADDS, *TAKES)
                }
                assert told["opening"] == opening
                opening += sum(told[name] for name in ADDS) - sum(told[name] for name in TAKES)
                assert told["outstanding"] == opening
            assert not expected
            held = rows(
                database.superuser_dsn,
                "select coalesce(sum(f.credit - f.debit), 0) as points"
                " from figures f join accounts a on a.no = f.account_no"
                f" where a.tracks_lots and a.program_no = {number}",
            )
            assert int(program["outstanding"]) == opening == held[0]["points"]
        both = api.get("/v1/reports/liability", time=time)["programs"]
        internal = rows(
            database.superuser_dsn,
            "select -sum(f.credit - f.debit) as points from figures f join accounts a on a.no = f.account_no"
            " where a.indicator <> '' and a.asset = 'POINTS'",
        )
        assert sum(int(one["internal"]) for one in both) == internal[0]["points"]
        assert sum(int(one["outstanding"]) for one in both) == internal[0]["points"]


def test_what_a_return_could_not_take_back_is_written_off_and_owed_by_nobody(api: Api) -> None:
    set_up(api, on_shortfall="write_off")
    api.post("/v1/purchases", bill("B-1", 10_000))
    api.post("/v1/members/external_id:C-1/redemptions", {"points": 80})
    api.post("/v1/purchases/number:B-1/returns", {"number": "R-1"})
    (program,) = api.get("/v1/reports/liability")["programs"]
    (month,) = program["months"]
    told = {name: month[name] for name in ("issued", "redeemed", "returned", "written_off", "outstanding")}
    assert told == {"issued": "100", "redeemed": "80", "returned": "20", "written_off": "80", "outstanding": "0"}


def test_members_below_zero_are_receivable(api: Api) -> None:
    set_up(api)
    api.post("/v1/members", {"external_id": "C-2"})
    api.post("/v1/purchases", bill("B-1", 10_000))
    api.post("/v1/purchases", bill("B-2", 5_000, member="external_id:C-2"))
    api.post("/v1/members/external_id:C-1/redemptions", {"points": 80})
    api.post("/v1/purchases/number:B-1/returns", {"number": "R-1"})
    (program,) = api.get("/v1/reports/liability")["programs"]
    assert (program["outstanding"], program["receivable"], program["internal"]) == ("-30", "80", "-30")


def test_months_go_by_the_programs_time_zone_and_gaps_are_shown(api: Api) -> None:
    set_up(api, timezone="Pacific/Kiritimati")
    for number, at in (
        ("B-1", "2026-06-30T09:59:59Z"),
        ("B-2", "2026-06-30T10:00:00Z"),
        ("B-3", "2026-08-31T10:00:00Z"),
    ):
        api.post("/v1/purchases", bill(number, 1_000, event_at=at))
    (program,) = api.get("/v1/reports/liability", time="event")["programs"]
    issued = {month["month"]: (month["issued"], month["outstanding"]) for month in program["months"]}
    assert issued == {"2026-06": ("10", "10"), "2026-07": ("10", "20"), "2026-08": ("0", "20"), "2026-09": ("10", "30")}
    (program,) = api.get("/v1/reports/liability", time="event", first="2026-07", last="2026-10")["programs"]
    assert [(month["month"], month["opening"]) for month in program["months"]] == [
        ("2026-07", "10"), ("2026-08", "20"), ("2026-09", "20"), ("2026-10", "30"),
    ]  # fmt: skip


def test_bad_questions_are_refused(shop: Shop) -> None:
    path = "/v1/reports/liability"
    shop.api.refused("GET", f"{path}?first=2026-13", None, 400, "invalid_value", "first")
    shop.api.refused("GET", f"{path}?first=2026-03&last=2026-02", None, 400, "invalid_value", "first")
    shop.api.refused("GET", f"{path}?program=gold", None, 404, "program_not_found", "program")
    shop.api.refused("GET", f"{path}.csv?program=gold", None, 404, "program_not_found", "program")


def sheet(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_report_as_csv_says_the_same(shop: Shop) -> None:
    shop.api.post("/v1/purchases", bill("B-1", 1_000))
    answer = shop.api.call("GET", "/v1/reports/liability.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="liability.csv"'
    (program,) = shop.api.get("/v1/reports/liability")["programs"]
    assert sheet(answer.text) == [{"program": "classic", "asset": "POINTS", **month} for month in program["months"]]


def test_another_organisations_programs_are_not_in_the_report(shop: Shop) -> None:
    shop.api.post("/v1/purchases", bill("B-1", 1_000))
    shop.api.post("/v1/organisations", {"code": "other", "name": "Other"})
    other = shop.api.of("other")
    assert other.get("/v1/reports/liability") == {"programs": []}
    mine = shop.api.get("/v1/programs/classic")["id"]
    other.refused("GET", f"/v1/reports/liability?program={mine}", None, 404, "program_not_found", "program")


def test_a_statement_has_every_entry_in_order_whatever_its_length(shop: Shop) -> None:
    for n in range(230):
        shop.api.post(f"/v1/members/{shop.member}/awards", {"points": 1 + n % 3, "reason": "again"})
    shop.api.post(f"/v1/members/{shop.member}/redemptions", {"points": 40})
    found = sheet(shop.api.call("GET", f"/v1/members/{shop.member}/points-ledger.csv").text)
    assert len(found) == 3 + 230 + 1
    balance = 0
    for row in found:
        balance += int(row["points"])
        assert balance == int(row["balance_after"])
    assert found[-1]["points"] == "-40"
    assert [row["event_log_id"] for row in found] == sorted((row["event_log_id"] for row in found), key=int)
    path = f"/v1/members/{shop.member}/points-ledger.csv?entry_type=debit&order=newest_first"
    assert [row["event"] for row in sheet(shop.api.call("GET", path).text)] == ["PointsRedemption"]


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1", '=cmd|"/C calc"!A0', 'x";=1', "a;=1"]


def test_no_cell_of_a_statement_is_a_formula_or_leaves_its_cell(shop: Shop) -> None:
    for reason in FORMULAS:
        shop.api.post(f"/v1/members/{shop.member}/awards", {"points": 1, "reason": reason})
    answer = shop.api.call("GET", f"/v1/members/{shop.member}/points-ledger.csv?event=GoodwillAward")
    reasons = [row["reason"] for row in sheet(answer.text)]
    for reason, told in zip(FORMULAS, reasons, strict=True):
        assert told == (f"'{reason}" if reason[0] in "=+-@\t＝" else reason)
    assert all(line.startswith('"') and line.endswith('"') for line in answer.text.strip().split("\r\n"))


def test_an_unknown_member_has_no_statement(shop: Shop) -> None:
    shop.api.refused("GET", "/v1/members/number:99/points-ledger.csv", None, 404, "member_not_found")


def test_reports_need_their_scope(shop: Shop) -> None:
    key = shop.api.post("/v1/keys", {"name": "k", "scopes": ["points:read"]})["key"]
    client = shop.api.with_key(key)
    client.refused("GET", "/v1/reports/liability", None, 403, "insufficient_scope")
    assert client.call("GET", f"/v1/members/{shop.member}/points-ledger.csv").status_code == 200
