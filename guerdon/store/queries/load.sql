-- What a batch of commands touches, read under the organisation's lock. Arrays of keys in, rows out; whoever reads
-- them back goes by the keys, so order matters only where it is written. An account brings its figures along, and in
-- one JSON text those of its lots that are asked for.
--
-- Plans are kept, also those made while a table was empty and every way to read it looked equally cheap. So that none
-- of them reads a whole table once for each key, joins are lateral with `offset 0`, which looks up row by row; lists of
-- keys are `= any(array(...))`, which goes into an index. `tests/store/test_plans.py` reads the plans.

-- enter --
-- says whose rows this transaction may see, and that arrays of keys are for indexes: a plan made once, without guesses
-- at how many keys an array holds, and never a scan of a whole table
select set_config('guerdon.org', %(org)s, true), set_config('plan_cache_mode', 'force_generic_plan', true),
       set_config('enable_seqscan', 'off', true)

-- lock_head --
-- a statement of its own: what is read after it sees what the last batch committed; the transaction's id is for asking
-- later whether it was committed
select pg_current_xact_id()::text, coalesce(mark::text, ''), config_version, last_recorded_at, last_hash, seq,
       ledger_no, account_no, lot_no, member_no, purchase_no, return_no, redemption_no, config_no
from heads where org_id = %(org)s::bigint for no key update

-- lock_same_head --
-- the same behind a batch whose head is known: an error, and so nothing is done, where the head is another one, and
-- another error where one of the references or idempotency keys is there that were taken to be free
select pg_current_xact_id()::text,
       1 / (mark = %(mark)s::text and seq = %(seq)s::bigint and last_hash = %(hash)s::bytea)::integer,
       ln((not exists (
               select from transfers t where t.org_id = %(org)s::bigint and t.reference = any(%(references)s::text[]))
           and not exists (
               select from transfers t
               where t.org_id = %(org)s::bigint and t.request_reference = any(%(references)s::text[]))
           and not exists (
               select from unnest(%(actors)s::text[], %(keys)s::text[]) as guessed (actor, key)
               cross join lateral (
                   select from outcomes x
                   where x.org_id = %(org)s::bigint and x.actor = guessed.actor and x.key = guessed.key offset 0) o
           ))::integer)
from (
    select coalesce(mark::text, '') as mark, seq, last_hash
    from heads where org_id = %(org)s::bigint for no key update) head

-- account_columns --
-- an account, its figures (as text, which int() reads faster than a loader can) and its lots, for those that include
-- this: all open ones, or those that were released, the first of those that have ended and, of the others, so many that
-- are spent first
select a.no, a.id::text, a.ledger_no, a.asset, a.indicator, a.member_no, a.program_no, a.category, a.role,
       a.tracks_lots, a.opened_at, a.options,
       f.credit::text, f.debit::text, f.inflight_credit::text, f.inflight_debit::text, f.version, f.floor::text,
       case when a.tracks_lots then (
                select json_agg(json_build_array(
                    l.no, l.event_seq, l.amount, l.remaining, l.redeemed, l.returned, l.expired, l.held, l.written_off,
                    l.earned_at, l.expires_at, l.rule, l.version, l.line, l.purchase_no, l.releases_at, l.promise))::text
                from (
                    select * from lots x
                    where x.org_id = %(org)s::bigint and x.account = a.no and x.remaining > 0 and x.expires_at <= m.now
                    order by x.expires_at, x.no limit %(ended)s::bigint) l)
       end as lots,
       case when a.category = 'promised' then (
                select json_agg(json_build_array(
                    l.no, l.event_seq, l.amount, l.remaining, l.redeemed, l.returned, l.expired, l.held, l.written_off,
                    l.earned_at, l.expires_at, l.rule, l.version, l.line, l.purchase_no, l.releases_at, l.promise))::text
                from (
                    select * from lots x
                    where x.org_id = %(org)s::bigint and x.account = a.no and x.remaining > 0
                          and x.releases_at is not null and x.releases_at <= m.now
                          and (x.expires_at is null or x.expires_at > x.releases_at)
                    order by x.releases_at, x.no limit %(ended)s::bigint) l)
       end as released_lots,
       case when a.tracks_lots and %(first)s::bigint > 0 then (
                select json_agg(json_build_array(
                    l.no, l.event_seq, l.amount, l.remaining, l.redeemed, l.returned, l.expired, l.held, l.written_off,
                    l.earned_at, l.expires_at, l.rule, l.version, l.line, l.purchase_no, l.releases_at, l.promise))::text
                from (
                    select * from lots x
                    where x.org_id = %(org)s::bigint and x.account = a.no and x.remaining > 0
                          and (x.expires_at > m.now or x.expires_at is null)
                    order by x.expires_at, x.no limit %(first)s::bigint) l)
       end as first_lots
from accounts a
left join lateral (
    select * from figures x where x.org_id = %(org)s::bigint and x.account_no = a.no offset 0) f on true
cross join lateral (
    select greatest(%(now)s::timestamptz, h.last_recorded_at) as now  -- time never goes back behind the head's
    from heads h where h.org_id = %(org)s::bigint offset 0) m

-- accounts_by_id --
-- accounts as a posting names them
-- include account_columns
where a.org_id = %(org)s::bigint and a.id = any(%(ids)s::uuid[])

