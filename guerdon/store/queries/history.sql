-- Balances as they were: by sequence number, by the time something was recorded, by the time from which it counts.

-- enter --
-- Whose rows, and plans that are right on average: an organisation that the statistics do not know yet seems to have no
-- rows, and then any index will do for the planner.
select set_config('guerdon.org', %(org)s::bigint::text, true), set_config('plan_cache_mode', 'force_generic_plan', true)

-- seq_at --
-- The last sequence number recorded before an instant, 0 if none. Recorded times never go back, so it is found by
-- halving; each number is that of an event or of a transfer.
with recursive search as (
    select 0::bigint as low, seq as high from heads where org_id = %(org)s
    union all
    select case when row.recorded_at < %(at)s then middle else low end,
           case when row.recorded_at < %(at)s then high else middle - 1 end
    from search
    cross join lateral (select (low + high + 1) / 2 as middle) m
    cross join lateral (
        select recorded_at from transfers where org_id = %(org)s and seq = middle
        union all
        select recorded_at from events where org_id = %(org)s and seq = middle
    ) row
    where low < high
)
select low from search where low = high

-- balances_at_seq --
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

-- head --
-- the last sequence number so far
select seq from heads where org_id = %(org)s

-- dated --
-- What accounts have at `place` too little or too much, because it counts from another time than it was recorded at:
-- up to `known`, what was recorded after `place` and counts before `at`, less what was recorded by then and does not.
-- (`seq + 0` is the same as `seq`, but no condition for an index: those that lead with an account hold all of this.)
select a.account_no,
       (select coalesce(sum(t.amount), 0) from transfers t
        where t.org_id = %(org)s and t.destination = a.account_no and t.action in ('apply', 'settle')
          and t.effective_at < %(at)s and t.seq + 0 > %(place)s and t.seq + 0 <= %(known)s and %(place)s < %(known)s)
     - (select coalesce(sum(t.amount), 0) from transfers t
        where t.org_id = %(org)s and t.destination = a.account_no and t.action in ('apply', 'settle')
          and t.effective_at >= %(at)s and t.seq + 0 <= %(place)s and %(place)s > 0)
     - (select coalesce(sum(t.amount), 0) from transfers t
        where t.org_id = %(org)s and t.source = a.account_no and t.action in ('apply', 'settle')
          and t.effective_at < %(at)s and t.seq + 0 > %(place)s and t.seq + 0 <= %(known)s and %(place)s < %(known)s)
     + (select coalesce(sum(t.amount), 0) from transfers t
        where t.org_id = %(org)s and t.source = a.account_no and t.action in ('apply', 'settle')
          and t.effective_at >= %(at)s and t.seq + 0 <= %(place)s and %(place)s > 0) as amount
from unnest(%(accounts)s::bigint[]) as a (account_no)
order by a.account_no
