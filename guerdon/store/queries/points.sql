-- The points ledger: a member's events with their entries, and balances as of a place in it.

-- standing --
-- where an event's transfers stand: behind it, or behind the event that it mirrors
cross join lateral (
    select case when e.mirrors > 0 then e.mirrors else e.seq end as first,
           case when e.mirrors > 0
                then (select m.transfers from events m where m.org_id = e.org_id and m.seq = e.mirrors)
                else e.transfers end as transfers
) x

-- touching --
-- whether an event `c` credits, debits or opens one of the accounts; a balance brought along opens, though it is credited
select from events e
-- include standing
where e.org_id = c.org_id and e.seq = c.seq
  and ((e.body <> '' and e.entries & 7 <> 0
        and exists (select from jsonb_array_elements(e.body::jsonb -> 'opening') o
                    where (o ->> 'account_no')::bigint = any(%(openings)s::bigint[])))
       or exists (select from transfers t
                  where t.org_id = e.org_id and t.seq > x.first and t.seq <= x.first + x.transfers
                    and t.action in ('apply', 'settle')
                    and (t.source = any(%(debits)s::bigint[])
                         or (e.name <> 'PointsLedgerBulkJob' and t.destination = any(%(credits)s::bigint[]))
                         or (e.name = 'PointsLedgerBulkJob' and t.destination = any(%(openings)s::bigint[])))))

-- matching --
-- The filter that a page, its count and the closing balance share; all of it but `touching` is in `events_of_member`.
-- Empty arrays and nulls = no such filter; `mask` and `programs` 0 = entries of any kind, of any program. With `exact`,
-- one of the accounts must be touched; redemptions made at a till of `till_program` pass as well.
from events c
where c.org_id = %(org)s and c.member_no = %(member)s
  and (%(mask)s = 0 or c.entries & %(mask)s <> 0
       or (%(openings)s::bigint[] <> '{}' and c.name = 'PointsLedgerBulkJob'))
  and (%(programs)s = 0 or c.entries & %(programs)s <> 0
       or (c.program_no = %(till_program)s and c.name = 'PointsRedemption'))
  and (%(names)s::text[] = '{}' or c.name = any(%(names)s))
  and (%(sources)s::text[] = '{}' or c.source = any(%(sources)s))
  and (%(stores)s::bigint[] = '{}' or c.store_no = any(%(stores)s))
  and (%(tills)s::bigint[] = '{}' or c.till_no = any(%(tills)s))
  and (%(recorded_from)s::timestamptz is null or c.recorded_at >= %(recorded_from)s)
  and (%(recorded_to)s::timestamptz is null or c.recorded_at < %(recorded_to)s)
  and (%(event_from)s::timestamptz is null or c.event_at >= %(event_from)s)
  and (%(event_to)s::timestamptz is null or c.event_at < %(event_to)s)
  and (not %(exact)s
       or (c.program_no = %(till_program)s and c.name = 'PointsRedemption')
       or exists (
-- include touching
       ))

-- columns --
select e.seq, e.id, e.name, e.event_at, e.recorded_at, x.first, x.transfers, e.points, e.source, e.store_no,
       e.till_no, e.program_no, e.purchase_no, e.reference, e.actor, e.reason, e.body, e.lot_moves

-- newest_first --
-- include columns
from (select c.org_id, c.seq
-- include matching
  and c.seq < %(place)s
order by c.seq desc limit %(limit)s offset %(skip)s) found
join events e on e.org_id = found.org_id and e.seq = found.seq
-- include standing
order by e.seq desc

-- oldest_first --
-- include columns
from (select c.org_id, c.seq
-- include matching
  and c.seq > %(place)s
order by c.seq limit %(limit)s offset %(skip)s) found
join events e on e.org_id = found.org_id and e.seq = found.seq
-- include standing
order by e.seq

-- named --
-- a member's events by number, or by name with the numbers of their purchases or their references
-- include columns
from events e
-- include standing
where e.org_id = %(org)s and e.member_no = %(member)s
  and (e.seq = any(%(seqs)s::bigint[])
       or (e.name = %(name)s and (e.purchase_no = any(%(purchases)s::bigint[]) or e.reference = any(%(references)s::text[]))))
order by e.seq

-- parties --
-- whose accounts these are, with what is known of them
select a.no as account, m.no as member,
       (select p.profile::text from member_profiles p where p.org_id = m.org_id and p.member_no = m.no) as profile
from accounts a join members m on m.org_id = a.org_id and m.no = a.member_no
where a.org_id = %(org)s and a.no = any(%(accounts)s::bigint[]) and a.member_no > 0
order by a.no

-- count --
select count(*) as total
-- include matching

-- last_place --
-- the sequence number up to which the view's last event reaches
select greatest(e.seq, x.first + x.transfers) as seq
from (select c.org_id, c.seq
-- include matching
order by c.seq desc limit 1) found
join events e on e.org_id = found.org_id and e.seq = found.seq
-- include standing

-- accounts --
-- every account a member has or had
select no, id, asset, program_no, category, tracks_lots
from accounts where org_id = %(org)s and member_no = %(member)s
order by program_no, no

-- lots_named --
-- when lots end, what of them was taken back, and the version of what gave them, by number
select no, account, expires_at, returned, version from lots where org_id = %(org)s and no = any(%(lots)s)

-- entries --
-- what a page's events moved, in order; one row per transfer
select seq, source, destination, amount, source_balance, destination_balance, asset
from transfers where org_id = %(org)s and seq = any(%(seqs)s) and action in ('apply', 'settle')
order by seq

-- purchases_named --
-- the purchases of a page
select no, id, number, currency, amount, paid, event_at
from purchases where org_id = %(org)s and no = any(%(purchases)s)

-- promotions_of_events --
-- what promotions gave on what was bought with the events of a page: the purchase's, or the committed cart's
select e.seq, u.promotion::text as id, u.version, v.terms::jsonb ->> 'name' as name, u.code, u.issue, u.discount,
       u.voucher, u.points
from events e
left join promotion_commits w on w.org_id = %(org)s and e.name = 'PromotionReturn'
                              and w.id = (nullif(e.body, '')::jsonb ->> 'commit_id')::uuid
cross join lateral (
    select x.* from promotion_uses x where x.org_id = %(org)s and x.purchase_no > 0 and x.purchase_no = e.purchase_no
    union all
    select x.* from promotion_uses x
    where x.org_id = %(org)s and e.purchase_no = 0 and x.event_seq = coalesce(w.event_seq, e.seq)) u
left join promotion_versions v on v.org_id = %(org)s and v.promotion = u.promotion and v.version = u.version
where e.org_id = %(org)s and e.seq = any(%(seqs)s) and u.of_seq = 0
order by e.seq, u.event_seq, u.position

-- returns_named --
-- the returns of a page's purchases
select no, id from purchase_returns where org_id = %(org)s and purchase_no = any(%(purchases)s) order by no
