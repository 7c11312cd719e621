"""An import from end to end: read the file, book every purchase through a writer, write down what became of it.

Promises: a purchase is booked whole or not at all. The same file again changes nothing, since the number of a
purchase is its natural reference. Stopped at any moment, killed included, and started again it ends as if it had
not been stopped. Purchases are submitted in the order of their time, so each member's are booked in that order.
Leaves to others: what a purchase earns (`core`), and that what was accepted is there for good (`writer`).
"""

from __future__ import annotations

import asyncio
import gc
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import uvloop
from msgspec import Struct

from guerdon.importing.faults import FileRefused
from guerdon.importing.job import Job, Watch
from guerdon.importing.mapping import Mapping, load_mapping, resolve_file
from guerdon.importing.reader import Article, Purchases, read_catalogue, read_purchases
from guerdon.importing.results import ResultFile, Tally, content_of
from guerdon.settings import Settings
from guerdon.store.pool import make_pool
from guerdon.store.read import Directory, ProgramRow, Reader
from guerdon.writer import Writer

PURCHASE_WEIGHT = 6
"""What a purchase weighs in the writer's queue, at least."""


class Order(Struct, frozen=True, kw_only=True):
    """What somebody asked to be imported. `file` may be the mapping's name; `program` may be "" where there is one.

    `create_missing` registers members and makes the stores and the currency that the organisation does not have.
    """

    file: str
    mapping: str
    organisation: str
    program: str = ""
    results: Path | None = None
    create_missing: bool = False
    from_start: bool = False


class Report(Struct, frozen=True, kw_only=True):
    """How an import ended. `finished` is False when it was told to stop; `results` is the result file."""

    tally: Tally
    rows: int
    purchases: int
    points_scale: int
    results: Path
    finished: bool


def import_purchases(order: Order, settings: Settings, dsn: str, watch: Watch) -> Report:
    """Import the file into the database at `dsn`, which has our schema; `FileRefused` before anything is booked."""
    mapping = load_mapping(order.mapping)
    path = resolve_file(order.file, mapping)
    catalogue = resolve_file(mapping.catalogue.file) if mapping.catalogue else None
    articles: dict[str, Article] = {}
    if mapping.catalogue and catalogue:
        articles = read_catalogue(catalogue, mapping, mapping.catalogue)
    purchases = read_purchases(path, mapping, purchase_lines_max=settings.purchase_lines_max, progress=watch.reading)
    files = [path, catalogue] if catalogue else [path]
    source = content_of(*files, msgspec.json.encode(mapping))
    target = order.results or Path(f"{path.stem}-{order.organisation}.results.csv")
    gc.freeze()  # what is read stays to the end, and need not be looked through again and again
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_import(order, mapping, purchases, articles, source, target, settings, dsn, watch))
    finally:
        gc.unfreeze()


async def _import(
    order: Order,
    mapping: Mapping,
    purchases: Purchases,
    articles: dict[str, Article],
    source: str,
    target: Path,
    settings: Settings,
    dsn: str,
    watch: Watch,
) -> Report:
    async with AsyncExitStack() as opened:
        reader = Reader(
            await opened.enter_async_context(make_pool(dsn, name="guerdon-import-reads", size_max=1, autocommit=True))
        )
        writer = Writer(await opened.enter_async_context(make_pool(dsn, name="guerdon-import", size_max=1)), settings)
        await writer.start()
        opened.push_async_callback(writer.stop)
        organisation = await reader.organisation(order.organisation)
        if organisation is None:
            raise FileRefused(f"there is no organisation {order.organisation}")
        directory = await reader.directory(organisation.org_id)
        program = _program(directory, order.program)
        window = max(1, settings.queue_weight_max // PURCHASE_WEIGHT // 2)
        job = Job(
            writer, mapping, organisation.org_id, program, articles,
            create_missing=order.create_missing, window=window,
        )  # fmt: skip
        await job.prepare(purchases.stores, directory)
        results = ResultFile(target, source, f"{organisation.id} {program.id}")
        last = ("number", results.tally.last_number)
        if order.from_start or (last[1] and await reader.purchase(organisation.org_id, last) is None):
            results.restart()  # asked for, or the database is not the one that the earlier run left
        watch.begin(purchases.rows, results.tally.rows)
        stopping = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        finished = await job.book(purchases, results, watch, stopping)
        return Report(
            tally=results.tally,
            rows=purchases.rows,
            purchases=purchases.purchases,
            points_scale=job.points_scale,
            results=target,
            finished=finished,
        )


def _program(directory: Directory, code: str) -> ProgramRow:
    """The program named, or the only one."""
    found = [program for program in directory.programs.values() if code in ("", program.code, str(program.no))]
    if len(found) == 1:
        return found[0]
    codes = ", ".join(program.code for program in directory.programs.values()) or "none"
    problem = f"has no program {code}" if code else "has not exactly one program: name one"
    raise FileRefused(f"the organisation {problem} (it has: {codes})")
