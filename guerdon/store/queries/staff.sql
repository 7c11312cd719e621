-- Manual adjustments and referrals, for whoever asks.

-- adjustment_columns --
select a.id, m.id as member, a.program_no, a.points, a.reason, a.person, a.recorded_at, a.expires_at,
       greatest(a.event_seq, coalesce(d.event_seq, 0)) as event_seq, d.approved, d.person as decided_by,
       d.recorded_at as decided_at, d.reason as decision_reason
from adjustments a
join members m on m.org_id = a.org_id and m.no = a.member_no
left join adjustment_decisions d on d.org_id = a.org_id and d.adjustment_id = a.id

-- find_adjustment --
-- include adjustment_columns
where a.org_id = %(org)s and a.id = %(id)s::uuid

-- list_adjustments --
-- newest first: ids go by time
-- include adjustment_columns
where a.org_id = %(org)s
  and (%(member)s::bigint is null or a.member_no = %(member)s)
  and (%(pending_at)s::timestamptz is null or (a.expires_at > %(pending_at)s and d.adjustment_id is null))
  and (%(before)s::uuid is null or a.id < %(before)s)
order by a.id desc limit %(limit)s

-- find_referral --
select r.id, x.id as referrer, y.id as referred, r.program_no, r.referrer_event, r.referred_event, r.taken_back
from referrals r
join members x on x.org_id = r.org_id and x.no = r.referrer_no
join members y on y.org_id = r.org_id and y.no = r.referred_no
where r.org_id = %(org)s and r.id = %(id)s::uuid