-- accounts_by_indicator --
-- internal accounts by name and asset
-- include account_columns
where a.org_id = %(org)s::bigint and a.no = any(array(
    select named.no
    from unnest(%(indicators)s::text[], %(assets)s::text[]) as asked (indicator, asset)
    cross join lateral (
        select x.no from accounts x
        where x.org_id = %(org)s::bigint and x.indicator = asked.indicator and x.asset = asked.asset
              and x.indicator <> '' offset 0) named))

-- accounts_by_no --
-- accounts by number
-- include account_columns
where a.org_id = %(org)s::bigint and a.no = any(%(nos)s::bigint[])

-- accounts_of_programs --
-- the internal accounts that stand for something in a program
-- include account_columns
where a.org_id = %(org)s::bigint and a.role <> ''

-- accounts_of_events --
-- both sides of the transfers of some events
-- include account_columns
where a.org_id = %(org)s::bigint and a.no = any(array(
    select unnest(array[t.source, t.destination])
    from unnest(%(seqs)s::bigint[]) as asked (seq)
    cross join lateral (
        select x.transfers from events x where x.org_id = %(org)s::bigint and x.seq = asked.seq offset 0) e
    cross join lateral generate_series(asked.seq + 1, asked.seq + e.transfers) as made (seq)
    cross join lateral (
        select x.source, x.destination from transfers x
        where x.org_id = %(org)s::bigint and x.seq = made.seq offset 0) t))

-- accounts_of_members --
-- all accounts of the members asked for, wallets too
-- include account_columns
where a.org_id = %(org)s::bigint and a.member_no > 0 and a.member_no = any(array(
    select unnest(%(nos)s::bigint[])
    union all
    select no from members where org_id = %(org)s::bigint and id = any(%(ids)s::uuid[])
    union all
    select i.member_no
    from unnest(%(kinds)s::text[], %(texts)s::text[]) as asked (kind, value)
    cross join lateral (
        select x.member_no from member_identifiers x
        where x.org_id = %(org)s::bigint and x.kind = asked.kind and x.value = asked.value offset 0) i))

-- members --
-- members by number, id or identifier, with what they were found by and all their identifiers, those of members merged
-- into them behind a ~
with found as (
    select 'number' as by, asked.no::text as value, asked.no as no
    from unnest(%(nos)s::bigint[]) as asked (no)
    union all
    select 'id', id::text, no from members where org_id = %(org)s::bigint and id = any(%(ids)s::uuid[])
    union all
    select asked.kind, asked.value, i.member_no
    from unnest(%(kinds)s::text[], %(texts)s::text[]) as asked (kind, value)
    cross join lateral (
        select x.member_no from member_identifiers x
        where x.org_id = %(org)s::bigint and x.kind = asked.kind and x.value = asked.value offset 0) i
)
select found.by, found.value, m.no, m.id::text, m.status, m.enrolled, m.registered_at, m.survivor_no,
       array(select case when i.alias then '~' else '' end || i.kind || ':' || i.value from member_identifiers i
             where i.org_id = %(org)s::bigint and i.member_no = m.no order by i.kind, i.value)
from found
cross join lateral (select * from members x where x.org_id = %(org)s::bigint and x.no = found.no offset 0) m

-- member_no_columns --
-- the numbers of the members asked for, for the statements that include this
with asked_for as (
    select unnest(%(nos)s::bigint[]) as no
    union
    select no from members where org_id = %(org)s::bigint and id = any(%(ids)s::uuid[])
    union
    select i.member_no
    from unnest(%(kinds)s::text[], %(texts)s::text[]) as asked (kind, value)
    cross join lateral (
        select x.member_no from member_identifiers x
        where x.org_id = %(org)s::bigint and x.kind = asked.kind and x.value = asked.value offset 0) i
)

-- sent --
-- what members, and those merged into them, sent in the days and months that may not be over yet
-- include member_no_columns
select a.no, s.no, s.program_no, s.period, s.points, s.count
from asked_for a
cross join lateral (
    -- include taken_over_columns
    select f.no, x.program_no, x.period, x.points, x.count from family f
    left join lateral (
        select * from sent y where y.org_id = %(org)s::bigint and y.member_no = f.no
               and y.period >= to_char(%(now)s::timestamptz - interval '35 days', 'YYYY-MM-DD') offset 0) x on true) s

-- standings --
-- how members stand in the tiers of programs
-- include member_no_columns
select a.no, s.program_no, s.version, s.tier, s.joined_at, s.reckoning, s.reckoned_at, s.due_at, s.warned_at
from asked_for a
left join lateral (
    select * from standings x where x.org_id = %(org)s::bigint and x.member_no = a.no offset 0) s on true

-- families --
-- members, and all who were merged into them: from when on they count, and when each was registered
-- include persons_columns
select root, no, since, registered_at from family

-- forebears --
-- who was merged into members, and into those, by number and id
with recursive family (root, no, id) as (
    select asked.no, m.no, m.id from unnest(%(nos)s::bigint[]) as asked (no)
    cross join lateral (
        select x.no, x.id from members x
        where x.org_id = %(org)s::bigint and x.survivor_no = asked.no and x.survivor_no > 0 offset 0) m
    union all
    select f.root, m.no, m.id from family f
    cross join lateral (
        select x.no, x.id from members x
        where x.org_id = %(org)s::bigint and x.survivor_no = f.no and x.survivor_no > 0 offset 0) m
)
select root, no, id::text from family order by root, no

