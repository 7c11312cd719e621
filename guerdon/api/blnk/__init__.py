"""The Blnk-compatible ledger API: the official Blnk SDKs drive it with only their address and key set.

`routing.py` carries every request, `wire.py` reads and writes Blnk's JSON, `errors.py` names what went wrong as Blnk
does, `postings.py` reads transactions, `rendering.py` writes them, and each noun has a module with its routes.
Nothing here decides: that is the core's work.
"""

from __future__ import annotations

from guerdon.api.blnk import balances, health, identities, keys, ledgers, metadata, transactions
from guerdon.api.blnk.routing import Endpoint
from guerdon.api.services import Services
from guerdon.store.read_blnk import BlnkReader

_NOUNS = (health, ledgers, balances, transactions, identities, metadata, keys)
ROUTES = tuple(route for noun in _NOUNS for route in noun.routes.found)


def endpoint(path: str, services: Services, reader: BlnkReader) -> Endpoint:
    """The API as an ASGI application below a path, `/` allowed."""
    return Endpoint(ROUTES, path, services, reader)
