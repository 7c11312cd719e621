"""The OpenAPI 3.1 document, made from the route table, so that it cannot say anything else than what is served."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from guerdon import __version__
from guerdon.api.problem import KINDS
from guerdon.api.routing import Route
from guerdon.api.sheets import Csv, Pdf

_REF = "#/components/schemas/{name}"
_METHODS_WITH_KEY = ("POST", "PATCH")
_ALWAYS = ("busy", "database_unavailable", "internal_error")
_BODY = (
    "malformed_json",
    "not_utf8",
    "unknown_field",
    "missing_field",
    "duplicate_field",
    "invalid_value",
    "too_deep",
    "control_character",
    "body_too_large",
    "unsupported_media_type",
)
_PATH_PARAMETERS = {
    "member": (
        "Our id (`mem_…`), or `number:…`, `external_id:…`, `email:…`, `mobile:…`, `card:…`",
        "external_id:C-17",
    ),
    "program": ("Our id (`prg_…`), `number:…`, or the code", "classic"),
    "store": ("Our id (`sto_…`), `number:…`, or the code", "berlin-1"),
    "segment": ("Its code", "vip"),
    "till": ("Our id (`til_…`), `number:…`, or the code", "berlin-1-2"),
    "purchase": ("Our id (`pur_…`) or `number:…`", "number:B-1001"),
    "redemption": ("Our id (`rdm_…`)", "rdm_0199b1f0-2c3e-7c11-9a52-5b7d3c000001"),
    "issue": ("Our id (`iss_…`)", "iss_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"),
    "backtest": ("Our id (`bkt_…`)", "bkt_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"),
    "import_id": ("The import's id (`imp_…`)", "imp_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"),
    "referral": ("Our id (`ref_…`)", "ref_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"),
    "promotion": ("Our id (`prm_…`)", "prm_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"),
    "batch": ("The id of the batch", "cbt_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"),
    "code": ("The code, as typed", "ZN34C"),
    "reservation": ("Our id (`rsv_…`)", "rsv_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"),
    "commit": ("Our id (`cmt_…`), or `number:` and the number of the sale", "number:WEB-1001"),
    "adjustment": ("Our id (`adj_…`)", "adj_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"),
    "reward_list": ("Our id (`rwl_…`)", "rwl_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"),
    "reward": ("Our id (`rwd_…`)", "rwd_0199b1f0-2c3e-7c11-9a52-5b7d3c000001"),
    "claim": ("Our id (`clm_…`)", "clm_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"),
    "organisation": ("The organisation's code", "default"),
    "asset": ("The asset's code", "POINTS"),
    "webhook": ("The endpoint's id (`whk_…`)", "whk_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"),
    "key": ("The key's id (`key_…`)", "key_0199b1f0-2c3e-7c11-9a52-5b7d3c000000"),
}


def document(routes: Sequence[Route], server: str = "/") -> dict[str, Any]:
    """The whole document. Schemas are named after the structs; an operation's id after its handler."""
    types = [
        type_
        for route in routes
        for type_ in (route.shape, route.query, route.result, route.failure)
        if type_ not in (None, Csv, Pdf)
    ]
    (_, components) = msgspec.json.schema_components(types, ref_template=_REF)
    schemas = {name: _tidy(schema) for name, schema in sorted(components.items())}
    for route in routes:
        if route.query is not None:
            schemas.pop(route.query.__name__, None)
    schemas["Problem"] = _PROBLEM
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Guerdon",
            "version": __version__,
            "summary": "Loyalty on a double-entry ledger",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "security": [{"key": []}],
        "paths": paths,
        "x-problems": {
            str(code): {"status": kind.status, "title": kind.title, "way_out": kind.way_out}
            for code, kind in KINDS.items()
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key, or the platform key."}
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "tags": [route.tag],
        "summary": route.summary,
        "description": route.description
        + (f"\n\nScope: `{route.scope}`." if route.scope else "")
        + (" A member token may ask it of its own member, who is then `me`." if route.own else ""),
        "parameters": [*_path(route), *_query(route), *_headers(route)],
        "responses": {str(route.status): _success(route), **_failures(route)},
    }
    if not route.scope:
        operation["security"] = []
    if route.body is not None:
        content: dict[str, Any] = {"schema": {"$ref": _REF.format(name=route.shape.__name__)}}
        if route.example is not None:
            content["example"] = route.example
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    return operation


def _path(route: Route) -> list[dict[str, Any]]:
    found = []
    for name in route.parameters:
        description, example = _PATH_PARAMETERS[name]
        schema = {"type": "string", "minLength": 1}
        found.append(
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": schema,
                "description": description,
                "example": example,
            }
        )
    return found