-- persons_columns --
-- for the statements that include this
with recursive family (root, no, since, registered_at) as (
    select m.no, m.no, m.registered_at, m.registered_at
    from members m where m.org_id = %(org)s::bigint and m.no = any(%(nos)s::bigint[])
    union all
    select f.root, m.no, case when f.no = f.root then merge.recorded_at else f.since end, m.registered_at
    from family f
    cross join lateral (
        select x.no, x.registered_at from members x
        where x.org_id = %(org)s::bigint and x.survivor_no = f.no and x.survivor_no > 0 offset 0) m
    cross join lateral (
        select x.recorded_at from events x where x.org_id = %(org)s::bigint and x.member_no = m.no
        order by x.seq desc limit 1) merge
)

-- activity_purchases --
-- what members bought, in their own name or in that of those merged into them
-- include persons_columns
select f.root, f.since, p.no, p.program_no, p.event_at, p.currency, p.paid, p.lines, p.division
from family f
cross join lateral (
    select * from purchases x where x.org_id = %(org)s::bigint and x.member_no = f.no offset 0) p

-- activity_returns --
-- and what of it was taken back
-- include persons_columns
select p.no, r.no, r.event_at, r.lines, r.paid, r.earned
from family f
cross join lateral (
    select x.no from purchases x where x.org_id = %(org)s::bigint and x.member_no = f.no offset 0) p
cross join lateral (
    select * from purchase_returns x where x.org_id = %(org)s::bigint and x.purchase_no = p.no offset 0) r

-- taken_over_columns --
-- the member `a` and all who were merged into it, for the statements that include this
with recursive family as (
    select a.no as no
    union
    select m.no from family f
    cross join lateral (
        select x.no from members x where x.org_id = %(org)s::bigint and x.survivor_no = f.no and x.survivor_no > 0
        offset 0) m
)

-- referrals_of --
-- the referral of each member who was referred, or of whom somebody was who was merged into them: the earliest
-- include member_no_columns
select a.no, r.id::text, r.referrer_no, r.referred_no, r.program_no, r.referrer_event, r.referred_event, r.taken_back
from asked_for a
left join lateral (
    -- include taken_over_columns
    select x.* from family f
    cross join lateral (
        select * from referrals y where y.org_id = %(org)s::bigint and y.referred_no = f.no offset 0) x
    order by x.id limit 1) r on true

-- referrals --
-- referrals by id
select id::text, referrer_no, referred_no, program_no, referrer_event, referred_event, taken_back
from referrals where org_id = %(org)s::bigint and id = any(%(ids)s::uuid[])

-- adjustments --
-- adjustments by id, with what was decided
select a.id::text, a.member_no, a.program_no, a.points, a.reason, a.actor, a.person, a.recorded_at, a.expires_at,
       a.event_seq, d.approved, d.reason, d.actor, d.person, d.recorded_at, d.event_seq
from adjustments a
left join lateral (
    select * from adjustment_decisions x where x.org_id = %(org)s::bigint and x.adjustment_id = a.id offset 0) d on true
where a.org_id = %(org)s::bigint and a.id = any(%(ids)s::uuid[])

-- heirs --
-- merged members with whom they were merged into
with recursive chain as (
    select m.no, m.survivor_no from members m where m.org_id = %(org)s::bigint and m.no = any(%(nos)s::bigint[])
    union
    select m.no, m.survivor_no from chain c join members m on m.org_id = %(org)s::bigint and m.no = c.survivor_no
)
select no, survivor_no from chain where survivor_no > 0

-- lifetimes --
-- all that accounts were credited with, but for what was given back after spending, less what was taken back; those of
-- members merged into the holder count with it, and the merge itself does not
select asked.no, family.earned
from unnest(%(nos)s::bigint[]) as asked (no)
cross join lateral (
    with recursive family as (
        select a.no, a.member_no, a.program_no, a.category
        from accounts a where a.org_id = %(org)s::bigint and a.no = asked.no
        union
        select v.no, v.member_no, v.program_no, v.category from family f
        cross join lateral (
            select x.no from members x
            where x.org_id = %(org)s::bigint and x.survivor_no = f.member_no and x.survivor_no > 0 offset 0) m
        cross join lateral (
            select * from accounts x
            where x.org_id = %(org)s::bigint and x.member_no = m.no and x.member_no > 0
                  and x.program_no = f.program_no and x.category = f.category offset 0) v
    )
    select coalesce(sum(
       (select coalesce(sum(t.amount), 0) from transfers t
        join accounts a on a.org_id = %(org)s::bigint and a.no = t.source
        where t.org_id = %(org)s::bigint and t.destination = f.no and t.action in ('apply', 'settle')
              and a.role <> 'reversed'
              and not (a.member_no > 0 and exists (
                  select from events e
                  where e.org_id = %(org)s::bigint and e.seq = t.event_seq and e.name = 'CustomerMerge')))
       - (select coalesce(sum(t.amount), 0) from transfers t
          join accounts a on a.org_id = %(org)s::bigint and a.no = t.destination
          where t.org_id = %(org)s::bigint and t.source = f.no and t.action in ('apply', 'settle')
                and a.role in ('returned', 'adjusted'))), 0) as earned
    from family f) family

