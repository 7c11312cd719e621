-- The relay's statements: which endpoints have something to send, the messages, and what became of them.

-- enter --
-- whose rows, and plans that are right on average, as in history.sql
select set_config('guerdon.org', %(org)s::bigint::text, true), set_config('plan_cache_mode', 'force_generic_plan', true)

-- waiting --
-- Active endpoints, and from when on each has something to send: at once (an old time), when what failed is
-- due again, or null when there is nothing. Nobody else's turn is waited for: `held` says that somebody has it.
select w.id::text,
       greatest(case when w.active_since > c.failing_since then null else c.next_at end,
                case when c.webhook_id is null or c.replays <> w.replays or c.seq < h.seq
                          or w.active_since > c.failing_since then 'epoch'::timestamptz
                     else (select b.next_at from webhook_behind b
                           where b.org_id = w.org_id and b.webhook_id = w.id order by b.next_at limit 1) end) as at,
       coalesce(c.held_until > clock_timestamp() and c.holder <> %(holder)s, false) as held
from webhooks w
join heads h on h.org_id = %(org)s
left join webhook_cursors c on c.org_id = w.org_id and c.webhook_id = w.id
where w.org_id = %(org)s and w.status = 'active'
order by w.id

-- add_cursor --
-- the cursor of an endpoint that has none yet
insert into webhook_cursors (org_id, webhook_id, replays, seq)
select org_id, id, replays, start_seq from webhooks where org_id = %(org)s and id = %(webhook)s
on conflict do nothing

-- take --
-- An endpoint's turn, unless somebody else has it. Who has it may send for `lease`, and can prolong it.
update webhook_cursors
set holder = %(holder)s, held_until = clock_timestamp() + %(lease)s::interval
where org_id = %(org)s and webhook_id = %(webhook)s
  and (holder = %(holder)s or held_until < clock_timestamp())
returning replays, seq, next_at, failures, failing_since, last_success_at

-- endpoint --
-- what is sent, where to, and how far there is to send
select w.url, w.filters, w.status, w.generation, w.old_until, w.replays, w.start_seq, w.active_since, h.seq as head,
       o.code as organisation
from webhooks w
join heads h on h.org_id = w.org_id
join organisations o on o.org_id = w.org_id
where w.org_id = %(org)s and w.id = %(webhook)s

-- begin_again --
-- from another place, with nobody behind
update webhook_cursors
set replays = %(replays)s, seq = %(seq)s, next_at = null, failures = 0, failing_since = null
where org_id = %(org)s and webhook_id = %(webhook)s and holder = %(holder)s

-- forget_behind --
delete from webhook_behind where org_id = %(org)s and webhook_id = %(webhook)s

-- behind --
-- members whose turn has come, those that have waited longest first
select member_no, seq, attempts, failed_since from webhook_behind
where org_id = %(org)s and webhook_id = %(webhook)s and next_at <= %(now)s
order by next_at, member_no limit %(limit)s

-- soonest_behind --
-- the one whose turn comes next, come or not
select member_no, seq, attempts, failed_since from webhook_behind
where org_id = %(org)s and webhook_id = %(webhook)s
order by next_at, member_no limit 1

-- count_behind --
-- how many members are behind, as far as it is worth counting
select count(*) from (
    select 1 from webhook_behind where org_id = %(org)s and webhook_id = %(webhook)s limit %(limit)s) b

-- message --
e.seq, e.id::text, e.name, e.member_no, m.id::text as member, e.event_at, e.recorded_at, e.points, e.source, e.store_no,
e.till_no, e.program_no, e.reference, e.reason, p.id::text as purchase, p.number as purchase_number,
case when e.name in ('RewardClaim', 'RewardClaimReversal', 'RewardFulfilment') then e.body else '' end as claimed,
case when e.name = 'PointsExpiring' then e.body else '' end as notice,
case when e.name in ('PromotionIssue', 'PromotionIssueActivation', 'PromotionIssueRevocation', 'CodeLink', 'CodeSwitch')
     then e.body
     when e.name = 'PromotionVersion'
     then jsonb_build_object('promotion', nullif(e.body, '')::jsonb -> 'promotion',
                             'status', nullif(e.body, '')::jsonb -> 'terms' -> 'status')::text
     else '' end as promoted,
(select t.asset from (
     select t.asset, t.source, t.destination, t.seq from transfers t
     where t.org_id = e.org_id and t.seq > case when e.mirrors > 0 then e.mirrors else e.seq end
       and t.seq <= case when e.mirrors > 0 then e.mirrors else e.seq end + greatest(e.transfers, 1) offset 0) t
 join accounts a on a.org_id = e.org_id and a.no in (t.source, t.destination) and a.tracks_lots
 where e.points <> 0 or e.name in ('PromisedPointsConversion', 'TriggerPointsConversion')
 order by t.seq limit 1) as asset,
case when e.name in ('PromisedPointsConversion', 'TriggerPointsConversion')
     then (select sum(t.amount) from transfers t
           where t.org_id = e.org_id and t.seq > e.seq and t.seq <= e.seq + e.transfers) end as released

