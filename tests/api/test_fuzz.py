"""Requests made up from the OpenAPI document, valid and broken: never a 5xx, every answer as documented (R21).

GUERDON_FUZZ_EXAMPLES=100 tries harder.
"""

from __future__ import annotations

import os
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from guerdon.api import openapi
from guerdon.api.routes import ROUTES
from tests.api.conftest import ADMIN_KEY, Shop

EXAMPLES = int(os.environ.get("GUERDON_FUZZ_EXAMPLES", "5"))
NESTED = r"^(POST|PATCH) /v1/(promotions|segments|backtests|programs/\{program\}/preview)(/\{\w+\}|/points.*)?$"
schema = schemathesis.openapi.from_dict(openapi.document(ROUTES))
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@schema.exclude(name_regex=NESTED).parametrize()
@FUZZ
def test_an_answer_is_as_documented(case: Case[Any], open_shop: Shop) -> None:
    check(case, open_shop)


# Terms hold terms: "each keyword at its edge", which the phase `explicit` brings, comes to up to 29,000
# requests for each of these. Made up ones in greater number stand in for them.
@schema.include(name_regex=NESTED).parametrize()
@settings(FUZZ, max_examples=10 * EXAMPLES, phases=[Phase.generate])
def test_an_answer_to_terms_that_nest_is_as_documented(case: Case[Any], open_shop: Shop) -> None:
    check(case, open_shop)


def check(case: Case[Any], shop: Shop) -> None:
    case.headers["authorization"] = f"Bearer {ADMIN_KEY}"
    case.headers["guerdon-organisation"] = "default"
    case.call_and_validate(
        base_url=shop.api.url,
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_headers_conformance,
            response_schema_conformance,
        ],
    )
