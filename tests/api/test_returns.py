"""Goods come back over HTTP: by line and quantity, and never more than was bought."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Api, Shop, set_up
from tests.api.test_loyalty import bill


def test_lines_come_back_by_quantity_and_the_purchase_says_what_is_left(shop: Shop) -> None:
    lines = [
        {"sku": "food", "quantity": "3", "amount_minor": 10000},
        {"sku": "wine", "quantity": "0.75", "amount_minor": 2000},
    ]
    shop.api.post("/v1/purchases", bill("B-1", 0) | {"lines": lines})
    path = "/v1/purchases/number:B-1/returns"
    first = shop.api.post(path, {"number": "R-1", "lines": [{"sku": "food", "quantity": "1"}]})
    assert (first["amount_minor"], first["paid_minor"], first["points_returned"]) == (3333, 3333, "33")
    assert first["lines"] == [{"line": 1, "quantity": "1.000"}]
    found = shop.api.get("/v1/purchases/number:B-1")
    assert [(line["line"], line["quantity"], line["returned_quantity"]) for line in found["lines"]] == [
        (1, "3.000", "1.000"),
        (2, "0.750", "0.000"),
    ]
    refused = shop.api.refused(
        "POST",
        path,
        {"number": "R-2", "lines": [{"line": 1, "quantity": 3}]},
        422,
        "return_exceeds_purchase",
        "lines[0]",
    )
    assert {name: refused[name] for name in ("line", "sku", "bought", "returned", "asked")} == {
        "line": 1, "sku": "food", "bought": "3.000", "returned": "1.000", "asked": "3.000",
    }  # fmt: skip
    rest = shop.api.post(path, {"number": "R-2"})
    assert (rest["amount_minor"], rest["points_returned"]) == (8667, "87")
    assert shop.api.get("/v1/purchases/number:B-1")["returns"] == [first, rest]
    shop.api.refused("POST", path, {"number": "R-3"}, 409, "already_returned", "purchase")


@pytest.mark.parametrize(
    ("lines", "status", "code", "field"),
    [
        ([], 400, "return_without_lines", "lines"),
        ([{"quantity": "1"}], 400, "missing_field", "lines[0].line"),
        ([{"line": 1}], 400, "missing_field", "lines[0].quantity"),
        ([{"line": 1, "quantity": "0"}], 400, "quantity_not_positive", "lines[0].quantity"),
        ([{"line": 1, "quantity": "-1"}], 400, "quantity_not_positive", "lines[0].quantity"),
        ([{"line": 1, "quantity": "0.0001"}], 400, "wrong_scale", "lines[0].quantity"),
        ([{"line": 0, "quantity": "1"}], 400, "invalid_value", "lines[0].line"),
        ([{"line": 2, "quantity": "1"}], 404, "line_not_found", "lines[0]"),
        ([{"sku": "other", "quantity": "1"}], 404, "line_not_found", "lines[0]"),
        ([{"line": 1, "quantity": "1"}, {"line": 1, "quantity": "0.001"}], 422, "return_exceeds_purchase", "lines[1]"),
        ([{"line": 1, "quantity": "9" * 35}], 422, "return_exceeds_purchase", "lines[0]"),
        ([{"line": 1, "quantity": "9" * 38}], 400, "amount_out_of_range", "lines[0].quantity"),
    ],
)
def test_a_line_that_cannot_come_back_is_named(
    open_shop: Shop, lines: list[dict[str, Any]], status: int, code: str, field: str
) -> None:
    api = open_shop.api
    api.post("/v1/purchases", bill("B-1", 1000))
    api.refused("POST", "/v1/purchases/number:B-1/returns", {"number": "R-1", "lines": lines}, status, code, field)
    assert api.get("/v1/purchases/number:B-1")["returns"] == []


def test_a_program_may_have_the_rest_evaluated_again(api: Api) -> None:
    set_up(api, returns="reevaluate")
    assert api.get("/v1/programs/classic")["returns"] == "reevaluate"
    api.post("/v1/purchases", bill("B-1", 1999))
    part = {"number": "R-1", "lines": [{"line": 1, "quantity": "0.5"}]}
    assert api.post("/v1/purchases/number:B-1/returns", part)["points_returned"] == "9"
    assert api.patch("/v1/programs/classic", {"returns": "proportional"})["returns"] == "proportional"
    assert api.post("/v1/purchases/number:B-1/returns", {"number": "R-2"})["points_returned"] == "10"
