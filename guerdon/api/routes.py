"""Every route of `/v1`, in the order in which the documentation shows them."""

from __future__ import annotations

from guerdon.api import (
    configuration,
    expiry,
    imports,
    keys,
    members,
    organisations,
    points_ledger,
    programs,
    promises,
    purchases,
    redemptions,
)
from guerdon.api.routing import Route

ROUTES: list[Route] = [
    route
    for routes in (
        organisations.routes,
        keys.routes,
        configuration.assets,
        programs.routes,
        configuration.stores,
        configuration.sources,
        members.routes,
        points_ledger.routes,
        purchases.routes,
        redemptions.routes,
        promises.routes,
        expiry.routes,
        imports.routes,
    )
    for route in routes.found
]
