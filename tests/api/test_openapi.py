"""The OpenAPI document says what is served; health, figures and the docs page need no key and no other host."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import httpx2
import msgspec
import pytest

from guerdon.api import openapi
from guerdon.api.problem import KINDS
from guerdon.api.routes import ROUTES
from guerdon.core.outcomes import Rejection
from tests.api.conftest import Shop

DOCUMENT: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(openapi.document(ROUTES)))


WITHOUT_BODY = {
    "/v1/backtests/{backtest}/cancel",
    "/v1/members/{member}/promotions/{issue}/activate",
    "/v1/promotions/{promotion}/pause",
    "/v1/promotions/{promotion}/end",
    "/v1/promotions/{promotion}/codes/batches/{batch}/cancellations",
}
"""All that there is to say is in the path."""


def operations() -> list[tuple[str, str, Any]]:
    return [(path, method, one) for path, methods in DOCUMENT["paths"].items() for method, one in methods.items()]


def test_every_refusal_of_the_core_has_a_status_and_a_title() -> None:
    assert [code for code in Rejection if code not in KINDS] == []
    assert all(400 <= KINDS[code].status < 500 for code in Rejection)


def test_every_route_is_documented_with_a_summary_errors_and_an_example() -> None:
    assert len(operations()) == len(ROUTES)
    for path, method, operation in operations():
        assert operation["summary"], path
        assert operation["description"], path
        assert {"500", "503"} <= set(operation["responses"]), path
        if method in ("post", "patch") and path not in WITHOUT_BODY:
            assert "example" in operation["requestBody"]["content"]["application/json"], (method, path)
        else:
            assert "requestBody" not in operation, (method, path)


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))


def test_every_reference_leads_somewhere() -> None:
    text = msgspec.json.encode(DOCUMENT).decode()
    named = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert named - set(DOCUMENT["components"]["schemas"]) == set()


def test_every_example_is_a_body_that_its_route_reads() -> None:
    for route in ROUTES:
        if route.body is not None:
            msgspec.json.decode(msgspec.json.encode(route.example), type=route.body)
        if route.answer is not None:
            msgspec.convert(route.answer, route.result, strict=False)


@pytest.mark.parametrize("path", ["/health", "/metrics", "/openapi.json", "/docs", "/docs/style.css"])
def test_a_page_needs_no_key(open_shop: Shop, path: str) -> None:
    answer = httpx2.get(open_shop.api.url + path)
    assert answer.status_code == 200, answer.text


def test_the_address_alone_leads_to_the_docs_page(open_shop: Shop) -> None:
    answer = httpx2.get(f"{open_shop.api.url}/")
    assert (answer.status_code, answer.headers["location"]) == (302, "/docs")


def test_the_document_served_is_the_one_made_from_the_routes(open_shop: Shop) -> None:
    assert httpx2.get(open_shop.api.url + "/openapi.json").json() == DOCUMENT


def test_figures_count_requests_by_route_and_what_the_writer_did(open_shop: Shop) -> None:
    open_shop.api.get("/v1/assets")
    text = httpx2.get(open_shop.api.url + "/metrics").text
    assert 'guerdon_http_requests_total{method="GET",route="/v1/assets",status="200"}' in text
    assert re.search(r"^guerdon_writer_commands_total [1-9]", text, re.MULTILINE)


def test_the_docs_page_loads_nothing_from_elsewhere(open_shop: Shop) -> None:
    found: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value or "" for name, value in attrs if name in ("src", "href"))

    page = httpx2.get(open_shop.api.url + "/docs")
    Links().feed(page.text)
    assert found
    assert all(link.startswith("/") and not link.startswith("//") for link in found)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for link in found:
        assert httpx2.get(open_shop.api.url + link).status_code == 200