-- lot_columns --
-- a lot as it stands, for the statements that include this
select l.no, l.account, l.event_seq, l.amount, l.remaining, l.redeemed, l.returned, l.expired, l.held, l.written_off,
       l.earned_at, l.expires_at, l.rule, l.version, l.line, l.purchase_no, l.releases_at, l.promise
from lots l

-- policies --
-- what programs' policies were under some of their versions
select v.program_no, v.version, v.policies::text
from unnest(%(nos)s::bigint[], %(versions)s::integer[]) as asked (no, version)
cross join lateral (
    select * from program_versions x
    where x.org_id = %(org)s::bigint and x.program_no = asked.no and x.version = asked.version offset 0) v

-- lots_open --
-- everything that remains on some accounts
-- include lot_columns
where l.org_id = %(org)s::bigint and l.account = any(%(nos)s::bigint[]) and l.remaining > 0

-- lots_first --
-- of what remains on some accounts and has not ended, so many lots that are spent first
select l.no, l.account, l.event_seq, l.amount, l.remaining, l.redeemed, l.returned, l.expired, l.held, l.written_off,
       l.earned_at, l.expires_at, l.rule, l.version, l.line, l.purchase_no, l.releases_at, l.promise
from heads h
cross join lateral unnest(%(nos)s::bigint[], %(sizes)s::bigint[]) as asked (no, size)
cross join lateral (
    select * from lots x
    where x.org_id = %(org)s::bigint and x.account = asked.no and x.remaining > 0
          and (x.expires_at > greatest(%(now)s::timestamptz, h.last_recorded_at) or x.expires_at is null)
    order by x.expires_at, x.no limit asked.size) l
where h.org_id = %(org)s::bigint

-- lots_ended --
-- of what remains on some accounts and has ended, so many lots (null: all) that ended first
select l.no, l.account, l.event_seq, l.amount, l.remaining, l.redeemed, l.returned, l.expired, l.held, l.written_off,
       l.earned_at, l.expires_at, l.rule, l.version, l.line, l.purchase_no, l.releases_at, l.promise
from heads h
cross join lateral unnest(%(nos)s::bigint[], %(sizes)s::bigint[]) as asked (no, size)
cross join lateral (
    select * from lots x
    where x.org_id = %(org)s::bigint and x.account = asked.no and x.remaining > 0
          and x.expires_at <= greatest(%(now)s::timestamptz, h.last_recorded_at)
    order by x.expires_at, x.no limit asked.size) l
where h.org_id = %(org)s::bigint

-- lots_released --
-- of what remains on some accounts and was released, so many lots (null: all) that were released first
select l.no, l.account, l.event_seq, l.amount, l.remaining, l.redeemed, l.returned, l.expired, l.held, l.written_off,
       l.earned_at, l.expires_at, l.rule, l.version, l.line, l.purchase_no, l.releases_at, l.promise
from heads h
cross join lateral unnest(%(nos)s::bigint[], %(sizes)s::bigint[]) as asked (no, size)
cross join lateral (
    select * from lots x
    where x.org_id = %(org)s::bigint and x.account = asked.no and x.remaining > 0
          and x.releases_at is not null and x.releases_at <= greatest(%(now)s::timestamptz, h.last_recorded_at)
          and (x.expires_at is null or x.expires_at > x.releases_at)
    order by x.releases_at, x.no limit asked.size) l
where h.org_id = %(org)s::bigint

-- lots_by_no --
-- lots that the core asks for by number, open or not
-- include lot_columns
where l.org_id = %(org)s::bigint and l.no = any(%(nos)s::bigint[])

-- lots_of_purchases --
-- every lot that came from some purchases, open or not, wherever it lies
-- include lot_columns
where l.org_id = %(org)s::bigint and l.purchase_no > 0 and l.purchase_no = any(%(nos)s::bigint[])

-- lots_of_events --
-- every lot that some events moved, open or not
-- include lot_columns
where l.org_id = %(org)s::bigint and l.no = any(array(
    select (move ->> 0)::bigint
    from unnest(%(seqs)s::bigint[]) as asked (seq)
    cross join lateral (
        select x.lot_moves from events x where x.org_id = %(org)s::bigint and x.seq = asked.seq offset 0) e
    cross join lateral jsonb_array_elements(nullif(e.lot_moves, '')::jsonb) as move))

-- ledgers --
-- ledgers by id
select no, id::text, name, opened_at from ledgers where org_id = %(org)s::bigint and id = any(%(ids)s::uuid[])

-- transfer_columns --
-- a transfer, for the statements that include this
select t.seq, t.id::text, t.event_seq, t.action, t.source, t.destination, t.asset, t.amount, t.source_version,
       t.destination_version, t.source_balance, t.destination_balance, t.recorded_at, t.effective_at, t.reference,
       t.request_id::text, t.request_reference, t.parent::text, t.detail
from transfers t

-- transfers --
-- transfers of an id, of a request, or under a parent, in order
-- include transfer_columns
where t.org_id = %(org)s::bigint and t.seq = any(array(
    select named.seq
    from unnest(%(ids)s::uuid[]) as asked (id)
    cross join lateral (
        (select x.seq from transfers x where x.org_id = %(org)s::bigint and x.id = asked.id offset 0)
        union all
        (select x.seq from transfers x where x.org_id = %(org)s::bigint and x.request_id = asked.id offset 0)
        union all
        (select x.seq from transfers x where x.org_id = %(org)s::bigint and x.parent = asked.id offset 0)) named))
