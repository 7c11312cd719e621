-- Organisations are the one table that is read without belonging to one.

-- find_organisation --
-- by code or id; ids are compared as text so that any word may be asked for
select org_id, id::text, code, name, timezone, created_at
from organisations where code = %(name)s or id::text = %(name)s

-- list_organisations --
-- all of them in the order they were made, from a place in that order
select org_id, id::text, code, name, timezone, created_at
from organisations where org_id > %(after)s order by org_id limit %(limit)s
