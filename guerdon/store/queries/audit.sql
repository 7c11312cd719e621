-- What must hold in the books of one organisation: each statement answers with what does not, the row and what is wrong
-- with it. The chain has a file of its own. Set-based, so that a hundred million rows are sorted and joined where they
-- are.

-- organisations --
-- whom to look at, in the order they were made
select org_id, code, id::text from organisations
where %(organisation)s = '' or code = %(organisation)s or id::text = %(organisation)s
order by org_id

-- enter --
-- One snapshot for the whole organisation, so that the server may go on posting meanwhile. Everything is read and
-- joined as a whole: without fresh statistics the planner may think that there is little of it, and look up row by row.
select set_config('guerdon.org', %(org)s::bigint::text, true), set_config('work_mem', '64MB', true),
       set_config('hash_mem_multiplier', '2', true), set_config('enable_nestloop', 'off', true),
       set_config('search_path', 'pg_catalog, ' || quote_ident(current_schema) || ', pg_temp', true)

-- head --
-- the end of everything, and how many rows there are to look at
select h.seq, h.last_hash, h.last_recorded_at,
       greatest((select max(seq) from events where org_id = %(org)s),
                (select max(seq) from transfers where org_id = %(org)s), h.seq) as last
from heads h where h.org_id = %(org)s

-- entries --
-- each account's rows in the order of its versions: contiguous from 1, in sequence order, each balance the one before
-- it and what was applied
with sides as (
    select source as account_no, source_version as version, seq, source_balance as balance,
           case when action in ('apply', 'settle') then -amount else 0 end as change
    from transfers where org_id = %(org)s and seq > %(since)s and action not in ('reject', 'schedule')
    union all
    select destination, destination_version, seq, destination_balance,
           case when action in ('apply', 'settle') then amount else 0 end
    from transfers where org_id = %(org)s and seq > %(since)s and action not in ('reject', 'schedule')
), compared as (
    select *, lag(version, 1, 0::bigint) over w as before, lag(balance, 1, 0::numeric) over w as balance_before,
           lag(seq) over w as seq_before
    from sides window w as (partition by account_no order by version, seq)
)
select 'transfer ' || seq as row, concat_ws('; ',
           case when version is null then 'account ' || account_no || ' got no version' end,
           case when version <> before + 1
                then 'account ' || account_no || ': version ' || version || ' follows ' || before end,
           case when seq < seq_before
                then 'account ' || account_no || ': version ' || version || ' comes before ' || before end,
           case when balance is distinct from balance_before + change
                then 'account ' || account_no || ': the balance after is ' || coalesce(balance::text, 'missing')
                     || ', should be ' || balance_before + change end) as problem
from compared
where (version is null or version <> before + 1 or balance is distinct from balance_before + change
       or seq < seq_before)
  and (seq_before is not null or %(since)s = 0)
order by seq limit %(limit)s

-- outcomes_without_effect --
-- rejected and scheduled transfers have neither versions nor balances
select 'transfer ' || seq, action || ' moves nothing, and yet has a version or a balance'
from transfers
where org_id = %(org)s and seq > %(since)s and action in ('reject', 'schedule')
  and coalesce(source_version, destination_version, source_balance, destination_balance) is not null
order by seq limit %(limit)s

-- recorded --
-- time does not go back, and the head is not behind it
with times as (
    select seq, recorded_at from events where org_id = %(org)s and seq > %(since)s
    union all
    select seq, recorded_at from transfers where org_id = %(org)s and seq > %(since)s
), compared as (
    select seq, recorded_at, lag(recorded_at) over (order by seq) as before from times
)
(select 'row ' || seq, 'recorded at ' || recorded_at || ', after one recorded at ' || before
 from compared where recorded_at < before order by seq limit %(limit)s)
union all
select 'head', 'last recorded at ' || last_recorded_at || ', but rows are later'
from heads
where org_id = %(org)s and last_recorded_at < (select max(recorded_at) from times)

-- figures --
-- what each account's rows add up to
with sides as (
    select source as account_no, source_version as version, 0::numeric as credit, 0::numeric as inflight_credit,
           case when action in ('apply', 'settle') then amount else 0 end as debit,
           case action when 'hold' then amount when 'apply' then 0 else -amount end as inflight_debit
    from transfers where org_id = %(org)s and action not in ('reject', 'schedule')
    union all
    select destination, destination_version, case when action in ('apply', 'settle') then amount else 0 end,
           case action when 'hold' then amount when 'apply' then 0 else -amount end, 0, 0
    from transfers where org_id = %(org)s and action not in ('reject', 'schedule')
), rebuilt as (
    select account_no, sum(credit) as credit, sum(debit) as debit, sum(inflight_credit) as inflight_credit,
           sum(inflight_debit) as inflight_debit, max(version) as version
    from sides group by account_no
)
select 'figures of account ' || coalesce(f.account_no, r.account_no), concat_ws('; ',
           case when f.account_no is null then 'missing' end,
           case when f.credit <> coalesce(r.credit, 0)
                then 'credit is ' || f.credit || ', should be ' || coalesce(r.credit, 0) end,
           case when f.debit <> coalesce(r.debit, 0)
                then 'debit is ' || f.debit || ', should be ' || coalesce(r.debit, 0) end,
           case when f.inflight_credit <> coalesce(r.inflight_credit, 0)
                then 'inflight credit is ' || f.inflight_credit || ', should be ' || coalesce(r.inflight_credit, 0) end,
           case when f.inflight_debit <> coalesce(r.inflight_debit, 0)
                then 'inflight debit is ' || f.inflight_debit || ', should be ' || coalesce(r.inflight_debit, 0) end,
           case when f.version <> coalesce(r.version, 0)
                then 'version is ' || f.version || ', should be ' || coalesce(r.version, 0) end)
from (select * from figures where org_id = %(org)s) f
full join rebuilt r on r.account_no = f.account_no
where f.account_no is null or f.credit <> coalesce(r.credit, 0) or f.debit <> coalesce(r.debit, 0)
   or f.inflight_credit <> coalesce(r.inflight_credit, 0) or f.inflight_debit <> coalesce(r.inflight_debit, 0)
   or f.version <> coalesce(r.version, 0)
order by coalesce(f.account_no, r.account_no) limit %(limit)s

-- floors --
-- an account that tracks lots may go no lower than 0, or than where a return has taken it; others have no floor
select 'figures of account ' || f.account_no,
       'floor is ' || coalesce(f.floor::text, 'none') || ', should be '
       || case when a.tracks_lots then least(0, f.credit - f.debit - f.inflight_debit)::text else 'none' end
from figures f join accounts a on a.org_id = %(org)s and a.no = f.account_no
where f.org_id = %(org)s
  and f.floor is distinct from case when a.tracks_lots then least(0, f.credit - f.debit - f.inflight_debit) end
order by f.account_no limit %(limit)s

-- balances --
-- Nothing is made and nothing is lost: the balances of an asset add up to zero. Assets that nobody registered may be
-- moved between accounts of other such assets, as Blnk has it; those only add up together.
with mixed as (
    select distinct unnest(array[t.asset, s.asset, d.asset]) as asset
    from transfers t
    join accounts s on s.org_id = %(org)s and s.no = t.source
    join accounts d on d.org_id = %(org)s and d.no = t.destination
    where t.org_id = %(org)s and (t.asset <> s.asset or t.asset <> d.asset)
)
select 'asset ' || a.asset, 'its balances add up to ' || sum(f.credit - f.debit) || ', should be 0'
from figures f
join accounts a on a.org_id = %(org)s and a.no = f.account_no
where f.org_id = %(org)s and a.asset not in (select asset from mixed)
group by a.asset having sum(f.credit - f.debit) <> 0
union all
select 'all assets', 'all balances add up to ' || sum(credit - debit) || ', should be 0'
from figures where org_id = %(org)s having sum(credit - debit) <> 0
limit %(limit)s

-- assets --
-- once an asset is registered, transfers of it move it between its own accounts
select 'transfer ' || t.seq, t.asset || ' moved from an account of ' || s.asset || ' to one of ' || d.asset
from transfers t
join accounts s on s.org_id = %(org)s and s.no = t.source
join accounts d on d.org_id = %(org)s and d.no = t.destination
join assets r on r.org_id = %(org)s and r.code in (t.asset, s.asset, d.asset) and r.created_at < t.recorded_at
where t.org_id = %(org)s and t.seq > %(since)s and (t.asset <> s.asset or t.asset <> d.asset)
order by t.seq limit %(limit)s

-- holds --
-- what is left of each held transfer after its settlements and releases, and of what it pins
with made as (
    select seq, id, amount, event_seq, nullif(detail, '')::jsonb as detail
    from transfers where org_id = %(org)s and action = 'hold'
), ended as (
    select parent, sum(amount) as amount, bool_or(action = 'release') as released
    from transfers where org_id = %(org)s and action in ('settle', 'release') and parent is not null
    group by parent
), pinned as (
    select made.seq, (m.move ->> 0)::bigint as lot, (m.move ->> 2)::numeric as amount, m.place
    from made
    join events e on e.org_id = %(org)s and e.seq = made.event_seq and e.lot_moves <> ''
    cross join lateral jsonb_array_elements(nullif(e.lot_moves, '')::jsonb) with ordinality as m (move, place)
    where m.move ->> 1 = 'hold'
), unpinned as (
    select made.seq, (m.move ->> 0)::bigint as lot, sum((m.move ->> 2)::numeric) as amount
    from made
    join transfers t on t.org_id = %(org)s and t.parent = made.id and t.action in ('settle', 'release')
    join events e on e.org_id = %(org)s and e.seq = t.event_seq and e.lot_moves <> ''
    cross join lateral jsonb_array_elements(nullif(e.lot_moves, '')::jsonb) as m (move)
    where m.move ->> 1 = 'unhold'
    group by made.seq, lot
), pins as (
    select p.seq, jsonb_agg(jsonb_build_array(p.lot, p.amount - coalesce(u.amount, 0)) order by p.place)
                  filter (where p.amount <> coalesce(u.amount, 0)) as pins
    from pinned p left join unpinned u on u.seq = p.seq and u.lot = p.lot
    group by p.seq
), rebuilt as (
    select made.seq, made.id, made.amount - coalesce(ended.amount, 0) as remaining,
           coalesce(ended.released, false) as released,
           (made.detail ->> 'inflight_expiry_date')::timestamptz as expires_at,
           (made.detail ->> 'inflight_commit_date')::timestamptz as commits_at, coalesce(pins.pins, '[]') as pins
    from made left join ended on ended.parent = made.id left join pins on pins.seq = made.seq
), compared as (
    select coalesce(h.seq, r.seq) as seq, concat_ws('; ',
           case when h.seq is null then 'missing' end,
           case when r.seq is null then 'no such transfer is held' end,
           case when h.transfer_id <> r.id then 'transfer is ' || h.transfer_id || ', should be ' || r.id end,
           case when h.remaining <> r.remaining
                then 'remaining is ' || h.remaining || ', should be ' || r.remaining end,
           case when h.released <> r.released then 'released is ' || h.released || ', should be ' || r.released end,
           case when r.seq is not null and h.seq is not null and h.expires_at is distinct from r.expires_at
                then 'expires at ' || coalesce(h.expires_at::text, 'never')
                    || ', should be ' || coalesce(r.expires_at::text, 'never') end,
           case when r.seq is not null and h.seq is not null and h.commits_at is distinct from r.commits_at
                then 'commits at ' || coalesce(h.commits_at::text, 'never')
                    || ', should be ' || coalesce(r.commits_at::text, 'never') end,
           case when h.pins <> r.pins then 'pins are ' || h.pins::text || ', should be ' || r.pins::text end) as problem
    from (select * from holds where org_id = %(org)s) h full join rebuilt r on r.seq = h.seq
)
select 'hold ' || seq, problem from compared where problem <> '' order by seq limit %(limit)s

-- scheduled --
-- which postings wait, until when, and whether they were decided
with rebuilt as (
    select t.seq, t.id, (nullif(t.detail, '')::jsonb ->> 'scheduled_for')::timestamptz as due_at,
           exists (select 1 from transfers o where o.org_id = %(org)s and o.parent = t.id and o.seq > t.seq) as done
    from transfers t where t.org_id = %(org)s and t.action = 'schedule'
), compared as (
    select coalesce(s.seq, r.seq) as seq, concat_ws('; ',
           case when s.seq is null then 'missing' end,
           case when r.seq is null then 'no such transfer is scheduled' end,
           case when s.transfer_id <> r.id then 'transfer is ' || s.transfer_id || ', should be ' || r.id end,
           case when s.due_at <> r.due_at then 'due at ' || s.due_at || ', should be ' || r.due_at end,
           case when s.done <> r.done then 'done is ' || s.done || ', should be ' || r.done end) as problem
    from (select * from scheduled where org_id = %(org)s) s full join rebuilt r on r.seq = s.seq
)
select 'scheduled ' || seq, problem from compared where problem <> '' order by seq limit %(limit)s

