"""Four more of Blnk's tutorials through the official Python SDK: wallet management, escrow payments, cards, AI billing.

Run: GUERDON_BLNK_URL=http://127.0.0.1:8080/blnk GUERDON_KEY=... python tutorials.py
"""

from __future__ import annotations

import json
import time
from typing import Any

from sdk import blnk, done, outcome, post  # type: ignore[import-not-found]

STAMP = f"{time.time_ns()}"


def customer(ledger: str, first_name: str, last_name: str) -> tuple[str, str]:
    """A ledger and a person."""
    ledger_id = done(blnk.ledgers.create({"name": ledger}), 201)["ledger_id"]
    person = {"identity_type": "individual", "first_name": first_name, "last_name": last_name}
    return ledger_id, done(blnk.identity.create(person), 201)["identity_id"]


def wallet(ledger_id: str, identity_id: str, currency: str, **meta_data: Any) -> str:
    body = {"ledger_id": ledger_id, "identity_id": identity_id, "currency": currency, "meta_data": meta_data}
    return str(done(blnk.ledger_balances.create(body), 201)["balance_id"])


def figures(balance_id: str) -> list[int]:
    """Balance and held debits."""
    found = done(blnk.ledger_balances.get(balance_id), 200)
    return [found["balance"], found["inflight_debit_balance"]]


def deposit(reference: str, balance_id: str, amount: int) -> None:
    body = {
        "precise_amount": amount,
        "precision": 100,
        "reference": f"{reference}-{STAMP}",
        "description": "Initial deposit",
        "currency": "USD",
        "source": "@WorldUSD",
        "destination": balance_id,
        "allow_overdraft": True,
        "meta_data": {"transaction_type": "deposit", "channel": "bank_transfer"},
    }
    assert outcome(post(body)) == "APPLIED"


def wallet_management() -> list[list[int]]:
    """Fund a main wallet, withdraw from it, and move some to a card wallet."""
    ledger_id, identity_id = customer("Customer Wallets Ledger", "Alice", "Johnson")
    main = wallet(ledger_id, identity_id, "USD", wallet_type="main", purpose="general", status="active")
    deposit("DEP", main, 100_000)
    withdrawal = post(
        {
            "precise_amount": 10000,
            "precision": 100,
            "reference": f"WDR-{STAMP}",
            "description": "Wallet withdrawal",
            "currency": "USD",
            "source": main,
            "destination": "@WorldUSD",
            "meta_data": {"transaction_type": "withdrawal", "channel": "bank_transfer"},
        }
    )
    assert outcome(withdrawal) == "APPLIED"
    details = {"masked_number": "xxxx-xxxx-xxxx-1234", "expiry": "12/25", "type": "virtual"}
    card = wallet(ledger_id, identity_id, "USD", wallet_type="card", card_details=details)
    transfer = post(
        {
            "precise_amount": 20000,
            "precision": 100,
            "reference": f"TRF-{STAMP}",
            "description": "Transfer to card wallet",
            "currency": "USD",
            "source": main,
            "destination": card,
            "meta_data": {"transaction_type": "internal_transfer", "purpose": "fund_card"},
        }
    )
    assert outcome(transfer) == "APPLIED"
    return [figures(main), figures(card)]


def escrow_payments() -> list[list[int]]:
    """Hold three payments: one is released to the seller, one goes back, one is released in part."""
    ledger_id, identity_id = customer("Escrow", "Bob", "Miller")
    buyer, seller = (wallet(ledger_id, identity_id, "USD") for _ in range(2))
    deposit("ESC", buyer, 100_000)
    held = [
        post(
            {
                "precise_amount": amount * 100,
                "precision": 100,
                "reference": f"escrow-{amount}-{STAMP}",
                "description": "Escrow payment",
                "currency": "USD",
                "source": buyer,
                "destination": seller,
                "inflight": True,
                "meta_data": {"transaction_type": "escrow", "escrow_status": "pending"},
            }
        )["transaction_id"]
        for amount in (100, 200, 300)
    ]
    assert figures(buyer) == [100_000, 60_000]
    for transaction_id, update in zip(
        held,
        ({"status": "commit"}, {"status": "void"}, {"status": "commit", "precise_amount": 120 * 100}),
        strict=True,
    ):
        answer = done(blnk.transactions.update_status(transaction_id, update), 200)
        assert answer["queued"] is True, answer
    return [figures(buyer), figures(seller)]


