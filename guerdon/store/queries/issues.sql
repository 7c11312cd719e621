-- Promotions given to members, for whoever asks.

-- issue_columns --
select i.id, i.promotion, p.terms, i.member_no, m.id as member, i.issued_at, i.starts_at, i.ends_at, i.activation, i.days,
       i.reason, i.actor, a.moved_at as activated_at, a.ends_at as activated_ends_at, r.moved_at as revoked_at,
       c.used, u.uses
from promotion_issues i
join promotions p on p.org_id = i.org_id and p.id = i.promotion
join members m on m.org_id = i.org_id and m.no = i.member_no
left join promotion_issue_moves a on a.org_id = i.org_id and a.issue = i.id and a.done = 'activated'
left join promotion_issue_moves r on r.org_id = i.org_id and r.issue = i.id and r.done = 'revoked'
left join lateral (
    select coalesce(jsonb_object_agg(x.limit_code, x.used) filter (where x.period = ''), '{}'::jsonb)::text as used
    from promotion_counters x
    where x.org_id = i.org_id and x.owner = i.promotion::text and x.subject = i.id::text
      and x.limit_code = any(array(
          select l ->> 'code' from jsonb_array_elements(p.terms::jsonb -> 'limits') as l where l ->> 'per' = 'issue'))) c
    on true
left join lateral (
    select coalesce(sum(x.times), 0)::bigint as uses
    from promotion_uses x where x.org_id = i.org_id and x.issue = i.id::text and x.issue <> '') u on true

-- find_issue --
-- include issue_columns
where i.org_id = %(org)s and i.id = %(id)s::uuid

-- issues_of_member --
-- a member's and those of members merged into it, newest first
with recursive family as (
    select %(member_no)s::bigint as no
    union
    select x.no from family f join members x on x.org_id = %(org)s and x.survivor_no = f.no and x.survivor_no > 0
)
-- include issue_columns
where i.org_id = %(org)s and i.member_no in (select no from family)
  and (%(before)s::uuid is null or i.id < %(before)s::uuid)
order by i.id desc limit %(limit)s

-- issues_of_promotion --
-- newest first
-- include issue_columns
where i.org_id = %(org)s and i.promotion = %(promotion)s::uuid
  and (%(before)s::uuid is null or i.id < %(before)s::uuid)
order by i.id desc limit %(limit)s
