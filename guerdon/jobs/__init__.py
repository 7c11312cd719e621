"""Work nobody waits for: whatever comes due by itself (`schedule.py`), and what was queued (`queue.py`). Every change
goes through the writer.

The queue is not named here: what it stands on takes a fifth of the start of every command and of each job's process,
and only the server needs it.
"""

from guerdon.jobs.schedule import Jobs

__all__ = ["Jobs"]
