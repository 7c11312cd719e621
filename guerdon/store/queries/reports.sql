-- Reports over all members. Each reads what it needs once, however many months it tells of.

-- flows --
-- Points to and from the members of programs (in the order of `programs`, with their time zones) by month and by the
-- role of the program's internal account on the other side. `by_event` goes by when it counts, else by when it was
-- recorded.
with told as (
    select t.amount, case when %(by_event)s then coalesce(t.effective_at, t.recorded_at) else t.recorded_at end as at,
           s.program_no as source_program, s.role as source_role, s.tracks_lots as source_lots,
           d.program_no as destination_program, d.role as destination_role, d.tracks_lots as destination_lots
    from transfers t
    join accounts s on s.org_id = t.org_id and s.no = t.source
    join accounts d on d.org_id = t.org_id and d.no = t.destination
    where t.org_id = %(org)s and t.action in ('apply', 'settle') and (s.program_no > 0 or d.program_no > 0)
), sides as (
    select destination_program as program_no, at, amount,
           case when source_program = destination_program then source_role else '' end as role
    from told where destination_lots
    union all
    select source_program, at, -amount,
           case when source_program = destination_program then destination_role else '' end
    from told where source_lots
)
select x.program_no, to_char(x.month, 'YYYY-MM') as month, x.role, sum(x.amount) as points
from (select s.program_no, date_trunc('month', s.at at time zone p.timezone) as month, s.role, s.amount, s.amount > 0 as gets
      from sides s
      join unnest(%(programs)s::bigint[], %(timezones)s::text[]) as p (no, timezone) on p.no = s.program_no) x
group by x.program_no, x.month, x.role, x.gets
order by x.program_no, x.month, x.role, x.gets

-- written_off --
-- What returns could not take back, by month of the return; it counts for the program of the return's till, else for
-- the first that the purchase had earned in.
select x.program_no, to_char(x.month, 'YYYY-MM') as month, sum(x.points) as points
from (select p.no as program_no, w.points,
             date_trunc('month', case when %(by_event)s then e.event_at else e.recorded_at end at time zone p.timezone) as month
      from purchase_returns r
      cross join lateral (select (r.result::jsonb ->> 'written_off')::numeric as points) w
      join events e on e.org_id = r.org_id and e.seq = r.event_seq
      join purchases b on b.org_id = r.org_id and b.no = r.purchase_no
      join events earned on earned.org_id = b.org_id and earned.seq = b.event_seq
      cross join lateral (
          select a.program_no from transfers t join accounts a on a.org_id = t.org_id and a.no = t.destination
          where t.org_id = b.org_id and t.seq > earned.seq and t.seq <= earned.seq + earned.transfers and a.tracks_lots
          order by a.program_no = e.program_no desc, t.seq limit 1) of
      join unnest(%(programs)s::bigint[], %(timezones)s::text[]) as p (no, timezone) on p.no = of.program_no
      where r.org_id = %(org)s and w.points > 0) x
group by x.program_no, x.month
order by x.program_no, x.month

-- released --
-- Promised lots that are released by now and not posted as regular yet: they count for the regular account, whose debt
-- the first of them repay.
released as (
    select l.no, l.account as promised, r.no as regular, l.expires_at, l.remaining,
           least(l.remaining, greatest(0, coalesce(f.debit + f.inflight_debit - f.credit, 0) + l.remaining
               - sum(l.remaining) over (partition by l.account order by l.releases_at, l.no))) as repaid
    from lots l
    join accounts a on a.org_id = l.org_id and a.no = l.account and a.category = 'promised'
    join accounts r on r.org_id = a.org_id and r.member_no = a.member_no and r.program_no = a.program_no
                       and r.category = 'regular'
    left join figures f on f.org_id = r.org_id and f.account_no = r.no
    where l.org_id = %(org)s and l.remaining > 0 and l.releases_at is not null and l.releases_at <= %(now)s
          and (l.expires_at is null or l.expires_at > l.releases_at)
          and a.member_no > 0 and a.program_no = any(%(programs)s::bigint[])
)

-- ended --
-- What has ended by now and is not posted as expired yet, by the account it would be posted on.
ended as (
    select regular as account, expires_at, remaining - repaid as points from released
    where expires_at <= %(now)s and remaining > repaid
    union all
    select l.account, l.expires_at, l.remaining - l.held from lots l
    where l.org_id = %(org)s and l.remaining > 0 and l.remaining > l.held and l.expires_at is not null
          and l.expires_at <= %(now)s and l.no not in (select no from released)
)

-- unposted --
-- What has ended and is not posted, by program and month: that of its end, or (recorded) this one, as if posted now.
with
-- include released
,
-- include ended
select a.program_no, to_char(date_trunc('month', x.at at time zone p.timezone), 'YYYY-MM') as month, sum(e.points) as points
from ended e
join accounts a on a.org_id = %(org)s and a.no = e.account
join unnest(%(programs)s::bigint[], %(timezones)s::text[]) as p (no, timezone) on p.no = a.program_no
cross join lateral (select case when %(by_event)s then e.expires_at else %(now)s end as at) x
group by 1, 2
order by 1, 2

-- holdings --
-- What the accounts of each program stand at now, with all that has come due as if it were posted: members above zero,
-- members below it, internal accounts.
with
-- include released
,
-- include ended
, coming as (
    select account, sum(points) as points, sum(ended) as ended from (
        select regular as account, remaining as points, 0 as ended from released
        union all
        select promised, -remaining, 0 from released
        union all
        select account, -points, points from ended) x
    group by account
)
select a.program_no,
       coalesce(sum(b.points) filter (where a.tracks_lots and b.points > 0), 0) as held,
       coalesce(sum(-b.points) filter (where a.tracks_lots and b.points < 0), 0) as receivable,
       coalesce(sum(-b.points) filter (where a.role <> ''), 0) - coalesce(sum(c.ended), 0) as internal
from accounts a
left join figures f on f.org_id = a.org_id and f.account_no = a.no
left join coming c on c.account = a.no
cross join lateral (select coalesce(f.credit - f.debit, 0) + coalesce(c.points, 0) as points) b
where a.org_id = %(org)s and a.program_no = any(%(programs)s::bigint[]) and (a.tracks_lots or a.role <> '')
group by a.program_no
order by a.program_no
