-- Rewards in their lists, and what was claimed of them, for whoever asks.

-- list_columns --
select l.id, l.program_no, l.version, l.created_at, l.terms::json as terms from reward_lists l

-- every_list --
-- an organisation has few
-- include list_columns
where l.org_id = %(org)s order by l.id

-- reward_columns --
select r.id, r.list_id, r.version, r.created_at, r.supply, r.claimed, r.given, r.terms::json as terms,
       case when p.status = 'ended' or (p.terms::json ->> 'ends_at')::timestamptz <= now() then 0 else b.made end as made
from rewards r
-- include batch_of_reward

-- batch_of_reward --
left join code_batches b on b.org_id = %(org)s and b.id = nullif(r.terms::json ->> 'codes', '')::uuid
left join promotions p on p.org_id = %(org)s and p.id = b.promotion

-- find_reward --
-- include reward_columns
where r.org_id = %(org)s and r.id = %(id)s::uuid

-- program_of_reward --
select l.program_no as no
from rewards r join reward_lists l on l.org_id = r.org_id and l.id = r.list_id
where r.org_id = %(org)s and r.id = %(id)s::uuid

-- list_rewards --
-- newest first: ids go by time
-- include reward_columns
where r.org_id = %(org)s
  and (%(list)s::uuid is null or r.list_id = %(list)s)
  and (%(before)s::uuid is null or r.id < %(before)s)
order by r.id desc limit %(limit)s

-- rewards_of_lists --
-- those of some lists, list by list as they are named, after a reward in the first of them
select r.id, r.list_id, r.version, r.created_at, r.supply, r.claimed, r.given, r.terms::json as terms,
       case when p.status = 'ended' or (p.terms::json ->> 'ends_at')::timestamptz <= now() then 0 else b.made end as made
from unnest(%(lists)s::uuid[]) with ordinality as o (list_id, place)
cross join lateral (
    select * from rewards x
    where x.org_id = %(org)s and x.list_id = o.list_id and (o.place > 1 or %(after)s::uuid is null or x.id > %(after)s)
    order by x.id limit %(limit)s) r
-- include batch_of_reward
order by o.place, r.id limit %(limit)s

-- claimed --
-- how often a member, or one merged into it, claimed each reward, but for what was given back
with recursive family as (
    select %(member)s::bigint as no
    union
    select m.no from family f join members m on m.org_id = %(org)s and m.survivor_no = f.no and m.survivor_no > 0
)
select c.list_id, c.reward_id, count(*) as count
from family f join claims c on c.org_id = %(org)s and c.member_no = f.no and c.status not in ('denied', 'cancelled')
group by c.list_id, c.reward_id

-- claim_columns --
select c.id, m.id as member, c.program_no, c.list_id, c.reward_id, r.terms::json ->> 'name' as reward_name, c.version,
       c.event_seq, c.points, a.id as wallet, coalesce(e.body::json ->> 'code', '') as code,
       nullif(b.form, '')::json as form, c.claimed_at, c.status, c.moved_at, c.reason
from claims c
join events e on e.org_id = c.org_id and e.seq = c.event_seq
join members m on m.org_id = c.org_id and m.no = c.member_no
join catalogue_versions r on r.org_id = c.org_id and r.id = c.reward_id and r.version = c.version
left join code_batches b on b.org_id = c.org_id and b.id = nullif(r.terms::json ->> 'codes', '')::uuid
left join accounts a on a.org_id = c.org_id and a.no = c.wallet and c.wallet > 0

-- find_claim --
-- include claim_columns
where c.org_id = %(org)s and c.id = %(id)s::uuid

-- claims_of_member --
-- newest first: ids go by time
-- include claim_columns
where c.org_id = %(org)s and c.member_no = %(member)s
  and (%(status)s::text is null or c.status = %(status)s)
  and (%(before)s::uuid is null or c.id < %(before)s)
order by c.id desc limit %(limit)s

-- list_claims --
-- of all members, newest first
-- include claim_columns
where c.org_id = %(org)s
  and (%(status)s::text is null or c.status = %(status)s)
  and (%(before)s::uuid is null or c.id < %(before)s)
order by c.id desc limit %(limit)s
