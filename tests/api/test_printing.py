"""Codes on paper over HTTP. What a reader sees in the QR is checked module by module against segno's own matrix."""

from __future__ import annotations

import re

import segno

from guerdon.api import printing
from guerdon.api.printing import Label, Sheet, pdf
from tests.api.conftest import Shop
from tests.api.test_promotions import percent


def test_a_batch_is_printed_page_by_page(shop: Shop) -> None:
    promotion = shop.api.post("/v1/promotions", percent(kind="code"))["id"]
    path = f"/v1/promotions/{promotion}/codes"
    batch = shop.api.post(f"{path}/batches", {"name": "Flyer", "count": 60})["id"]
    for given, pages in (({}, 1), ({"count": 60}, 3), ({"first": 50, "count": 60}, 1)):
        answer = shop.api.client.get(f"{path}.pdf", params={"batch": batch, **given})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf"), answer.text
        assert answer.content.startswith(b"%PDF-")
        assert len(re.findall(rb"/Type */Page\b", answer.content)) == pages
    shop.api.refused("GET", f"{path}.pdf?batch={batch}&link=https://x.example", None, 400, "invalid_value", "link")
    shop.api.refused("GET", f"{path}.pdf?batch={batch}&count=241", None, 400, "invalid_value", "count")
    shop.api.refused("GET", f"{path}.pdf?batch=cbt_x", None, 404, "code_batch_not_found", "batch")


def test_a_title_is_shown_as_it_stands_and_never_run() -> None:
    hostile = '#read("/etc/passwd") ] #panic() $x$ \\ " *b* `raw` @ref <label>'
    assert pdf([Label("A1B2", hostile)], Sheet(title=hostile, note=hostile)).startswith(b"%PDF-")


def test_the_qr_holds_the_code_or_the_link_to_it() -> None:
    label = Label("ZN34C", "ZN34-C")
    assert printing._held(label, Sheet(title="")) == "ZN34C"
    linked = printing._held(label, Sheet(title="", link="https://x.example/{code}?a=1"))
    assert linked == "https://x.example/ZN34C?a=1"
    drawn = printing._qr(linked)
    made = segno.make(linked, error="m", micro=False)
    assert f'width="{made.symbol_size(border=4)[0]}"' in drawn
    dark = sum(bit for row in made.matrix for bit in row)
    assert sum(int(run) for run in re.findall(r"h(\d+)", drawn)) == dark
