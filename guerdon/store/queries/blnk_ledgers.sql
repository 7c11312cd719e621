-- Ledgers as Blnk shows them.

-- every --
select l.no as seq, 0 as twin, l.name, l.opened_at,
       case when l.no = 1 then '00000000-0000-0000-0000-000000000000'::uuid else l.id end as ledger_id
from ledgers l where l.org_id = %(org)s

-- meta --
coalesce((select m.meta::jsonb from metadata m
          where m.org_id = %(org)s and m.kind = 'ldg' and m.object = x.ledger_id::text
          order by m.version desc limit 1), '{}'::jsonb)

-- fields --
select x.seq, x.ledger_id::text, x.name, x.opened_at, {meta}::text as meta

-- list --
{fields} from ({every}) x where {condition} order by {order} limit %(limit)s offset %(offset)s

-- count --
select count(*) as total from ({every}) x where {condition}

-- by_id --
{fields} from ({every}) x where x.ledger_id = %(id)s::uuid

-- general --
-- the id of the ledger that holds all internal balances
select id::text as ledger_id from ledgers where org_id = %(org)s and no = 1
