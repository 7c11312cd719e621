-- The hash chain, walked where it stands.

-- walk --
-- A stretch of rows in sequence order: those that do not follow from the one before, and the last one. `row_to_json`
-- writes the canonical form of core.chain byte for byte; whatever this doubts is judged again by the core itself.
with linked as (
    select seq, hash, doubtful.canonical, lag(seq, 1, %(after)s::bigint) over w as seq_before,
           lag(hash, 1, %(before)s::bytea) over w as before, lead(seq) over w is null as last
    from (
        select e.seq, e.hash, (
            select row_to_json(r) from (select
                e.seq, e.id, e.name, e.member_no,
                replace(to_char(e.event_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z') as event_at,
                replace(to_char(e.recorded_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z') as recorded_at,
                e.transfers, e.points, e.mirrors, e.source, e.store_no, e.till_no, e.program_no, e.purchase_no,
                e.reference, e.actor, e.reason, e.entries, e.body, e.lot_moves) r
        )::text as canonical
        from events e where e.org_id = %(org)s and e.seq > %(after)s and e.seq <= %(upto)s
        union all
        select t.seq, t.hash, (
            select row_to_json(r) from (select
                t.seq, t.id, t.event_seq, t.action, t.source, t.destination, t.asset, t.amount, t.source_version,
                t.destination_version, t.source_balance, t.destination_balance,
                replace(to_char(t.recorded_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z') as recorded_at,
                replace(to_char(t.effective_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z') as effective_at,
                t.reference, t.request_id, t.request_reference, t.parent, t.detail) r
        )::text
        from transfers t where t.org_id = %(org)s and t.seq > %(after)s and t.seq <= %(upto)s
    ) doubtful
    window w as (order by seq)
)
select seq, seq_before, hash, before, hash <> sha256(before || convert_to(canonical, 'UTF8')) as doubtful
from linked
where last or seq <> seq_before + 1 or hash <> sha256(before || convert_to(canonical, 'UTF8'))
order by seq

-- event --
-- one event, in the order of the record
select seq, id::text, name, member_no, event_at, recorded_at, transfers, points, mirrors, source, store_no, till_no,
       program_no, purchase_no, reference, actor, reason, entries, body, lot_moves
from events where org_id = %(org)s and seq = %(seq)s

-- transfer --
-- one transfer, in the order of the record
select seq, id::text, event_seq, action, source, destination, asset, amount, source_version, destination_version,
       source_balance, destination_balance, recorded_at, effective_at, reference, request_id::text, request_reference,
       parent::text, detail
from transfers where org_id = %(org)s and seq = %(seq)s

-- hash_at --
-- the hash of the row with a sequence number
select hash from events where org_id = %(org)s and seq = %(seq)s
union all
select hash from transfers where org_id = %(org)s and seq = %(seq)s
