-- What is due in one organisation, by partial indexes that hold nothing but what is still to be done.

-- organisations --
-- everybody who may have something due
select org_id from organisations order by org_id

-- enter --
-- whose rows, and plans that are right on average, as in history.sql
select set_config('guerdon.org', %(org)s::bigint::text, true), set_config('plan_cache_mode', 'force_generic_plan', true)

-- lots_due --
-- accounts with lots that ended, or were released, by a moment and are not posted yet, whose they are, and how many lots
-- each has; those of each kind that came due first
select due.account, a.member_no, n.lots
from (
    select distinct account from (
    (select account from lots
     where org_id = %(org)s and remaining > 0 and releases_at is not null and releases_at <= %(ended_by)s
     order by releases_at limit %(limit)s)
    union all
    (select account from lots
     where org_id = %(org)s and remaining > 0 and remaining > held and expires_at is not null
           and expires_at <= %(ended_by)s
     order by expires_at limit %(limit)s)) either
) due (account)
cross join lateral (select x.member_no from accounts x where x.org_id = %(org)s and x.no = due.account offset 0) a
cross join lateral (
    select (select count(*) from lots x
            where x.org_id = %(org)s and x.account = due.account and x.remaining > 0 and x.expires_at <= %(ended_by)s)
           + (select count(*) from lots x
              where x.org_id = %(org)s and x.account = due.account and x.remaining > 0 and x.releases_at is not null
                    and x.releases_at <= %(ended_by)s and coalesce(x.expires_at > %(ended_by)s, true)) as lots
    offset 0) n

-- following --
-- accounts of programs whose points do not all follow yet, after an account, by number; each with whose they are and
-- how many of its lots are behind
with followed as (
    select p.no, max(v.version) as version
    from programs p
    join program_versions v on v.org_id = %(org)s and v.program_no = p.no
        and v.version between p.followed + 1 and p.version
    where p.org_id = %(org)s and v.policies ->> 'follow' is not null
          and not exists (select from program_versions x
                          where x.org_id = %(org)s and x.program_no = p.no and x.version > v.version
                                and x.starts_at <= v.starts_at and x.recorded_at < v.starts_at)
    group by p.no
)
select a.no, a.member_no, behind.lots
from followed f
join accounts a on a.org_id = %(org)s and a.program_no = f.no and a.tracks_lots and a.no > %(after)s
cross join lateral (
    select count(*) as lots from lots l
    where l.org_id = %(org)s and l.account = a.no and l.remaining > 0
          and coalesce((nullif(l.promise, '')::jsonb ->> 4)::integer, l.version) between 1 and f.version - 1) behind
where behind.lots > 0
order by a.no limit %(limit)s

-- followed --
-- programs whose points do not all follow yet, and the version
select p.no, max(v.version)
from programs p
join program_versions v on v.org_id = %(org)s and v.program_no = p.no
    and v.version between p.followed + 1 and p.version
where p.org_id = %(org)s and v.policies ->> 'follow' is not null
      and not exists (select from program_versions x
                      where x.org_id = %(org)s and x.program_no = p.no and x.version > v.version
                            and x.starts_at <= v.starts_at and x.recorded_at < v.starts_at)
group by p.no order by p.no

-- beginning --
-- programs with a version whose time has come and that has not begun
select distinct p.no
from programs p
join program_versions v on v.org_id = %(org)s and v.program_no = p.no and v.version > p.version
where p.org_id = %(org)s and v.starts_at <= %(now)s
order by p.no

-- notices_due --
-- accounts with points that are about to end, the days before it that the program names have come, and nobody was told;
-- with when they end and whose they are (`core.notices`)
select distinct l.account, l.expires_at, a.member_no
from programs p
cross join lateral (
    select max(d.days::integer) as days from jsonb_array_elements_text(p.policies -> 'notice_days') as d (days)) longest
join lots l on l.org_id = %(org)s and l.remaining > l.held and l.remaining > 0 and l.expires_at > %(now)s
    and l.expires_at < %(now)s + make_interval(days => longest.days + 1)
join accounts a on a.org_id = %(org)s and a.no = l.account and a.program_no = p.no and a.tracks_lots
cross join lateral (
    select min(d.days::integer) as days from jsonb_array_elements_text(p.policies -> 'notice_days') as d (days)
    where (l.expires_at at time zone (p.policies ->> 'timezone') - make_interval(days => d.days::integer))
          at time zone (p.policies ->> 'timezone') <= %(now)s) come
where p.org_id = %(org)s and come.days is not null
  and not exists (
    select from events e
    where e.org_id = %(org)s
      and e.id = md5('expiring:' || p.id || ':' || l.account || ':' || extract(epoch from l.expires_at)::bigint || ':'
                     || come.days)::uuid)
order by l.expires_at, l.account limit %(limit)s

-- holds_due --
-- holds that ask to be settled or let go by now, and which of both comes first
select transfer_id::text, commits_at is not null and commits_at <= coalesce(expires_at, commits_at) as settles from holds
where org_id = %(org)s and remaining > 0 and least(expires_at, commits_at) <= %(now)s
order by least(expires_at, commits_at) limit %(limit)s

-- scheduled_due --
-- postings whose time has come
select transfer_id::text from scheduled
where org_id = %(org)s and not done and due_at <= %(now)s
order by due_at limit %(limit)s

-- codes_to_make --
-- batches of which there are fewer codes than were asked for
select id::text, promotion::text, kind, name, partner, channel, form, seed, created_at, actor, wanted, made, next_index
from code_batches where org_id = %(org)s and made < wanted and kind = 'generated'
order by id limit 4

-- tiers_due --
-- members of whom there is something to tell about a tier by now, those that came due first
select member_no from standings
where org_id = %(org)s and due_at is not null and due_at <= %(now)s
order by due_at limit %(limit)s

-- tiers_to_walk --
-- structures that are in force and of which not all members were looked at: who is next
select w.program_no, w.version, m.nos
from (
    select distinct on (program_no) program_no, version from tier_versions
    where org_id = %(org)s and starts_at <= %(now)s order by program_no, version desc
) v
join tier_walks w on w.org_id = %(org)s and w.program_no = v.program_no and w.version = v.version
cross join lateral (
    select array(select x.no from members x where x.org_id = %(org)s and x.no > w.walked
                 order by x.no limit %(limit)s) as nos offset 0) m
where w.walked < %(walked)s

-- next_due --
-- when something will be due after now, null if nothing is known of; what ends or is released is looked at `grace` later
select least(
    (select expires_at from lots
     where org_id = %(org)s and remaining > 0 and expires_at is not null and expires_at > %(ended_by)s
     order by expires_at limit 1) + %(grace)s::interval,
    (select releases_at from lots
     where org_id = %(org)s and remaining > 0 and releases_at is not null and releases_at > %(ended_by)s
     order by releases_at limit 1) + %(grace)s::interval,
    (select least(expires_at, commits_at) from holds
     where org_id = %(org)s and remaining > 0 and least(expires_at, commits_at) > %(now)s
     order by least(expires_at, commits_at) limit 1),
    (select due_at from standings
     where org_id = %(org)s and due_at is not null and due_at > %(now)s order by due_at limit 1),
    (select min(starts_at) from tier_versions where org_id = %(org)s and starts_at > %(now)s),
    (select due_at from scheduled where org_id = %(org)s and not done and due_at > %(now)s order by due_at limit 1)
) as at
