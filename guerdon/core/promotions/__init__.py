"""Promotions: what is off a bill, what it earns on top, and why.

`evaluate` is the one function that decides. It reads nothing and writes nothing, so checkout, dry run, backtest,
console and tests call the same. Read `terms.py` (what a promotion is), then `evaluating.py`, then `verdicts.py` (what
it answers).
"""