-- lots --
-- every lot from the moves that stand on the events; `kinds` and the arrays beside it are core.lots.EFFECTS. Where it
-- lies and when it ends is what the last of the moves that place it says.
with moves as materialized (
    select e.seq, m.place, (m.move ->> 0)::bigint as no, m.move ->> 1 as kind, (m.move ->> 2)::numeric as amount,
           case when m.move ->> 1 = 'open' then m.move end as opening,
           case when m.move ->> 1 in ('open', 'convert', 'redate') then m.move end as lying
    from events e
    cross join lateral jsonb_array_elements(nullif(e.lot_moves, '')::jsonb) with ordinality as m (move, place)
    where e.org_id = %(org)s and e.lot_moves <> ''
), effects as (
    select * from unnest(%(kinds)s::text[], %(remaining)s::int[], %(redeemed)s::int[], %(returned)s::int[],
                         %(expired)s::int[], %(held)s::int[], %(written_off)s::int[])
        as x (kind, remaining, redeemed, returned, expired, held, written_off)
), sums as (
    select m.no, count(*) filter (where m.kind = 'open') as openings, count(*) filter (where x.kind is null) as strange,
           max(m.seq) filter (where m.kind = 'open') as event_seq,
           max(m.amount) filter (where m.kind = 'open') as amount,
           coalesce(sum(m.amount * x.remaining), 0) as remaining, coalesce(sum(m.amount * x.redeemed), 0) as redeemed,
           coalesce(sum(m.amount * x.returned), 0) as returned, coalesce(sum(m.amount * x.expired), 0) as expired,
           coalesce(sum(m.amount * x.held), 0) as held, coalesce(sum(m.amount * x.written_off), 0) as written_off
    from moves m left join effects x on x.kind = m.kind
    group by m.no
), placed as (
    select distinct on (no) no, lying from moves where lying is not null order by no, seq desc, place desc
), rebuilt as (
    select s.*, (p.lying ->> 3)::bigint as account, (o.opening ->> 4)::timestamptz as earned_at,
           (p.lying ->> 5)::timestamptz as expires_at, (p.lying ->> 10)::timestamptz as releases_at,
           coalesce(p.lying ->> 11, '') as promise, o.opening ->> 6 as rule, (o.opening ->> 7)::int as version,
           (o.opening ->> 8)::int as line, (o.opening ->> 9)::bigint as purchase_no
    from sums s
    left join moves o on o.no = s.no and o.seq = s.event_seq and o.opening is not null
    left join placed p on p.no = s.no
), compared as (
    select coalesce(l.no, r.no) as no, concat_ws('; ',
           case when l.no is null then 'missing' end,
           case when r.no is null then 'no event opened it' end,
           case when r.openings <> 1 then 'opened ' || r.openings || ' times' end,
           case when r.strange > 0 then 'moved in a way that is not known' end,
           case when l.account <> r.account then 'account is ' || l.account || ', should be ' || r.account end,
           case when l.event_seq <> r.event_seq then 'event is ' || l.event_seq || ', should be ' || r.event_seq end,
           case when l.amount <> r.amount then 'amount is ' || l.amount || ', should be ' || r.amount end,
           case when l.remaining <> r.remaining
                then 'remaining is ' || l.remaining || ', should be ' || r.remaining end,
           case when l.redeemed <> r.redeemed then 'redeemed is ' || l.redeemed || ', should be ' || r.redeemed end,
           case when l.returned <> r.returned then 'returned is ' || l.returned || ', should be ' || r.returned end,
           case when l.expired <> r.expired then 'expired is ' || l.expired || ', should be ' || r.expired end,
           case when l.held <> r.held then 'held is ' || l.held || ', should be ' || r.held end,
           case when l.written_off <> r.written_off
                then 'written off is ' || l.written_off || ', should be ' || r.written_off end,
           case when l.written_off > l.redeemed then 'more is written off than was spent' end,
           case when l.amount <> l.remaining + l.redeemed + l.returned + l.expired
                then 'its parts are not the whole' end,
           case when l.held > l.remaining then 'more is held than remains' end,
           case when l.earned_at <> r.earned_at then 'earned at ' || l.earned_at || ', should be ' || r.earned_at end,
           case when l.no is not null and r.no is not null and l.expires_at is distinct from r.expires_at
                then 'expires at ' || coalesce(l.expires_at::text, 'never')
                    || ', should be ' || coalesce(r.expires_at::text, 'never') end,
           case when l.no is not null and r.no is not null and l.releases_at is distinct from r.releases_at
                then 'released at ' || coalesce(l.releases_at::text, 'no time')
                    || ', should be ' || coalesce(r.releases_at::text, 'no time') end,
           case when l.promise <> r.promise then 'promise is ' || l.promise || ', should be ' || r.promise end,
           case when l.rule <> r.rule then 'rule is ' || l.rule || ', should be ' || r.rule end,
           case when l.version <> r.version then 'version is ' || l.version || ', should be ' || r.version end,
           case when l.no is not null and r.no is not null and l.line is distinct from r.line
                then 'line is ' || coalesce(l.line::text, 'none')
                    || ', should be ' || coalesce(r.line::text, 'none') end,
           case when l.purchase_no <> r.purchase_no
                then 'purchase is ' || l.purchase_no || ', should be ' || r.purchase_no end) as problem
    from (select * from lots where org_id = %(org)s) l full join rebuilt r on r.no = l.no
)
select 'lot ' || no, problem from compared where problem <> '' order by no limit %(limit)s

-- points --
-- a points account is its lots less what it owes; what is on hold is pinned in its lots
with of_account as (
    select account, sum(remaining) as remaining, sum(held) as held from lots where org_id = %(org)s group by account
), compared as (
    select a.no, f.credit - f.debit as balance, f.credit - f.debit - f.inflight_debit as available, f.inflight_debit,
           coalesce(l.remaining, 0) as remaining, coalesce(l.held, 0) as held
    from accounts a
    join figures f on f.org_id = %(org)s and f.account_no = a.no
    left join of_account l on l.account = a.no
    where a.org_id = %(org)s and a.tracks_lots
)
(select 'account ' || no, concat_ws('; ',
           case when remaining - held <> greatest(0, available)
                then 'its lots have ' || remaining - held || ' free, but available is ' || available end,
           case when held <> inflight_debit
                then 'its lots have ' || held || ' pinned, but ' || inflight_debit || ' is on hold' end,
           case when balance <> remaining - greatest(0, -available)
                then 'balance is ' || balance || ', its lots less what it owes are '
                     || remaining - greatest(0, -available) end)
 from compared
 where remaining - held <> greatest(0, available) or held <> inflight_debit
    or balance <> remaining - greatest(0, -available)
 order by no limit %(limit)s)
union all
(select 'account ' || l.account, 'has lots, but does not track them'
 from of_account l left join accounts a on a.org_id = %(org)s and a.no = l.account
 where not coalesce(a.tracks_lots, false) order by l.account limit %(limit)s)

-- events --
-- what each event says about its transfers: how many follow it, the member's points, the kinds of its lines
with sides as (
    select t.event_seq, t.seq, t.action in ('apply', 'settle') as applied, t.amount,
           e.name = 'PointsLedgerBulkJob' as opens,
           s.tracks_lots and s.member_no = e.member_no as gives, s.category as from_category,
           d.tracks_lots and d.member_no = e.member_no as gets, d.category as to_category,
           s.program_no as from_program, d.program_no as to_program
    from transfers t
    join events e on e.org_id = %(org)s and e.seq = t.event_seq
    left join accounts s on s.org_id = %(org)s and s.no = t.source
    left join accounts d on d.org_id = %(org)s and d.no = t.destination
    where t.org_id = %(org)s and t.event_seq > %(since)s
), sums as (
    select event_seq as seq, count(*) as transfers, min(seq) as first, max(seq) as last,
           coalesce(sum(amount * (gets::int - gives::int)) filter (where applied), 0) as points,
           coalesce(bit_or(case to_category when 'regular' then 8 when 'promised' then 16 else 32 end
                           >> case when opens then 3 else 0 end)  -- the balance that an account opens with
                    filter (where applied and gets), 0)
           | coalesce(bit_or(case from_category when 'regular' then 64 when 'promised' then 128 else 256 end)
                      filter (where applied and gives), 0) as entries,
           coalesce(bit_or(1 << (9 + to_program %% 22)::int) filter (where applied and gets), 0)
           | coalesce(bit_or(1 << (9 + from_program %% 22)::int) filter (where applied and gives), 0) as programs
    from sides group by event_seq
), openings as (
    select e.seq, bit_or(case o ->> 'category' when 'regular' then 1 when 'promised' then 2 else 4 end) as entries
    from events e cross join lateral jsonb_array_elements(nullif(e.body, '')::jsonb -> 'opening') o
    where e.org_id = %(org)s and e.seq > %(since)s and e.body <> ''
      and e.name in ('CustomerRegistration', 'PointsLedgerBulkJob')
    group by e.seq
), compared as (
    select e.seq, concat_ws('; ',
           case when e.transfers <> coalesce(s.transfers, 0)
                then 'it has ' || coalesce(s.transfers, 0) || ' transfers, and says ' || e.transfers end,
           case when s.first <> e.seq + 1 or s.last <> e.seq + s.transfers
                then 'its transfers are ' || s.first || ' to ' || s.last || ', not the rows that follow it' end,
           case when e.mirrors = 0 and e.points <> coalesce(s.points, 0)
                then 'points are ' || e.points || ', should be ' || coalesce(s.points, 0) end,
           case when e.mirrors = 0 and e.entries & 511 <> coalesce(s.entries, 0) | coalesce(o.entries, 0)
                then 'entries are ' || (e.entries & 511)
                    || ', should be ' || (coalesce(s.entries, 0) | coalesce(o.entries, 0)) end,
           case when s.programs & ~e.entries <> 0 then 'its entries do not tell all of its programs' end
           ) as problem
    from events e left join sums s on s.seq = e.seq left join openings o on o.seq = e.seq
    where e.org_id = %(org)s and e.seq > %(since)s
)
(select 'event ' || seq, problem from compared where problem <> '' order by seq limit %(limit)s)
union all
(select 'transfer ' || t.seq, 'its event ' || t.event_seq || ' does not exist'
 from transfers t left join events e on e.org_id = %(org)s and e.seq = t.event_seq
 where t.org_id = %(org)s and t.event_seq > %(since)s and e.seq is null order by t.seq limit %(limit)s)

-- mirrors --
-- an event that shows another's transfers to the member on their other side
with compared as (
    select e.seq, concat_ws('; ',
           case when m.seq is null then 'it mirrors event ' || e.mirrors || ', which does not exist' end,
           case when e.points <> coalesce(x.points, 0)
                then 'points are ' || e.points || ', should be ' || coalesce(x.points, 0) end,
           case when e.entries & 511 <> coalesce(x.entries, 0)
                then 'entries are ' || (e.entries & 511) || ', should be ' || coalesce(x.entries, 0) end
           ) as problem
    from events e
    left join events m on m.org_id = %(org)s and m.seq = e.mirrors
    left join lateral (
        select sum(case when a.no = t.destination then t.amount else -t.amount end) as points,
               bit_or(case a.category when 'regular' then 8 when 'promised' then 16 else 32 end
                      * case when a.no = t.destination then 1 else 8 end) as entries
        from transfers t join accounts a on a.org_id = %(org)s and a.no in (t.source, t.destination)
        where t.org_id = %(org)s and t.seq > m.seq and t.seq <= m.seq + m.transfers and t.action in ('apply', 'settle')
          and a.tracks_lots and a.member_no = e.member_no
    ) x on true
    where e.org_id = %(org)s and e.seq > %(since)s and e.mirrors > 0
)
select 'event ' || seq, problem from compared where problem <> '' order by seq limit %(limit)s

