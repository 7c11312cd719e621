"""Purchases from files: `mapping.py` says which column is what, `reader.py` turns rows into whole purchases
by time, `run.py` sends them through a writer of its own and writes down what became of each.

Every line of a purchase goes in or none does; a purchase's number is its natural reference, so that the same
file again changes nothing.
"""
