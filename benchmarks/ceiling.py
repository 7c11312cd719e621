"""The ceiling: the rows of the hot path written by bare `unnest` statements from a loop that decides nothing.

Same database, tables, columns, indexes, role and row level security as the writer's, batches of the same size, one
round trip per batch, one commit each. Constants are copied from a row that the writer wrote in the same run. Nothing
is read, checked, hashed or answered. This script is fixed: it changes with the hot path's tables and with nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import psycopg
import uuid_utils

from benchmarks.harness import Clock, Database

HASH = "\\\\x" + "ab" * 32
FINGERPRINT = "\\\\x" + "cd" * 32

ENTER = "select set_config('guerdon.org', %(org)s, true)"
LOCK = "select seq from heads where org_id = %(org)s::bigint for no key update"
INSERT_TRANSFERS = """
insert into transfers (org_id, seq, id, event_seq, action, source, destination, asset, amount, source_version,
    destination_version, source_balance, destination_balance, recorded_at, effective_at, reference, request_id,
    request_reference, parent, detail, hash)
select %(org)s::bigint, * from unnest(%(seq)s::bigint[], %(id)s::uuid[], %(event_seq)s::bigint[], %(action)s::text[],
    %(source)s::bigint[], %(destination)s::bigint[], %(asset)s::text[], %(amount)s::numeric[],
    %(source_version)s::bigint[], %(destination_version)s::bigint[], %(source_balance)s::numeric[],
    %(destination_balance)s::numeric[], %(recorded_at)s::timestamptz[], %(effective_at)s::timestamptz[],
    %(reference)s::text[], %(request_id)s::uuid[], %(request_reference)s::text[], %(parent)s::uuid[],
    %(detail)s::text[], %(hash)s::bytea[])
"""
INSERT_EVENTS = """
insert into events (org_id, seq, id, name, member_no, event_at, recorded_at, transfers, points, mirrors, source,
    store_no, till_no, program_no, purchase_no, reference, actor, reason, entries, body, lot_moves, hash)
select %(org)s::bigint, * from unnest(%(seq)s::bigint[], %(id)s::uuid[], %(name)s::text[], %(member_no)s::bigint[],
    %(event_at)s::timestamptz[], %(recorded_at)s::timestamptz[], %(transfers)s::integer[], %(points)s::numeric[],
    %(mirrors)s::bigint[], %(source)s::text[], %(store_no)s::bigint[], %(till_no)s::bigint[],
    %(program_no)s::bigint[], %(purchase_no)s::bigint[], %(reference)s::text[], %(actor)s::text[], %(reason)s::text[],
    %(entries)s::integer[], %(body)s::text[], %(lot_moves)s::text[], %(hash)s::bytea[])
"""
INSERT_LOTS = """
insert into lots (org_id, no, account, event_seq, amount, remaining, redeemed, returned, expired, held, earned_at,
    expires_at, rule, version, line, purchase_no)
select %(org)s::bigint, * from unnest(%(no)s::bigint[], %(account)s::bigint[], %(event_seq)s::bigint[],
    %(amount)s::numeric[], %(remaining)s::numeric[], %(redeemed)s::numeric[], %(returned)s::numeric[],
    %(expired)s::numeric[], %(held)s::numeric[], %(earned_at)s::timestamptz[], %(expires_at)s::timestamptz[],
    %(rule)s::text[], %(version)s::integer[], %(line)s::integer[], %(purchase_no)s::bigint[])
"""
UPDATE_FIGURES = """
update figures set credit = new.credit, debit = new.debit, inflight_credit = new.inflight_credit,
    inflight_debit = new.inflight_debit, version = new.version, floor = new.floor
from unnest(%(account_no)s::bigint[], %(credit)s::numeric[], %(debit)s::numeric[], %(inflight_credit)s::numeric[],
    %(inflight_debit)s::numeric[], %(version)s::bigint[], %(floor)s::numeric[])
    as new (account_no, credit, debit, inflight_credit, inflight_debit, version, floor)
where figures.org_id = %(org)s::bigint and figures.account_no = new.account_no
"""
UPDATE_HEAD = """
update heads set last_recorded_at = %(at)s::timestamptz, last_hash = %(hash)s::bytea, seq = %(seq)s::bigint,
    lot_no = %(lot)s::bigint where org_id = %(org)s::bigint
