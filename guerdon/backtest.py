"""`guerdon backtest`: a backtest from the command line, with a report to read and rows to work on.

Leaves to others: the reckoning (`core/backtests.py`) and its order of work (`jobs/backtests.py`).
"""

from __future__ import annotations

import asyncio
import csv
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

import msgspec
import uuid_utils
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from guerdon.core.assets import decimal_text
from guerdon.core.backtests import Past, Report, Told, Trial
from guerdon.core.programs import Config, Program, Rule
from guerdon.core.promotions.authoring import read
from guerdon.core.promotions.terms import Promotion
from guerdon.jobs.backtests import go
from guerdon.store.load import configuration
from guerdon.store.pool import make_pool
from guerdon.store.read import Reader


class BacktestRefused(Exception):
    """What was asked for cannot be tried; the text says why."""


class Order(Struct, frozen=True, kw_only=True):
    """What somebody asked for. `promotion` is the id of a stored one or a JSON file of terms; `rules` a JSON file of
    earning rules in the core's words (`guerdon.core.programs.Rule`). Days are the organisation's.
    """

    organisation: str
    promotion: str = ""
    rules: Path | None = None
    program: str = ""
    currency: str = ""
    since: str
    until: str
    live: bool = True
    take_up_ppm: int = 1_000_000
    shared_code: bool = False
    rows: Path | None = None


class Done(Struct, frozen=True, kw_only=True):
    """A report with what is needed to show it."""

    name: str
    trial: Trial
    report: Report
    scale: int
    points_scale: int


HEADER = (
    "number", "at", "member", "amount_minor", "status", "reason", "uses", "discount_minor", "voucher_minor",
    "points_minor", "change_discount_minor", "change_voucher_minor", "change_points_minor",
)  # fmt: skip


def run(order: Order, dsn: str, console: Console | None = None) -> Done:
    """Do it, with a bar on standard error; `BacktestRefused` before anything is reckoned."""
    return asyncio.run(_run(order, dsn, console or Console(stderr=True)))


async def _run(order: Order, dsn: str, console: Console) -> Done:
    async with make_pool(dsn, name="guerdon-backtest", size_max=1) as pool:
        organisation = await Reader(pool).organisation(order.organisation)
        if organisation is None:
            raise BacktestRefused(f"there is no organisation {order.organisation}")
        async with pool.connection() as connection:
            config = await configuration(connection, organisation.org_id, datetime.now(UTC))
            trial = asked(order, config)
            name = trial.promotion.name if trial.promotion is not None else "earning rules"
            bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                console=console, disable=not console.is_terminal,
            )  # fmt: skip
            with bar, _Rows(order.rows) as rows:
                task = bar.add_task("purchases", total=None)

                async def tell(done: int, total: int) -> bool:
                    bar.update(task, completed=done, total=total)
                    return True

                report = await go(connection, organisation.org_id, trial, tell, rows.write, config)
        program = config.programs[trial.program_no]
        return Done(
            name=name,
            trial=trial,
            report=report,
            scale=config.assets[trial.currency].scale,
            points_scale=config.assets[program.asset].scale,
        )


def asked(order: Order, config: Config) -> Trial:
    """The trial that an order describes, or `BacktestRefused`."""
    if bool(order.promotion) == (order.rules is not None):
        raise BacktestRefused("name either a promotion or a file of earning rules")
    program = _program(order.program, config)
    currency = order.currency or program.policies.currency
    if currency not in config.assets:
        raise BacktestRefused(f"there is no currency {currency}")
    zone = ZoneInfo(config.timezone)
    since, until = _day(order.since, zone), _day(order.until, zone)
    if until <= since:
        raise BacktestRefused(f"{order.until} is not after {order.since}")
    return Trial(
        since=since,
        until=until,
        currency=currency,
        program_no=program.no,
        promotion=_promotion(order.promotion, config) if order.promotion else None,
        rules=None if order.rules is None else _decoded(order.rules, tuple[Rule, ...]),
        live=order.live,
        take_up_ppm=order.take_up_ppm,
        shared_code=order.shared_code,
    )


def _program(code: str, config: Config) -> Program:
    found = [each for _, each in sorted(config.programs.items()) if code in ("", each.code, str(each.no))]
    if not found:
        raise BacktestRefused(f"there is no program {code}".rstrip())
    return found[0]


def _day(text: str, zone: ZoneInfo) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time(), zone).astimezone(UTC)
    except ValueError:
        raise BacktestRefused(f"{text} is no day: 2026-01-31") from None


