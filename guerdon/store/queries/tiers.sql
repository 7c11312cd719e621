-- How members stand in tiers, and what they were told.

-- structures --
-- every version of a program's tiers, or of all programs', first to last
select program_no, version, starts_at, recorded_at, terms
from tier_versions where org_id = %(org)s and (%(program)s::bigint = 0 or program_no = %(program)s)
order by program_no, version

-- standings_of --
-- a member's standings
select member_no, program_no, version, tier, joined_at, reckoning, reckoned_at, due_at, warned_at
from standings where org_id = %(org)s and member_no = %(member)s order by program_no

-- changes --
-- what a member was told of tiers, newest first, and how it was before that
select seq, event_at, recorded_at, body from events
where org_id = %(org)s and member_no = %(member)s and name = 'TierChange' and seq < %(before)s
order by seq desc limit %(limit)s

-- walked --
-- whether all members were looked at since a version of the tiers began
select walked from tier_walks where org_id = %(org)s and program_no = %(program)s and version = %(version)s

-- settled --
-- members in each tier whose tier is the one that was told, and how many have a tier at all
select s.tier, count(*) from standings s
join members m on m.org_id = s.org_id and m.no = s.member_no and m.status <> 'merged'
where s.org_id = %(org)s and s.program_no = %(program)s and s.version = %(version)s
      and (s.due_at is null or s.due_at > %(now)s)
group by s.tier

-- unsettled --
-- standings that time may have changed since they were told
select s.member_no, s.program_no, s.version, s.tier, s.joined_at, s.reckoning, s.reckoned_at, s.due_at, s.warned_at
from standings s
join members m on m.org_id = s.org_id and m.no = s.member_no and m.status <> 'merged'
where s.org_id = %(org)s and s.program_no = %(program)s and s.version = %(version)s and s.due_at <= %(now)s

-- enrolled --
-- how many members there are
select count(*) from members where org_id = %(org)s and enrolled and status <> 'merged'

-- members_after --
-- members by number, from after one
select no from members where org_id = %(org)s and no > %(after)s and enrolled and status <> 'merged'
order by no limit %(limit)s

-- program_codes --
-- programs by number
select no, code from programs where org_id = %(org)s order by no

-- listed --
-- who is on a list, by number
select e.member_no, m.id::text, e.recorded_at
from (
    select distinct on (member_no) member_no, present, recorded_at from segment_entries
    where org_id = %(org)s and segment = %(segment)s and member_no > %(after)s
    order by member_no, version desc
) e
join members m on m.org_id = %(org)s and m.no = e.member_no
where e.present order by e.member_no limit %(limit)s