order by t.seq

-- transfers_of_events --
-- all transfers of some events, in order
-- include transfer_columns
where t.org_id = %(org)s::bigint and t.seq = any(array(
    select generate_series(asked.seq + 1, asked.seq + e.transfers)
    from unnest(%(seqs)s::bigint[]) as asked (seq)
    cross join lateral (
        select x.transfers from events x where x.org_id = %(org)s::bigint and x.seq = asked.seq offset 0) e))
order by t.seq

-- references --
-- which references are taken, by a transfer or by the queued request whose outcome it is; the first transfer last
select t.reference, t.seq from transfers t
where t.org_id = %(org)s::bigint and t.reference = any(%(texts)s::text[])
union all
select t.request_reference, t.seq from transfers t
where t.org_id = %(org)s::bigint and t.request_reference = any(%(texts)s::text[])
order by 2 desc

-- holds --
-- what is left of held transfers; pins soonest expiry first, as they were written
select seq, transfer_id::text, remaining, released, expires_at, commits_at, pins::text
from holds where org_id = %(org)s::bigint and seq = any(%(seqs)s::bigint[])

-- scheduled --
-- postings that wait for their time
select seq, transfer_id::text, due_at, done, request
from scheduled where org_id = %(org)s::bigint and seq = any(%(seqs)s::bigint[])

-- events --
-- events by sequence number
select e.seq, e.id::text, e.name, e.member_no, e.event_at, e.recorded_at, e.transfers, e.points, e.mirrors, e.source,
       e.store_no, e.till_no, e.program_no, e.purchase_no, e.reference, e.actor, e.reason, e.entries, e.body, e.lot_moves
from unnest(%(seqs)s::bigint[]) as asked (seq)
cross join lateral (select * from events x where x.org_id = %(org)s::bigint and x.seq = asked.seq offset 0) e

-- purchases --
-- purchases by id, number or bill number, each with the redemption that paid for a part of it
select p.no, p.id::text, p.number, p.member_no, p.event_seq, p.event_at, p.recorded_at, p.currency, p.amount, p.paid,
       p.spent_points, p.redemption_id::text, p.source, p.store_no, p.till_no, p.lines, p.shares, p.division,
       p.tenders, p.fingerprint, p.result, p.meta, p.program_no,
       r.id::text, r.no, r.member_no, r.program_no, r.event_seq, r.purchase_no, r.points, r.reversed, r.reference,
       r.event_at, r.fingerprint, r.result
from purchases p
left join lateral (
    select * from redemptions x where x.org_id = %(org)s::bigint and x.id = p.redemption_id offset 0) r on true
where p.org_id = %(org)s::bigint and p.no = any(array(
    select p.no from unnest(%(texts)s::text[]) as asked (number)
    cross join lateral (
        select x.no from purchases x where x.org_id = %(org)s::bigint and x.number = asked.number offset 0) p
    union all
    select p.no from unnest(%(ids)s::uuid[]) as asked (id)
    cross join lateral (
        select x.no from purchases x where x.org_id = %(org)s::bigint and x.id = asked.id offset 0) p
    union all
    select unnest(%(nos)s::bigint[])))

-- return_columns --
-- a return, for the statements that include this
select no, id::text, number, purchase_no, member_no, event_seq, event_at, recorded_at, lines, amount, paid, spent,
       earned, fingerprint, result
from purchase_returns

-- returns --
-- returns by their own number
-- include return_columns
where org_id = %(org)s::bigint and number = any(%(texts)s::text[])

-- returns_of_purchases --
-- all returns of some purchases, in order
-- include return_columns
where org_id = %(org)s::bigint and purchase_no = any(%(nos)s::bigint[])
order by no

-- redemptions --
-- redemptions by id or by the caller's reference
select id::text, no, member_no, program_no, event_seq, purchase_no, points, reversed, reference, event_at, fingerprint,
       result
from redemptions
where org_id = %(org)s::bigint and id = any(array(
    select unnest(%(ids)s::uuid[])
    union all
    select id from redemptions
    where org_id = %(org)s::bigint and reference = any(%(texts)s::text[]) and reference <> ''))

-- reward_lists --
-- lists of rewards by id
select id::text, program_no, version, created_at, terms
from reward_lists where org_id = %(org)s::bigint and id = any(%(ids)s::uuid[])

-- rewards --
-- rewards by id, each with its list
select r.id::text, r.list_id::text, r.version, r.created_at, r.supply, r.claimed, r.given, r.terms,
       l.id::text, l.program_no, l.version, l.created_at, l.terms
from rewards r
cross join lateral (select * from reward_lists x where x.org_id = %(org)s::bigint and x.id = r.list_id offset 0) l
where r.org_id = %(org)s::bigint and r.id = any(%(ids)s::uuid[])

-- claims --
-- claims by id, each with its reward
select c.id::text, c.member_no, c.program_no, c.list_id::text, c.reward_id::text, c.version, c.event_seq, c.points,
       c.wallet, c.claimed_at, c.status, c.moved_at, c.reason,
       r.id::text, r.list_id::text, r.version, r.created_at, r.supply, r.claimed, r.given, r.terms
from claims c
cross join lateral (select * from rewards x where x.org_id = %(org)s::bigint and x.id = c.reward_id offset 0) r
where c.org_id = %(org)s::bigint and c.id = any(%(ids)s::uuid[])

