-- Backtests asked for over the API, and the purchases that they go through.

-- enter --
-- whose rows this transaction may see
select set_config('guerdon.org', %(org)s::bigint::text, true)

-- insert_backtest --
-- a backtest, unless this caller has asked for one under the same key
insert into backtests (org_id, id, name, actor, key, fingerprint, asked, status, created_at)
values (%(org)s, %(id)s, %(name)s, %(actor)s, %(key)s, %(fingerprint)s, %(asked)s, 'waiting', %(now)s)
on conflict do nothing
returning id

-- backtest_of_key --
-- what this caller asked for under a key
select id, fingerprint from backtests where org_id = %(org)s and actor = %(actor)s and key = %(key)s

-- defer --
-- hand the backtest to the queue, in the transaction that writes it down; one at a time for each organisation
select jobs.procrastinate_defer_jobs_v1(array[
    ('backtests', 'guerdon.backtest', 0, 'backtests ' || %(org)s::bigint, null,
     jsonb_build_object('org_id', %(org)s::bigint, 'backtest_id', %(id)s::text), null)
]::jobs.procrastinate_job_to_defer_v1[])

-- search_jobs --
-- where the queue's functions find their tables
select set_config('search_path', 'jobs, ' || quote_ident(current_schema), true)

-- find_backtest --
-- a backtest, with what it found
select id, name, asked, status, done, total, report, created_at, finished_at
from backtests where org_id = %(org)s and id = %(id)s::uuid

-- list_backtests --
-- backtests, newest first, without what they found
select id, name, asked, status, done, total, '' as report, created_at, finished_at
from backtests where org_id = %(org)s and (%(before)s::uuid is null or id < %(before)s::uuid)
order by id desc limit %(limit)s

-- begin --
-- take a backtest that is not over; what it asks for
update backtests set status = 'running'
where org_id = %(org)s and id = %(id)s::uuid and status in ('waiting', 'running')
returning asked

-- progress --
-- how far it is; says whether it shall go on
update backtests set done = %(done)s, total = %(total)s
where org_id = %(org)s and id = %(id)s::uuid and status = 'running'
returning id

-- finish --
-- what it found, unless it was cancelled meanwhile
update backtests set status = %(status)s, report = %(report)s, finished_at = %(now)s
where org_id = %(org)s and id = %(id)s::uuid and status in ('waiting', 'running')

-- cancel --
-- stop one that is not over
update backtests set status = 'cancelled', finished_at = %(now)s
where org_id = %(org)s and id = %(id)s::uuid and status in ('waiting', 'running')

-- purchases_of_period --
-- the numbers of a period's purchases in one currency, in the order in which they happened
select p.no from purchases p
where p.org_id = %(org)s and p.event_at >= %(since)s and p.event_at < %(until)s and p.currency = %(currency)s
order by p.event_at, p.no

-- purchases_by_no --
-- purchases as they were booked
select p.no, p.number, p.event_at, p.member_no, p.lines, p.store_no, p.till_no, p.source, p.tenders, p.paid
from purchases p where p.org_id = %(org)s and p.no = any(%(nos)s::bigint[])

-- merged_members --
-- into whom members were merged
select m.no, m.survivor_no from members m where m.org_id = %(org)s and m.survivor_no > 0

-- member_ids --
-- members by number
select m.no, m.id, m.registered_at from members m where m.org_id = %(org)s and m.no = any(%(nos)s::bigint[])

-- listed_when --
-- when members were put on lists and taken off, oldest first
select e.member_no, e.segment, e.recorded_at, e.present from segment_entries e
where e.org_id = %(org)s and e.member_no = any(%(nos)s::bigint[])
order by e.member_no, e.segment, e.version

-- points_of --
-- the regular points of members by program
select a.member_no, p.code, f.credit - f.debit
from accounts a
join figures f on f.org_id = a.org_id and f.account_no = a.no
join programs p on p.org_id = a.org_id and p.no = a.program_no
where a.org_id = %(org)s and a.member_no = any(%(nos)s::bigint[]) and a.category = 'regular'
