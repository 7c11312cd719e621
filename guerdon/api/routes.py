"""Every route of `/v1` and `/v2`, in the order in which the documentation shows them."""

from __future__ import annotations

from guerdon.api import (
    adjustments,
    backtests,
    bulk_awards,
    carts,
    claims,
    code_links,
    codes,
    configuration,
    expiry,
    imports,
    issues,
    keys,
    member_tokens,
    members,
    merges,
    organisations,
    points_ledger,
    previews,
    programs,
    promises,
    promotions,
    purchases,
    redemptions,
    referrals,
    reports,
    rewards,
    statements,
    tiers,
    transfers,
    webhooks,
)
from guerdon.api.routing import Route
from guerdon.api.v2 import routes as v2_routes

ROUTES: list[Route] = [
    route
    for routes in (
        organisations.routes,
        keys.routes,
        configuration.assets,
        programs.routes,
        previews.routes,
        configuration.stores,
        configuration.sources,
        members.routes,
        points_ledger.routes,
        statements.routes,
        purchases.routes,
        redemptions.routes,
        rewards.routes,
        tiers.routes,
        claims.routes,
        member_tokens.routes,
        transfers.routes,
        merges.routes,
        referrals.routes,
        bulk_awards.routes,
        adjustments.routes,
        promotions.routes,
        carts.routes,
        codes.routes,
        code_links.routes,
        issues.routes,
        backtests.routes,
        reports.routes,
        webhooks.routes,
        v2_routes.routes,
        promises.routes,
        expiry.routes,
        imports.routes,
    )
    for route in routes.found
]