-- claimed --
-- how often members, or those merged into them, claimed each reward, but for what was given back
-- include member_no_columns
select a.no, c.list_id::text, c.reward_id::text, c.count
from asked_for a
left join lateral (
    -- include taken_over_columns
    select x.list_id, x.reward_id, count(*) from family f
    cross join lateral (
        select y.list_id, y.reward_id from claims y
        where y.org_id = %(org)s::bigint and y.member_no = f.no and y.status not in ('denied', 'cancelled') offset 0) x
    group by 1, 2) c on true

-- code_batch_columns --
-- a batch of codes, for those that include this
select b.id::text, b.promotion::text, b.kind, b.name, b.partner, b.channel, b.form, b.seed, b.created_at, b.actor, b.wanted,
       b.made, b.next_index,

-- code_batches --
-- batches by id, each with its own switch
-- include code_batch_columns
       s.version, s.active, s.reason
from code_batches b
left join lateral (
    select * from code_switches x where x.org_id = %(org)s::bigint and x.batch = b.id and x.code = ''
    order by x.version desc limit 1) s on true
where b.org_id = %(org)s::bigint and b.id = any(%(ids)s::uuid[])

-- code_side_columns --
-- what belongs to a code, for those that include this: its batch, both switches, and its link
cross join lateral (select * from code_batches x where x.org_id = %(org)s::bigint and x.id = k.batch offset 0) b
left join lateral (
    select * from code_switches x where x.org_id = %(org)s::bigint and x.batch = k.batch and x.code = ''
    order by x.version desc limit 1) s on true
left join lateral (
    select * from code_switches x where x.org_id = %(org)s::bigint and x.batch = k.batch and x.code = k.code
    order by x.version desc limit 1) t on true
left join lateral (
    select * from code_links x where x.org_id = %(org)s::bigint and x.code = k.code offset 0) l on true

-- codes --
-- codes as they are compared
-- include code_batch_columns
       s.version, s.active, s.reason, k.code, k.no, t.version, t.active, t.reason,
       l.id::text, l.member_no, l.mode, l.linked_at, l.actor
from codes k
-- include code_side_columns
where k.org_id = %(org)s::bigint and k.code = any(%(texts)s::text[])

-- code_runs --
-- the first codes of batches after a number that are neither linked, nor switched off, nor used
-- include code_batch_columns
       s.version, s.active, s.reason, k.code, k.no
from unnest(%(batches)s::uuid[], %(after)s::bigint[]) as asked (batch, after)
cross join lateral (select * from code_batches x where x.org_id = %(org)s::bigint and x.id = asked.batch offset 0) b
left join lateral (
    select * from code_switches x where x.org_id = %(org)s::bigint and x.batch = b.id and x.code = ''
    order by x.version desc limit 1) s on true
left join lateral (
    select x.code, x.no from codes x
    where x.org_id = %(org)s::bigint and x.batch = asked.batch and x.no > asked.after
      and not exists (select from code_links l where l.org_id = %(org)s::bigint and l.code = x.code offset 0)
      and not exists (select from promotion_uses u where u.org_id = %(org)s::bigint and u.code = x.code collate "default"
                        and u.code <> '' offset 0)
      and coalesce((select w.active from code_switches w
                    where w.org_id = %(org)s::bigint and w.batch = x.batch and w.code = x.code
                    order by w.version desc limit 1), true)
    order by x.no limit %(limit)s::bigint) k on true
order by b.id, k.no

-- uses_of_codes --
-- what codes were used for
-- include use_columns
where org_id = %(org)s::bigint and code <> '' and code = any(%(texts)s::text[])
order by event_seq, position

-- codes_of --
-- the codes linked to members or to whom they took over, those linked last first; a row without a code where there is
-- none
-- include member_no_columns
select a.no, k.*
from asked_for a
left join lateral (
    -- include taken_over_columns
    select c.code from family f
    cross join lateral (
        select x.code, x.linked_at from code_links x where x.org_id = %(org)s::bigint and x.member_no = f.no
        order by x.linked_at desc limit %(linked)s::bigint) c
    order by c.linked_at desc, c.code limit %(linked)s::bigint) k on true

-- issue_columns --
-- an issue and what was done to it, for those that include this
select i.id::text, i.promotion::text, i.member_no, i.issued_at, i.starts_at, i.ends_at, i.activation, i.days, i.reason,
       i.actor, a.moved_at, a.ends_at, a.actor, r.moved_at, r.ends_at, r.actor

-- issue_side_columns --
left join lateral (
    select * from promotion_issue_moves x
    where x.org_id = %(org)s::bigint and x.issue = i.id and x.done = 'activated' offset 0) a on true
left join lateral (
    select * from promotion_issue_moves x
    where x.org_id = %(org)s::bigint and x.issue = i.id and x.done = 'revoked' offset 0) r on true

-- issues --
-- issues by id
-- include issue_columns
from promotion_issues i
-- include issue_side_columns
where i.org_id = %(org)s::bigint and i.id = any(%(ids)s::uuid[])

-- issues_of --
-- the issues of members or of whom they took over, of promotions that have not ended, in the order in which they were
-- given; a row without an issue where there is none
-- include member_no_columns
select a.no, k.*
from asked_for a
left join lateral (
    -- include taken_over_columns
    -- include issue_columns
    from family f
    cross join lateral (
        select * from promotion_issues x where x.org_id = %(org)s::bigint and x.member_no = f.no offset 0) i
    cross join lateral (
        select from promotions x
        where x.org_id = %(org)s::bigint and x.id = i.promotion and x.status <> 'ended' offset 0) p
    -- include issue_side_columns
    order by i.issued_at, i.id) k on true

