"""The main job over HTTP: purchases in, points out, every point explained."""

from __future__ import annotations

from tests.api.conftest import Shop


def bill(number: str, cents: int, **more: object) -> dict[str, object]:
    return {
        "number": number,
        "currency": "USD",
        "member": "external_id:C-1",
        "lines": [{"sku": "A", "amount_minor": cents}],
        **more,
    }


def test_a_purchase_earns_a_point_per_whole_dollar_of_what_was_paid(shop: Shop) -> None:
    answer = shop.api.post("/v1/purchases", bill("B-1", 1999, till="main-1", source="INSTORE"))
    assert answer["amount_minor"] == answer["paid_minor"] == 1999
    assert [(earned["rule"], earned["points"]) for earned in answer["earned"]] == [("base", "19")]
    assert answer["balances"][0]["points"] == "19"
    found = shop.api.get("/v1/purchases/number:B-1")
    assert found["till"]["code"] == "main-1"
    assert found["store"]["code"] == "main"
    assert found["returned"] is None
    assert {name: found[name] for name in answer} == answer
    assert shop.api.get(f"/v1/purchases/{answer['id']}") == found
