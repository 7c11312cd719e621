"""Requests made up from the OpenAPI document, valid and broken: never a 5xx, every answer as documented (R21).

GUERDON_FUZZ_EXAMPLES=100 tries harder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test
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
NESTED = re.compile(
    r"^(POST|PATCH) /v1/(promotions|segments|backtests|programs/\{program\}/preview)(/\{\w+\}|/points.*)?$"
)
schema = schemathesis.openapi.from_dict(openapi.document(ROUTES))
OPERATIONS = [f"{method.upper()} {path}" for path, item in schema.raw_schema["paths"].items() for method in item]
FLAT = [name for name in OPERATIONS if not NESTED.search(name)]
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """One connection for thousands of requests, and no look at the environment's proxies before each."""
    with requests.Session() as kept:
        kept.trust_env = False
        yield kept


@pytest.mark.parametrize("name", FLAT)
def test_an_answer_is_as_documented(name: str, open_shop: Shop, session: requests.Session) -> None:
    fuzz(name, FUZZ, open_shop, session)


# Terms hold terms: "each keyword at its edge", which the phase `explicit` brings, comes to up to 29,000
# requests for each of these. Made up ones in greater number stand in for them.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning")
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in FLAT])
def test_an_answer_to_terms_that_nest_is_as_documented(name: str, open_shop: Shop, session: requests.Session) -> None:
    fuzz(name, settings(FUZZ, max_examples=10 * EXAMPLES, phases=[Phase.generate]), open_shop, session)


def fuzz(name: str, how: settings, shop: Shop, session: requests.Session) -> None:
    """What `schema.parametrize()` does, but when the operation's turn comes: the requests of all operations are more
    than ten thousand, and every worker would make them up while it collects the tests, half of them for another one.
    """
    method, _, path = name.partition(" ")
    config = HypothesisTestConfig(schema.config, list(HypothesisTestMode), explicit_settings=how)
    create_test(operation=schema[path][method], test_func=check, config=config)(shop=shop, session=session)


def check(case: Case[Any], shop: Shop, session: requests.Session) -> None:
    case.headers["authorization"] = f"Bearer {ADMIN_KEY}"
    case.headers["guerdon-organisation"] = "default"
    case.call_and_validate(
        base_url=shop.api.url,
        session=session,
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_headers_conformance,
            response_schema_conformance,
        ],
    )
