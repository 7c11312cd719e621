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
