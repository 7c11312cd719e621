-- The points ledger: a member's events with their entries, and balances as of a place in it.

-- matching --
-- The filter that a page, its count and the closing balance share. Empty arrays and nulls = no such filter; `mask` 0 =
-- entries of any kind. With `exact`, one of the accounts must be credited, debited or opened by the event; redemptions
-- made at a till of `till_program` pass as well.
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
  and (not %(exact)s
       or (e.program_no = %(till_program)s and e.name = 'PointsRedemption')
       or (e.entries & 7 <> 0
           and exists (select 1 from jsonb_array_elements(e.body::jsonb -> 'opening') o
                       where (o ->> 'account_no')::bigint = any(%(openings)s::bigint[])))
       or exists (select 1 from transfers t
                  where t.org_id = e.org_id and t.seq > x.first and t.seq <= x.first + x.transfers
                    and (t.source = any(%(debits)s::bigint[]) or t.destination = any(%(credits)s::bigint[]))))

-- newest_first --
select e.seq, e.id, e.name, e.event_at, e.recorded_at, x.first, x.transfers, e.points, e.source, e.store_no,
       e.till_no, e.program_no, e.purchase_no, e.reference, e.actor, e.reason, e.body, e.lot_moves
-- include matching
  and e.seq < %(place)s
order by e.seq desc limit %(limit)s

-- oldest_first --
select e.seq, e.id, e.name, e.event_at, e.recorded_at, x.first, x.transfers, e.points, e.source, e.store_no,
       e.till_no, e.program_no, e.purchase_no, e.reference, e.actor, e.reason, e.body, e.lot_moves
-- include matching
  and e.seq > %(place)s
order by e.seq limit %(limit)s

-- count --
select count(*) as total
-- include matching

-- last_place --
-- the sequence number up to which the view's last event reaches
select greatest(e.seq, x.first) + x.transfers as seq
-- include matching
order by e.seq desc limit 1

-- place_at --
-- the last sequence number recorded by a member's events before an instant, 0 if none
select coalesce((
    select e.seq + e.transfers from events e
    where e.org_id = %(org)s and e.member_no = %(member)s and e.recorded_at < %(at)s
    order by e.seq desc limit 1), 0) as seq

-- accounts --
-- every account a member has or had
select no, id, asset, program_no, category, tracks_lots
from accounts where org_id = %(org)s and member_no = %(member)s
order by program_no, no

-- lots_named --
-- when lots end, by number
select no, account, expires_at from lots where org_id = %(org)s and no = any(%(lots)s)

-- entries --
-- what a page's events moved, in order; one row per transfer
select seq, source, destination, amount, source_balance, destination_balance, asset
from transfers where org_id = %(org)s and seq = any(%(seqs)s) and action in ('apply', 'settle')
order by seq

-- purchases_named --
-- the purchases of a page
select no, id, number, currency, amount, paid, event_at
from purchases where org_id = %(org)s and no = any(%(purchases)s)
