-- The points ledger: a member's events with their entries, and balances as of a place in it.

-- matching --
-- The filter that a page, its count and the closing balance share. `mask` 0 = entries of any kind; empty arrays and
-- nulls = no such filter; `accounts` null = every account. `till_program` adds the redemptions made at its tills.
from events e
cross join lateral (
    -- where its transfers stand: behind it, or behind the event that it mirrors
    select case when e.mirrors > 0 then e.mirrors else e.seq end as first,
           case when e.mirrors > 0
                then (select m.transfers from events m where m.org_id = e.org_id and m.seq = e.mirrors)
                else e.transfers end as transfers
) x
where e.org_id = %(org)s and e.member_no = %(member)s
  and (%(mask)s = 0 or e.entries & %(mask)s <> 0)
  and (%(names)s::text[] = '{}' or e.name = any(%(names)s))
  and (%(sources)s::text[] = '{}' or e.source = any(%(sources)s))
  and (%(stores)s::bigint[] = '{}' or e.store_no = any(%(stores)s))
  and (%(tills)s::bigint[] = '{}' or e.till_no = any(%(tills)s))
  and (%(recorded_from)s::timestamptz is null or e.recorded_at >= %(recorded_from)s)
  and (%(recorded_to)s::timestamptz is null or e.recorded_at < %(recorded_to)s)
  and (%(event_from)s::timestamptz is null or e.event_at >= %(event_from)s)
  and (%(event_to)s::timestamptz is null or e.event_at < %(event_to)s)
  and (%(accounts)s::bigint[] is null
       or e.name in ('CustomerRegistration', 'PointsLedgerBulkJob')
       or (e.program_no = %(till_program)s and e.name = 'PointsRedemption')
       or exists (select 1 from transfers t
                  where t.org_id = e.org_id and t.seq > x.first and t.seq <= x.first + x.transfers
                    and (t.source = any(%(accounts)s) or t.destination = any(%(accounts)s))))

-- newest_first --
select e.seq, e.id, e.name, e.event_at, e.recorded_at, x.first, x.transfers, e.points, e.source, e.store_no,
       e.till_no, e.program_no, e.purchase_no, e.reference, e.actor, e.reason, e.body
-- include matching
  and e.seq < %(place)s
order by e.seq desc limit %(limit)s

-- oldest_first --
select e.seq, e.id, e.name, e.event_at, e.recorded_at, x.first, x.transfers, e.points, e.source, e.store_no,
       e.till_no, e.program_no, e.purchase_no, e.reference, e.actor, e.reason, e.body
-- include matching
  and e.seq > %(place)s
order by e.seq limit %(limit)s

-- count --
select count(*) as total
-- include matching

-- last_place --
-- the sequence number up to which the view's last event reaches
select e.seq + e.transfers as seq
-- include matching
order by e.seq desc limit 1

-- place_at --
-- the last sequence number recorded by a member's events before an instant, 0 if none
select coalesce((
    select e.seq + e.transfers from events e
    where e.org_id = %(org)s and e.member_no = %(member)s and e.recorded_at < %(at)s
    order by e.seq desc limit 1), 0) as seq

-- entries --
-- what a page's events moved, in order; one row per transfer
select t.seq, p.first, t.source, t.destination, t.amount, t.source_balance,
       t.destination_balance, t.asset
from unnest(%(firsts)s::bigint[], %(counts)s::int[]) as p (first, transfers)
join transfers t on t.org_id = %(org)s and t.seq > p.first and t.seq <= p.first + p.transfers
where t.action in ('apply', 'settle')
order by t.seq

-- purchases_named --
-- the numbers of a page's purchases and of their returns
select p.no, p.id, p.number, p.currency, p.amount, p.paid, p.event_at,
       r.event_seq as return_seq, r.id as return_id, r.number as return_number
from purchases p
left join purchase_returns r on r.org_id = p.org_id and r.purchase_no = p.no
where p.org_id = %(org)s and p.no = any(%(purchases)s)

-- balances_at --
-- Balances of accounts after everything up to a sequence number. Versions of an account are contiguous and grow with
-- the sequence number, so the last version not after it is found by halving: about 2 x log2(versions) index look-ups.
with recursive search as (
    select a.account_no, 0::bigint as low, f.version as high, 0::numeric as balance
    from unnest(%(accounts)s::bigint[]) as a (account_no)
    join figures f on f.org_id = %(org)s and f.account_no = a.account_no
    union all
    select s.account_no,
           case when t.seq <= %(seq)s then (s.low + s.high + 1) / 2 else s.low end,
           case when t.seq <= %(seq)s then s.high else (s.low + s.high + 1) / 2 - 1 end,
           case when t.seq <= %(seq)s then t.balance else s.balance end
    from search s
    cross join lateral (
        select x.seq, x.source_balance as balance from transfers x
        where x.org_id = %(org)s and x.source = s.account_no and x.source_version = (s.low + s.high + 1) / 2
        union all
        select x.seq, x.destination_balance from transfers x
        where x.org_id = %(org)s and x.destination = s.account_no and x.destination_version = (s.low + s.high + 1) / 2
    ) t
    where s.low < s.high
)
select account_no, balance from search where low = high order by account_no
