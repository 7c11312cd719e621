-- Asked by the writer when the answer to a commit was lost.

-- as_organisation --
-- row level security lets the head row be seen
select set_config('guerdon.org', %(org)s::text, true)

-- lock_head --
-- the lock that the transaction in doubt held until it ended
select org_id from heads where org_id = %(org)s for no key update

-- mark --
-- what the last batch left that made no row
select coalesce(mark::text, '') from heads where org_id = %(org)s::bigint

-- ended_with --
-- whether the row that a batch ended with is there, as it was written
select 1 from events where org_id = %(org)s::bigint and seq = %(seq)s::bigint and hash = decode(%(hash)s, 'hex')
union all
select 1 from transfers where org_id = %(org)s::bigint and seq = %(seq)s::bigint and hash = decode(%(hash)s, 'hex')

-- bar --
-- another mark on the head: whatever is still on its way behind the head as it was finds that it is not, and does nothing
update heads set mark = gen_random_uuid() where org_id = %(org)s::bigint

-- status --
-- committed, aborted, in progress, or null when it is too old to be known
select pg_xact_status(%(transaction)s::text::xid8) as status
