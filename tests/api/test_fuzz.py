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

# Left out for now: one of these routes takes minutes on some input that is found here, which is still to be mended.
UNMENDED = "promotion"
schema = schemathesis.openapi.from_dict(openapi.document([r for r in ROUTES if UNMENDED not in r.path]))


@schema.parametrize()
@settings(
    max_examples=int(os.environ.get("GUERDON_FUZZ_EXAMPLES", "5")),
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_an_answer_is_as_documented(case: Case[Any], open_shop: Shop) -> None:
    case.headers["authorization"] = f"Bearer {ADMIN_KEY}"
    case.headers["guerdon-organisation"] = "default"
    case.call_and_validate(
        base_url=open_shop.api.url,
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_headers_conformance,
            response_schema_conformance,
        ],
    )
