-- Promotions, their versions and their uses, for whoever asks.

-- promotion_columns --
select p.id, p.terms, p.created_at, v.recorded_at as changed_at, v.actor
from promotions p
join promotion_versions v on v.org_id = p.org_id and v.promotion = p.id and v.version = p.version

-- find_promotion --
-- include promotion_columns
where p.org_id = %(org)s and p.id = %(id)s::uuid

-- list_promotions --
-- newest first: ids go by time
-- include promotion_columns
where p.org_id = %(org)s and (%(status)s::text is null or p.status = %(status)s)
  and (%(before)s::uuid is null or p.id < %(before)s)
order by p.id desc limit %(limit)s

-- list_versions --
-- newest first
select p.id, v.terms, p.created_at, v.recorded_at as changed_at, v.actor
from promotions p
join promotion_versions v on v.org_id = p.org_id and v.promotion = p.id
where p.org_id = %(org)s and p.id = %(id)s::uuid and v.version < %(before)s
order by v.version desc limit %(limit)s

-- list_lanes --
select number, mode, once from promotion_lanes where org_id = %(org)s order by number

-- use_columns --
select u.event_seq, u.position, u.promotion, u.version, u.code, m.id as member, q.id as purchase, u.reference,
       u.used_at, u.times, u.discount, u.voucher, u.points, u.currency, u.of_seq, u.issue
from promotion_uses u
left join members m on m.org_id = u.org_id and m.no = u.member_no and u.member_no > 0
left join purchases q on q.org_id = u.org_id and q.no = u.purchase_no and u.purchase_no > 0

-- list_uses --
-- of one promotion or of one code of it, newest first
-- include use_columns
where u.org_id = %(org)s and u.promotion = %(promotion)s::uuid
  and (%(code)s::text is null or u.code = %(code)s)
  and (u.event_seq, u.position) < (%(seq)s, %(position)s)
order by u.event_seq desc, u.position desc limit %(limit)s

-- totals --
-- what a promotion has given so far, less what was given back
select coalesce(sum(sign(u.times)), 0)::bigint as purchases, coalesce(sum(u.times), 0) as times,
       count(distinct u.member_no) filter (where u.member_no > 0) as members,
       coalesce(sum(u.discount), 0) as discount, coalesce(sum(u.voucher), 0) as voucher,
       coalesce(sum(u.points), 0) as points
from promotion_uses u where u.org_id = %(org)s and u.promotion = %(promotion)s::uuid
