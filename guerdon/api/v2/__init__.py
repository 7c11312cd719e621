"""`/v2/pointsLedger/…`: the points ledger for clients of another system, in its shapes, parameters and error codes.

A thin adapter: what is asked (`asked.py`) becomes a filter of `/v1`, what `/v1` answers is told in the other words
(`told.py`, `exploded.py`). `names.py` holds the words; `docs/reference/points-ledger-v2.md` says where the two differ.
"""
