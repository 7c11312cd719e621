"""Run figures, and keep the newest of each in RESULTS.json and RESULTS.md beside this file."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import (
    bringing_in,
    costs,
    expiring,
    harness,
    many_lots,
    over_http,
    points_page,
    posting,
    promoting,
    returning,
    sharing,
    starting,
)
from benchmarks.harness import Clock, Figure

FIGURES = (
    Figure("bulk", "bulk posting through the writer, against the ceiling", posting.bulk),
    Figure("singles", "64 concurrent single posts on one hot account", posting.singles),
    Figure("http-single", "one award a request, one server process", over_http.singles),
    Figure("http-bulk", "bulk requests of 1,000 transfers", over_http.bulk),
    Figure("two-servers", "two servers on one organisation: does the sum hold?", over_http.two_servers),
    Figure("flooding", "100 organisations, one of them flooding", sharing.flooding),
    Figure("ledger-page", "points ledger and closing balance at 10 million entries", points_page.page),
    Figure("expiring", "1,000,000 lots that end while posting goes on", expiring.expiring),
    Figure("partial-return", "returns of a hundred-line purchase, line by line", returning.parts),
    Figure("evaluate", "a cart of 20 lines against 1,000 and 10,000 live promotions", promoting.evaluations),
    Figure("codes", "a million codes", promoting.codes),
    Figure("many-lots", "a member with 100,000 lots", many_lots.many_lots),
    Figure("import", "a grocer's real year", bringing_in.purchases),
    Figure("clone", "from a fresh clone to a served URL", starting.clone),
    Figure("costs", "row level security, hash chain, stored outcomes; bytes kept", costs.costs),
    Figure("memory", "the server at rest and under ten minutes of load", over_http.memory),
)

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(prog="guerdon bench", description="Measure Guerdon on this machine.")
    parser.add_argument("--only", metavar="NAME", action="append", help="run this figure (may be repeated)")
    parser.add_argument("--list", action="store_true", help="say which figures there are")
    parser.add_argument("--note", default="", help="what else the machine was doing, kept with the results")
    parser.add_argument("--no-write", action="store_true", help="leave RESULTS.md and RESULTS.json as they are")
    chosen = parser.parse_args()
    if chosen.list:
        for figure in FIGURES:
            print(f"{figure.name:14} {figure.about}")
        return
    unknown = set(chosen.only or ()) - {figure.name for figure in FIGURES}
    if unknown:
        parser.error(f"no such figure: {', '.join(sorted(unknown))}; see --list")
    failed = False
    for figure in FIGURES:
        if chosen.only and figure.name not in chosen.only:
            continue
        harness.say(f"{figure.name}: {figure.about}")
        clock = Clock()
        rows = figure.run()
        for row in rows:
            verdict = {None: "", True: "met: ", False: "MISSED: "}[row.met]
            print(f"{row.figure}: {row.value} {f'({row.ceiling})' if row.ceiling else ''} [{verdict}{row.bar}]")
            failed = failed or row.met is False
        if not chosen.no_write:
            keep(figure.name, [harness.as_dict(row) for row in rows], clock.seconds, chosen.note)
    sys.exit(failed)


def keep(name: str, rows: list[dict[str, Any]], seconds: float, note: str) -> None:
    """Replace this figure's rows in the results, and write the table anew."""
    path = HERE / "RESULTS.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results[name] = {"seconds": round(seconds), "machine": harness.machine(), "note": note, "rows": rows}
    results = {figure.name: results[figure.name] for figure in FIGURES if figure.name in results}
    path.write_text(json.dumps(results, indent=2) + "\n")
    (HERE / "RESULTS.md").write_text(table(results))


def table(results: dict[str, Any]) -> str:
    lines = [
        "# Measured",
        "",
        "Written by `make bench`; one figure alone by `guerdon bench --only NAME`. Client, server and database share",
        "the machine; the embedded database has fsync on. Ratios bind, absolute figures inform: the ceiling is",
        "measured in the same run by `benchmarks/ceiling.py`, which writes the same rows with bare statements and",
        "decides nothing. What else the machine was doing stands at the end.",
        "",
        "| figure | value | ceiling | bar | met | conditions | rerun |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        for row in result["rows"]:
            met = {None: "", True: "yes", False: "**no**"}[row["met"]]
            lines.append(
                f"| {row['figure']} | {row['value']} | {row['ceiling']} | {row['bar']} | {met} | {row['conditions']} "
                f"| `guerdon bench --only {name}` |"
            )
    machines = {(m["cpu"], m["cores"], m["memory"], m["python"]): m for m in (r["machine"] for r in results.values())}
    lines += ["", "Machines and times:", ""]
    for machine in machines.values():
        lines.append(f"* {machine['cores']} x {machine['cpu']}, {machine['memory']}, Python {machine['python']}")
    lines += [
        f"* {name}: {result['machine']['measured']}, commit {result['machine']['commit']}, took {result['seconds']} s"
        + (f"; {result['note']}" if result["note"] else "")
        for name, result in results.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