def _query(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    (_, components) = msgspec.json.schema_components([route.query], ref_template=_REF)
    schema = components[route.query.__name__]
    found = []
    for name, property_ in schema["properties"].items():
        shown = _tidy(property_)
        description = shown.pop("description", "")
        parameter = {"name": name, "in": "query", "schema": shown, "description": description}
        if name in schema.get("required", ()):
            parameter["required"] = True
        if shown.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        found.append(parameter)
    return found


def _headers(route: Route) -> list[dict[str, Any]]:
    found = []
    if _takes_key(route):
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
                "description": "The same key with the same request gets the same answer again, with the header "
                "`Idempotency-Replayed: true`; with another request it is refused.",
            }
        )
    if route.scope:
        found.append(
            {
                "name": "Guerdon-Organisation",
                "in": "header",
                "schema": {"type": "string"},
                "description": "With the platform key: the organisation's code.",
            }
        )
    return found


def _takes_key(route: Route) -> bool:
    """Whether `Idempotency-Key` counts: organisations are made beside the writer, where their code does its work."""
    return route.method in _METHODS_WITH_KEY and route.scope != "platform"


def _success(route: Route) -> dict[str, Any]:
    if route.result is None:
        return {"description": "Done"}
    if route.result is Csv:
        return {
            "description": "Rows with a header, cells quoted",
            "content": {"text/csv": {"schema": {"type": "string"}}},
        }
    if route.result is Pdf:
        return {
            "description": "A document to be printed",
            "content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}},
        }
    content: dict[str, Any] = {"schema": {"$ref": _REF.format(name=route.result.__name__)}}
    if route.answer is not None:
        content["example"] = route.answer
    return {"description": "Done", "content": {"application/json": content}}


def _failures(route: Route) -> dict[str, Any]:
    """One response per status, naming the codes that come with it."""
    codes: list[str] = [*route.errors, *_ALWAYS]
    if route.body is not None:
        codes += _BODY
    if route.query is not None:
        codes += ["invalid_value"]
    codes += ["unknown_parameter", "method_not_allowed"]
    if _takes_key(route):
        codes += ["idempotency_key_reused", "invalid_idempotency_key"]
    if route.scope:
        codes += ["key_missing", "key_invalid", "key_expired", "insufficient_scope", "organisation_required"]
        codes += ["organisation_not_found"]
    if route.scope == "platform":
        codes += ["platform_key_required"]
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(KINDS[code].status, []).append(code)
    found = {str(status): _failure(status, codes) for status, codes in sorted(by_status.items())}
    if route.failure is not None:
        for status in ("400", "404"):
            failure = found.setdefault(status, {"description": "See its `code`", "content": {}})
            failure["content"] |= {"application/json": {"schema": {"$ref": _REF.format(name=route.failure.__name__)}}}
    return found


def _failure(status: int, codes: Iterable[str]) -> dict[str, Any]:
    listed = "\n".join(f"* `{code}`: {KINDS[code].title}" for code in codes)
    first = next(iter(codes))
    example = {
        "type": f"/docs#{first}",
        "title": KINDS[first].title,
        "status": status,
        "code": first,
        "detail": KINDS[first].way_out or KINDS[first].title,
        "request_id": "req_187a2f0c5d3e1b40",
    }
    content = {"application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}, "example": example}}
    return {"description": listed, "content": content}


def _tidy(schema: Any) -> Any:
    """JSON Schema as OpenAPI 3.1 readers expect it; amounts may be strings or numbers."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        rest = {name: value for name, value in schema.items() if name not in ("type", "format")}
        return {**rest, "type": ["string", "number"], "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
    return {name: _tidy(value) for name, value in schema.items()}


_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong (RFC 9457). Tell problems apart by `code`.",
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": sorted(str(code) for code in KINDS)},
        "detail": {"type": "string", "description": "What happened and the way out"},
        "field": {
            "type": "string",
            "description": "The path of the field in the request, e.g. `lines[0].amount`",
        },
        "request_id": {"type": "string"},
    },
}

_ABOUT = re.sub(
    r"(?<!\n)\n(?!\n|\*)",
    " ",
    """Members earn, redeem and lose points on a double-entry ledger.

* Points are sent as a string or a number, read exactly, and answered as strings with the decimals of their asset.
* Money is whole minor units: `amount_minor` 1999 is 19.99 of an asset with two decimals.
* Instants are RFC 3339 with an offset.
* Unknown fields and parameters are refused, with their name.
* `Idempotency-Key` makes any change safe to send again.
* Lists are paged by cursor: send `next_cursor` of one page as `cursor` of the next.

The ledger itself (accounts, transfers, holds) has the Blnk-compatible API under `/blnk`.""",
)
