"""`/` and `/health`: whether anybody is there, without a key."""

from __future__ import annotations

from guerdon.api.blnk.routing import Answer, Call, Routes

routes = Routes("")


@routes.get("/")
async def root(call: Call) -> str:  # noqa: ARG001 -- every handler takes the call
    return "server running..."


@routes.get("/health")
async def health(call: Call) -> Answer:
    """UP while the database answers."""
    try:
        await call.reader.ping()
    except Exception:  # noqa: BLE001 -- whatever the reason, the answer is the same
        return Answer(503, {"status": "DOWN", "reason": "the database does not answer"})
    return Answer(200, {"status": "UP"})