-- merged_columns --
-- a member and those merged into it, for those that include this
    -- include taken_over_columns

-- past --
-- what members paid and were given back, with members merged into them; a row without a time where there is nothing
-- include member_no_columns
select a.no, k.*
from asked_for a
left join lateral (
    -- include merged_columns
    , bought as (
        select p.* from family f
        cross join lateral (
            select x.no, x.event_at, x.paid, x.currency from purchases x
            where x.org_id = %(org)s::bigint and x.member_no = f.no offset 0) p
    )
    select p.event_at, p.paid::text, p.currency, true from bought p
    union all
    select r.event_at, (-r.paid)::text, p.currency, false from bought p
    cross join lateral (
        select x.event_at, x.paid from purchase_returns x
        where x.org_id = %(org)s::bigint and x.purchase_no = p.no offset 0) r) k on true

-- past_lines --
-- the lines of members' purchases
-- include member_no_columns
select a.no, k.*
from asked_for a
left join lateral (
    -- include merged_columns
    select p.event_at, p.lines from family f
    cross join lateral (
        select x.event_at, x.lines from purchases x
        where x.org_id = %(org)s::bigint and x.member_no = f.no offset 0) p) k on true

-- imported --
-- rows of imports that were taken, by kind and reference
select x.kind, x.reference, x.event_seq, x.fingerprint, x.result
from unnest(%(kinds)s::text[], %(texts)s::text[]) as asked (kind, reference)
cross join lateral (
    select * from imported i
    where i.org_id = %(org)s::bigint and i.kind = asked.kind and i.reference = asked.reference offset 0) x

-- outcomes --
-- what was answered under an idempotency key
select asked.actor, asked.key, o.fingerprint, o.answer
from unnest(%(actors)s::text[], %(keys)s::text[]) as asked (actor, key)
cross join lateral (
    select x.fingerprint, x.answer from outcomes x
    where x.org_id = %(org)s::bigint and x.actor = asked.actor and x.key = asked.key offset 0) o

-- metadata --
-- the latest metadata of some objects
select asked.kind, asked.object, latest.version, latest.meta
from unnest(%(kinds)s::text[], %(texts)s::text[]) as asked (kind, object)
cross join lateral (
    select m.version, m.meta from metadata m
    where m.org_id = %(org)s::bigint and m.kind = asked.kind and m.object = asked.object
    order by m.version desc limit 1) as latest

-- api_keys --
-- keys of this organisation; the table itself is open to look-ups that do not know whose key they hold
select k.id::text, k.name, k.owner, k.scopes, k.hash, k.created_at, k.expires_at, k.revoked_at
from unnest(%(ids)s::uuid[]) as asked (id)
cross join lateral (select * from api_keys x where x.org_id = %(org)s::bigint and x.id = asked.id offset 0) k

-- webhooks --
-- endpoints, removed ones too
select w.id::text, w.url, w.description, w.filters, w.status, w.reason, w.generation, w.old_until, w.replays,
       w.start_seq, w.created_at, w.active_since
from unnest(%(ids)s::uuid[]) as asked (id)
cross join lateral (select * from webhooks x where x.org_id = %(org)s::bigint and x.id = asked.id offset 0) w

-- counters --
-- how far limits of promotions are used up
select c.owner, c.limit_code, c.subject, c.period, c.used::text, c.last_at, c.parts
from unnest(%(owners)s::text[], %(limits)s::text[], %(subjects)s::text[], %(periods)s::text[])
     as asked (owner, limit_code, subject, period)
cross join lateral (
    select * from promotion_counters x
    where x.org_id = %(org)s::bigint and x.owner = asked.owner and x.limit_code = asked.limit_code
          and x.subject = asked.subject and x.period = asked.period offset 0) c

-- reservations --
-- reservations by id, and the open ones of carts
select id::text, cart, member_no, status, expires_at, digest, raises
from reservations
where org_id = %(org)s::bigint and id = any(array(
    select unnest(%(ids)s::uuid[])
    union all
    select id from reservations
    where org_id = %(org)s::bigint and status = 'open' and cart <> '' and cart = any(%(carts)s::text[])))

-- cart_commits --
-- carts committed without a purchase, by the number of the sale
select id::text, number, event_seq, member_no, committed_at, lines, division, fingerprint, result
from promotion_commits
where org_id = %(org)s::bigint and id = any(array(
    select unnest(%(ids)s::uuid[])
    union all
    select id from promotion_commits where org_id = %(org)s::bigint and number = any(%(texts)s::text[])))

-- uses_of_commits --
-- what promotions gave on carts of shops that keep their own sales
select u.event_seq, u.position, u.promotion::text, u.version, u.code, u.member_no, u.purchase_no, u.reference, u.used_at,
       u.times::text, u.discount::text, u.voucher::text, u.points::text, u.currency, u.raises, u.of_seq, u.issue
from promotion_commits c
join promotion_uses u on u.org_id = %(org)s::bigint and u.event_seq = c.event_seq
where c.org_id = %(org)s::bigint and c.id = any(array(
    select unnest(%(ids)s::uuid[])
    union all
    select id from promotion_commits where org_id = %(org)s::bigint and number = any(%(texts)s::text[])))