-- pools --
-- each mark of a pool is that of a version; each pool that ran low was said to, at the transfer that left it so, and once
-- until it was filled again
with marks as (
    select e.seq, e.program_no, x.said, (x.said ->> 'points')::numeric as points,
           coalesce((x.said ->> 'filled')::numeric, (x.said ->> 'points')::numeric + 1) as filled,
           x.version
    from events e
    cross join lateral (
        select nullif(nullif(e.body, '')::jsonb -> 'mark', 'null') as said,
               (nullif(e.body, '')::jsonb ->> 'version')::int as version offset 0) x
    where e.org_id = %(org)s and e.name = 'PointsPoolWatch'
), pools as (
    select a.no as account, a.program_no, m.first from accounts a
    join (select program_no, min(seq) as first from marks group by program_no) m on m.program_no = a.program_no
    where a.org_id = %(org)s and a.role = 'pool'
), steps as (
    select p.program_no, t.seq, t.source_balance as rest, null::numeric as points, null::numeric as filled
    from pools p join transfers t on t.org_id = %(org)s and t.source = p.account and t.seq > p.first
    where t.action in ('apply', 'settle')
    union all
    select p.program_no, t.seq, t.destination_balance, null, null
    from pools p join transfers t on t.org_id = %(org)s and t.destination = p.account and t.seq > p.first
    where t.action in ('apply', 'settle')
    union all
    select program_no, seq, null, points, filled from marks
), numbered as (
    select *, count(*) filter (where rest is null) over (partition by program_no order by seq) as mark from steps
), judged as (
    select program_no, seq, mark, rest,
           case when rest <= max(points) over marked then 'low' when rest >= max(filled) over marked then 'filled' end
               as stands
    from numbered window marked as (partition by program_no, mark)
), turned as (
    select *, lag(stands) over (partition by program_no, mark order by seq) as was,
           row_number() over (partition by program_no order by mark desc, seq desc) as back
    from judged where stands is not null
), expected as (
    select program_no, seq, rest from turned where stands = 'low' and was is distinct from 'low'
), told as (
    select e.seq as event, e.program_no, (x.said ->> 'row')::bigint as seq, (x.said ->> 'left')::numeric as rest
    from events e cross join lateral (select nullif(e.body, '')::jsonb as said offset 0) x
    where e.org_id = %(org)s and e.name = 'PointsPoolLow'
), last as (
    select j.program_no, max(j.mark) as mark from numbered j group by j.program_no
)
(select 'event ' || coalesce(t.event::text, 'after ' || x.seq), concat_ws('; ',
            case when t.event is null then 'nobody was told that the pool of program ' || x.program_no || ' was low' end,
            case when x.seq is null then 'it tells of a pool that was not low, or was told of before' end,
            case when t.rest <> x.rest then x.rest || ' were left, not ' || t.rest end,
            case when t.event < t.seq then 'it was told before it was so' end)
 from expected x full join told t on t.program_no = x.program_no and t.seq = x.seq
 where t.event is null or x.seq is null or t.rest <> x.rest or t.event < t.seq
 order by coalesce(t.event, x.seq) limit %(limit)s)
union all
(select 'program ' || p.no, 'its pool is said to be ' || case when p.pool_low then '' else 'not ' end || 'low, and is otherwise'
 from programs p
 left join last l on l.program_no = p.no
 left join turned t on t.program_no = p.no and t.mark = l.mark and t.back = 1
 where p.org_id = %(org)s and p.pool_low <> coalesce(t.stands = 'low', false) order by p.no limit %(limit)s)
union all
(select 'program ' || coalesce(v.program_no, m.program_no), 'version ' || coalesce(v.version, m.version)
        || ' does not watch its pool as its event says'
 from (select v.program_no, v.version, nullif(v.policies -> 'low_pool', 'null') as said,
              lag(nullif(v.policies -> 'low_pool', 'null')) over (partition by v.program_no order by v.version) as before
       from program_versions v
       join programs p on p.org_id = %(org)s and p.no = v.program_no and v.version <= p.version
       where v.org_id = %(org)s
         and not exists (select from program_versions w  -- before which it gave way before it began
                         where w.org_id = %(org)s and w.program_no = v.program_no and w.version > v.version
                           and w.starts_at <= v.starts_at and w.recorded_at < v.starts_at)) v
 full join marks m on m.program_no = v.program_no and m.version = v.version
 where case when m.seq is null then v.said is distinct from v.before
            else v.program_no is null or m.said is distinct from v.said or v.said is not distinct from v.before end
 order by 1 limit %(limit)s)

-- redemptions --
-- each redemption as its event says it, and what of it was given back since
with given_back as (
    select r.id, sum((m.move ->> 2)::numeric) as points
    from events e
    join redemptions r on r.org_id = %(org)s
         and (case e.name when 'TransactionReturn' then r.purchase_no = e.purchase_no and r.purchase_no > 0
                          else r.id = (nullif(e.body, '')::jsonb ->> 'redemption_id')::uuid end)
    cross join lateral jsonb_array_elements(nullif(e.lot_moves, '')::jsonb) as m (move)
    where e.org_id = %(org)s and e.name in ('PointsRedemptionReversal', 'TransactionReturn') and e.lot_moves <> ''
      and m.move ->> 1 in ('refill', 'open', 'forfeit')
      -- opened again where a return had moved the spending to other lots, or a merge the points to another member;
      -- forfeited what had been written off
    group by r.id
), said as (
    select seq, (nullif(body, '')::jsonb ->> 'redemption_id')::uuid as id, member_no,
           (nullif(body, '')::jsonb ->> 'program_no')::bigint as program_no,
           purchase_no, -points as points, reference, event_at
    from events where org_id = %(org)s and name = 'PointsRedemption'
), compared as (
    select coalesce(r.id, e.id) as id, concat_ws('; ',
           case when r.id is null then 'missing, and event ' || e.seq || ' made it' end,
           case when e.id is null then 'no event made it' end,
           case when r.event_seq <> e.seq then 'event is ' || r.event_seq || ', should be ' || e.seq end,
           case when r.member_no <> e.member_no then 'member is ' || r.member_no || ', should be ' || e.member_no end,
           case when r.program_no <> e.program_no
                then 'program is ' || r.program_no || ', should be ' || e.program_no end,
           case when r.purchase_no <> e.purchase_no
                then 'purchase is ' || r.purchase_no || ', should be ' || e.purchase_no end,
           case when r.points <> e.points then 'points are ' || r.points || ', should be ' || e.points end,
           case when r.reference <> e.reference
                then 'reference is ' || r.reference || ', should be ' || e.reference end,
           case when r.event_at <> e.event_at then 'event time is ' || r.event_at || ', should be ' || e.event_at end,
           case when r.reversed <> coalesce(g.points, 0)
                then 'reversed is ' || r.reversed || ', should be ' || coalesce(g.points, 0) end,
           case when r.no <> r.place then 'number is ' || r.no || ', should be ' || r.place end,
           case when r.result::jsonb ->> 'id' <> r.id::text or (r.result::jsonb ->> 'points')::numeric <> r.points
                     or (r.result::jsonb ->> 'event_no')::bigint <> r.event_seq
                then 'the answer kept says something else' end
           ) as problem
    from (select *, row_number() over (order by event_seq) as place from redemptions where org_id = %(org)s) r
    full join said e on e.id = r.id
    left join given_back g on g.id = r.id
)
select 'redemption ' || id, problem from compared where problem <> '' order by id limit %(limit)s

-- purchases --
-- each bill: its lines add up, its shares are what points paid, and its event says the same
with compared as (
    select p.no, p.number, concat_ws('; ',
           case when e.seq is null then 'its event ' || p.event_seq || ' does not exist' end,
           case when e.purchase_no <> p.no or e.name <> 'TransactionAdd'
                then 'its event ' || p.event_seq || ' is about another' end,
           case when nullif(e.body, '')::jsonb ->> 'purchase_id' <> p.id::text
                then 'id is ' || p.id || ', should be ' || (nullif(e.body, '')::jsonb ->> 'purchase_id') end,
           case when e.reference <> p.number then 'number should be ' || e.reference end,
           case when e.member_no <> p.member_no then 'member is ' || p.member_no || ', should be ' || e.member_no end,
           case when e.event_at <> p.event_at then 'event time is ' || p.event_at || ', should be ' || e.event_at end,
           case when e.recorded_at <> p.recorded_at
                then 'recorded at ' || p.recorded_at || ', should be ' || e.recorded_at end,
           case when e.source <> p.source then 'source is ' || p.source || ', should be ' || e.source end,
           case when e.store_no <> p.store_no then 'store is ' || p.store_no || ', should be ' || e.store_no end,
           case when e.till_no <> p.till_no then 'till is ' || p.till_no || ', should be ' || e.till_no end,
           case when coalesce((nullif(e.body, '')::jsonb ->> 'program_no')::bigint, 0) <> p.program_no
                then 'program is ' || p.program_no || ', should be '
                    || coalesce(nullif(e.body, '')::jsonb ->> 'program_no', 'none') end,
           case when l.amount <> p.amount then 'amount is ' || p.amount || ', its lines add up to ' || l.amount end,
           case when l.count <> s.count then 'it has ' || l.count || ' lines and ' || s.count || ' shares' end,
           case when p.paid <> p.amount - s.money - g.discount - g.voucher
                then 'paid is ' || p.paid || ', should be ' || p.amount - s.money - g.discount - g.voucher end,
           case when g.discount <> u.discount or g.voucher <> u.voucher
                then 'its promotions gave ' || u.discount || ' and ' || u.voucher
                    || ', and its division has ' || g.discount || ' and ' || g.voucher end,
           case when p.spent_points <> coalesce(r.points, 0)
                then 'points spent are ' || p.spent_points || ', should be ' || coalesce(r.points, 0) end,
           case when (nullif(re.body, '')::jsonb ->> 'money')::numeric <> s.money
                then 'its shares add up to ' || s.money
                    || ', should be ' || (nullif(re.body, '')::jsonb ->> 'money') end,
           case when p.redemption_id is not null and r.purchase_no is distinct from p.no
                then 'its redemption is not of this bill' end,
           case when p.redemption_id is null and s.money <> 0 then 'it has shares, but no points were spent' end,
           case when d.lines <> l.count or d.paid <> p.paid or d.spent <> p.spent_points
                     or d.earned is distinct from o.opened
                then 'its division is not what was paid, spent and earned' end,
           case when x.result ->> 'id' <> p.id::text or x.result ->> 'number' <> p.number
                     or (x.result ->> 'purchase_no')::bigint <> p.no or (x.result ->> 'event_no')::bigint <> p.event_seq
                     or (x.result ->> 'amount')::numeric <> p.amount or (x.result ->> 'paid')::numeric <> p.paid
                     or x.result ->> 'currency' <> p.currency
                     or (x.result ->> 'spent_points')::numeric <> p.spent_points
                then 'the answer kept says something else' end) as problem
    from purchases p
    left join events e on e.org_id = %(org)s and e.seq = p.event_seq
    left join redemptions r on r.org_id = %(org)s and r.id = p.redemption_id
    left join events re on re.org_id = %(org)s and re.seq = r.event_seq
    cross join lateral (select sum((line ->> 'amount')::numeric) as amount, count(*) as count
                        from jsonb_array_elements(p.lines::jsonb) as line) l
    cross join lateral (select coalesce(sum(share::numeric), 0) as money, count(*) as count
                        from jsonb_array_elements_text(p.shares::jsonb) as share) s
    cross join lateral (select p.result::jsonb as result, p.division::jsonb as division offset 0) x  -- read once
    cross join lateral (
        select (select coalesce(sum(y::numeric), 0)
                from jsonb_array_elements_text(x.division -> 'discounts') y) as discount,
               (select coalesce(sum(y::numeric), 0)
                from jsonb_array_elements_text(x.division -> 'vouchers') y) as voucher) g
    cross join lateral (
        select coalesce(sum((y ->> 'discount')::numeric), 0) as discount,
               coalesce(sum((y ->> 'voucher')::numeric), 0) as voucher
        from jsonb_array_elements(nullif(e.body, '')::jsonb -> 'promotions') y) u
    cross join lateral (
        select jsonb_array_length(x.division -> 'paid') as lines,
               (select coalesce(sum(y::numeric), 0) from jsonb_array_elements_text(x.division -> 'paid') y) as paid,
               (select coalesce(sum(y::numeric), 0) from jsonb_array_elements_text(x.division -> 'spent') y) as spent,
               (select array_agg(y.rule || ' ' || y.points order by y.rule, y.points)
                from (select r ->> 'rule' as rule,
                             (select sum(z::numeric) from jsonb_array_elements_text(r -> 'parts') z) as points
                      from jsonb_array_elements(x.division -> 'earned') r) y) as earned) d
    cross join lateral (
        select array_agg((m ->> 6) || ' ' || (m ->> 2) order by m ->> 6, (m ->> 2)::numeric) as opened
        from jsonb_array_elements(nullif(e.lot_moves, '')::jsonb) m where m ->> 1 = 'open') o
    where p.org_id = %(org)s
)
(select 'purchase ' || no || ' (' || number || ')', problem
 from compared where problem <> '' order by no limit %(limit)s)
union all
(select 'purchase ' || e.purchase_no, 'missing, and event ' || e.seq || ' booked it'
 from events e left join purchases p on p.org_id = %(org)s and p.no = e.purchase_no and p.event_seq = e.seq
 where e.org_id = %(org)s and e.name = 'TransactionAdd' and p.no is null order by e.seq limit %(limit)s)