-- beside --
left join members m on m.org_id = e.org_id
    and m.no = case when e.name = 'PointsExpiring' then (nullif(e.body, '')::jsonb ->> 'member_no')::bigint
                    else e.member_no end
left join purchases p on p.org_id = e.org_id and p.no = e.purchase_no and e.purchase_no > 0

-- new_messages --
-- what comes after the cursor, of members who are not behind
select
-- include message
from events e
-- include beside
where e.org_id = %(org)s and e.seq > %(after)s and e.seq <= %(until)s and e.name = any(%(names)s)
  and not exists (select from webhook_behind b
                  where b.org_id = %(org)s and b.webhook_id = %(webhook)s and b.member_no = e.member_no)
order by e.seq limit %(limit)s

-- messages_behind --
-- what members who are behind have not got yet, a few of each, up to the cursor
select
-- include message
from unnest(%(members)s::bigint[], %(seqs)s::bigint[]) as b (member_no, seq)
cross join lateral (
    select x.* from events x
    where x.org_id = %(org)s and x.member_no = b.member_no and x.seq > b.seq and x.seq <= %(until)s
      and x.name = any(%(names)s)
    order by x.seq limit %(each)s) e
-- include beside
order by e.seq

-- advance --
-- how far the holder has come; no row when it has lost its turn
update webhook_cursors
set seq = %(seq)s, next_at = %(next_at)s, failures = %(failures)s, failing_since = %(failing_since)s,
    last_success_at = %(last_success_at)s, held_until = clock_timestamp() + %(lease)s::interval
where org_id = %(org)s and webhook_id = %(webhook)s and holder = %(holder)s
returning seq

-- give_back --
-- let somebody else have the turn at once
update webhook_cursors set held_until = '-infinity'
where org_id = %(org)s and webhook_id = %(webhook)s and holder = %(holder)s

-- put_behind --
-- members who are behind, or still are
insert into webhook_behind (org_id, webhook_id, member_no, seq, attempts, failed_since, next_at)
select %(org)s::bigint, %(webhook)s::uuid, b.* from unnest(%(members)s::bigint[], %(seqs)s::bigint[], %(attempts)s::integer[],
                                             %(failed_since)s::timestamptz[], %(next_at)s::timestamptz[]) b
on conflict (org_id, webhook_id, member_no) do update
set seq = excluded.seq, attempts = excluded.attempts, failed_since = excluded.failed_since, next_at = excluded.next_at

-- caught_up --
-- members who are behind no longer
delete from webhook_behind where org_id = %(org)s and webhook_id = %(webhook)s and member_no = any(%(members)s::bigint[])

-- hurry --
-- when an endpoint answers again, whoever failed meanwhile is tried now
update webhook_behind set next_at = %(now)s
where org_id = %(org)s and webhook_id = %(webhook)s and next_at > %(now)s and failed_since >= %(since)s

-- log --
-- one row for each attempt
insert into webhook_deliveries (org_id, webhook_id, event_seq, message_id, message_type, attempt, outcome, status,
                                sent_at, duration_ms, answer)
select %(org)s::bigint, %(webhook)s::uuid, d.*
from unnest(%(seqs)s::bigint[], %(ids)s::uuid[], %(types)s::text[], %(attempts)s::integer[], %(outcomes)s::text[],
            %(statuses)s::integer[], %(sent_at)s::timestamptz[], %(durations)s::integer[], %(answers)s::text[]) d

-- purge --
-- rows of the log that are old enough, some at a time
delete from webhook_deliveries
where org_id = %(org)s and (webhook_id, no) in (
    select webhook_id, no from webhook_deliveries
    where org_id = %(org)s and sent_at < %(before)s order by sent_at limit %(limit)s)

-- find --
-- one endpoint, with how it is doing
select
-- include shown
where w.org_id = %(org)s and w.id = %(id)s and w.status <> 'removed'

-- list --
-- all endpoints, oldest first
select
-- include shown
where w.org_id = %(org)s and w.status <> 'removed'
order by w.id limit %(limit)s

-- shown --
w.id::text, w.url, w.description, w.filters, w.status, w.reason, w.generation, w.old_until, w.replays, w.start_seq,
w.created_at, w.active_since, case when c.replays = w.replays then c.seq else w.start_seq end as seq, h.seq as head, c.failing_since,
c.last_success_at,
(select count(*) from (select 1 from webhook_behind b where b.org_id = w.org_id and b.webhook_id = w.id limit 10001) x)
    as members_behind
from webhooks w
join heads h on h.org_id = w.org_id
left join webhook_cursors c on c.org_id = w.org_id and c.webhook_id = w.id

-- deliveries --
-- attempts at one endpoint, newest first, of all messages or one
select no, event_seq, message_id::text, message_type, attempt, outcome, status, sent_at, duration_ms, answer
from webhook_deliveries
where org_id = %(org)s and webhook_id = %(webhook)s and (%(before)s::bigint is null or no < %(before)s)
  and (%(message)s::uuid is null or message_id = %(message)s) and (%(outcome)s = '' or outcome = %(outcome)s)
order by no desc limit %(limit)s
