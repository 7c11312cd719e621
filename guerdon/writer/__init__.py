"""Group commit: commands wait in a bounded queue, are decided and saved in batches, and answered after the
commit."""

from guerdon.writer.faults import QueueFull, Unavailable, WriterFault
from guerdon.writer.loop import Writer
from guerdon.writer.stats import Stats

__all__ = ["QueueFull", "Stats", "Unavailable", "Writer", "WriterFault"]
