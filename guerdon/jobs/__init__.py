"""Work on a schedule: whatever comes due without anybody asking. Every change goes through the writer."""

from guerdon.jobs.schedule import Jobs

__all__ = ["Jobs"]
