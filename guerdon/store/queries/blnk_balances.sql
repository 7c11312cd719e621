-- Accounts as Blnk shows them. What has ended but is not posted yet is left out of every figure.

-- every --
-- accounts with their figures; the general ledger has no id of its own outside
select a.no as seq, 0 as twin, a.id as balance_id, a.asset as currency, a.indicator, a.opened_at, a.options,
       case when l.no = 1 then '00000000-0000-0000-0000-000000000000'::uuid else l.id end as ledger_id,
       l.no as ledger_no, m.id as identity_id, m.no as member_no,
       f.credit as credit_balance, f.debit + due.amount as debit_balance,
       f.credit - f.debit - due.amount as balance,
       f.inflight_credit as inflight_credit_balance, f.inflight_debit as inflight_debit_balance,
       f.inflight_credit - f.inflight_debit as inflight_balance, f.version
from accounts a
join figures f on f.org_id = a.org_id and f.account_no = a.no
join ledgers l on l.org_id = a.org_id and l.no = a.ledger_no
left join members m on m.org_id = a.org_id and m.no = a.member_no and a.member_no > 0
cross join lateral (
    select coalesce(sum(lot.remaining - lot.held), 0) as amount from lots lot
    where a.tracks_lots and lot.org_id = a.org_id and lot.account = a.no and lot.remaining > 0
      and lot.expires_at <= %(now)s) as due
where a.org_id = %(org)s

-- meta --
coalesce((select m.meta::jsonb from metadata m
          where m.org_id = %(org)s and m.kind = 'bln' and m.object = x.balance_id::text
          order by m.version desc limit 1), '{}'::jsonb)

-- fields --
select x.seq, x.balance_id::text, x.currency, x.indicator, x.opened_at, x.options, x.ledger_id::text,
       x.identity_id::text, x.credit_balance::text, x.debit_balance::text, x.balance::text,
       x.inflight_credit_balance::text, x.inflight_debit_balance::text, x.inflight_balance::text, x.version,
       {meta}::text as meta

-- list --
{fields} from ({every}) x where {condition} order by {order} limit %(limit)s offset %(offset)s

-- count --
select count(*) as total from ({every}) x where {condition}

-- by_id --
{fields} from ({every}) x where x.balance_id = %(id)s::uuid

-- by_indicator --
{fields} from ({every}) x where x.indicator = %(indicator)s and x.currency = %(currency)s

-- at --
-- what was booked on an account by an effective time, as known at a recorded time (null: now); nulls where nothing was
select sum(e.amount) filter (where e.amount > 0)::text as credit,
       (-sum(e.amount) filter (where e.amount < 0))::text as debit
from entries e
where e.org_id = %(org)s and e.effective_at <= %(at)s
  and (%(known_at)s::timestamptz is null or e.recorded_at <= %(known_at)s)
  and e.account_no = (select no from accounts where org_id = %(org)s and id = %(id)s::uuid)
