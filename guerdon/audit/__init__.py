"""`guerdon verify`: do the books add up? Proves what the database's constraints do not.

Promises: reads only, in one snapshot per organisation, so that the server may go on; memory that does not grow with
the books; every projection rebuilt from the immutable rows (`checks.py`), the hash chain walked (`chain.py`) and held
against published heads (`anchors.py`); every finding names its row.
Leaves to others: mending. Nothing here changes anything.
"""

from guerdon.audit.verify import verify

__all__ = ["verify"]
