"""Mappings: a small TOML file that says which column of a purchase file is what.

A mapping is given by the path of a file, or by the name of one that comes with Guerdon (`mappings/*.toml`).
What it says is checked when it is read; whether the file has the columns it names is the reader's business.
"""

from __future__ import annotations

import importlib.util
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Struct

from guerdon.core.assets import SCALE_MAX
from guerdon.importing.faults import FileRefused

QUANTITY_SCALE = 3


class PurchaseColumns(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The columns that every line of one purchase shares; `zone` is that of times that carry none."""

    number: str
    time: str
    member: str | None = None
    member_by: Literal["external_id", "email", "mobile", "card", "number", "id"] = "external_id"
    store: str | None = None
    till: str | None = None
    zone: str = "UTC"
    time_format: str | None = None
    source: str = ""


class LineColumns(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The columns of a line. Without `quantity` every line is one piece."""

    sku: str
    amount: str
    quantity: str | None = None
    categories: tuple[str, ...] = ()
    brand: str | None = None


class Amounts(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How amounts are written: in units of `currency` with at most `scale` decimals.

    `float_noise` is for columns of floats that someone calculated with: a value that close to a whole minor
    unit is that unit; "0" takes none for granted.
    """

    currency: str
    scale: int
    decimal: Literal[".", ","] = "."
    float_noise: str = "0"


class Catalogue(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A second file, one row per article, for categories and brands that purchases lack; held in memory."""

    file: str
    sku: str
    categories: tuple[str, ...] = ()
    brand: str | None = None


class CsvForm(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    delimiter: str = ","
    encoding: str = "utf-8-sig"


class Mapping(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole mapping. `file` is where its data is when the mapping's name is given in place of a file."""

    name: str
    purchase: PurchaseColumns
    line: LineColumns
    amounts: Amounts
    file: str | None = None
    catalogue: Catalogue | None = None
    csv: CsvForm = CsvForm()

    def columns(self) -> tuple[str, ...]:
        """Every column of the purchase file that the mapping names, without repetition."""
        purchase, line = self.purchase, self.line
        header = (purchase.number, purchase.time, purchase.member, purchase.store, purchase.till)
        named = (*header, line.sku, line.amount, line.quantity, line.brand, *line.categories)
        return tuple(dict.fromkeys(column for column in named if column is not None))


def ready_mappings() -> tuple[str, ...]:
    """The names of the mappings that come with Guerdon."""
    found = files("guerdon.importing").joinpath("mappings").iterdir()
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in found if entry.name.endswith(".toml")))


def load_mapping(given: str) -> Mapping:
    """A mapping by name or path; refuses what is unknown or incomplete, and says where."""
    ready = files("guerdon.importing").joinpath("mappings", f"{given}.toml")
    try:
        if re.fullmatch(r"[a-z0-9-]+", given) and ready.is_file():
            text = ready.read_text("utf-8")
        else:
            text = Path(given).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(ready_mappings())
        raise FileRefused(f"mapping {given}: neither a readable file ({error}) nor one of: {names}") from error
    return parse_mapping(text, given)


def parse_mapping(text: str, origin: str) -> Mapping:
    """A mapping from TOML text; `origin` is what messages call it."""
    try:
        mapping = msgspec.convert(tomllib.loads(text), Mapping)
        _check(mapping)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
        raise FileRefused(f"mapping {origin}: {error}") from error
    return mapping


def _check(mapping: Mapping) -> None:
    try:
        ZoneInfo(mapping.purchase.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"purchase.zone: {mapping.purchase.zone!r} is not a time zone") from None
    if not 0 <= mapping.amounts.scale <= SCALE_MAX:
        raise ValueError(f"amounts.scale: {mapping.amounts.scale} is not between 0 and {SCALE_MAX}")
    if not re.fullmatch(r"0|0\.[0-9]{1,30}", mapping.amounts.float_noise):
        raise ValueError("amounts.float_noise: a decimal below one, such as 0.000001, is expected")
    if len(mapping.csv.delimiter) != 1:
        raise ValueError("csv.delimiter: one character is expected")
    try:
        "".encode(mapping.csv.encoding)
    except LookupError:
        raise ValueError(f"csv.encoding: {mapping.csv.encoding!r} is not known") from None


def resolve_file(given: str, mapping: Mapping | None = None) -> Path:
    """Where a file is: a path, a ready mapping's name (its own file), or `package:path` in a package."""
    if mapping is not None and given == mapping.name and not Path(given).exists():
        given = mapping.file or given
    package, separator, inside = given.partition(":")
    if separator and package.isidentifier():
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise FileRefused(f"{given}: {package} is not installed (pip install 'guerdon[data]')")
        path = Path(spec.submodule_search_locations[0], inside)
    else:
        path = Path(given)
    if not path.is_file():
        raise FileRefused(f"{given}: there is no such file")
    return path
