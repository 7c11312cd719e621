-- Promo codes, for whoever asks.

-- batch_columns --
select b.id, b.promotion, b.kind, b.name, b.partner, b.channel, b.form, b.created_at, b.actor, b.wanted, b.made,
       coalesce(s.active, true) as active
from code_batches b
left join lateral (
    select x.active from code_switches x where x.org_id = %(org)s and x.batch = b.id and x.code = ''
    order by x.version desc limit 1) s on true

-- find_batch --
-- include batch_columns
where b.org_id = %(org)s and b.id = %(id)s::uuid

-- list_batches --
-- newest first: ids go by time
-- include batch_columns
where b.org_id = %(org)s and b.promotion = %(promotion)s::uuid and (%(before)s::uuid is null or b.id < %(before)s)
order by b.id desc limit %(limit)s

-- batch_to_continue --
-- a batch with what its next codes are made from
select b.id, b.promotion, b.kind, b.name, b.partner, b.channel, b.form, b.seed, b.created_at, b.actor, b.wanted, b.made,
       b.next_index
from code_batches b where b.org_id = %(org)s and b.id = %(id)s::uuid

-- code_columns --
-- a code with what it hangs on and how often it was used; what was given back is below zero
select k.code, k.no, k.batch, b.promotion, b.form, b.partner, b.channel, coalesce(s.active, true) as batch_active,
       coalesce(t.active, true) as code_active, coalesce(t.reason, s.reason, '') as reason, l.id as link, m.id as member,
       l.linked_at, l.mode,
       coalesce((select sum(u.times) from promotion_uses u
                 where u.org_id = %(org)s and u.code = k.code collate "default" and u.code <> ''), 0) as uses
from codes k
cross join lateral (select * from code_batches x where x.org_id = %(org)s and x.id = k.batch offset 0) b
left join lateral (
    select x.active, x.reason from code_switches x where x.org_id = %(org)s and x.batch = k.batch and x.code = ''
    order by x.version desc limit 1) s on true
left join lateral (
    select x.active, x.reason from code_switches x where x.org_id = %(org)s and x.batch = k.batch and x.code = k.code
    order by x.version desc limit 1) t on true
left join lateral (select * from code_links x where x.org_id = %(org)s and x.code = k.code offset 0) l on true
left join lateral (
    with recursive owner as (
        select y.no, y.id, y.survivor_no from members y where y.org_id = %(org)s and y.no = l.member_no
        union all
        select y.no, y.id, y.survivor_no from owner o
        join members y on y.org_id = %(org)s and y.no = o.survivor_no and o.survivor_no > 0
    )
    select o.id from owner o where o.survivor_no = 0) m on l.member_no is not null

-- find_code --
-- include code_columns
where k.org_id = %(org)s and k.code = %(code)s

-- codes_of_batch --
-- in order
-- include code_columns
where k.org_id = %(org)s and k.batch = %(batch)s::uuid and k.no > %(after)s
order by k.no limit %(limit)s

-- use_columns --
-- a use with its purchase; one with `of_seq` gave a use back
select u.code, u.event_seq, u.position, u.version, u.times, u.discount, u.voucher, u.points, u.currency, u.used_at, u.reference,
       u.of_seq, p.id as purchase, p.number as purchase_number, m.id as member
from promotion_uses u
left join purchases p on p.org_id = %(org)s and p.no = u.purchase_no and u.purchase_no > 0
left join members m on m.org_id = %(org)s and m.no = u.member_no and u.member_no > 0

-- uses_of_code --
-- the latest first
-- include use_columns
where u.org_id = %(org)s and u.code = %(code)s and u.code <> ''
      and (u.event_seq, u.position) < (%(seq)s::bigint, %(position)s::integer)
order by u.event_seq desc, u.position desc limit %(limit)s

-- uses_of_batch --
-- as they were booked
-- include use_columns
where u.org_id = %(org)s and u.code <> '' and (u.event_seq, u.position) > (%(seq)s::bigint, %(position)s::integer)
      and u.promotion = (select b.promotion from code_batches b where b.org_id = %(org)s and b.id = %(batch)s::uuid)
      and exists (select 1 from codes k where k.org_id = %(org)s and k.code = u.code and k.batch = %(batch)s::uuid)
order by u.event_seq, u.position limit %(limit)s

-- timezone --
-- by which days, weeks and months go
select timezone from organisations where org_id = %(org)s

-- counters_of_code --
-- how far the limits over a code are used up
select limit_code, period, used, last_at, parts from promotion_counters
where org_id = %(org)s and owner = %(promotion)s and subject = %(code)s

-- uses_by_batch --
-- what the codes of a promotion's batches were used for
select b.id as batch, b.name, b.partner, b.channel, b.made, coalesce(s.active, true) as active, u.currency,
       count(distinct u.code) filter (where u.stands > 0) as codes_used,
       coalesce(sum(u.times), 0) as uses, coalesce(sum(u.discount), 0) as discount,
       coalesce(sum(u.voucher), 0) as voucher, coalesce(sum(u.points), 0) as points
from code_batches b
left join (
    select k.batch, x.code, x.currency, x.times, x.discount, x.voucher, x.points,
           sum(x.times) over (partition by x.code) as stands
    from promotion_uses x
    cross join lateral (select * from codes y where y.org_id = %(org)s and y.code = x.code offset 0) k
    where x.org_id = %(org)s and x.promotion = %(promotion)s::uuid and x.code <> ''
) u on u.batch = b.id
left join lateral (
    select x.active from code_switches x where x.org_id = %(org)s and x.batch = b.id and x.code = ''
    order by x.version desc limit 1) s on true
where b.org_id = %(org)s and b.promotion = %(promotion)s::uuid
group by b.id, b.name, b.partner, b.channel, b.made, s.active, u.currency
order by b.id, u.currency

-- try_counted --
-- one caller's tries, these included; a new window begins where the last one is over
insert into code_guesses as g (org_id, caller, tries, since)
values (%(org)s, %(caller)s, %(tries)s::bigint, %(now)s::timestamptz)
on conflict (org_id, caller) do update
set tries = case when g.since <= %(now)s::timestamptz - %(window)s::interval then 0 else g.tries end + excluded.tries,
    since = case when g.since <= %(now)s::timestamptz - %(window)s::interval then excluded.since else g.since end
returning tries, since

-- try_given_back --
update code_guesses set tries = greatest(0, tries - %(tries)s::bigint) where org_id = %(org)s and caller = %(caller)s
returning tries, since

-- tries_forgotten --
-- callers whose window was over long ago, a few at a time
delete from code_guesses where org_id = %(org)s and caller in (
    select caller from code_guesses where org_id = %(org)s and since <= %(now)s::timestamptz - 2 * %(window)s::interval
    order by since limit 20 for update skip locked)
returning tries, since

-- find_promotion --
-- the promotion a code hangs on
select id, terms from promotions where org_id = %(org)s and id = %(id)s::uuid
