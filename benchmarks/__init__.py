"""Measurements of Guerdon: one table, every figure runnable alone. `python -m benchmarks --help`."""