-- returns --
-- each return as its event says it; of every line no more than was bought; of every figure the part of the whole
with pieces as (
    select r.no, r.purchase_no, (x.line ->> 0)::int as position, (x.line ->> 1)::numeric as quantity
    from purchase_returns r cross join lateral jsonb_array_elements(r.lines::jsonb) as x (line)
    where r.org_id = %(org)s
), grown as (
    select i.no, i.purchase_no, i.position, i.quantity, coalesce(q.bought, 0) as bought,
           sum(i.quantity) over (partition by i.purchase_no, i.position order by i.no) as after,
           p.division::jsonb as division, (p.shares::jsonb ->> i.position)::numeric as share
    from pieces i
    left join purchases p on p.org_id = %(org)s and p.no = i.purchase_no
    cross join lateral (
        select case when y.quantity > 0 then y.quantity else 1000 end as bought  -- no positive quantity: one piece
        from (select (p.lines::jsonb -> i.position ->> 'quantity')::numeric as quantity) y) q
), rules as (
    select g.no, (e.place - 1)::int as rule, sum(
               div((e.earned -> 'parts' ->> g.position)::numeric * g.after, g.bought)
               - div((e.earned -> 'parts' ->> g.position)::numeric * (g.after - g.quantity), g.bought)) as points
    from grown g cross join lateral jsonb_array_elements(g.division -> 'earned') with ordinality as e (earned, place)
    where g.division ->> 'returning' is null  -- the others' are evaluated again, which only the core can do
    group by 1, 2
), shares as (
    select g.no, bool_or(g.quantity <= 0 or g.after > g.bought) as beyond,
           sum(div((g.division -> 'paid' ->> g.position)::numeric * g.after, g.bought)
               - div((g.division -> 'paid' ->> g.position)::numeric * (g.after - g.quantity), g.bought)) as paid,
           sum(div(g.share * g.after, g.bought) - div(g.share * (g.after - g.quantity), g.bought)) as money,
           coalesce(sum(div((g.division -> 'spent' ->> g.position)::numeric * g.after, g.bought)
               - div((g.division -> 'spent' ->> g.position)::numeric * (g.after - g.quantity), g.bought)), 0) as spent
    from grown g group by g.no
), moved as (
    select t.event_seq as seq, coalesce(sum(t.amount) filter (where d.role = 'returned'), 0) as returned,
           coalesce(sum(t.amount) filter (where s.role = 'reversed'), 0) as restored,
           coalesce(sum(t.amount) filter (where not s.tracks_lots and not d.tracks_lots), 0) as money
    from purchase_returns r
    join transfers t on t.org_id = %(org)s and t.event_seq = r.event_seq
    join accounts s on s.org_id = %(org)s and s.no = t.source
    join accounts d on d.org_id = %(org)s and d.no = t.destination
    where r.org_id = %(org)s group by t.event_seq
), compared as (
    select r.no, r.number, concat_ws('; ',
           case when e.seq is null then 'its event ' || r.event_seq || ' does not exist' end,
           case when e.name <> 'TransactionReturn' or e.purchase_no <> r.purchase_no
                then 'its event ' || r.event_seq || ' is about another' end,
           case when nullif(e.body, '')::jsonb ->> 'return_id' <> r.id::text
                then 'id is ' || r.id || ', should be ' || (nullif(e.body, '')::jsonb ->> 'return_id') end,
           case when e.reference <> r.number then 'number should be ' || e.reference end,
           case when e.member_no <> r.member_no then 'member is ' || r.member_no || ', should be ' || e.member_no end,
           case when e.event_at <> r.event_at then 'event time is ' || r.event_at || ', should be ' || e.event_at end,
           case when e.recorded_at <> r.recorded_at
                then 'recorded at ' || r.recorded_at || ', should be ' || e.recorded_at end,
           case when p.no is null then 'its purchase ' || r.purchase_no || ' does not exist' end,
           case when h.no is null then 'it returns nothing' end,
           case when h.beyond then 'it returns more than was bought' end,
           case when r.amount <> h.paid + h.money
                then 'amount is ' || r.amount || ', should be ' || h.paid + h.money end,
           case when r.paid <> h.paid then 'paid is ' || r.paid || ', should be ' || h.paid end,
           case when r.spent <> h.spent then 'spent is ' || r.spent || ', should be ' || h.spent end,
           case when nullif(e.body, '')::jsonb -> 'lines' <> r.lines::jsonb
                then 'lines should be ' || (nullif(e.body, '')::jsonb ->> 'lines') end,
           case when nullif(e.body, '')::jsonb -> 'earned' <> r.earned::jsonb
                then 'earned should be ' || (nullif(e.body, '')::jsonb ->> 'earned') end,
           case when exists (select from rules x
                             where x.no = r.no and x.points is distinct from (r.earned::jsonb ->> x.rule)::numeric)
                then 'earned is not its part of what the purchase earned' end,
           case when coalesce(m.returned, 0) + x.expired + x.written_off <> x.earned
                then 'it took back ' || coalesce(m.returned, 0) || ', found ' || x.expired || ' expired and wrote '
                    || x.written_off || ' off, of ' || x.earned || ' earned' end,
           case when coalesce(m.restored, 0) > r.spent
                then 'it restored ' || m.restored || ', of ' || r.spent || ' spent' end,
           case when coalesce(m.money, 0) not in (0, r.paid)
                then 'it paid ' || m.money || ' back, of ' || r.paid end,
           case when r.result::jsonb ->> 'id' <> r.id::text or (r.result::jsonb ->> 'event_no')::bigint <> r.event_seq
                     or (r.result::jsonb ->> 'amount')::numeric <> r.amount
                     or (r.result::jsonb ->> 'paid')::numeric <> r.paid
                then 'the answer kept says something else' end
           ) as problem
    from purchase_returns r
    left join events e on e.org_id = %(org)s and e.seq = r.event_seq
    left join shares h on h.no = r.no
    left join moved m on m.seq = r.event_seq
    cross join lateral (
        select (select coalesce(sum(y::numeric), 0) from jsonb_array_elements_text(r.earned::jsonb) y) as earned,
               coalesce((nullif(e.body, '')::jsonb ->> 'written_off')::numeric, 0) as written_off,
               (select coalesce(sum((y ->> 2)::numeric), 0)
                from jsonb_array_elements(nullif(e.lot_moves, '')::jsonb) y
                where y ->> 1 = 'return_expired') as expired) x
    left join purchases p on p.org_id = %(org)s and p.no = r.purchase_no
    where r.org_id = %(org)s
)
(select 'return ' || no || ' (' || number || ')', problem from compared where problem <> '' order by no limit %(limit)s)
union all
(select 'return ' || e.reference, 'missing, and event ' || e.seq || ' booked it'
 from events e left join purchase_returns r on r.org_id = %(org)s and r.event_seq = e.seq
 where e.org_id = %(org)s and e.name = 'TransactionReturn' and r.no is null order by e.seq limit %(limit)s)

-- imported --
-- each row of an import is one event's, which says its reference; and each event that an import made has its row
(select 'import ' || i.kind || ' ' || i.reference, concat_ws('; ',
            case when e.seq is null then 'its event ' || i.event_seq || ' does not exist' end,
            case when e.reference <> i.reference then 'the reference of its event is ' || e.reference end,
            case when e.name = 'PointsExpiryChange' and i.kind <> 'expiry_change'
                      or e.name <> 'PointsExpiryChange' and nullif(e.body, '')::jsonb ->> 'import' <> i.kind
                 then 'its event is of another kind' end,
            case when (i.result::jsonb ->> 'event_no')::bigint <> i.event_seq
                 then 'the answer kept says something else' end)
 from imported i left join events e on e.org_id = %(org)s and e.seq = i.event_seq
 where i.org_id = %(org)s
   and (e.seq is null or e.reference <> i.reference or (i.result::jsonb ->> 'event_no')::bigint <> i.event_seq
        or case when e.name = 'PointsExpiryChange' then i.kind <> 'expiry_change'
                else nullif(e.body, '')::jsonb ->> 'import' is distinct from i.kind end)
 order by i.kind, i.reference limit %(limit)s)
union all
(select 'event ' || e.seq, 'an import made it, and its row is missing'
 from events e left join imported i on i.org_id = %(org)s and i.event_seq = e.seq
 where e.org_id = %(org)s and e.reference <> '' and i.event_seq is null
   and (e.name in ('PointsImport', 'PointsExpiryChange') or e.name = 'PointsLedgerBulkJob' and e.body like '%%"import"%%')
 order by e.seq limit %(limit)s)