"""
INSERT_FIGURES = """
insert into figures (org_id, account_no, credit, debit, inflight_credit, inflight_debit, version, floor)
select %(org)s::bigint, no, 0, 0, 0, 0, 0, null from generate_series(1, %(count)s::bigint) no on conflict do nothing
"""


class Ceiling:
    """Writes batches into an organisation of its own, as fast as this database takes them.

    `like` is a transfer the writer made, as a dict of its row; `event` and `lot` likewise where the hot path has them.
    Account 1 is the hot one, the next `accounts` take turns.
    """

    def __init__(
        self,
        database: Database,
        org_id: int,
        accounts: int,
        like: dict[str, Any],
        event: dict[str, Any] | None = None,
        lot: dict[str, Any] | None = None,
    ) -> None:
        self._connection = psycopg.connect(database.dsn(), prepare_threshold=0)
        self._org = str(org_id)
        self._accounts = accounts
        self._like = like
        self._event = event
        self._lot = lot
        self._seq = 0
        self._lot_no = 0
        self._versions = [0] * (accounts + 2)
        self._hot_version = 0
        self._numbers = 0
        self._connection.execute(ENTER, {"org": self._org})
        self._connection.execute("select set_config('enable_seqscan', 'off', false)")
        self._connection.execute(INSERT_FIGURES, {"org": self._org, "count": accounts + 1})
        self._connection.commit()

    def close(self) -> None:
        self._connection.close()

    def run(self, batches: int, size: int) -> float:
        """Transfers per second."""
        clock = Clock()
        for _ in range(batches):
            self._batch(size)
        return batches * size / clock.seconds

    def _batch(self, size: int) -> None:
        like, versions = self._like, self._versions
        at = datetime.now(UTC).isoformat()
        step = 1 if self._event is None else 2
        first = self._seq
        seqs = [first + step * n for n in range(1, size + 1)]
        targets = [2 + (self._numbers + n) % self._accounts for n in range(size)]
        destination_versions = []
        for target in targets:
            versions[target] += 1
            destination_versions.append(versions[target])
        hot = range(self._hot_version + 1, self._hot_version + size + 1)
        arrays = {
            "seq": _plain(seqs),
            "id": _plain(uuid_utils.uuid7() for _ in range(size)),
            "event_seq": _plain(seq - 1 if self._event else 0 for seq in seqs),
            "action": _same("apply", size),
            "source": _same(1, size),
            "destination": _plain(targets),
            "asset": _same(like["asset"], size),
            "amount": _same(1, size),
            "source_version": _plain(hot),
            "destination_version": _plain(destination_versions),
            "source_balance": _plain(-version for version in hot),
            "destination_balance": _plain(destination_versions),
            "recorded_at": _same(at, size),
            "effective_at": _same("NULL" if like["effective_at"] is None else at, size),
            "reference": _same("NULL", size)
            if like["reference"] is None
            else _plain(f"bench-{self._numbers + n}" for n in range(size)),
            "request_id": _same("NULL", size),
            "request_reference": _same("NULL", size),
            "parent": _same("NULL", size),
            "detail": _same(_text(like["detail"]), size),
            "hash": _same(f'"{HASH}"', size),
        }
        statements = [(LOCK, {}), (INSERT_TRANSFERS, arrays)]
        if self._event is not None:
            statements.append((INSERT_EVENTS, self._events(self._event, seqs, at)))
        if self._lot is not None:
            statements.append((INSERT_LOTS, self._lots(self._lot, seqs, targets, at)))
        self._numbers += size
        self._hot_version += size
        self._seq = seqs[-1]
        touched = [1, *dict.fromkeys(targets)]
        figures = [self._hot_version, *(versions[no] for no in touched[1:])]
        zeros = _same(0, len(touched))
        statements.append(
            (
                UPDATE_FIGURES,
                {
                    "account_no": _plain(touched),
                    "credit": _plain([0, *figures[1:]]),
                    "debit": _plain([figures[0], *[0] * (len(touched) - 1)]),
                    "inflight_credit": zeros,
                    "inflight_debit": zeros,
                    "version": _plain(figures),
                    "floor": _same("NULL", len(touched)),
                },
            )
        )
        statements.append((UPDATE_HEAD, {"at": at, "hash": HASH[1:], "seq": str(self._seq), "lot": str(self._lot_no)}))
        with self._connection.pipeline():
            self._connection.execute(ENTER, {"org": self._org})
            for statement, values in statements:
                self._connection.execute(statement, {"org": self._org, **values})
            self._connection.commit()

    def _events(self, like: dict[str, Any], seqs: list[int], at: str) -> dict[str, str]:
        size = len(seqs)
        constant = (
            "points", "mirrors", "store_no", "till_no", "program_no", "purchase_no", "transfers", "entries",
        )  # fmt: skip
        return {
            "seq": _plain(seq - 1 for seq in seqs),
            "id": _plain(uuid_utils.uuid7() for _ in range(size)),
            "member_no": _plain(1 + (self._numbers + n) % self._accounts for n in range(size)),
            "event_at": _same(at, size),
            "recorded_at": _same(at, size),
            **{name: _same(like[name], size) for name in constant},
            **{
                name: _same(_text(like[name]), size)
                for name in ("name", "source", "reference", "actor", "reason", "body", "lot_moves")
            },
            "hash": _same(f'"{HASH}"', size),
        }

    def _lots(self, like: dict[str, Any], seqs: list[int], targets: list[int], at: str) -> dict[str, str]:
        size = len(seqs)
        first = self._lot_no + 1
        self._lot_no += size
        end = "NULL" if like["expires_at"] is None else like["expires_at"].isoformat()
        return {
            "no": _plain(range(first, first + size)),
            "account": _plain(targets),
            "event_seq": _plain(seq - 1 for seq in seqs),
            **{name: _same(1, size) for name in ("amount", "remaining")},
            **{name: _same(0, size) for name in ("redeemed", "returned", "expired", "held", "purchase_no")},
            "earned_at": _same(at, size),
            "expires_at": _same(end, size),
            "rule": _same(_text(like["rule"]), size),
            "version": _same(like["version"], size),
            "line": _same("NULL", size),
        }


def _plain(values: Iterable[object]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


def _same(value: object, size: int) -> str:
    return "{" + ",".join([str(value)] * size) + "}"


def _text(value: str | None) -> str:
    return "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
