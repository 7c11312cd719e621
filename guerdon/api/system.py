"""What needs no key: health, figures for Prometheus, the OpenAPI document and its page."""

from __future__ import annotations

import asyncio
from importlib import resources
from typing import Any

import msgspec
from litestar import Response, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

from guerdon.api import metrics, openapi
from guerdon.api.routing import Route

HEALTH_WITHIN_S = 2.0
_PAGE_POLICY = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def handlers(routes: list[Route], *, health: bool) -> list[HTTPRouteHandler]:
    """The pages; without `/health` and `/` where the ledger API serves them in its own shape."""
    document = msgspec.json.encode(openapi.document(routes))

    @get("/openapi.json", include_in_schema=False, sync_to_thread=False)
    def specification() -> Response[bytes]:
        return Response(document, media_type="application/json")

    pages = [specification, docs_page, docs_style, docs_script, figures]
    return [*pages, health_page, front_page] if health else pages


@get("/health", include_in_schema=False)
async def health_page(state: State) -> Response[dict[str, Any]]:
    """Up when the database answers within two seconds."""
    try:
        async with asyncio.timeout(HEALTH_WITHIN_S):
            await state.services.reader.ping()
    except Exception as error:  # noqa: BLE001 - whatever it is, the answer is the same
        return Response({"status": "down", "reason": type(error).__name__}, status_code=503)
    return Response({"status": "up"})


@get("/", include_in_schema=False, sync_to_thread=False, status_code=302)
def front_page() -> Redirect:
    """Who opens the server's address in a browser finds what it answers."""
    return Redirect("/docs")


@get("/metrics", include_in_schema=False, sync_to_thread=False)
def figures(state: State) -> Response[bytes]:
    return Response(state.services.metrics.text(), media_type=metrics.MEDIA_TYPE)


@get("/docs", include_in_schema=False, sync_to_thread=False)
def docs_page() -> Response[bytes]:
    return Response(_file("docs.html"), media_type="text/html; charset=utf-8", headers=_PAGE_POLICY)


@get("/docs/style.css", include_in_schema=False, sync_to_thread=False)
def docs_style() -> Response[bytes]:
    return Response(_file("docs.css"), media_type="text/css; charset=utf-8")


@get("/docs/script.js", include_in_schema=False, sync_to_thread=False)
def docs_script() -> Response[bytes]:
    return Response(_file("docs.js"), media_type="text/javascript; charset=utf-8")


def _file(name: str) -> bytes:
    return (resources.files("guerdon.api") / "pages" / name).read_bytes()