-- promotions --
-- each use is what its event says; counters are the sums of the uses, and hold what open reservations keep; promotions
-- have all their versions; carts that were committed were committed by their events
with said as (
    select e.seq, e.member_no, e.purchase_no, e.event_at, e.reference, (x.place - 1)::int as position, x.said,
           (x.said ->> 'of_seq')::bigint as of_seq
    from events e
    cross join lateral jsonb_array_elements(nullif(e.body, '')::jsonb -> 'promotions') with ordinality as x (said, place)
    where e.org_id = %(org)s and e.name in ('TransactionAdd', 'TransactionReturn', 'PromotionUse', 'PromotionReturn')
      and e.body like '%%"promotions"%%'
), told as (
    select s.*, case when s.of_seq is null then s.position else (s.said ->> 'position')::int end as place from said s
), uses as (
    select coalesce(u.event_seq, t.seq) as seq, coalesce(u.position, t.place) as position, concat_ws('; ',
           case when t.seq is null then 'no event says it' end,
           case when u.event_seq is null then 'missing' end,
           case when u.promotion::text <> t.said ->> 'promotion' or u.version <> (t.said ->> 'version')::int
                     or u.code <> t.said ->> 'code' or u.issue <> t.said ->> 'issue' or u.times <> (t.said ->> 'times')::numeric
                     or u.discount <> (t.said ->> 'discount')::numeric or u.voucher <> (t.said ->> 'voucher')::numeric
                     or u.points <> (t.said ->> 'points')::numeric or u.raises::jsonb <> t.said -> 'raises'
                     or u.of_seq <> coalesce(t.of_seq, 0) or u.member_no <> t.member_no or u.used_at <> t.event_at
                     or u.purchase_no <> t.purchase_no or u.of_seq = 0 and u.reference <> t.reference
                then 'it is not what its event says' end,
           case when u.currency <> coalesce(p.currency, b.currency, w.result::jsonb -> 'evaluation' ->> 'currency')
                then 'it is in another currency than what was bought' end,
           case when u.of_seq > 0 and (b.event_seq is null or b.of_seq > 0 or b.times <> -u.times
                                       or b.reference <> u.reference or b.currency <> u.currency)
                then 'it gives back what was not used' end) as problem
    from (select * from promotion_uses where org_id = %(org)s) u
    full join told t on t.seq = u.event_seq and t.place = u.position
    left join promotion_uses b on b.org_id = %(org)s and b.event_seq = u.of_seq and b.position = u.position
    left join purchases p on p.org_id = %(org)s and p.no = u.purchase_no and u.purchase_no > 0
    left join promotion_commits w on w.org_id = %(org)s and w.event_seq = u.event_seq and u.purchase_no = 0
), now as (
    select last_recorded_at as at from heads where org_id = %(org)s
), raised as (
    select r ->> 0 as key, (r ->> 1)::numeric as by, (r ->> 2)::timestamptz as until,
           case when u.of_seq = 0 and r -> 0 ->> 4 = 'last'
                then case when e.recorded_at - u.used_at <= interval '72 hours' then u.used_at else e.recorded_at end
                end as last_at
    from promotion_uses u
    left join events e on e.org_id = %(org)s and e.seq = u.event_seq
    cross join lateral jsonb_array_elements(u.raises::jsonb) as r
    where u.org_id = %(org)s
    union all  -- caps on earning count by what purchases and returns say
    select r ->> 0, (r ->> 1)::numeric, (r ->> 2)::timestamptz, null::timestamptz
    from events e cross join lateral jsonb_array_elements(nullif(e.body, '')::jsonb -> 'caps') as r
    where e.org_id = %(org)s and e.name in ('TransactionAdd', 'TransactionReturn') and e.body like '%%"caps"%%'
), summed as (
    select key, coalesce(sum(by) filter (where until is null), 0) as used,
           coalesce(sum(by) filter (where until > now.at), 0) as rolling, max(last_at) as last_at
    from raised cross join now group by key
), most as (
    select v.promotion::text as owner, l ->> 'code' as code, l ->> 'limit' as "limit"
    from promotion_versions v cross join lateral jsonb_array_elements(v.terms::jsonb -> 'limits') as l
    where v.org_id = %(org)s
    union all
    select 'budget:' || (v.terms::jsonb -> 'budget' ->> 'code'), 'budget:' || (v.terms::jsonb -> 'budget' ->> 'code'),
           v.terms::jsonb -> 'budget' ->> 'limit'
    from promotion_versions v where v.org_id = %(org)s and jsonb_typeof(v.terms::jsonb -> 'budget') = 'object'
), limits as (
    select owner, code, case when bool_and("limit" is not null) then max("limit"::numeric) end as most
    from most group by owner, code
), held as (
    select r ->> 0 as key, sum((r ->> 1)::numeric) as held
    from reservations v cross join now cross join lateral jsonb_array_elements(v.raises::jsonb) as r
    where v.org_id = %(org)s and v.status = 'open' and v.expires_at > now.at group by 1
), counters as (
    select jsonb_build_array('counter', c.owner, c.limit_code, c.subject, c.period)::text as key, c.used,
           c.owner, c.limit_code, c.period, c.last_at,
           coalesce(sum((p ->> 1)::numeric) filter (where (p ->> 0)::timestamptz > now.at and p ->> 2 = ''), 0) as rolling,
           coalesce(sum((p ->> 1)::numeric) filter (where (p ->> 0)::timestamptz > now.at and p ->> 2 <> ''), 0) as held
    from promotion_counters c cross join now left join lateral jsonb_array_elements(c.parts::jsonb) as p on true
    where c.org_id = %(org)s group by 1, 2, 3, 4, 5, 6
), compared as (
    select coalesce(c.key, s.key, h.key) as key, concat_ws('; ',
           case when coalesce(c.used, 0) <> coalesce(s.used, 0)
                then 'used is ' || coalesce(c.used, 0) || ', should be ' || coalesce(s.used, 0) end,
           case when coalesce(c.rolling, 0) <> coalesce(s.rolling, 0)
                then 'used in its window is ' || coalesce(c.rolling, 0) || ', should be ' || coalesce(s.rolling, 0) end,
           case when coalesce(c.held, 0) <> coalesce(h.held, 0)
                then 'held is ' || coalesce(c.held, 0) || ', should be ' || coalesce(h.held, 0) end,
           case when c.last_at is distinct from s.last_at
                then 'last raised ' || coalesce(c.last_at::text, 'never') || ', should be '
                     || coalesce(s.last_at::text, 'never') end,
           case when c.period <> 'last' and c.used + c.rolling + c.held > m.most
                then 'it stands at ' || c.used + c.rolling + c.held || ', over its limit of ' || m.most end) as problem
    from counters c
    full join summed s on s.key = c.key
    full join held h on h.key = coalesce(c.key, s.key)
    left join limits m on m.owner = c.owner and m.code = c.limit_code
), keeps as (
    select v.id::text as id, r ->> 0 as key, (r ->> 1)::numeric as by, v.expires_at as until
    from reservations v cross join now cross join lateral jsonb_array_elements(v.raises::jsonb) as r
    where v.org_id = %(org)s and v.status = 'open' and v.expires_at > now.at
), kept as (
    select p ->> 2 as id, jsonb_build_array('counter', c.owner, c.limit_code, c.subject, c.period)::text as key,
           (p ->> 1)::numeric as by, (p ->> 0)::timestamptz as until
    from promotion_counters c cross join now cross join lateral jsonb_array_elements(c.parts::jsonb) as p
    where c.org_id = %(org)s and p ->> 2 <> '' and (p ->> 0)::timestamptz > now.at
), reserved as (
    select id, key || ' is kept free by no counter' as problem from (table keeps except all table kept) x
    union all
    select id, key || ' keeps ' || by || ' free for it until ' || until || ', which it does not say'
    from (table kept except all table keeps) x
    union all
    select coalesce(v.id::text, e.id), concat_ws('; ',
           case when v.id is null then 'missing, and event ' || e.seq || ' used it' end,
           case when v.status = 'used' and e.seq is null then 'used, but by no event' end,
           case when v.status <> 'used' and e.seq is not null then v.status || ', but event ' || e.seq || ' used it' end,
           case when v.member_no <> e.member_no then 'made for member ' || v.member_no || ', used by another' end,
           case when v.expires_at <= e.recorded_at then 'used after it had ended' end)
    from (select * from reservations where org_id = %(org)s) v
    full join (select seq, member_no, recorded_at, nullif(body, '')::jsonb ->> 'reservation' as id from events
               where org_id = %(org)s and name in ('TransactionAdd', 'PromotionUse')
                     and body like '%%"reservation"%%') e on e.id = v.id::text
    where (v.status = 'used') is distinct from (e.seq is not null)
          or e.seq is not null and (v.member_no <> e.member_no or v.expires_at <= e.recorded_at)
), versions as (
    select coalesce(p.id, v.promotion) as id, concat_ws('; ',
           case when p.id is null then 'does not exist, but has versions' end,
           case when v.count is distinct from v.last or p.version is distinct from v.last then 'versions are missing' end,
           case when p.terms is distinct from l.terms or p.status is distinct from l.terms::jsonb ->> 'status'
                     or p.name is distinct from l.terms::jsonb ->> 'name' or p.created_at <> v.created_at
                then 'it is not its last version' end,
           case when v.misnamed then 'a version is of another promotion or number' end) as problem
    from (select * from promotions where org_id = %(org)s) p
    full join (select promotion, count(*) as count, max(version) as last, min(recorded_at) as created_at,
                      bool_or(terms::jsonb ->> 'id' <> promotion::text
                              or (terms::jsonb ->> 'version')::int <> version) as misnamed
               from promotion_versions where org_id = %(org)s group by 1) v on v.promotion = p.id
    left join promotion_versions l on l.org_id = %(org)s and l.promotion = p.id and l.version = p.version
), versions_told as (
    select coalesce(v.promotion::text, e.promotion) as id, coalesce(v.version, e.version) as version,
           concat_ws('; ',
           case when e.seq is null then 'no event tells of version ' || v.version end,
           case when v.promotion is null then 'version ' || e.version || ' is missing, and event ' || e.seq || ' made it' end,
           case when v.terms::jsonb <> e.said -> 'terms' or v.recorded_at <> e.recorded_at or v.actor <> e.actor
                then 'version ' || v.version || ' is not what its event says' end) as problem
    from (select * from promotion_versions where org_id = %(org)s) v
    full join (select x.seq, x.recorded_at, x.actor, y.said, y.said ->> 'promotion' as promotion,
                      (y.said ->> 'version')::int as version
               from events x cross join lateral (select nullif(x.body, '')::jsonb as said offset 0) y
               where x.org_id = %(org)s and x.name = 'PromotionVersion') e
         on e.promotion = v.promotion::text and e.version = v.version
), issues as (
    select coalesce(i.id::text, e.said ->> 'issue_id') as id, concat_ws('; ',
           case when e.seq is null then 'no event gave it' end,
           case when i.id is null then 'missing, and event ' || e.seq || ' gave it' end,
           case when i.promotion::text <> e.said ->> 'promotion' or i.member_no <> e.member_no
                     or i.issued_at <> e.recorded_at or i.reason <> e.reason or i.actor <> e.actor
                     or i.starts_at is distinct from (e.said ->> 'starts_at')::timestamptz
                     or i.ends_at is distinct from (e.said ->> 'ends_at')::timestamptz
                     or i.activation <> (e.said ->> 'activation')::boolean
                     or i.days is distinct from (e.said ->> 'days')::integer
                then 'it is not what its event says' end,
           case when i.id is not null and p.id is null then 'its promotion ' || i.promotion || ' does not exist' end,
           case when i.id is not null and m.no is null then 'its member ' || i.member_no || ' does not exist' end,
           case when i.ends_at <= i.starts_at then 'it ends before it starts' end) as problem
    from (select * from promotion_issues where org_id = %(org)s) i
    full join (select x.seq, x.member_no, x.recorded_at, x.reason, x.actor, y.said
               from events x cross join lateral (select nullif(x.body, '')::jsonb as said offset 0) y
               where x.org_id = %(org)s and x.name = 'PromotionIssue') e on e.said ->> 'issue_id' = i.id::text
    left join promotions p on p.org_id = %(org)s and p.id = i.promotion
    left join members m on m.org_id = %(org)s and m.no = i.member_no
), issue_moves as (
    select coalesce(v.issue::text, e.issue) as issue, coalesce(v.done, e.done) as done, concat_ws('; ',
           case when e.seq is null then v.done || ' by no event' end,
           case when v.issue is null then e.done || ' by event ' || e.seq || ', and that is missing' end,
           case when v.moved_at <> e.recorded_at or v.actor <> e.actor or v.ends_at is distinct from e.ends_at
                then v.done || ' otherwise than its event says' end,
           case when v.issue is not null and i.id is null then v.done || ', but there is no such issue' end,
           case when v.moved_at < i.issued_at then v.done || ' before it was given' end,
           case when v.done = 'activated' and not i.activation then 'activated, which it did not need' end,
           case when e.promotion <> i.promotion::text or e.member_no <> i.member_no and m.survivor_no = 0
                then 'its event is about another' end) as problem
    from (select * from promotion_issue_moves where org_id = %(org)s) v
    full join (select x.seq, x.member_no, x.recorded_at, x.actor, y.said ->> 'issue_id' as issue,
                      y.said ->> 'promotion' as promotion, (y.said ->> 'ends_at')::timestamptz as ends_at,
                      case x.name when 'PromotionIssueActivation' then 'activated' else 'revoked' end as done
               from events x cross join lateral (select nullif(x.body, '')::jsonb as said offset 0) y
               where x.org_id = %(org)s and x.name in ('PromotionIssueActivation', 'PromotionIssueRevocation')) e
         on e.issue = v.issue::text and e.done = v.done
    left join promotion_issues i on i.org_id = %(org)s and i.id = v.issue
    left join members m on m.org_id = %(org)s and m.no = i.member_no
)
(select 'use ' || seq || '/' || position, problem from uses where problem <> '' order by seq, position limit %(limit)s)
union all
(select 'counter ' || key, problem from compared where problem <> '' order by key limit %(limit)s)
union all
(select 'reservation ' || id, string_agg(problem, '; ') from reserved group by id order by id limit %(limit)s)
union all
(select 'promotion ' || id, problem from versions where problem <> '' order by id limit %(limit)s)
union all
(select 'promotion ' || id, problem from versions_told where problem <> '' order by id, version limit %(limit)s)
union all
(select 'use ' || u.event_seq || '/' || u.position, 'its issue ' || u.issue
        || case when i.id is null then ' does not exist' else ' is another promotion''s' end
 from promotion_uses u
 left join promotion_issues i on i.org_id = %(org)s and i.id::text = u.issue
 where u.org_id = %(org)s and u.issue <> '' and (i.id is null or i.promotion <> u.promotion)
 order by u.event_seq, u.position limit %(limit)s)
union all
(select 'issue ' || id, problem from issues where problem <> '' order by id limit %(limit)s)
union all
(select 'issue ' || issue, problem from issue_moves where problem <> '' order by issue, done limit %(limit)s)
union all
(select 'use ' || u.event_seq || '/' || u.position, 'its promotion has no such version'
 from promotion_uses u
 left join promotion_versions v on v.org_id = %(org)s and v.promotion = u.promotion and v.version = u.version
 where u.org_id = %(org)s and v.promotion is null order by u.event_seq, u.position limit %(limit)s)
union all
(select 'commit ' || coalesce(e.reference, c.number), case when c.id is null then 'missing, and event ' || e.seq || ' made it'
            else 'its event ' || c.event_seq || ' does not say so' end
 from (select * from promotion_commits where org_id = %(org)s) c
 full join (select * from events where org_id = %(org)s and name = 'PromotionUse') e on e.seq = c.event_seq
 where c.id is null or e.seq is null or e.reference <> c.number or e.member_no <> c.member_no
    or e.event_at <> c.committed_at or c.division::jsonb is null
    or jsonb_array_length(c.lines::jsonb) <> jsonb_array_length(c.division::jsonb -> 'paid')
    or (select sum((x ->> 'amount')::numeric) from jsonb_array_elements(c.lines::jsonb) x)
       <> (select sum(x::numeric) from jsonb_array_elements_text(c.division::jsonb -> 'paid') x)
          + coalesce((select sum(x::numeric) from jsonb_array_elements_text(c.division::jsonb -> 'discounts') x), 0)
          + coalesce((select sum(x::numeric) from jsonb_array_elements_text(c.division::jsonb -> 'vouchers') x), 0)
    or nullif(e.body, '')::jsonb ->> 'commit_id' <> c.id::text
    or c.result::jsonb ->> 'number' <> c.number or (c.result::jsonb ->> 'event_no')::bigint <> c.event_seq
 order by 1 limit %(limit)s)

-- cart_returns --
-- each return of a committed cart as its event says it; of every line no more than was committed, and of every figure the
-- part of the whole
with lines as (
    select c.id, (l.place - 1)::int as position, greatest((l.line ->> 'quantity')::numeric, 0) as bought,
           (c.division::jsonb -> 'paid' ->> (l.place - 1)::int)::numeric as paid,
           coalesce((c.division::jsonb -> 'discounts' ->> (l.place - 1)::int)::numeric, 0) as discount
    from promotion_commits c cross join lateral jsonb_array_elements(c.lines::jsonb) with ordinality as l (line, place)
    where c.org_id = %(org)s
), returned as (
    select r.id, r.number, r.commit_id, r.event_seq, (x ->> 0)::int as position, (x ->> 1)::numeric as quantity,
           sum((x ->> 1)::numeric) over (partition by r.commit_id, x ->> 0 order by r.event_seq) as gone
    from cart_returns r cross join lateral jsonb_array_elements(r.lines::jsonb) as x
    where r.org_id = %(org)s
), priced as (
    select r.id, bool_or(l.id is null or r.gone > whole.of) as beyond,
           sum(div(l.paid * r.gone, whole.of) - div(l.paid * (r.gone - r.quantity), whole.of)) as paid,
           sum(div(l.discount * r.gone, whole.of) - div(l.discount * (r.gone - r.quantity), whole.of)) as discount
    from returned r
    left join lines l on l.id = r.commit_id and l.position = r.position
    cross join lateral (select case when l.bought > 0 then l.bought else 1000 end as of) whole
    group by r.id
), compared as (
    select coalesce(e.reference, r.number) as number, concat_ws('; ',
           case when r.id is null then 'missing, and event ' || e.seq || ' made it' end,
           case when e.seq is null then 'its event ' || r.event_seq || ' is none of a return' end,
           case when c.id is null and r.id is not null then 'what it returns was never committed' end,
           case when e.reference <> r.number or e.member_no <> r.member_no
                     or nullif(e.body, '')::jsonb ->> 'return_id' <> r.id::text
                     or nullif(e.body, '')::jsonb ->> 'commit_id' <> r.commit_id::text
                     or nullif(e.body, '')::jsonb -> 'lines' <> r.lines::jsonb
                     or nullif(e.body, '')::jsonb -> 'earned' <> r.earned::jsonb
                     or r.result::jsonb ->> 'id' <> r.id::text or (r.result::jsonb ->> 'event_no')::bigint <> r.event_seq
                then 'it is not what its event says' end,
           case when p.beyond then 'more of a line is returned than was committed' end,
           case when p.paid <> r.paid or p.discount <> r.discount
                then 'paid and discount are ' || r.paid || ' and ' || r.discount || ', should be ' || p.paid || ' and '
                     || p.discount end) as problem
    from (select * from cart_returns where org_id = %(org)s) r
    full join (select * from events where org_id = %(org)s and name = 'PromotionReturn') e on e.seq = r.event_seq
    left join promotion_commits c on c.org_id = %(org)s and c.id = r.commit_id
    left join priced p on p.id = r.id
)
select 'commit return ' || number, problem from compared where problem <> '' order by number limit %(limit)s

