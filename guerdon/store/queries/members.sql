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
-- every account of a member with its figures, and what of its lots is overdue, pinned or about to end
select a.no, a.id, a.asset, a.program_no, a.category,
       coalesce(f.credit, 0) as credit, coalesce(f.debit, 0) as debit,
       coalesce(f.inflight_debit, 0) as on_hold, coalesce(f.inflight_credit, 0) as incoming,
       l.overdue, l.ending, l.first_end
from accounts a
left join figures f on f.org_id = a.org_id and f.account_no = a.no
left join lateral (
    select coalesce(sum(x.remaining - x.held) filter (where x.expires_at <= %(now)s), 0) as overdue,
           coalesce(sum(x.remaining - x.held) filter (where x.expires_at > %(now)s and x.expires_at <= %(until)s), 0)
               as ending,
           min(x.expires_at) filter (where x.expires_at > %(now)s and x.remaining > x.held) as first_end
    from lots x where x.org_id = a.org_id and x.account = a.no and x.remaining > 0 and x.expires_at is not null
) l on true
where a.org_id = %(org)s and a.member_no = %(member)s
order by a.program_no, a.category, a.no
