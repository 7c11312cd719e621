-- Purchases, their returns, redemptions.

-- find_purchase --
-- by id or number, with its returns in order
select p.no, p.id, p.number, p.member_no, p.event_seq, p.event_at, p.recorded_at, p.currency,
       p.amount, p.paid, p.source, p.store_no, p.till_no, p.lines, p.tenders, p.result, p.meta,
       array(select r.result from purchase_returns r
             where r.org_id = p.org_id and r.purchase_no = p.no order by r.no) as returns
from purchases p
where p.org_id = %(org)s
  and p.no = (case %(by)s
        when 'id' then (select x.no from purchases x where x.org_id = %(org)s and x.id = %(uuid)s)
        else (select x.no from purchases x where x.org_id = %(org)s and x.number = %(value)s) end)

-- list_purchases --
-- of one member (0 = of all), newest first, from a place in that order
select p.no, p.id, p.number, p.member_no, p.event_seq, p.event_at, p.recorded_at, p.currency,
       p.amount, p.paid, p.source, p.store_no, p.till_no, p.lines, p.tenders, p.result, p.meta,
       array(select r.result from purchase_returns r
             where r.org_id = p.org_id and r.purchase_no = p.no order by r.no) as returns
from purchases p
where p.org_id = %(org)s and p.member_no = %(member)s and p.no < %(before)s
order by p.no desc limit %(limit)s

-- find_redemption --
-- by id
select r.id, r.no, m.id as member, r.program_no, r.event_seq, p.id as purchase,
       r.points, r.reversed, r.reference, r.event_at, r.result
from redemptions r
left join members m on m.org_id = r.org_id and m.no = r.member_no
left join purchases p on p.org_id = r.org_id and p.no = r.purchase_no and r.purchase_no > 0
where r.org_id = %(org)s and r.id = %(id)s

-- list_redemptions --
-- of one member, newest first, from a place in that order
select r.id, r.no, m.id as member, r.program_no, r.event_seq, p.id as purchase,
       r.points, r.reversed, r.reference, r.event_at, r.result
from redemptions r
left join members m on m.org_id = r.org_id and m.no = r.member_no
left join purchases p on p.org_id = r.org_id and p.no = r.purchase_no and r.purchase_no > 0
where r.org_id = %(org)s and r.member_no = %(member)s and r.no < %(before)s
order by r.no desc limit %(limit)s
