-- Transfers as Blnk shows them: a queued request is a second row (twin 1) beside its outcome (twin 0).
-- From source_id on: what a filter or an order may name, where it is more than a column; {} is the array of values asked
-- for.

-- every --
-- all transfers and requests of the organisation; `parent` of an outcome is its request where it had one
select t.seq, 0 as twin, t.id as transaction_id, coalesce(t.request_id, t.parent) as parent_transaction,
       t.reference, t.action,
       case t.action when 'apply' then 'APPLIED' when 'settle' then 'APPLIED' when 'hold' then 'INFLIGHT'
                     when 'release' then 'VOID' when 'reject' then 'REJECTED' else 'SCHEDULED' end as status,
       t.source, t.destination, t.asset, t.amount, t.recorded_at, t.effective_at, t.detail,
       t.id, t.request_id, t.parent
from transfers t where t.org_id = %(org)s
union all
select t.seq, 1, t.request_id, t.parent, t.request_reference, t.action, 'QUEUED',
       t.source, t.destination, t.asset, t.amount, t.recorded_at, t.effective_at, t.detail,
       t.id, t.request_id, t.parent
from transfers t where t.org_id = %(org)s and t.request_id is not null

-- in_order --
-- the same, walked from the newest: for pages whose filters no index answers
select t.seq, q.twin, case q.twin when 0 then t.id else t.request_id end as transaction_id,
       case q.twin when 0 then coalesce(t.request_id, t.parent) else t.parent end as parent_transaction,
       case q.twin when 0 then t.reference else t.request_reference end as reference, t.action,
       case when q.twin = 1 then 'QUEUED'
            when t.action in ('apply', 'settle') then 'APPLIED' when t.action = 'hold' then 'INFLIGHT'
            when t.action = 'release' then 'VOID' when t.action = 'reject' then 'REJECTED' else 'SCHEDULED' end as status,
       t.source, t.destination, t.asset, t.amount, t.recorded_at, t.effective_at, t.detail,
       t.id, t.request_id, t.parent
from transfers t cross join (values (0), (1)) as q (twin)
where t.org_id = %(org)s and (q.twin = 0 or t.request_id is not null)

-- fields --
-- what a row is rendered from; accounts by id, `scale` of a registered asset
select x.seq, x.twin, x.transaction_id::text, x.parent_transaction::text, x.reference, x.status,
       s.id::text as source_id, d.id::text as destination_id, s.indicator as source_indicator,
       d.indicator as destination_indicator, x.asset, x.amount::text, x.recorded_at,
       x.effective_at, x.detail, x.request_id::text, x.parent::text, a.scale, {meta}::text as meta

-- joins --
join accounts s on s.org_id = %(org)s and s.no = x.source
join accounts d on d.org_id = %(org)s and d.no = x.destination
left join assets a on a.org_id = %(org)s and a.code = x.asset

-- meta --
-- what was said about the row itself, its request, its parent and that one's request, the nearest last
(select coalesce(jsonb_object_agg(said.key, said.value order by named.place), '{}'::jsonb)
 from unnest(array[
          (select p.parent from transfers p where p.org_id = %(org)s and p.id = x.parent),
          (select p.request_id from transfers p where p.org_id = %(org)s and p.id = x.parent),
          x.parent, x.request_id, x.transaction_id]) with ordinality as named (id, place)
 cross join lateral (
     select m.meta from metadata m
     where m.org_id = %(org)s and m.kind in ('txn', 'bulk') and m.object = named.id::text
     order by m.version desc limit 1) as latest
 cross join lateral jsonb_each(latest.meta::jsonb) as said)

-- list --
-- a page, filtered and in the order asked for; names and ids of accounts are looked up for its rows only
{fields} from (
    select x.* from ({every}) x where {condition} order by {order} limit %(limit)s offset %(offset)s) x {joins}
order by {order}

-- count --
select count(*) as total from ({every}) x where {condition}

-- by_seqs --
{fields} from ({every}) x {joins}
where x.seq = any(%(seqs)s) order by x.seq, x.twin

-- by_id --
{fields} from ({every}) x {joins}
where x.transaction_id = %(id)s::uuid order by x.seq limit 1

-- by_reference --
{fields} from ({every}) x {joins}
where x.reference = %(reference)s order by x.seq limit 1

-- legs --
-- the legs of a split by the id of the whole: requests where it was queued, else outcomes
{fields} from ({every}) x {joins}
where x.parent = %(id)s::uuid and (x.twin = 1 or x.request_id is null) order by x.seq

-- legs_by_reference --
-- the same by the reference of the whole; its first leg has the reference with a suffix
{fields} from ({every}) x {joins}
where x.parent = (
          select f.parent from transfers f
          where f.org_id = %(org)s and f.parent is not null and f.detail::jsonb ->> 'sequence' is null
            and (f.request_reference = %(reference)s || '_1' or f.reference = %(reference)s || '-1')
          order by f.seq limit 1)
  and (x.twin = 1 or x.request_id is null) order by x.seq

-- precision_of --
-- the precision that an id's transfers were posted with
select coalesce((t.detail::jsonb ->> 'precision')::numeric::text, '1') as precision
from transfers t
where t.org_id = %(org)s and (t.id = %(id)s::uuid or t.request_id = %(id)s::uuid or t.parent = %(id)s::uuid)
order by t.seq limit 1

-- holds_of --
-- the first hold under an id: itself, its request, its split or its batch
select t.seq from transfers t
where t.org_id = %(org)s and t.action = 'hold'
  and (t.id = %(id)s::uuid or t.request_id = %(id)s::uuid or t.parent = %(id)s::uuid)
order by t.seq limit 1


-- source_id --
(select id from accounts where org_id = %(org)s and no = x.source)

-- source_is --
x.source = any(array(select no from accounts where org_id = %(org)s and id = any({}::uuid[])))

-- source_indicator --
(select indicator from accounts where org_id = %(org)s and no = x.source)

-- source_named --
x.source = any(array(
    select no from accounts where org_id = %(org)s and indicator <> '' and indicator = any({})))

-- destination_id --
(select id from accounts where org_id = %(org)s and no = x.destination)

-- destination_is --
x.destination = any(array(select no from accounts where org_id = %(org)s and id = any({}::uuid[])))

-- destination_indicator --
(select indicator from accounts where org_id = %(org)s and no = x.destination)

-- destination_named --
x.destination = any(array(
    select no from accounts where org_id = %(org)s and indicator <> '' and indicator = any({})))

-- parent_is --
-- the parent of an outcome is its request where it had one
x.parent_transaction = any({0}::uuid[]) and (x.parent = any({0}::uuid[]) or x.request_id = any({0}::uuid[]))

-- precision --
coalesce((x.detail::jsonb ->> 'precision')::numeric,
         (select power(10::numeric, scale) from assets where org_id = %(org)s and code = x.asset), 1)

-- amount --
-- in major units
(x.amount / coalesce((x.detail::jsonb ->> 'precision')::numeric,
                     (select power(10::numeric, scale) from assets where org_id = %(org)s and code = x.asset), 1))
