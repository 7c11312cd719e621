"""Purchases from files: `mapping.py` says which column is what, `reader.py` turns rows into whole purchases
by time, `run.py` sends them through a writer of its own and writes down what became of each.

`sheets.py` does the same for sheets of members, balances, points, redemptions and expiry changes, row by row.

Every line of a purchase goes in or none does; a purchase's number is its natural reference, so that the same
file again changes nothing.
"""
