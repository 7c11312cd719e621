"""What many answers and bodies share: where something happened, and how programs, stores and tills are named."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.problem import Problem
from guerdon.api.values import Body, Selector, Shown, instant, named_id, public, thing_selector
from guerdon.core.commands import Where
from guerdon.store.read import Directory, ProgramRow, StoreRow, TillRow


class Ref(Shown, frozen=True, kw_only=True):
    """A program, store or till, as others name it."""

    id: str
    number: int
    code: str
    name: str


class Placed(Body, frozen=True, kw_only=True):
    """When and where it happened. Without `event_at` it happened now."""

    event_at: Annotated[datetime | None, Meta(description="When it happened")] = None
    source: Annotated[str, Meta(max_length=64, description="The channel, as registered at /v1/sources")] = ""
    store: Annotated[Selector | None, Meta(description="Id, `number:…` or code")] = None
    till: Annotated[Selector | None, Meta(description="Id, `number:…` or code")] = None


PLACED_ERRORS = ("event_time_out_of_range", "source_not_found", "store_not_found", "till_not_found")


def where(body: Placed) -> Where:
    return Where(
        event_at=instant(body.event_at, "event_at"),
        source=body.source,
        store=None if body.store is None else store_selector(body.store),
        till=None if body.till is None else till_selector(body.till),
    )


def program_selector(text: str, field: str = "program") -> tuple[str, str]:
    return thing_selector("prg", text, "program_not_found", field)


def store_selector(text: str, field: str = "store") -> tuple[str, str]:
    return thing_selector("sto", text, "store_not_found", field)


def till_selector(text: str, field: str = "till") -> tuple[str, str]:
    return thing_selector("til", text, "till_not_found", field)


def find(things: dict[int, Any], selector: tuple[str, str]) -> Any:
    """The program, store or till that a selector names, None if there is none."""
    by, value = selector
    attribute = {"id": "id", "code": "code", "number": "no"}[by]
    return next((thing for thing in things.values() if str(getattr(thing, attribute)) == value), None)


def program_ref(directory: Directory, no: int) -> Ref:
    return _ref("prg", directory.programs[no])


def store_ref(directory: Directory, no: int) -> Ref | None:
    return _ref("sto", directory.stores[no]) if no else None


def till_ref(directory: Directory, no: int) -> Ref | None:
    return _ref("til", directory.tills[no]) if no else None


def _ref(prefix: str, row: ProgramRow | StoreRow | TillRow) -> Ref:
    return Ref(id=public(prefix, row.id), number=row.no, code=row.code, name=row.name)


def wallet_in(text: str | None) -> str:
    """The account a request's `wallet` names, "" for none."""
    if text is None:
        return ""
    return named_id("bln", text, "account_not_found", "wallet", "A wallet is an account's id, `bln_…`.")


async def program_of(call: Call, given: str | None, till: str | None) -> tuple[tuple[str, str], int, Directory]:
    """The program that points are about, as a selector, with the scale of its asset.

    The one named, else the till's, else the organisation's first. A program's asset never changes, so the
    configuration as last seen will do, and is read again only when the program is not in it.
    """
    chosen = None if given is None else program_selector(given)
    at_till = None if till is None else till_selector(till)
    directory = call.known_directory()
    program = None if directory is None else _choose(directory, chosen, at_till)
    if directory is None or program is None:
        directory = await call.directory()
        program = _choose(directory, chosen, at_till)
    if program is None:
        raise Problem("program_not_found", field="program")
    return ("number", str(program.no)), directory.scale(program.asset), directory


def _choose(directory: Directory, chosen: tuple[str, str] | None, till: tuple[str, str] | None) -> ProgramRow | None:
    if chosen is not None:
        found: ProgramRow | None = find(directory.programs, chosen)
        return found
    at: TillRow | None = None if till is None else find(directory.tills, till)
    if at is not None:
        return directory.programs.get(at.program_no)
    return next(iter(directory.programs.values()), None)
