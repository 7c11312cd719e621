"""Decisions: no I/O, no clock, no randomness, no framework.

Read `commands` first (what can be asked for), then `decide.py` (who answers), then the noun you care about.
"""