-- sent --
-- what members have sent per day and month, as their transfers name them
with made as (
    select e.seq, e.member_no, -e.points as points, e.transfers, e.event_at, e.recorded_at,
           nullif(e.body, '')::jsonb as body
    from events e where e.org_id = %(org)s and e.name = 'PointsTransfer' and e.mirrors = 0
), rebuilt as (
    select m.member_no, (m.body ->> 'program_no')::bigint as program_no, w.period, sum(m.points) as points,
           count(*) as count
    from made m cross join lateral jsonb_array_elements_text(m.body -> 'windows') as w (period)
    group by 1, 2, 3
), compared as (
    select coalesce(s.member_no, r.member_no) as member_no, coalesce(s.program_no, r.program_no) as program_no,
           coalesce(s.period, r.period) as period, concat_ws('; ',
           case when s.period is null then 'missing' end,
           case when r.period is null then 'no transfer made it' end,
           case when s.points <> r.points then 'points are ' || s.points || ', should be ' || r.points end,
           case when s.count <> r.count then 'count is ' || s.count || ', should be ' || r.count end) as problem
    from (select * from sent where org_id = %(org)s) s
    full join rebuilt r on r.member_no = s.member_no and r.program_no = s.program_no and r.period = s.period
)
(select 'sent by member ' || member_no || ' in program ' || program_no || ' in ' || period, problem
 from compared where problem <> '' order by member_no, program_no, period limit %(limit)s)
union all
(select 'event ' || m.seq, 'nobody, or another than it says, got what it sent'
 from made m
 left join events x on x.org_id = %(org)s and x.mirrors = m.seq
 where x.seq is null or x.points <> m.points or x.name <> 'PointsTransfer'
    or x.member_no <> (m.body ->> 'recipient_no')::bigint
 order by m.seq limit %(limit)s)

-- merges --
-- who was merged has nothing left, no name and no later event, and the survivor is whom the event names
with made as (
    select e.seq, e.member_no, (nullif(e.body, '')::jsonb ->> 'survivor_no')::bigint as survivor_no
    from events e where e.org_id = %(org)s and e.name = 'CustomerMerge' and e.mirrors = 0
), compared as (
    select coalesce(m.no, e.member_no) as no, concat_ws('; ',
           case when e.seq is null then 'no event merged it' end,
           case when m.no is null then 'event ' || e.seq || ' merged it, but it is not merged' end,
           case when m.survivor_no <> e.survivor_no
                then 'survivor is ' || m.survivor_no || ', should be ' || e.survivor_no end,
           case when exists (select 1 from events x
                             where x.org_id = %(org)s and x.member_no = e.member_no and x.seq > e.seq)
                then 'it has events after its merge' end,
           case when exists (select 1 from member_identifiers i
                             where i.org_id = %(org)s and i.member_no = e.member_no)
                then 'it still has identifiers' end,
           case when exists (select 1 from accounts a join figures f on f.org_id = %(org)s and f.account_no = a.no
                             where a.org_id = %(org)s and a.member_no = e.member_no and a.tracks_lots
                               and (f.credit <> f.debit or f.inflight_debit > 0))
                then 'it still has points, or owes some' end) as problem
    from (select * from members where org_id = %(org)s and (status = 'merged' or survivor_no > 0)) m
    full join made e on e.member_no = m.no
)
select 'member ' || no, problem from compared where problem <> '' order by no limit %(limit)s

-- adjustments --
-- every adjustment that was booked was asked for in these words, and where it waited, another person approved it in time
with booked as (
    select e.seq, e.member_no, e.points, e.reason, e.actor, e.recorded_at, nullif(e.body, '')::jsonb as body
    from events e where e.org_id = %(org)s and e.name = 'ManualAdjustment'
), compared as (
    select coalesce(a.id, (b.body ->> 'adjustment_id')::uuid) as id, concat_ws('; ',
           case when a.id is null then 'nobody asked for it, and event ' || b.seq || ' booked it' end,
           case when b.seq is null and (a.event_seq > 0 or d.event_seq > 0) then 'no event booked it' end,
           case when b.seq is not null and greatest(a.event_seq, coalesce(d.event_seq, 0)) <> b.seq
                then 'event is ' || greatest(a.event_seq, coalesce(d.event_seq, 0)) || ', should be ' || b.seq end,
           case when a.member_no <> b.member_no then 'member is ' || a.member_no || ', should be ' || b.member_no end,
           case when a.points <> b.points then 'points are ' || a.points || ', should be ' || b.points end,
           case when a.program_no <> (b.body ->> 'program_no')::bigint
                then 'program is ' || a.program_no || ', should be ' || (b.body ->> 'program_no') end,
           case when a.reason <> b.reason or a.actor <> b.actor then 'reason or actor is not that of its event' end,
           case when a.person <> b.body ->> 'person'
                then 'asked by ' || a.person || ', should be ' || (b.body ->> 'person') end,
           case when coalesce(d.person, '') <> b.body ->> 'approved_by'
                then 'approved by ' || coalesce(d.person, 'nobody') || ', should be ' || (b.body ->> 'approved_by') end,
           case when coalesce(d.recorded_at, a.recorded_at) <> b.recorded_at
                then 'booked at ' || coalesce(d.recorded_at, a.recorded_at) || ', should be ' || b.recorded_at end,
           case when (a.expires_at is null) <> (a.event_seq > 0) then 'it neither waited nor was booked at once' end,
           case when d.adjustment_id is not null and a.expires_at is null then 'it was decided, but never waited' end,
           case when d.person = a.person then 'one person asked for it and decided it' end,
           case when d.recorded_at >= a.expires_at then 'it was decided too late' end,
           case when d.approved <> (d.event_seq > 0) then 'what was decided is not what was done' end) as problem
    from (select * from adjustments where org_id = %(org)s) a
    full join booked b on (b.body ->> 'adjustment_id')::uuid = a.id
    left join adjustment_decisions d on d.org_id = %(org)s and d.adjustment_id = a.id
)
(select 'adjustment ' || id, problem from compared where problem <> '' order by id limit %(limit)s)
union all
(select 'adjustment ' || d.adjustment_id, 'decided, but nobody asked for it'
 from adjustment_decisions d left join adjustments a on a.org_id = %(org)s and a.id = d.adjustment_id
 where d.org_id = %(org)s and a.id is null order by d.adjustment_id limit %(limit)s)
union all
(select 'adjustment ' || coalesce(a.id, (q.body ->> 'adjustment_id')::uuid),
        coalesce('what was asked is not what event ' || q.seq || ' says', 'it waited, and no event says so')
 from (select * from adjustments where org_id = %(org)s and expires_at is not null) a
 full join (
    select seq, reason, actor, recorded_at, body::jsonb as body
    from events where org_id = %(org)s and name = 'AdjustmentRequest') q on (q.body ->> 'adjustment_id')::uuid = a.id
 where (a.member_no, a.program_no, a.points, a.person, a.reason, a.actor, a.recorded_at, a.expires_at)
       is distinct from ((q.body ->> 'member_no')::bigint, (q.body ->> 'program_no')::bigint,
                         (q.body ->> 'points')::numeric, q.body ->> 'person', q.reason, q.actor, q.recorded_at,
                         (q.body ->> 'expires_at')::timestamptz)
 order by 1 limit %(limit)s)
union all
(select 'adjustment ' || coalesce(d.adjustment_id, (q.body ->> 'adjustment_id')::uuid),
        coalesce('what was decided is not what event ' || q.seq || ' says', 'it was rejected, and no event says so')
 from (select * from adjustment_decisions where org_id = %(org)s and not approved) d
 full join (
    select seq, reason, actor, recorded_at, body::jsonb as body
    from events where org_id = %(org)s and name = 'AdjustmentRejection') q
      on (q.body ->> 'adjustment_id')::uuid = d.adjustment_id
 where (d.person, d.reason, d.actor, d.recorded_at)
       is distinct from (q.body ->> 'person', q.reason, q.actor, q.recorded_at)
 order by 1 limit %(limit)s)

-- referrals --
-- each referral is its awards, and taken back where events say so
with said as (
    select (nullif(e.body, '')::jsonb ->> 'referral_id')::uuid as id, e.name, e.seq, e.member_no,
           (nullif(e.body, '')::jsonb ->> 'program_no')::bigint as program_no
    from events e where e.org_id = %(org)s and e.name in ('ReferralAward', 'ReferralReturn')
), sums as (
    select id, count(*) filter (where name = 'ReferralAward') as awards, bool_or(name = 'ReferralReturn') as returned,
           min(program_no) as program_no
    from said group by id
), compared as (
    select coalesce(r.id, s.id) as id, concat_ws('; ',
           case when r.id is null then 'missing' end,
           case when s.id is null then 'no event awarded it' end,
           case when s.awards <> (r.referrer_event > 0)::int + (r.referred_event > 0)::int
                then 'it has ' || s.awards || ' awards' end,
           case when r.referrer_event > 0 and x.seq is null then 'its event ' || r.referrer_event || ' is another' end,
           case when r.referred_event > 0 and y.seq is null then 'its event ' || r.referred_event || ' is another' end,
           case when r.program_no <> s.program_no
                then 'program is ' || r.program_no || ', should be ' || s.program_no end,
           case when r.taken_back <> s.returned
                then 'taken back is ' || r.taken_back || ', should be ' || s.returned end) as problem
    from (select * from referrals where org_id = %(org)s) r
    full join sums s on s.id = r.id
    left join said x on x.seq = r.referrer_event and x.id = r.id and x.member_no = r.referrer_no
         and x.name = 'ReferralAward'
    left join said y on y.seq = r.referred_event and y.id = r.id and y.member_no = r.referred_no
         and y.name = 'ReferralAward'
)
select 'referral ' || id, problem from compared where problem <> '' order by id limit %(limit)s

