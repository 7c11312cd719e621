"""Blnk's loyalty tutorial through the official Python SDK, unmodified: only its address and key are set.

Run: GUERDON_BLNK_URL=http://127.0.0.1:8080/blnk GUERDON_KEY=... python loyalty.py

As in the published text, the discount is computed with `/`, so `precise_amount` goes out as `8000.0`.
"""

from __future__ import annotations

import json
import time

from sdk import blnk, done, internal, outcome, post  # type: ignore[import-not-found]


def run(points_to_award: int) -> dict[str, int | str]:
    stamp = f"{time.time_ns()}"
    pool_before = internal("@PointsPool", "POINTS")
    revenue_before = internal("@RevenueUSD", "USD")

    identity = done(
        blnk.identity.create(
            {
                "identity_type": "individual",
                "first_name": "Alice",
                "last_name": "Johnson",
                "email_address": "alice@example.com",
                "phone_number": "+1234567890",
                "meta_data": {"customer_id": "CUST-001", "registration_date": "2024-02-25T10:30:00Z"},
            }
        ),
        201,
    )
    main_ledger = done(
        blnk.ledgers.create(
            {
                "name": "Customer Main Wallets",
                "meta_data": {"description": "Ledger for customer USD wallets"},
            }
        ),
        201,
    )
    points_ledger = done(
        blnk.ledgers.create(
            {
                "name": "Customer Points Wallets",
                "meta_data": {"description": "Ledger for customer loyalty points"},
            }
        ),
        201,
    )
    main_wallet_id, points_wallet_id = (
        done(
            blnk.ledger_balances.create(
                {
                    "ledger_id": ledger["ledger_id"],
                    "identity_id": identity["identity_id"],
                    "currency": currency,
                    "meta_data": {"wallet_type": wallet_type, "status": "active"},
                }
            ),
            201,
        )["balance_id"]
        for ledger, currency, wallet_type in (
            (main_ledger, "USD", "main"),
            (points_ledger, "POINTS", "points"),
        )
    )

    funding = post(
        {
            "precise_amount": 100000,
            "precision": 100,
            "reference": f"DEP-{stamp}",
            "description": "Initial deposit",
            "currency": "USD",
            "source": "@WorldUSD",
            "destination": main_wallet_id,
            "allow_overdraft": True,
            "meta_data": {"transaction_type": "deposit", "channel": "bank_transfer"},
        }
    )
    assert outcome(funding) == "APPLIED"

    purchase_amount = 100
    purchase_reference = f"purchase-{stamp}"
    purchase = post(
        {
            "precise_amount": purchase_amount * 100,
            "precision": 100,
            "reference": purchase_reference,
            "currency": "USD",
            "source": main_wallet_id,
            "destination": "@RevenueUSD",
            "description": "Product purchase",
            "meta_data": {"transaction_type": "purchase"},
        }
    )
    assert outcome(purchase) == "APPLIED"
    points_award = post(
        {
            "precise_amount": points_to_award,
            "precision": 1,
            "reference": f"points-{purchase_reference}",
            "currency": "POINTS",
            "source": "@PointsPool",
            "destination": points_wallet_id,
            "description": "Loyalty points award",
            "allow_overdraft": True,
            "meta_data": {"purchase_reference": purchase_reference, "purchase_amount": purchase_amount},
        }
    )
    assert outcome(points_award) == "APPLIED"

    points_to_redeem = 200
    converted_amount = points_to_redeem / 10
    redemption_reference = f"redemption-{stamp}"
    redemption = post(
        {
            "precise_amount": points_to_redeem,
            "precision": 1,
            "reference": redemption_reference,
            "currency": "POINTS",
            "source": points_wallet_id,
            "destination": "@PointsPool",
            "description": "Points redemption for discount",
            "meta_data": {"transaction_type": "redemption", "convert_to_usd": converted_amount},
        }
    )
    redeemed = outcome(redemption)
    discounted_amount = purchase_amount - converted_amount
    discounted = post(
        {
            "precise_amount": discounted_amount * 100,
            "precision": 100,
            "reference": f"purchase-{redemption_reference}",
            "currency": "USD",
            "source": main_wallet_id,
            "destination": "@RevenueUSD",
            "description": "Discounted purchase with points",
            "meta_data": {
                "redemption_reference": redemption_reference,
                "original_amount": purchase_amount,
                "points_redeemed": points_to_redeem,
            },
        }
    )
    assert outcome(discounted) == "APPLIED"

    pool = internal("@PointsPool", "POINTS")
    revenue = internal("@RevenueUSD", "USD")
    return {
        "main": done(blnk.ledger_balances.get(main_wallet_id), 200)["balance"],
        "points": done(blnk.ledger_balances.get(points_wallet_id), 200)["balance"],
        "redemption": redeemed,
        "pool_debit": pool["debit_balance"] - pool_before["debit_balance"],
        "pool_credit": pool["credit_balance"] - pool_before["credit_balance"],
        "pool_balance": pool["balance"] - pool_before["balance"],
        "revenue": revenue["balance"] - revenue_before["balance"],
    }


if __name__ == "__main__":
    print(json.dumps({"500": run(500), "10": run(10)}))
