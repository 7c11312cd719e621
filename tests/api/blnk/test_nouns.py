"""Health, ledgers, balances, identities, metadata, keys and errors, as the SDKs see them."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Client

UNKNOWN = "0199b1f0-2c3e-7c11-9a52-5b7d3c000000"


async def test_health_and_root_need_no_key(blnk: Client) -> None:
    blnk.key = ""
    assert (await blnk.get("/health")).body == {"status": "UP"}
    assert (await blnk.get("/")).body == "server running..."


async def test_a_queued_transaction_is_decided_by_the_time_it_is_answered(blnk: Client) -> None:
    wallet = await blnk.balance()
    queued = await blnk.transact("fund", 100_000, "@WorldUSD", wallet)
    assert (queued.status, queued["status"], queued["source"]) == (201, "QUEUED", "@WorldUSD")
    assert queued["meta_data"]["QUEUED_PARENT_TRANSACTION"] == queued["transaction_id"]
    child = await blnk.outcome("fund")
    assert (child["status"], child["parent_transaction"]) == ("APPLIED", queued["transaction_id"])
    assert len(child["hash"]) == 64
    again = await blnk.get(f"/transactions/{queued['transaction_id']}")
    assert (again["status"], again["reference"]) == ("QUEUED", "fund")
    found = await blnk.get(f"/balances/{wallet}")
    assert (found["balance"], found["credit_balance"], found["version"]) == (100_000, 100_000, 1)


# -- ledgers


async def test_ledgers_are_made_read_renamed_and_listed(blnk: Client) -> None:
    made = await blnk.post("/ledgers", {"name": "Wallets", "meta_data": {"team": "core", "limit": 10**30}})
    assert made.status == 201
    path = f"/ledgers/{made['ledger_id']}"
    assert (await blnk.get(path)).body == made.body
    assert (await blnk.put(path, {"name": "Purses"}))["name"] == "Purses"
    assert (await blnk.put(path, {"name": ""}))["errors"] == "name: cannot be blank."
    rows = (await blnk.get("/ledgers?name_eq=Purses")).body
    assert [row["ledger_id"] for row in rows] == [made["ledger_id"]]
    assert {row["ledger_id"] for row in (await blnk.get("/ledgers")).body} == {
        "general_ledger_id",
        made["ledger_id"],
    }
    found = await blnk.post(
        "/ledgers/filter",
        {"filters": [{"field": "meta_data.team", "operator": "eq", "value": "core"}], "include_count": True},
    )
    assert (found["total_count"], found["data"][0]["meta_data"]["limit"]) == (1, 10**30)


async def test_what_is_no_ledger_is_not_found(blnk: Client) -> None:
    for name in (f"ldg_{UNKNOWN}", "123456789", "ldg_1"):
        answer = await blnk.get(f"/ledgers/{name}")
        assert (answer.status, answer.code) == (404, "LGR_NOT_FOUND")
    assert (await blnk.put(f"/ledgers/ldg_{UNKNOWN}", {"name": "x"})).code == "LGR_NOT_FOUND"


@pytest.mark.parametrize("query", ["limit=0", "limit=ten", "offset=-1", "limit=99999999999"])
async def test_a_bad_page_is_refused_for_ledgers_and_balances(blnk: Client, query: str) -> None:
    for noun in ("ledgers", "balances"):
        answer = await blnk.get(f"/{noun}?{query}")
        assert (answer.status, answer.code) == (400, "GEN_VALIDATION_ERROR")


# -- balances


async def test_a_new_balance_has_six_zeros(blnk: Client) -> None:
    ledger = await blnk.post("/ledgers", {"name": "Wallets"})
    person = await blnk.post("/identities", {"identity_type": "individual", "first_name": "Ada"})
    body = {"ledger_id": ledger["ledger_id"], "currency": "USD", "identity_id": person["identity_id"]}
    made = await blnk.post("/balances", body | {"meta_data": {"a": 1}, "allocation_strategy": "lifo"})
    assert made.status == 201
    names = ("balance", "credit_balance", "debit_balance")
    assert all(made[name] == 0 and made[f"inflight_{name}"] == 0 for name in names)
    assert (made["identity_id"], made["allocation_strategy"]) == (person["identity_id"], "LIFO")
    path = f"/balances/{made['balance_id']}"
    full = await blnk.get(f"{path}?include=identity&include=ledger&with_queued=true&from_source=true")
    assert (full["identity"]["first_name"], full["ledger"]["name"]) == ("Ada", "Wallets")
    assert (full["queued_debit_balance"], full["meta_data"]) == (0, {"a": 1})
    assert "identity" not in (await blnk.get(path)).body


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "currency: cannot be blank; ledger_id: cannot be blank."),
        (
            {"ledger_id": "x", "currency": "USD", "track_fund_lineage": True},
            "identity_id: identity_id is required when track_fund_lineage is enabled.",
        ),
        (
            {"ledger_id": "x", "currency": "USD", "indicator": "@Cash"},
            "indicator: indicator is only allowed for General Ledger balances (ledger_id = general_ledger_id).",
        ),
        (
            {"ledger_id": "general_ledger_id", "currency": "USD", "indicator": "Cash"},
            "indicator: indicator must start with '@' and contain no whitespace (e.g. '@cash').",
        ),
    ],
)
async def test_a_bad_balance_is_refused_in_blnks_words(blnk: Client, body: dict[str, Any], message: str) -> None:
    answer = await blnk.post("/balances", body)
    assert (answer.status, answer.code, answer["errors"]) == (400, "GEN_VALIDATION_ERROR", message)


async def test_a_balance_needs_a_ledger_and_an_identity_that_exist(blnk: Client) -> None:
    ledger = await blnk.post("/ledgers", {"name": "Wallets"})
    missing = await blnk.post("/balances", {"ledger_id": f"ldg_{UNKNOWN}", "currency": "USD"})
    assert missing.status == 400
    nobody = {"ledger_id": ledger["ledger_id"], "currency": "USD", "identity_id": f"idt_{UNKNOWN}"}
    assert (await blnk.post("/balances", nobody)).code == "IDT_NOT_FOUND"


async def test_internal_balances_are_one_per_name_and_currency(blnk: Client) -> None:
    body = {"ledger_id": "general_ledger_id", "currency": "USD", "indicator": "@Cash"}
    made = await blnk.post("/balances", body)
    assert (made.status, made["ledger_id"], made["indicator"]) == (201, "general_ledger_id", "@Cash")
    again = await blnk.post("/balances", body)
    assert (again.status, again.code) == (409, "GEN_CONFLICT")
    assert again["error"] == "Balance already exists for indicator '@Cash' and 'USD'"
    await blnk.transact("a", 5, "@Cash", "@World")
    found = await blnk.get("/balances/indicator/%40Cash/currency/USD")
    assert (found["balance_id"], found["balance"]) == (made["balance_id"], -5)
    assert (await blnk.get("/balances/indicator/@Cash/currency/EUR")).code == "BAL_NOT_FOUND"
    rows = (await blnk.get("/balances?ledger_id_eq=general_ledger_id&balance_lt=0")).body
    assert [row["indicator"] for row in rows] == ["@Cash"]


async def test_a_balance_is_given_to_an_identity(blnk: Client) -> None:
    wallet = await blnk.balance()
    person = await blnk.post("/identities", {"identity_type": "organization", "organization_name": "Acme"})
    path = f"/balances/{wallet}/identity"
    done = await blnk.put(path, {"identity_id": person["identity_id"]})
    assert done.body == {"message": "Balance identity updated successfully"}
    assert (await blnk.get(f"/balances/{wallet}"))["identity_id"] == person["identity_id"]
    assert (await blnk.put(path, {})).code == "GEN_VALIDATION_ERROR"
    assert (await blnk.put(path, {"identity_id": f"idt_{UNKNOWN}"})).code == "IDT_NOT_FOUND"
    rows = (await blnk.get(f"/balances?identity_id_eq={person['identity_id']}")).body
    assert [row["balance_id"] for row in rows] == [wallet]


async def test_a_balance_at_a_time_goes_by_effective_dates(blnk: Client) -> None:
    wallet = await blnk.balance()
    await blnk.transact("old", 100, "@World", wallet, effective_date="2020-01-01T00:00:00Z")
    await blnk.transact("new", 10, "@World", wallet)
    await blnk.transact("out", 30, wallet, "@World", effective_date="2021-01-01T00:00:00Z")
    path = f"/balances/{wallet}/at"
    then = await blnk.get(f"{path}?timestamp=2020-06-01T00:00:00 00:00&from_source=true")
    assert (then["balance"]["balance"], then["from_source"]) == (100, True)
    assert then["timestamp"] == "2020-06-01T00:00:00Z"
    assert (await blnk.get(f"{path}?timestamp=2021-06-01T00:00:00%2B00:00"))["balance"]["balance"] == 70
    now = (await blnk.get(path))["balance"]
    assert (now["balance"], now["credit_balance"], now["debit_balance"]) == (80, 110, 30)
    assert (await blnk.get(f"{path}?timestamp=2010-01-01T00:00:00Z")).code == "BAL_HISTORY_NOT_FOUND"
    assert (await blnk.get(f"{path}?timestamp=yesterday")).code == "BAL_INVALID_TIMESTAMP"


async def test_a_balance_at_a_time_can_be_told_as_it_was_known_at_another(blnk: Client) -> None:
    wallet = await blnk.balance()
    first = await blnk.transact("known", 100, "@World", wallet, effective_date="2020-01-01T00:00:00Z")
    known = first["created_at"]
    await blnk.transact("late", 7, "@World", wallet, effective_date="2020-02-01T00:00:00Z")
    path = f"/balances/{wallet}/at?timestamp=2020-06-01T00:00:00Z"
    assert (await blnk.get(path))["balance"]["balance"] == 107
    assert (await blnk.get(f"{path}&known_at={known}"))["balance"]["balance"] == 100
    assert (await blnk.get(f"{path}&known_at=2020-06-01T00:00:00Z")).code == "BAL_HISTORY_NOT_FOUND"
    assert (await blnk.get(f"{path}&known_at=yesterday")).code == "BAL_INVALID_TIMESTAMP"


# -- identities


async def test_identities_are_made_changed_found_and_removed(blnk: Client) -> None:
    body = {"identity_type": "individual", "first_name": "Ada", "email_address": "ada@example.com"}
    made = await blnk.post("/identities", body | {"dob": "1996-02-25T00:00:00.000Z", "meta_data": {"vip": True}})
    assert (made.status, made["dob"], made["last_name"]) == (201, "1996-02-25T00:00:00Z", "")
    path = f"/identities/{made['identity_id']}"
    done = await blnk.put(path, {"last_name": "Lovelace", "meta_data": {"tier": 1}})
    assert done.body == {"message": "Identity updated successfully"}
    found = await blnk.get(path)
    assert (found["first_name"], found["last_name"]) == ("Ada", "Lovelace")
    assert found["meta_data"] == {"vip": True, "tier": 1}
    rows = (await blnk.get("/identities?email_address_eq=ada@example.com")).body
    assert [row["identity_id"] for row in rows] == [made["identity_id"]]
    assert len((await blnk.get("/identities")).body) == 1
    assert (await blnk.delete(path)).body == {"message": "Identity deleted successfully"}
    assert (await blnk.get(path)).code == "IDT_NOT_FOUND"
    assert (await blnk.get("/identities")).body == []


async def test_an_identity_may_bring_its_own_id_once(blnk: Client) -> None:
    own = "idt_3f0d7a52-6f5c-4a58-9f1d-0d5b7f1d2c3b"
    assert (await blnk.post("/identities", {"identity_id": own, "first_name": "Ada"}))["identity_id"] == own
    again = await blnk.post("/identities", {"identity_id": own, "first_name": "Eve"})
    assert (again.status, again.code) == (400, "IDT_VALIDATION_ERROR")
    for bad in ("ada", "idt_ada"):
        assert (await blnk.post("/identities", {"identity_id": bad})).code == "IDT_VALIDATION_ERROR"


async def test_who_holds_a_balance_cannot_be_removed(blnk: Client) -> None:
    person = await blnk.post("/identities", {"first_name": "Ada"})
    ledger = await blnk.post("/ledgers", {"name": "Wallets"})
    body = {"ledger_id": ledger["ledger_id"], "currency": "USD", "identity_id": person["identity_id"]}
    await blnk.post("/balances", body)
    answer = await blnk.delete(f"/identities/{person['identity_id']}")
    assert (answer.status, answer.code) == (409, "GEN_CONFLICT")


# -- metadata


async def test_metadata_is_merged_key_by_key(blnk: Client) -> None:
    wallet = await blnk.balance()
    assert (await blnk.post(f"/{wallet}/metadata", {"meta_data": {"a": 1, "b": 2}}))["meta_data"] == {"a": 1, "b": 2}
    merged = await blnk.post(f"/balances/{wallet}/metadata", {"meta_data": {"b": {"c": 3}}})
    assert (merged.status, merged["meta_data"]) == (200, {"a": 1, "b": {"c": 3}})
    assert (await blnk.get(f"/balances/{wallet}"))["meta_data"] == {"a": 1, "b": {"c": 3}}


async def test_what_is_said_of_a_request_or_a_batch_is_said_of_its_outcomes(blnk: Client) -> None:
    queued = await blnk.transact("a", 5, "@World", await blnk.balance(), meta_data={"x": 1})
    await blnk.post(f"/{queued['transaction_id']}/metadata", {"meta_data": {"y": 2}})
    child = await blnk.outcome("a")
    assert (child["meta_data"]["x"], child["meta_data"]["y"]) == (1, 2)
    item = {"precise_amount": 1, "currency": "USD", "description": "d", "source": "@A", "destination": "@B"}
    batch = await blnk.post(
        "/transactions/bulk", {"transactions": [item | {"reference": "b", "allow_overdraft": True}]}
    )
    await blnk.post(f"/{batch['batch_id']}/metadata", {"meta_data": {"run": 7}})
    assert (await blnk.outcome("b"))["meta_data"]["run"] == 7


@pytest.mark.parametrize(
    ("entity", "code"),
    [
        (f"bln_{UNKNOWN}", "META_ENTITY_NOT_FOUND"),
        (f"txn_{UNKNOWN}", "META_ENTITY_NOT_FOUND"),
        ("ldg_1", "META_ENTITY_NOT_FOUND"),
        (f"mon_{UNKNOWN}", "META_INVALID_ENTITY_ID"),
    ],
)
async def test_metadata_needs_something_it_is_about(blnk: Client, entity: str, code: str) -> None:
    assert (await blnk.post(f"/{entity}/metadata", {"meta_data": {}})).code == code
    assert (await blnk.post(f"/{entity}/metadata", {})).code == "GEN_MALFORMED_REQUEST"


# -- keys


async def key(blnk: Client, *scopes: str, owner: str = "ada") -> dict[str, Any]:
    body = {"name": "k", "scopes": list(scopes), "owner": owner, "expires_at": "2099-01-01T00:00:00Z"}
    made = await blnk.post("/api-keys", body)
    assert made.status == 201, made.body
    found: dict[str, Any] = made.body
    return found


async def test_a_key_opens_what_its_scopes_name_until_it_is_revoked(blnk: Client) -> None:
    made = await key(blnk, "ledgers:write", "balances:read")
    master, blnk.key = blnk.key, made["key"]
    assert (await blnk.post("/ledgers", {"name": "Wallets"})).status == 201
    assert (await blnk.get("/balances")).status == 200
    denied = await blnk.get("/ledgers")
    assert (denied.status, denied.code) == (403, "AUTH_INSUFFICIENT_PERMISSIONS")
    assert denied["error"] == "Insufficient permissions for ledgers:read"
    blnk.key = master
    assert (await blnk.delete(f"/api-keys/{made['api_key_id']}?owner=ada")).status == 204
    (listed,) = (await blnk.get("/api-keys?owner=ada")).body
    assert (listed["is_revoked"], listed["key"]) == (True, "")
    blnk.key = made["key"]
    assert (await blnk.get("/balances")).status == 401


async def test_a_key_acts_for_its_owner_and_passes_on_only_what_it_has(blnk: Client) -> None:
    made = await key(blnk, "api-keys:*", "ledgers:read")
    blnk.key = made["key"]
    body = {"name": "k", "scopes": ["ledgers:read"], "expires_at": "2099-01-01T00:00:00Z"}
    assert (await blnk.post("/api-keys", body))["owner_id"] == "ada"
    assert (await blnk.post("/api-keys", body | {"owner": "eve"})).code == "AUTH_CROSS_OWNER_ACCESS"
    assert (await blnk.post("/api-keys", body | {"scopes": ["ledgers:write"]})).code == "AUTH_SCOPE_ESCALATION"


async def test_the_platform_key_names_the_owner(blnk: Client) -> None:
    assert (await blnk.get("/api-keys")).code == "APIKEY_OWNER_REQUIRED"
    missing = await blnk.delete(f"/api-keys/api_key_{UNKNOWN}?owner=ada")
    assert (missing.status, missing.code) == (404, "APIKEY_NOT_FOUND")
    assert (await blnk.post("/api-keys", {"owner": "ada"})).code == "GEN_MALFORMED_REQUEST"


async def test_without_a_key_or_with_a_wrong_one_nothing_opens(blnk: Client) -> None:
    for given, code in (("", "AUTH_MISSING_API_KEY"), ("wrong", "AUTH_INVALID_API_KEY")):
        blnk.key = given
        answer = await blnk.get("/ledgers")
        assert (answer.status, answer.code) == (401, code)


# -- errors


@pytest.mark.parametrize("path", ["/nothing", "/balances/x/y/z", "/balance-monitors", "/search/ledgers", "//"])
async def test_what_is_not_there_is_not_found_in_json(blnk: Client, path: str) -> None:
    answer = await blnk.post(path, {})
    assert (answer.status, answer.code) == (404, "GEN_NOT_FOUND")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"name": 5}', b"\xff\xfe", b'{"name": "a\\u0000"}'])
async def test_a_body_that_cannot_be_read_is_malformed(blnk: Client, body: bytes) -> None:
    answer = await blnk.post("/ledgers", body)
    assert (answer.status, answer.code) == (400, "GEN_MALFORMED_REQUEST")
    assert "errors" in answer.body


async def test_a_body_that_is_too_large_is_refused(blnk: Client) -> None:
    answer = await blnk.post("/ledgers", b'{"name": "' + b"a" * 5_100_000 + b'"}')
    assert (answer.status, answer.code) == (413, "GEN_PAYLOAD_TOO_LARGE")