-- claims --
-- each claim is what its event says, and stands where the last of its moves left it; what was given back is all it cost
with said as (
    select e.seq, e.member_no, e.recorded_at, -e.points as points, b.body, (b.body ->> 'claim_id')::uuid as id
    from events e cross join lateral (select nullif(e.body, '')::jsonb as body) b
    where e.org_id = %(org)s and e.name = 'RewardClaim'
), moves as (
    select distinct on (id) id, seq, recorded_at, reason, status, name, back
    from (select e.seq, e.recorded_at, e.reason, e.name, b.body ->> 'status' as status,
                 (b.body ->> 'claim_id')::uuid as id,
                 (select coalesce(sum((m ->> 2)::numeric), 0) from jsonb_array_elements(nullif(e.lot_moves, '')::jsonb) m
                  where m ->> 1 in ('refill', 'open', 'forfeit')) as back
          from events e cross join lateral (select nullif(e.body, '')::jsonb as body) b
          where e.org_id = %(org)s and e.name in ('RewardFulfilment', 'RewardClaimReversal')) each_move
    order by id, seq desc
), compared as (
    select coalesce(c.id, s.id, m.id) as id, concat_ws('; ',
           case when c.id is null then 'missing' end,
           case when s.id is null then 'no event made it' end,
           case when c.event_seq <> s.seq then 'event is ' || c.event_seq || ', should be ' || s.seq end,
           case when c.member_no <> s.member_no then 'member is ' || c.member_no || ', should be ' || s.member_no end,
           case when c.points <> s.points or c.points <> (s.body ->> 'price')::numeric
                then 'points are ' || c.points || ', should be ' || s.points end,
           case when (c.program_no, c.list_id::text, c.reward_id::text, c.version, c.wallet) is distinct from
                     ((s.body ->> 'program_no')::bigint, s.body ->> 'list_id', s.body ->> 'reward_id',
                      (s.body ->> 'version')::integer, (s.body ->> 'wallet')::bigint)
                then 'its reward is another than that of event ' || s.seq end,
           case when v.id is null then 'its reward has no version ' || c.version end,
           case when (nullif(v.terms, '')::jsonb ->> 'price')::numeric <> c.points
                then 'points are ' || c.points || ', its reward cost ' || (v.terms::jsonb ->> 'price') end,
           case when c.claimed_at <> s.recorded_at
                then 'claimed at ' || c.claimed_at || ', should be ' || s.recorded_at end,
           case when c.status <> coalesce(m.status, s.body ->> 'status')
                then 'status is ' || c.status || ', should be ' || coalesce(m.status, s.body ->> 'status') end,
           case when c.moved_at <> coalesce(m.recorded_at, s.recorded_at)
                then 'moved at ' || c.moved_at || ', should be ' || coalesce(m.recorded_at, s.recorded_at) end,
           case when c.reason <> coalesce(m.reason, '')
                then 'reason is ' || c.reason || ', should be ' || coalesce(m.reason, '') end,
           case when (m.name = 'RewardClaimReversal') <> (m.status in ('denied', 'cancelled'))
                then 'event ' || m.seq || ' is not what a move to ' || m.status || ' books' end,
           case when m.name = 'RewardClaimReversal' and m.back <> c.points
                then 'event ' || m.seq || ' gave ' || m.back || ' back, of ' || c.points end,
           case when (nullif(v.terms, '')::jsonb ->> 'kind') is not distinct from 'discount_code'
                     and (k.batch::text is distinct from v.terms::jsonb ->> 'codes'
                          or k.no <> (s.body ->> 'code_no')::bigint or l.id is distinct from c.id
                          or l.member_no <> c.member_no)
                then 'its code is not one of its batch, or not linked by it' end) as problem
    from (select * from claims where org_id = %(org)s) c
    full join said s on s.id = c.id
    full join moves m on m.id = coalesce(c.id, s.id)
    left join catalogue_versions v on v.org_id = %(org)s and v.id = c.reward_id and v.version = c.version
    left join codes k on k.org_id = %(org)s and k.code = s.body ->> 'code'
    left join code_links l on l.org_id = %(org)s and l.code = s.body ->> 'code'
)
(select 'claim ' || id, problem from compared where problem <> '' order by id limit %(limit)s)
union all
(select 'code ' || k.code, 'in force, but it was taken back with claim ' || s.id
 from said s
 join moves m on m.id = s.id and m.status in ('denied', 'cancelled')
 join codes k on k.org_id = %(org)s and k.code = s.body ->> 'code'
 where not exists (
     select from code_switches x where x.org_id = %(org)s and x.batch = k.batch and x.code = k.code and not x.active)
 order by 1 limit %(limit)s)

-- catalogue --
-- each list and each reward is its last version, and as many pieces are out as were claimed and not given back
with versions as (
    select id, kind, count(*) as count, max(version) as last, min(recorded_at) as made
    from catalogue_versions where org_id = %(org)s group by id, kind
), out as (
    select (nullif(e.body, '')::jsonb ->> 'reward_id')::uuid as id, count(*) as pieces
    from events e
    where e.org_id = %(org)s and e.name = 'RewardClaim' and not exists (
        select from events x
        where x.org_id = %(org)s and x.name = 'RewardClaimReversal'
          and nullif(x.body, '')::jsonb ->> 'claim_id' = nullif(e.body, '')::jsonb ->> 'claim_id')
    group by 1
), codes_out as (
    select (b.body ->> 'reward_id')::uuid as id, max((b.body ->> 'code_no')::bigint) as last
    from events e cross join lateral (select nullif(e.body, '')::jsonb as body) b
    where e.org_id = %(org)s and e.name = 'RewardClaim'
    group by 1
), things as (
    select 'list' as kind, id, program_no::text as belongs_to, version, created_at, null::bigint as supply, terms,
           null::bigint as claimed, null::bigint as given
    from reward_lists where org_id = %(org)s
    union all
    select 'reward', id, list_id::text, version, created_at, supply, terms, claimed, given
    from rewards where org_id = %(org)s
), compared as (
    select coalesce(t.kind, v.kind) as kind, coalesce(t.id, v.id) as id, concat_ws('; ',
           case when t.id is null then 'missing, but it has versions' end,
           case when v.id is null then 'it has no versions' end,
           case when v.count <> v.last then 'versions are missing' end,
           case when t.version <> v.last then 'version is ' || t.version || ', should be ' || v.last end,
           case when t.terms <> c.terms then 'its terms are not those of its last version' end,
           case when t.supply is distinct from c.supply and c.id is not null
                then 'supply is ' || coalesce(t.supply::text, 'without end') || ', should be '
                    || coalesce(c.supply::text, 'without end') end,
           case when t.belongs_to <> c.belongs_to
                then 'it belongs to ' || t.belongs_to || ', should be ' || c.belongs_to end,
           case when t.created_at <> v.made then 'made at ' || t.created_at || ', should be ' || v.made end,
           case when t.kind = 'list' and p.no is null then 'its program does not exist' end,
           case when t.kind = 'reward' and l.id is null then 'its list does not exist' end,
           case when t.claimed <> coalesce(o.pieces, 0)
                then t.claimed || ' pieces are out, should be ' || coalesce(o.pieces, 0) end,
           case when t.given <> coalesce(g.last, 0)
                then 'codes were handed out up to ' || t.given || ', should be ' || coalesce(g.last, 0) end) as problem
    from things t
    full join versions v on v.id = t.id
    left join catalogue_versions c on c.org_id = %(org)s and c.id = v.id and c.version = v.last
    left join programs p on p.org_id = %(org)s and t.kind = 'list' and p.no::text = t.belongs_to
    left join reward_lists l on l.org_id = %(org)s and t.kind = 'reward' and l.id::text = t.belongs_to
    left join out o on o.id = t.id
    left join codes_out g on g.id = t.id
)
select kind || ' ' || id, problem from compared where problem <> '' order by 1 limit %(limit)s

-- codes --
-- each batch has the codes it says, numbered without a gap; each code, switch and link hangs on something
with counted as (
    select c.batch, count(*) as codes, min(c.no) as first, max(c.no) as last
    from codes c where c.org_id = %(org)s group by c.batch
), batches as (
    select coalesce(b.id, c.batch) as id, concat_ws('; ',
           case when b.id is null then 'missing, and ' || c.codes || ' codes are of it' end,
           case when b.made <> coalesce(c.codes, 0)
                then 'made is ' || b.made || ', should be ' || coalesce(c.codes, 0) end,
           case when c.first <> 1 or c.last <> c.codes then 'its codes are not numbered without a gap' end,
           case when b.kind = 'generated' and b.next_index < b.made
                then 'it goes on at ' || b.next_index || ', but has ' || b.made || ' codes' end,
           case when b.kind = 'uploaded' and (b.next_index > 0 or b.wanted <> b.made)
                then 'it is of uploaded codes, but asks for more' end,
           case when b.kind not in ('generated', 'uploaded') then 'it is of no kind' end,
           case when (b.kind = 'generated') <> (b.form <> '') or (b.kind = 'generated') <> (length(b.seed) >= 32)
                then 'its form and seed are not those of its kind' end,
           case when b.id is not null and p.id is null then 'its promotion ' || b.promotion || ' does not exist' end
           ) as problem
    from (select * from code_batches where org_id = %(org)s) b
    full join counted c on c.batch = b.id
    left join promotions p on p.org_id = %(org)s and p.id = b.promotion
), links as (
    select coalesce(l.code, e.said ->> 'code') as code, concat_ws('; ',
           case when e.seq is null then 'linked by no event' end,
           case when l.code is null then 'its link is missing, and event ' || e.seq || ' made it' end,
           case when l.id::text <> e.id or l.member_no <> e.member_no or l.mode <> e.said ->> 'mode'
                     or l.linked_at <> e.recorded_at or l.actor <> e.actor
                then 'its link is not what its event says' end,
           case when l.code is not null and c.code is null then 'linked, but there is no such code' end,
           case when l.code is not null and m.no is null
                then 'linked to member ' || l.member_no || ', who does not exist' end) as problem
    from (select * from code_links where org_id = %(org)s) l
    full join (select x.seq, x.member_no, x.recorded_at, x.actor, y.said,
                      y.said ->> case x.name when 'CodeLink' then 'link_id' else 'claim_id' end as id
               from events x cross join lateral (select nullif(x.body, '')::jsonb as said offset 0) y
               where x.org_id = %(org)s and (x.name = 'CodeLink' or x.name = 'RewardClaim' and y.said ? 'code')) e
         on e.said ->> 'code' = l.code
    left join codes c on c.org_id = %(org)s and c.code = l.code
    left join members m on m.org_id = %(org)s and m.no = l.member_no
), switches as (
    select coalesce(s.batch::text, e.said ->> 'batch') as batch, coalesce(s.code, e.said ->> 'code') as code,
           coalesce(s.version, (e.said ->> 'version')::int) as version, concat_ws('; ',
           case when e.seq is null then 'switched by no event' end,
           case when s.batch is null then 'a switch is missing, and event ' || e.seq || ' made it' end,
           case when s.active <> (e.said ->> 'active')::boolean or s.reason <> e.reason or s.actor <> e.actor
                     or s.recorded_at <> e.recorded_at
                then 'switch ' || s.version || ' is not what its event says' end) as problem
    from (select * from code_switches where org_id = %(org)s) s
    full join (select x.seq, x.recorded_at, x.reason, x.actor, y.said
               from events x cross join lateral (select nullif(x.body, '')::jsonb as said offset 0) y
               where x.org_id = %(org)s and x.name = 'CodeSwitch') e
         on e.said ->> 'batch' = s.batch::text and e.said ->> 'code' = s.code
            and (e.said ->> 'version')::int = s.version
)
(select 'code batch ' || id, problem from batches where problem <> '' order by id limit %(limit)s)
union all
(select 'code ' || code, problem from links where problem <> '' order by code limit %(limit)s)
union all
(select case when code = '' then 'code batch ' || batch else 'code ' || code end, problem
 from switches where problem <> '' order by batch, code, version limit %(limit)s)
union all
(select 'code ' || u.code, 'used by event ' || min(u.event_seq) || ', but '
        || case when bool_and(c.code is null) then 'there is no such code' else 'it is another promotion''s' end
 from promotion_uses u
 left join codes c on c.org_id = %(org)s and c.code = u.code
 left join code_batches b on b.org_id = %(org)s and b.id = c.batch
 where u.org_id = %(org)s and u.code <> '' and b.promotion is distinct from u.promotion
 group by u.code order by u.code limit %(limit)s)
union all
(select case when s.code = '' then 'code batch ' || s.batch else 'code ' || s.code end, concat_ws('; ',
            case when s.last <> s.count or s.first <> 1 then 'switches are missing' end,
            case when s.again then 'it was switched to what it was' end,
            case when b.id is null then 'switched, but its batch does not exist' end,
            case when s.code <> '' and c.code is null then 'switched, but it is not of batch ' || s.batch end)
 from (select x.batch, x.code, min(x.version) as first, max(x.version) as last, count(*) as count,
              bool_or(x.active = (x.version %% 2 = 1)) as again
       from code_switches x where x.org_id = %(org)s group by x.batch, x.code) s
 left join code_batches b on b.org_id = %(org)s and b.id = s.batch
 left join codes c on c.org_id = %(org)s and c.code = s.code and c.batch = s.batch
 where s.last <> s.count or s.first <> 1 or s.again or b.id is null or (s.code <> '' and c.code is null)
 order by s.batch, s.code limit %(limit)s)

-- generated --
-- batches whose codes are made from a form and a seed, with how far that went
select id::text, form, seed, next_index from code_batches where org_id = %(org)s and kind = 'generated' order by id

-- codes_among --
-- which of some texts are codes, and of which batch
select code, batch::text, no from codes where org_id = %(org)s and code = any(%(codes)s::text[])

-- codes_without_form --
-- codes of a batch that are not among those numbers
select code from codes
where org_id = %(org)s and batch = %(batch)s::uuid and no > %(after)s and no < %(before)s order by no limit %(limit)s