def cards() -> list[list[int]]:
    """Authorise on a card, settle, authorise again, and let go."""
    ledger_id, identity_id = customer("Customers Card Ledger", "Xavier", "Woods")
    card = wallet(ledger_id, identity_id, "USD", last_4_digits="1234", card_scheme="visa", type="virtual")
    deposit("CARD", card, 500_000)

    def authorise(number: int) -> str:
        body = {
            "precise_amount": 200000,
            "precision": 100,
            "currency": "USD",
            "reference": f"auth-{number}-{STAMP}",
            "source": card,
            "destination": "@World-USD",
            "description": "Card transaction",
            "inflight": True,
        }
        return str(post(body)["transaction_id"])

    settled, let_go = authorise(1), authorise(2)
    refused = blnk.transactions.create(
        {
            "precise_amount": 200000,
            "precision": 100,
            "currency": "USD",
            "reference": f"auth-3-{STAMP}",
            "source": card,
            "destination": "@World-USD",
            "description": "Card transaction",
            "inflight": True,
            "skip_queue": True,
        }
    )
    assert refused.error.code == "TXN_INSUFFICIENT_FUNDS", refused
    done(blnk.transactions.update_status(settled, {"status": "commit"}), 200)
    done(blnk.transactions.update_status(let_go, {"status": "void"}), 200)
    return [figures(card)]


def ai_billing() -> list[list[int]]:
    """Tokens and money in one atomic batch: once funded, once not. Without funds neither leg moves."""
    ledger_id, identity_id = customer("Customers Ledger", "Xavier", "Woods")
    balance = wallet(ledger_id, identity_id, "USD", name="Xavier Woods")
    deposit("AI", balance, 12_000)

    def usage(number: int, tokens: int, cents: int) -> list[str]:
        reference = f"ref_ai-billing_{number}_{STAMP}"
        body = {
            "atomic": True,
            "run_async": False,
            "transactions": [
                {
                    "precise_amount": tokens,
                    "precision": 1,
                    "currency": f"TOKENS-{STAMP}",
                    "reference": f"{reference}_tokens",
                    "source": "@Token-Wallet",
                    "destination": "@System-Tokens",
                    "description": "Token leg",
                    "allow_overdraft": True,
                },
                {
                    "precise_amount": cents,
                    "precision": 100,
                    "currency": "USD",
                    "reference": f"{reference}_usd",
                    "source": balance,
                    "destination": "@Revenue",
                    "description": "USD leg",
                    "allow_overdraft": False,
                },
            ],
        }
        answer = done(blnk.transactions.create_bulk(body), 201)
        assert (answer["status"], answer["transaction_count"]) == ("applied", 2), answer
        return [
            done(blnk.transactions.get_by_reference(f"{reference}_{leg}_q"), 200)["status"] for leg in ("tokens", "usd")
        ]

    assert usage(1, 2290, 6_025) == ["APPLIED", "APPLIED"]
    assert usage(2, 2290, 602_500) == ["REJECTED", "REJECTED"]
    tokens = done(blnk.ledger_balances.get_by_indicator("@System-Tokens", f"TOKENS-{STAMP}"), 200)
    return [figures(balance), [tokens["balance"], 0]]


if __name__ == "__main__":
    tutorials = (wallet_management, escrow_payments, cards, ai_billing)
    print(json.dumps({tutorial.__name__: tutorial() for tutorial in tutorials}))
