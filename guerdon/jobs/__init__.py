"""Work nobody waits for: whatever comes due by itself (`schedule.py`), and what was queued (`queue.py`). Every change
goes through the writer.
"""

from guerdon.jobs.queue import Queue
from guerdon.jobs.schedule import Jobs

__all__ = ["Jobs", "Queue"]
