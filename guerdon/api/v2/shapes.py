"""What is asked and answered, in the other system's field names."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType


class V2(Struct, frozen=True, kw_only=True, rename="camel"):
    """Their field names are ours in camel case."""


class V2Error(V2, frozen=True, kw_only=True):
    code: int
    message: str
    status: bool = False


class V2Failure(V2, frozen=True, kw_only=True):
    """What is answered instead: see the table of codes in the reference."""

    errors: tuple[V2Error, ...]
    request_id: str
    warnings: tuple[str, ...] = ()


class CustomerQuery(V2, frozen=True, kw_only=True):
    """Everything is text, so that what is wrong gets its code."""

    identifier_name: str = ""
    identifier_value: str = ""
    source: str = ""
    account_id: str | None = None
    type: str | None = None
    include_alternate_currencies: str | None = None
    alternate_currency_names: str | None = None


class ViewQuery(CustomerQuery, frozen=True, kw_only=True):
    till_id: str | None = None
    till_ids: str | None = None
    store_id: str | None = None
    store_code: str | None = None
    limit: str | None = None
    offset: str | None = None
    program_id: str | None = None
    end_date: str | None = None
    include_till_concept_events: str | None = None
    ledger_entry_type: str | None = None
    point_category_type: str | None = None
    exclude_point_categories: str | None = None


class InfoQuery(ViewQuery, frozen=True, kw_only=True):
    is_filter_based_on_date: str | None = None
    include_last_one_year_data: str | None = None
    start_date: str | None = None
    include_concept_details: str | None = None
    order: str | None = None
    sort: str | None = None
    sort_order: str | None = None


class ExplodeQuery(CustomerQuery, frozen=True, kw_only=True):
    is_primary_user: str | None = None
    event_ids: str | None = None
    event_name: str | None = None
    event_reference_ids: str | None = None
    get_bill_details: str | None = None
    get_points_earned_breakup: str | None = None
    get_custom_fields: str | None = None
    get_extended_fields: str | None = None
    get_max_conversion_details: str | None = None
    get_payment_modes: str | None = None


class CustomerDetails(V2, frozen=True, kw_only=True):
    first_name: str
    last_name: str
    user_id: int
    external_id: str
    entity_type: str = "CUSTOMER"


class EntryDetail(V2, frozen=True, kw_only=True):
    """`points` has three decimals and no sign."""

    ledger_entry_type: str
    points: str
    points_category: str
    program_id: int
    program_name: str


class LedgerEntry(V2, frozen=True, kw_only=True):
    """One event with its lines."""

    event_log_id: int
    event_name: str
    customer_id: int
    ledger_created_date: str
    ledger_created_date_iso: str = msgspec.field(name="ledgerCreatedDateISO")
    customer_details: None = None
    entry_details: tuple[EntryDetail, ...]
    net_points_on_event: str
    net_alternate_currencies_on_event: dict[str, str]
    transaction_details: dict[str, Any]
    store: str
    store_code: str
    till_code: str
    event_details: dict[str, Any]
    source_program_id: int | None
    source_program_name: str | None
    org_id: int
    concept_id: int | UnsetType = UNSET
    concept_name: str | UnsetType = UNSET


class LedgerDetails(V2, frozen=True, kw_only=True):
    page_number: int
    page_size: int
    total_entries: int
    page_count: int
    ledger_entries: tuple[LedgerEntry, ...]


class CustomerLedgerInfo(V2, frozen=True, kw_only=True):
    customer_details: CustomerDetails
    ledger_details: LedgerDetails
    warnings: tuple[str, ...] = ()


class LedgerClosingBalance(V2, frozen=True, kw_only=True):
    points_category: str
    program_name: str
    program_id: int
    closing_balance: str


class BalanceDetails(V2, frozen=True, kw_only=True):
    """The page figures are those of the ledger."""

    page_number: int
    page_size: int
    total_entries: int
    page_count: int
    ledger_closing_balance: tuple[LedgerClosingBalance, ...]


class CustomerLedgerBalance(V2, frozen=True, kw_only=True):
    customer_details: CustomerDetails
    ledger_details: BalanceDetails
    warnings: tuple[str, ...] = ()


class LedgerExplodeInfo(V2, frozen=True, kw_only=True):
    """One object per event asked for, null for one that is not the customer's."""

    events: tuple[dict[str, Any] | None, ...]
    warnings: tuple[str, ...] = ()
