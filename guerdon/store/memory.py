"""What this process remembers of organisations between batches, so that a batch need not read again what the last one
left: the configuration, and accounts with their figures.

Promises: what is given to a batch is what the database would have answered under the same lock. Every change of an
organisation's rows ends with its head row, so what was kept after a commit holds as long as the head is the one that
this commit wrote; `load` sees the head under the lock, and asks the database again when another server was there in
between. What is kept is taken out while a batch runs and comes back after its commit alone, so a batch that fails, or
whose end is unknown, leaves nothing behind.

Accounts that track lots are never kept: which of their lots are overdue depends on the time.
"""

from __future__ import annotations

from collections.abc import Iterable

from guerdon.core.accounts import Account, Figures
from guerdon.core.programs import Config
from guerdon.core.state import Head, Key, State

ACCOUNTS_MAX = 20_000
"""Accounts kept over all organisations; about 20 MB."""
_KINDS = frozenset({"account", "internal", "account_no"})
_PROGRAMS = ("programs",)


class Memory:
    """What is known of one organisation as of `head`."""

    __slots__ = ("_accounts", "_found", "_programs", "config", "head")

    def __init__(self, config: Config) -> None:
        self.config = config
        self.head: Head | None = None
        self._accounts: dict[int, tuple[Account, Figures]] = {}
        self._found: dict[Key, int] = {}
        self._programs: dict[tuple[int, str], int] | None = None

    def __len__(self) -> int:
        return len(self._accounts)

    def knows(self, keys: Iterable[Key]) -> list[Key]:
        """Those of the keys that need not be asked for."""
        found, programs = self._found, self._programs is not None
        return [key for key in keys if key in found or (programs and key == _PROGRAMS)]

    def give(self, state: State, keys: Iterable[Key]) -> None:
        """Put what the keys name into the state, as if it had been read."""
        accounts, figures, found = state.accounts, state.figures, state.found
        for key in keys:
            if key == _PROGRAMS:
                assert self._programs is not None
                state.program_accounts.update(self._programs)
                found[key] = True
                nos: Iterable[int] = self._programs.values()
            else:
                no = found[key] = self._found[key]
                nos = (no,)
            for no in nos:
                accounts[no], figures[no] = self._accounts[no]

    def keep(self, state: State) -> None:
        """Remember what a batch left, at its head."""
        self.head = state.head
        self.config = state.config
        kept = self._accounts
        for no, account in state.accounts.items():
            if no in state.figures and not account.tracks_lots:
                kept[no] = (account, state.figures[no])
        for key, no in state.found.items():
            if key[0] in _KINDS and no in kept:
                self._found[key] = no
        if _PROGRAMS in state.found:
            self._programs = dict(state.program_accounts)
        if len(kept) > ACCOUNTS_MAX:
            self.forget()

    def forget(self) -> None:
        """Everything but the configuration, which has a version of its own."""
        self.head = None
        self._accounts, self._found, self._programs = {}, {}, None


class Memories:
    """One per process. `take` before a batch, `keep` after its commit."""

    def __init__(self) -> None:
        self._of: dict[int, Memory] = {}
        self._accounts = 0

    def take(self, org_id: int) -> Memory:
        """What is known of an organisation, out of here until it is kept again."""
        memory = self._of.pop(org_id, None)
        if memory is None:
            return Memory(Config(version=-1))
        self._accounts -= len(memory)
        return memory

    def keep(self, org_id: int, memory: Memory, state: State) -> None:
        """Put it back as the batch left it. Those longest unused are forgotten when it becomes too much."""
        memory.keep(state)
        self._of[org_id] = memory
        self._accounts += len(memory)
        for other in self._of.values():
            if self._accounts <= ACCOUNTS_MAX:
                return
            self._accounts -= len(other)
            other.forget()