def _promotion(named: str, config: Config) -> Promotion:
    known = config.promotions.by_id if config.promotions is not None else {}
    if named.startswith("prm_"):
        promotion = known.get(named.removeprefix("prm_"))
        if promotion is None:
            raise BacktestRefused(f"there is no promotion {named}")
        return promotion
    document = _decoded(Path(named), dict[str, Any])
    found = read({"status": "draft", **document, "id": str(uuid_utils.uuid7())})
    if isinstance(found, Promotion):
        return found
    raise BacktestRefused("; ".join(f"{fault.path or named}: {fault.code.replace('_', ' ')}" for fault in found))


def _decoded(path: Path, type_: Any) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=type_)
    except msgspec.DecodeError as error:
        raise BacktestRefused(f"{path}: {error}") from error


class _Rows:
    """One row for each purchase that something changes for, as CSV."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def __enter__(self) -> Self:
        if self._path is not None:
            self._file = self._path.open("w", newline="")
            self._writer = csv.writer(self._file)
            self._writer.writerow(HEADER)
        return self

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            self._file.close()

    def write(self, past: Past, told: Told) -> None:
        if self._path is None or not told.touched:
            return
        self._writer.writerow(
            (
                past.number,
                past.at.isoformat(),
                f"mem_{past.member}" if past.member else "",
                sum(line.amount for line in past.lines),
                *(getattr(told, name) for name in Told.__struct_fields__),
            )
        )


# -- to be read -------------------------------------------------------------------------------------------------------


def markdown(done: Done) -> str:
    """The report as a page of Markdown."""
    trial, report = done.trial, done.report

    def money(minor: int) -> str:
        return decimal_text(minor, done.scale)

    def points(minor: int) -> str:
        return decimal_text(minor, done.points_scale)

    lines = [
        f"# Backtest: {done.name}",
        "",
        f"Purchases in {trial.currency} from {trial.since:%Y-%m-%d %H:%M} up to {trial.until:%Y-%m-%d %H:%M} UTC, "
        + ("together with the promotions that run now." if trial.live else "without any other promotion.")
        + " People buy as they did: what they would have bought otherwise is not foreseen.",
        "",
        "| | purchases | customers | uses | turnover | discount | vouchers | points | points in money | cost |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, sums in (
        ("looked at", report.seen),
        ("it gives", report.gives),
        ("change in all", report.change),
        ("all, without it", report.before),
        ("all, with it", report.after),
    ):
        lines.append(
            f"| {name} | {sums.purchases:,} | {sums.customers:,} | {sums.uses:,} | {money(sums.turnover)} "
            f"| {money(sums.discount)} | {money(sums.voucher)} | {points(sums.points)} | {money(sums.points_money)} "
            f"| {money(sums.cost)} |"
        )
    if report.refused:
        lines += ["", "## Why the other purchases got nothing of it", "", "| reason | purchases |", "|---|--:|"]
        lines += [f"| {reason.replace('_', ' ')} | {count:,} |" for reason, count in report.refused.items()]
    if report.budget is not None:
        budget = report.budget
        figure = points if budget.kpi == "points" else money
        ended = f", used up {budget.used_up_at:%Y-%m-%d %H:%M} UTC" if budget.used_up_at else ""
        lines += ["", f"Budget {budget.code}: {figure(budget.used)} of {figure(budget.limit)} used{ended}."]
    if report.overlaps:
        lines += [
            "", "## Together with others", "",
            "| promotion | both apply | kept out by it | which would have given | wins over it |",
            "|---|--:|--:|--:|--:|",
        ]  # fmt: skip
        lines += [
            f"| {each.name} | {each.together:,} | {each.displaced:,} | {money(each.displaced_discount)} "
            f"| {each.lost_to:,} |"
            for each in report.overlaps
        ]
    for title, count, customers in (
        ("Better off", report.better_off, report.winners),
        ("Worse off", report.worse_off, report.losers),
    ):
        if customers:
            lines += [
                "", f"## {title}: {count:,} customers", "",
                "| member | purchases | discount | vouchers | points | in money |", "|---|--:|--:|--:|--:|--:|",
            ]  # fmt: skip
            lines += [
                f"| mem_{each.member} | {each.purchases:,} | {money(each.discount)} | {money(each.voucher)} "
                f"| {points(each.points)} | {money(each.money)} |"
                for each in customers
            ]
    lines += ["", "## Day by day", "", "| day | purchases | discount | vouchers | points | budget left |"]
    lines += ["|---|--:|--:|--:|--:|--:|"]
    budget_figure = points if report.budget is not None and report.budget.kpi == "points" else money
    lines += [
        f"| {day.day} | {day.purchases:,} | {money(day.discount)} | {money(day.voucher)} | {points(day.points)} "
        f"| {'' if day.budget_left is None else budget_figure(day.budget_left)} |"
        for day in report.days
        if day.purchases
    ]
    return "\n".join(lines) + "\n"