-- accounts --
-- every account a row names exists, with figures; those of members are the ones that events opened
with opened as (
    select e.seq, e.member_no, e.recorded_at, (o ->> 'account_no')::bigint as no,
           (o ->> 'program_no')::bigint as program_no,
           o ->> 'category' as category
    from events e cross join lateral jsonb_array_elements(nullif(e.body, '')::jsonb -> 'opening') o
    where e.org_id = %(org)s and e.name in ('CustomerRegistration', 'PointsLedgerBulkJob') and e.body <> ''
), compared as (
    select coalesce(a.no, o.no) as no, concat_ws('; ',
           case when a.no is null then 'missing, or tracks no lots, and event ' || o.seq || ' opened it' end,
           case when o.no is null then 'tracks lots, but no event opened it' end,
           case when a.member_no <> o.member_no then 'member is ' || a.member_no || ', should be ' || o.member_no end,
           case when a.program_no <> o.program_no
                then 'program is ' || a.program_no || ', should be ' || o.program_no end,
           case when a.category <> o.category then 'category is ' || a.category || ', should be ' || o.category end,
           case when a.opened_at <> o.recorded_at
                then 'opened at ' || a.opened_at || ', should be ' || o.recorded_at end,
           case when a.no is not null and p.no is null then 'its program ' || a.program_no || ' does not exist' end,
           case when a.asset <> p.asset then 'asset is ' || a.asset || ', should be ' || p.asset end,
           case when a.ledger_no <> p.ledger_no
                then 'ledger is ' || a.ledger_no || ', should be ' || p.ledger_no end) as problem
    from (select * from accounts where org_id = %(org)s and tracks_lots) a
    full join opened o on o.no = a.no
    left join programs p on p.org_id = %(org)s and p.no = a.program_no
)
(select 'account ' || no, problem from compared where problem <> '' order by no limit %(limit)s)
union all
(select 'account ' || a.no, concat_ws('; ',
            case when f.account_no is null then 'it has no figures' end,
            case when l.no is null then 'its ledger ' || a.ledger_no || ' does not exist' end,
            case when a.member_no > 0 and m.no is null then 'its member ' || a.member_no || ' does not exist' end)
 from accounts a
 left join figures f on f.org_id = %(org)s and f.account_no = a.no
 left join ledgers l on l.org_id = %(org)s and l.no = a.ledger_no
 left join members m on m.org_id = %(org)s and m.no = a.member_no
 where a.org_id = %(org)s and (f.account_no is null or l.no is null or (a.member_no > 0 and m.no is null))
 order by a.no limit %(limit)s)
union all
(select 'account ' || named.no, 'does not exist, and ' || min(named.row) || ' names it'
 from (select source as no, 'transfer ' || seq as row from transfers where org_id = %(org)s
       union all select destination, 'transfer ' || seq from transfers where org_id = %(org)s
       union all select account_no, 'its row of figures' from figures where org_id = %(org)s
       union all select account, 'lot ' || no from lots where org_id = %(org)s) named
 left join accounts a on a.org_id = %(org)s and a.no = named.no
 where a.no is null group by named.no order by named.no limit %(limit)s)

-- members --
-- every member a row names exists; each enrolled one was registered by an event
(select 'member ' || named.no, 'does not exist, and ' || min(named.row) || ' names it'
 from (select member_no as no, 'event ' || seq as row from events where org_id = %(org)s and member_no > 0
       union all select member_no, 'purchase ' || no from purchases where org_id = %(org)s and member_no > 0
       union all select member_no, 'its identifier ' || kind from member_identifiers where org_id = %(org)s
       union all select member_no, 'its profile' from member_profiles where org_id = %(org)s
       union all select member_no, 'adjustment ' || id from adjustments where org_id = %(org)s
       union all select member_no, 'claim ' || id from claims where org_id = %(org)s
       union all select referrer_no, 'referral ' || id from referrals where org_id = %(org)s
       union all select referred_no, 'referral ' || id from referrals where org_id = %(org)s
       union all select survivor_no, 'member ' || no from members where org_id = %(org)s and survivor_no > 0) named
 left join members m on m.org_id = %(org)s and m.no = named.no
 where m.no is null group by named.no order by named.no limit %(limit)s)
union all
(select 'member ' || coalesce(m.no, e.member_no),
        case when m.no is null then 'event ' || e.seq || ' registered it, but it is not enrolled'
             when e.seq is null then 'enrolled, but no event registered it'
             else 'registered at ' || m.registered_at || ', should be ' || e.event_at end
 from (select * from members where org_id = %(org)s and enrolled) m
 full join (select * from events where org_id = %(org)s and name = 'CustomerRegistration') e on e.member_no = m.no
 where m.no is null or e.seq is null
    or m.registered_at <> e.event_at and not (e.actor = 'guerdon' and m.registered_at <= e.event_at)  -- a raw identity
 order by coalesce(m.no, e.member_no) limit %(limit)s)

-- configuration --
-- each program's versions are contiguous and the last one whose time has come is in force; what events and tills name exists
(select 'program ' || p.no, concat_ws('; ',
            case when v.count is distinct from v.last then 'versions are missing' end,
            case when p.version is distinct from v.begun
                 then 'version is ' || p.version || ', should be ' || coalesce(v.begun, 0) end,
            case when p.policies <> c.policies then 'its policies are not those of its version' end,
            case when r.roles is distinct from 6
                 then 'it has ' || coalesce(r.roles, 0) || ' internal accounts, should be 6' end)
 from programs p
 left join (select x.program_no, count(*) as count, max(x.version) as last,
                   max(x.version) filter (where x.starts_at <= h.last_recorded_at) as begun
            from program_versions x join heads h on h.org_id = %(org)s
            where x.org_id = %(org)s group by 1) v
      on v.program_no = p.no
 left join program_versions c on c.org_id = %(org)s and c.program_no = p.no and c.version = p.version
 left join (select program_no, count(distinct role) as roles
            from accounts where org_id = %(org)s and role <> '' group by 1) r
      on r.program_no = p.no
 where p.org_id = %(org)s and (v.count is distinct from v.last or p.version is distinct from v.begun
                               or p.policies is distinct from c.policies or r.roles is distinct from 6)
 order by p.no limit %(limit)s)
union all
(select 'program ' || p.no, 'all points are said to follow version ' || p.followed || ', and it is not one to be followed'
 from programs p
 left join program_versions v on v.org_id = %(org)s and v.program_no = p.no and v.version = p.followed
 where p.org_id = %(org)s and p.followed > 0 and v.policies ->> 'follow' is null order by p.no limit %(limit)s)
union all
(select 'program ' || p.no, 'all points are said to follow version ' || p.followed || ', lot ' || min(l.no) || ' does not'
 from programs p
 join accounts a on a.org_id = %(org)s and a.program_no = p.no and a.tracks_lots
 join lots l on l.org_id = %(org)s and l.account = a.no and l.remaining > 0
 where p.org_id = %(org)s
   and coalesce((nullif(l.promise, '')::jsonb ->> 4)::integer, l.version) between 1 and p.followed - 1
 group by p.no, p.followed order by p.no limit %(limit)s)
union all
(select 'program ' || v.program_no, 'version ' || v.version || ' starts before it was made'
 from program_versions v where v.org_id = %(org)s and v.starts_at < v.recorded_at
 order by v.program_no, v.version limit %(limit)s)
union all
(select 'program ' || v.program_no, 'does not exist, but has versions'
 from program_versions v left join programs p on p.org_id = %(org)s and p.no = v.program_no
 where v.org_id = %(org)s and p.no is null group by v.program_no order by v.program_no limit %(limit)s)
union all
(select 'till ' || t.no, 'its store or its program does not exist'
 from tills t
 left join stores s on s.org_id = %(org)s and s.no = t.store_no
 left join programs p on p.org_id = %(org)s and p.no = t.program_no
 where t.org_id = %(org)s and (s.no is null or p.no is null) order by t.no limit %(limit)s)
union all
(select 'event ' || e.seq, 'its store, till or program does not exist'
 from events e
 left join stores s on s.org_id = %(org)s and s.no = e.store_no
 left join tills t on t.org_id = %(org)s and t.no = e.till_no
 left join programs p on p.org_id = %(org)s and p.no = e.program_no
 where e.org_id = %(org)s and ((e.store_no > 0 and s.no is null) or (e.till_no > 0 and t.no is null)
                               or (e.program_no > 0 and p.no is null))
 order by e.seq limit %(limit)s)

-- metadata --
-- the versions of each object's metadata are contiguous, each a JSON object
(select 'metadata of ' || kind || ' ' || object, 'versions are missing: ' || count(*) || ' of ' || max(version)
 from metadata where org_id = %(org)s
 group by kind, object having count(*) <> max(version) or min(version) <> 1 order by kind, object limit %(limit)s)
union all
(select 'metadata of ' || kind || ' ' || object, 'version ' || version || ' is not a JSON object'
 from metadata where org_id = %(org)s and meta !~ '^\s*\{' order by kind, object limit %(limit)s)

-- numbers --
-- whatever is numbered is numbered from 1 without a gap, and the head knows the last number
with numbered as (
    select 'ledger' as kind, count(*) as count, coalesce(max(no), 0) as last from ledgers where org_id = %(org)s
    union all select 'account', count(*), coalesce(max(no), 0) from accounts where org_id = %(org)s
    union all select 'lot', count(*), coalesce(max(no), 0) from lots where org_id = %(org)s
    union all select 'purchase', count(*), coalesce(max(no), 0) from purchases where org_id = %(org)s
    union all select 'return', count(*), coalesce(max(no), 0) from purchase_returns where org_id = %(org)s
    union all select 'redemption', count(*), coalesce(max(no), 0) from redemptions where org_id = %(org)s
    union all select 'member', null, coalesce(max(no), 0)  -- a raw identity may be removed
    from members where org_id = %(org)s
    union all select 'configuration', count(*), coalesce(max(no), 0)
    from (select no from programs where org_id = %(org)s union all select no from stores where org_id = %(org)s
          union all select no from tills where org_id = %(org)s) c
), counters as (
    select c.kind, c.last from heads h
    cross join lateral (values ('ledger', h.ledger_no), ('account', h.account_no), ('lot', h.lot_no),
                               ('member', h.member_no),
                               ('purchase', h.purchase_no), ('return', h.return_no), ('redemption', h.redemption_no),
                               ('configuration', h.config_no)) as c (kind, last)
    where h.org_id = %(org)s
)
select 'head', concat_ws('; ',
           case when n.kind = 'member' and n.last > c.last or n.kind <> 'member' and n.last <> c.last
                then 'the last ' || n.kind || ' number is ' || c.last || ', should be ' || n.last end,
           case when n.count <> n.last then n.last - n.count || ' ' || n.kind || ' rows are missing' end)
from numbered n left join counters c on c.kind = n.kind
where c.kind is null or n.count <> n.last or (case n.kind when 'member' then n.last > c.last else n.last <> c.last end)
order by n.kind limit %(limit)s

-- outcomes --
-- the answers that were kept, to be decoded
select actor, key, answer from outcomes where org_id = %(org)s

-- requests --
-- the postings that wait, with what their transfers say
select s.seq, s.request, t.asset, t.amount, t.reference, t.effective_at, t.recorded_at, t.detail,
       case when f.indicator <> '' then f.indicator else f.id::text end,
       case when d.indicator <> '' then d.indicator else d.id::text end
from scheduled s
join transfers t on t.org_id = %(org)s and t.seq = s.seq
join accounts f on f.org_id = %(org)s and f.no = t.source
join accounts d on d.org_id = %(org)s and d.no = t.destination
where s.org_id = %(org)s order by s.seq

-- texts --
-- the JSON texts of facts, for when one of them cannot be read
select 'purchase ' || no, array[lines, shares, division, tenders, result] from purchases where org_id = %(org)s
union all
select 'return ' || no, array[lines, earned, result] from purchase_returns where org_id = %(org)s
union all
select 'redemption ' || id, array[result] from redemptions where org_id = %(org)s
union all
select 'import ' || kind || ' ' || reference, array[result] from imported where org_id = %(org)s
union all
select 'event ' || seq, array[body, lot_moves] from events where org_id = %(org)s
union all
select 'transfer ' || seq, array[detail] from transfers where org_id = %(org)s and detail is not null
union all
select 'metadata of ' || kind || ' ' || object, array[meta] from metadata where org_id = %(org)s
union all
select 'promotion ' || promotion, array[terms] from promotion_versions where org_id = %(org)s
union all
select 'promotion ' || id, array[terms] from promotions where org_id = %(org)s
union all
select 'use ' || event_seq || '/' || position, array[raises] from promotion_uses where org_id = %(org)s
union all
select 'commit ' || number, array[lines, division, result] from promotion_commits where org_id = %(org)s
union all
select 'commit return ' || number, array[lines, earned, result] from cart_returns where org_id = %(org)s
union all
select 'counter ' || jsonb_build_array('counter', owner, limit_code, subject, period)::text, array[parts]
from promotion_counters where org_id = %(org)s
union all
select 'reservation ' || id, array[raises] from reservations where org_id = %(org)s

-- standings --
-- how members stand, but for those who were merged into others
select s.member_no, s.program_no, s.version, s.tier, s.joined_at, s.reckoning, s.reckoned_at, s.due_at, s.warned_at
from standings s
join members m on m.org_id = %(org)s and m.no = s.member_no and m.status <> 'merged'
where s.org_id = %(org)s order by s.member_no, s.program_no

-- standings_missing --
-- members who bought something in a program after its tiers began and have no standing in it
select distinct p.member_no, p.program_no
from purchases p
join members m on m.org_id = %(org)s and m.no = p.member_no and m.status <> 'merged'
left join standings s on s.org_id = %(org)s and s.member_no = p.member_no and s.program_no = p.program_no
where p.org_id = %(org)s and s.member_no is null
      and exists (select 1 from tier_versions v
                  where v.org_id = %(org)s and v.program_no = p.program_no and v.starts_at <= p.recorded_at)
order by 1, 2 limit 25

-- tiers_told --
-- what members were told of their tiers, in order
select member_no, body from events
where org_id = %(org)s and member_no = any(%(nos)s) and name = 'TierChange' order by seq
