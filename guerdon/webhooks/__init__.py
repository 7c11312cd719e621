"""Events out: messages about what was recorded, sent to the endpoints of those who asked."""

from guerdon.webhooks.relay import Relay

__all__ = ["Relay"]
