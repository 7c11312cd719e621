-- Members with their identifiers and profile.

-- find_member --
-- by id, number or any identifier
select m.no, m.id, m.status, m.enrolled, m.registered_at, m.survivor_no,
       (select coalesce(array_agg(array[i.kind, i.value] order by i.kind, i.value), '{}')
        from member_identifiers i where i.org_id = m.org_id and i.member_no = m.no and not i.alias) as identifiers,
       (select p.profile::text from member_profiles p where p.org_id = m.org_id and p.member_no = m.no) as profile,
       (select d.meta from metadata d where d.org_id = m.org_id and d.kind = 'idt' and d.object = m.id::text
        order by d.version desc limit 1) as meta
from members m
where m.org_id = %(org)s and m.no = (
    case %(by)s
        when 'id' then (select x.no from members x where x.org_id = %(org)s and x.id = %(uuid)s::uuid)
        when 'number' then (select x.no from members x where x.org_id = %(org)s and x.no = %(number)s::bigint)
        else (select i.member_no from member_identifiers i
              where i.org_id = %(org)s and i.kind = %(by)s and i.value = %(value)s)
    end)

-- list_members --
-- in the order of registration, from a place in that order
select m.no, m.id, m.status, m.enrolled, m.registered_at, m.survivor_no,
       (select coalesce(array_agg(array[i.kind, i.value] order by i.kind, i.value), '{}')
        from member_identifiers i where i.org_id = m.org_id and i.member_no = m.no and not i.alias) as identifiers,
       (select p.profile::text from member_profiles p where p.org_id = m.org_id and p.member_no = m.no) as profile,
       (select d.meta from metadata d where d.org_id = m.org_id and d.kind = 'idt' and d.object = m.id::text
        order by d.version desc limit 1) as meta
from members m
where m.org_id = %(org)s and m.no > %(after)s and m.enrolled
order by m.no limit %(limit)s

-- balances --
-- every account of a member with its figures, and what of its lots is overdue, pinned or about to end. What was promised
-- and has been released counts as regular, whether or not that has been posted: with those lots, or without them; but
-- for what of them repays the account's debt. Of regular lots those are read that have ended or will have by `until`,
-- and the next one, not every one there is.
select a.no, a.id, a.asset, a.program_no, a.category,
       coalesce(f.credit, 0) as credit, coalesce(f.debit, 0) as debit,
       coalesce(f.inflight_debit, 0) as on_hold, coalesce(f.inflight_credit, 0) as incoming,
       case a.category when 'regular' then l.released else -l.released end as released,
       l.overdue, l.ending, l.first_end, l.first_release
from accounts a
left join figures f on f.org_id = a.org_id and f.account_no = a.no
left join lateral (
    select coalesce(sum(x.free) filter (where x.expires_at <= %(now)s and x.here), 0) as overdue,
           coalesce(sum(x.free) filter (where x.expires_at > %(now)s and x.expires_at <= %(until)s and x.here), 0)
               as ending,
           least(min(x.expires_at) filter (where x.expires_at > %(now)s and x.free > 0 and x.here), (
               select y.expires_at from lots y
               where y.org_id = a.org_id and y.account = a.no and y.remaining > 0 and y.remaining > y.held
                     and y.expires_at > greatest(%(now)s, %(until)s) and a.category = 'regular'
               order by y.expires_at limit 1)) as first_end,
           coalesce(sum(x.amount) filter (where x.released), 0) as released,
           min(x.releases_at) filter (where x.releases_at > %(now)s) as first_release
    from (
        select y.remaining as amount, y.remaining - y.held as free, y.expires_at, y.releases_at, r.released,
               r.released = (a.category = 'regular') as here
        from lots y
        cross join lateral (
            select y.releases_at is not null and y.releases_at <= %(now)s
                   and (y.expires_at is null or y.expires_at > y.releases_at) as released) r
        where y.org_id = a.org_id and y.account = a.no and y.remaining > 0
              and (y.expires_at is not null or y.releases_at is not null)
              and a.category <> 'regular'
        union all
        select y.remaining, y.remaining - y.held, y.expires_at, null, false, true
        from lots y
        where y.org_id = a.org_id and y.account = a.no and y.remaining > 0
              and y.expires_at <= greatest(%(now)s, %(until)s) and a.category = 'regular'
        union all
        select y.remaining,
               least(y.remaining, greatest(0, sum(y.remaining) over (order by y.releases_at, y.no)
                   - greatest(0, coalesce(f.debit + f.inflight_debit - f.credit, 0)))),
               y.expires_at, null, true, true
        from accounts p
        join lots y on y.org_id = p.org_id and y.account = p.no and y.remaining > 0
        where a.category = 'regular' and p.org_id = a.org_id and p.member_no = a.member_no
              and p.program_no = a.program_no and p.category = 'promised' and y.releases_at <= %(now)s
              and (y.expires_at is null or y.expires_at > y.releases_at)
    ) x
) l on true
where a.org_id = %(org)s and a.member_no = %(member)s
order by a.program_no, a.category, a.no
