"""Blnk's JSON: what the SDKs send is read leniently, what they expect is written exactly."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import msgspec
import pytest

from guerdon.api.blnk import wire
from guerdon.api.blnk.errors import BlnkError
from guerdon.api.blnk.postings import TransactionIn, posting

UUID = "0199b1f0-2c3e-7c11-9a52-5b7d3c000000"


def sent(**fields: Any) -> TransactionIn:
    body = {
        "precise_amount": 100,
        "precision": 100,
        "reference": "r-1",
        "currency": "USD",
        "description": "d",
        "source": "@World",
        "destination": f"bln_{UUID}",
    }
    return wire.decode(msgspec.json.encode(body | fields), msgspec.json.Decoder(TransactionIn))


@pytest.mark.parametrize("written", [8000, 8000.0, "8000", " 8000 "])
def test_a_whole_number_may_be_written_in_any_way(written: Any) -> None:
    assert posting(sent(precise_amount=written), queued=True).amount == 8000


@pytest.mark.parametrize("absent", [0, 0.0, None, ""])
def test_zero_null_and_empty_mean_absent(absent: Any) -> None:
    assert posting(sent(amount=absent), queued=True).amount == 100


def test_integers_keep_every_digit_in_both_directions() -> None:
    large = 10**38 - 1
    assert posting(sent(precise_amount=large), queued=True).amount == large
    assert wire.encode({"precise_amount": large}) == b'{"precise_amount":%d}' % large


@pytest.mark.parametrize(
    ("amount", "precision", "minor"), [(1.005, 100, 101), (10, 100, 1000), (0.1, 10**18, 10**17), (99.5, 100, 9950)]
)
def test_an_amount_is_read_by_its_shortest_text_and_rounded_away_from_zero(
    amount: float, precision: int, minor: int
) -> None:
    assert posting(sent(precise_amount=None, amount=amount, precision=precision), queued=True).amount == minor


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-04-22T15:28:03+00:00", datetime(2024, 4, 22, 15, 28, 3, tzinfo=UTC)),
        ("2024-04-22T15:28:03Z", datetime(2024, 4, 22, 15, 28, 3, tzinfo=UTC)),
        ("2024-04-22T15:28:03 02:00", datetime(2024, 4, 22, 13, 28, 3, tzinfo=UTC)),
        ("2024-04-22T15:28:03.123456789Z", datetime(2024, 4, 22, 15, 28, 3, 123456, tzinfo=UTC)),
        ("", None),
        (None, None),
        ("0001-01-01T00:00:00Z", None),
    ],
)
def test_times_are_read_with_unescaped_offsets_and_any_number_of_decimals(
    text: str | None, expected: datetime | None
) -> None:
    assert wire.instant(text) == expected


@pytest.mark.parametrize("text", ["2024-02-30T00:00:00Z", "yesterday", "2024-01-01", "0001-01-01T00:00:00+10:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        wire.instant(text)


def test_times_are_written_in_utc_without_needless_zeros() -> None:
    assert wire.time_text(datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2024-01-02T03:04:05Z"
    assert wire.time_text(datetime(2024, 1, 2, 3, 4, 5, 120000, tzinfo=UTC)) == "2024-01-02T03:04:05.12Z"
    assert wire.time_text(None) == "0001-01-01T00:00:00Z"


def test_whole_major_units_are_written_without_a_decimal_point() -> None:
    assert wire.encode(wire.major_units(10000, 100)) == b"100"
    assert wire.encode(wire.major_units(10050, 100)) == b"100.5"
    assert wire.amount_text(-12345, 100) == "-123.45"
    assert wire.amount_text(1, 10**18) == "0.000000000000000001"
    assert wire.amount_text(2, 3) == "0.6666666666666667"


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "the body is empty"),
        (b"[]", "Invalid input"),
        (b'{"amount": NaN}', "Invalid input"),
        (b'{"precise_amount": "8000.5"}', "Invalid input"),
        (b'{"precise_amount": 1.5}', "Invalid input"),
        (b'{"reference": "a\\u0000b"}', "NUL"),
        (b'{"meta_data": {"a\\u0000": 1}}', "NUL"),
        (b'{"meta_data": ' + b'{"a":' * 80 + b"1" + b"}" * 80 + b"}", "deep"),
        (b'{"meta_data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "Invalid input"),
        (b'{"reference": "\xff"}', "Invalid input"),
    ],
)
def test_what_cannot_be_read_is_a_malformed_request(body: bytes, part: str) -> None:
    with pytest.raises(BlnkError, match=part) as caught:
        posting(wire.decode(body, msgspec.json.Decoder(TransactionIn)), queued=True)
    assert (caught.value.code, caught.value.status) == ("GEN_MALFORMED_REQUEST", 400)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"amount": 5}, "amount: either amount or precise_amount should be provided, not both."),
        ({"precise_amount": 0}, "amount: either amount or precise_amount is required."),
        ({"precise_amount": -1}, "amount: precise_amount cannot be negative."),
        ({"precise_amount": None, "amount": -1}, "amount: amount cannot be negative."),
        ({"reference": "", "currency": None}, "currency: cannot be blank; reference: cannot be blank."),
        ({"destination": "@World"}, "destination: source and destination cannot be the same balance."),
        ({"source": None}, "source: either source or sources is required, not both."),
        ({"source": "@a b"}, "source: an indicator starts with '@' and contains no whitespace (e.g. '@cash')."),
        ({"precision": -1}, "precision: precision cannot be negative."),
    ],
)
def test_validation_speaks_as_blnk_does(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BlnkError) as caught:
        posting(sent(**fields), queued=True)
    assert caught.value.body() == {
        "errors": message,
        "error_detail": {"code": "TXN_VALIDATION_ERROR", "message": message},
    }


def test_a_fractional_precision_has_a_code_of_its_own() -> None:
    with pytest.raises(BlnkError) as caught:
        posting(sent(precision=10.5), queued=True)
    assert caught.value.code == "TXN_PRECISION_NOT_INTEGER"


def test_more_than_fifteen_digits_of_a_float_are_refused() -> None:
    with pytest.raises(BlnkError, match="more than 15 significant digits"):
        posting(sent(precise_amount=None, amount=1234567890123456.5), queued=True)


def test_shares_of_a_split_are_read_exactly() -> None:
    legs = [
        {"identifier": "@a", "distribution": "33.33%"},
        {"identifier": "@b", "distribution": "240.23"},
        {"identifier": "@c", "precise_distribution": "267"},
        {"identifier": "@d", "distribution": "left"},
    ]
    found = posting(sent(destination=None, destinations=legs), queued=True).destinations
    assert [(leg.account, leg.share, leg.value) for leg in found] == [
        ("@a", "percent", Fraction("33.33") * 10**10),
        ("@b", "fixed", 24023),
        ("@c", "fixed", 267),
        ("@d", "left", 0),
    ]


@pytest.mark.parametrize("share", ["ten", "-5", "1e3%", "0.00000000001%"])
def test_a_share_that_cannot_be_read_is_an_invalid_distribution(share: str) -> None:
    with pytest.raises(BlnkError) as caught:
        posting(sent(destination=None, destinations=[{"identifier": "@a", "distribution": share}]), queued=True)
    assert caught.value.code == "TXN_INVALID_DISTRIBUTION"


def test_an_identifier_that_is_no_balance_is_not_found() -> None:
    with pytest.raises(BlnkError, match="Balance with ID 'bank' not found") as caught:
        posting(sent(source="bank"), queued=True)
    assert (caught.value.code, caught.value.status) == ("TXN_NOT_FOUND", 404)
