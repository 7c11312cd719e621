"""`/v1/assets`, `/v1/stores`, `/v1/tills`, `/v1/sources`: what an organisation sets up once."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from guerdon.api.call import Call
from guerdon.api.problem import Problem
from guerdon.api.refs import Ref, find, program_ref, program_selector, store_ref, store_selector, till_selector
from guerdon.api.routing import Routes
from guerdon.api.values import Body, Code, Name, Selector, Shown, public
from guerdon.core import commands
from guerdon.core.assets import SCALE_MAX
from guerdon.store.read import Directory, StoreRow, TillRow

assets = Routes("Assets")
stores = Routes("Stores and tills")
sources = Routes("Sources")

Scale = Annotated[int, Meta(ge=0, le=SCALE_MAX, description="Decimals of the minor unit: 2 for USD, 0 for points")]


class AssetIn(Body, frozen=True, kw_only=True):
    code: Code
    scale: Scale


class AssetOut(Shown, frozen=True, kw_only=True):
    code: str
    scale: int
    created_at: datetime


class AssetList(Shown, frozen=True, kw_only=True):
    data: tuple[AssetOut, ...]


_ASSET = {"code": "POINTS", "scale": 0}
_MADE = "2026-11-21T10:00:00Z"


@assets.post(
    "/v1/assets",
    scope="assets:write",
    summary="Make an asset",
    example=_ASSET,
    answer=_ASSET | {"created_at": _MADE},
    errors=("code_taken",),
)
async def create_asset(call: Call, body: AssetIn) -> AssetOut:
    """What is counted: a code and its decimals, which are fixed from then on."""
    result = await call.submit(commands.CreateAsset(code=body.code, scale=body.scale, **call.common()))
    return AssetOut(code=body.code, scale=body.scale, created_at=result.created_at)


@assets.get("/v1/assets", scope="assets:read", summary="List assets")
async def list_assets(call: Call) -> AssetList:
    """All assets by code."""
    directory = await call.directory()
    return AssetList(
        data=tuple(AssetOut(code=x.code, scale=x.scale, created_at=x.created_at) for x in directory.assets.values())
    )


@assets.get("/v1/assets/{asset}", scope="assets:read", summary="Look up an asset", errors=("asset_not_found",))
async def get_asset(call: Call, asset: str) -> AssetOut:
    """One asset by its code."""
    found = (await call.directory()).assets.get(asset)
    if found is None:
        raise Problem("asset_not_found", field="asset")
    return AssetOut(code=found.code, scale=found.scale, created_at=found.created_at)


class StoreIn(Body, frozen=True, kw_only=True):
    code: Code
    name: Name


class StoreOut(Ref, frozen=True, kw_only=True):
    created_at: datetime


class StoreList(Shown, frozen=True, kw_only=True):
    data: tuple[StoreOut, ...]


_STORE = {"code": "berlin-1", "name": "Berlin, Alexanderplatz"}
_STORE_REF = {"id": "sto_0199b1f0-2c3e-7c11-9a52-5b7d3c000000", "number": 1, **_STORE}


@stores.post(
    "/v1/stores",
    scope="stores:write",
    summary="Make a store",
    example=_STORE,
    answer=_STORE_REF | {"created_at": _MADE},
    errors=("code_taken",),
)
async def create_store(call: Call, body: StoreIn) -> StoreOut:
    """Where purchases happen."""
    result = await call.submit(commands.CreateStore(code=body.code, name=body.name, **call.common()))
    return StoreOut(
        id=public("sto", result.id),
        number=result.number,
        code=body.code,
        name=body.name,
        created_at=result.created_at,
    )


@stores.get("/v1/stores", scope="stores:read", summary="List stores")
async def list_stores(call: Call) -> StoreList:
    """All stores by number."""
    return StoreList(data=tuple(_store(row) for row in (await call.directory()).stores.values()))


@stores.get("/v1/stores/{store}", scope="stores:read", summary="Look up a store", errors=("store_not_found",))
async def get_store(call: Call, store: str) -> StoreOut:
    """One store by id, number or code."""
    found = find((await call.directory()).stores, store_selector(store))
    if found is None:
        raise Problem("store_not_found", field="store")
    return _store(found)


def _store(row: StoreRow) -> StoreOut:
    return StoreOut(id=public("sto", row.id), number=row.no, code=row.code, name=row.name, created_at=row.created_at)


class TillIn(Body, frozen=True, kw_only=True):
    code: Code
    store: Selector
    program: Annotated[Selector, Meta(description="The program that purchases at this till belong to")]
    name: Annotated[str, Meta(max_length=200)] = ""


class TillOut(Ref, frozen=True, kw_only=True):
    store: Ref
    program: Ref
    created_at: datetime


class TillList(Shown, frozen=True, kw_only=True):
    data: tuple[TillOut, ...]


@stores.post(
    "/v1/tills",
    scope="stores:write",
    summary="Make a till",
    example={"code": "berlin-1-2", "store": "berlin-1", "program": "classic"},
    errors=("code_taken", "store_not_found", "program_not_found"),
)
async def create_till(call: Call, body: TillIn) -> TillOut:
    """A till belongs to a store and is mapped to a program."""
    store, program = store_selector(body.store), program_selector(body.program)
    command = commands.CreateTill(code=body.code, name=body.name, store=store, program=program, **call.common())
    result = await call.submit(command)
    directory = await call.directory()
    return _till(directory, directory.tills[result.number])


@stores.get("/v1/tills", scope="stores:read", summary="List tills")
async def list_tills(call: Call) -> TillList:
    """All tills by number."""
    directory = await call.directory()
    return TillList(data=tuple(_till(directory, row) for row in directory.tills.values()))


@stores.get("/v1/tills/{till}", scope="stores:read", summary="Look up a till", errors=("till_not_found",))
async def get_till(call: Call, till: str) -> TillOut:
    """One till by id, number or code."""
    directory = await call.directory()
    found = find(directory.tills, till_selector(till))
    if found is None:
        raise Problem("till_not_found", field="till")
    return _till(directory, found)


def _till(directory: Directory, row: TillRow) -> TillOut:
    store = store_ref(directory, row.store_no)
    assert store is not None
    return TillOut(
        id=public("til", row.id),
        number=row.no,
        code=row.code,
        name=row.name,
        store=store,
        program=program_ref(directory, row.program_no),
        created_at=row.created_at,
    )


class SourceIn(Body, frozen=True, kw_only=True):
    code: Code


class SourceOut(Shown, frozen=True, kw_only=True):
    code: str
    created_at: datetime


class SourceList(Shown, frozen=True, kw_only=True):
    data: tuple[SourceOut, ...]


@sources.post(
    "/v1/sources",
    scope="sources:write",
    summary="Register a source",
    example={"code": "INSTORE"},
    answer={"code": "INSTORE", "created_at": _MADE},
    errors=("code_taken",),
)
async def create_source(call: Call, body: SourceIn) -> SourceOut:
    """A channel that events come from, such as INSTORE or WEBSITE."""
    result = await call.submit(commands.RegisterSource(code=body.code, **call.common()))
    return SourceOut(code=body.code, created_at=result.created_at)


@sources.get("/v1/sources", scope="sources:read", summary="List sources")
async def list_sources(call: Call) -> SourceList:
    """All sources by code."""
    directory = await call.directory()
    return SourceList(data=tuple(SourceOut(code=x.code, created_at=x.created_at) for x in directory.sources.values()))