order by u.event_seq, u.position

-- cart_return_columns --
select r.id::text, r.number, r.commit_id::text, r.event_seq, r.member_no, r.lines, r.paid::text, r.discount::text, r.earned,
       r.fingerprint, r.result
from cart_returns r

-- cart_returns --
-- returns of such carts, by their numbers
-- include cart_return_columns
where r.org_id = %(org)s::bigint and r.number = any(%(texts)s::text[])

-- returns_of_commits --
-- all that was returned of some carts, oldest first
-- include cart_return_columns
where r.org_id = %(org)s::bigint and r.commit_id = any(array(
    select unnest(%(ids)s::uuid[])
    union all
    select id from promotion_commits where org_id = %(org)s::bigint and number = any(%(texts)s::text[])))
order by r.event_seq

-- use_columns --
select event_seq, position, promotion::text, version, code, member_no, purchase_no, reference, used_at, times::text,
       discount::text, voucher::text, points::text, currency, raises, of_seq, issue
from promotion_uses

-- uses_of_purchases --
-- what promotions gave on bills
-- include use_columns
where org_id = %(org)s::bigint and purchase_no > 0 and purchase_no = any(%(nos)s::bigint[])
order by event_seq, position

-- promotion_versions --
-- what promotions said in some of their versions
select v.terms
from unnest(%(ids)s::uuid[], %(versions)s::integer[]) as asked (id, version)
cross join lateral (
    select * from promotion_versions x
    where x.org_id = %(org)s::bigint and x.promotion = asked.id and x.version = asked.version offset 0) v

-- config_timezone --
-- by which calendar promotions count
select timezone from organisations where org_id = %(org)s::bigint

-- config_promotions --
-- every promotion as it now is
select terms from promotions where org_id = %(org)s::bigint order by id

-- config_promotion_lanes --
-- every lane that does not just stack
select number, mode, once from promotion_lanes where org_id = %(org)s::bigint order by number

-- config_segments --
-- every segment as it now is
select distinct on (code) code, version, name, condition
from segment_versions where org_id = %(org)s::bigint order by code, version desc

-- persons --
-- what is known of members besides the ledger: the profile, and the lists they are on or were on
select m.no, p.profile::text, l.segment, l.version, l.present
from unnest(%(nos)s::bigint[]) as m (no)
left join member_profiles p on p.org_id = %(org)s::bigint and p.member_no = m.no
left join lateral (
    select distinct on (x.segment) x.segment, x.version, x.present from segment_entries x
    where x.org_id = %(org)s::bigint and x.member_no = m.no order by x.segment, x.version desc) l on true

-- config_tiers --
-- every version of every program's tiers, first to last
select program_no, version, starts_at, recorded_at, terms
from tier_versions where org_id = %(org)s::bigint order by program_no, version

-- config_assets --
-- every asset
select code, scale from assets where org_id = %(org)s::bigint order by code

-- event_ids --
-- which of these ids are events
select x.id::text, x.seq from events x where x.org_id = %(org)s::bigint and x.id = any(%(ids)s::uuid[])

-- config_programs --
-- every program with its policies of today
select no, id::text, ledger_no, code, name, asset, first, version, policies::text
from programs where org_id = %(org)s::bigint order by no

-- config_versions --
-- when each program's versions begin, or those that came before them, the first one first; whether activity renews
-- points of any of them; which of those that have begun points that were there follow too; up to which all of them do;
-- and whether its pool is low
select v.program_no, array_agg(v.begins_at order by v.version),
       coalesce(bool_or(v.policies -> 'expiry' ->> 'kind' in ('rolling', 'inactivity')), false),
       coalesce(array_agg(v.version order by v.version)
                filter (where v.begins and v.version <= p.version and v.policies ->> 'follow' is not null), '{}'),
       max(p.followed), bool_or(p.pool_low)
from (select x.program_no, x.version, x.policies,
             (select min(later.starts_at) from program_versions later
              where later.org_id = %(org)s::bigint and later.program_no = x.program_no
                    and later.version >= x.version) as begins_at,
             not exists (select from program_versions later
                         where later.org_id = %(org)s::bigint and later.program_no = x.program_no
                               and later.version > x.version and later.starts_at <= x.starts_at
                               and later.recorded_at < x.starts_at) as begins
      from program_versions x where x.org_id = %(org)s::bigint) v
join programs p on p.org_id = %(org)s::bigint and p.no = v.program_no
group by v.program_no

-- config_planned --
-- versions of programs that are still to begin, in their order
select v.program_no, v.version, v.starts_at, v.policies::text
from program_versions v
join programs p on p.org_id = %(org)s::bigint and p.no = v.program_no and v.version > p.version
where v.org_id = %(org)s::bigint
      and not exists (select from program_versions later
                      where later.org_id = %(org)s::bigint and later.program_no = v.program_no
                            and later.version > v.version and later.starts_at <= v.starts_at)
order by v.program_no, v.version

-- config_stores --
-- every store
select no, id::text, code, name from stores where org_id = %(org)s::bigint order by no

-- config_tills --
-- every till
select no, id::text, code, name, store_no, program_no from tills where org_id = %(org)s::bigint order by no

-- config_sources --
-- every channel
select code from sources where org_id = %(org)s::bigint order by code
