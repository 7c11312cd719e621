"""Guerdon: a self-hosted loyalty platform on a double-entry ledger."""

__version__ = "0.1.0.dev0"
