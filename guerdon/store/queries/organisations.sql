-- Organisations are the one table that is read without belonging to one.

-- find_organisation --
-- by code or id; ids are compared as text so that any word may be asked for
select org_id, id, code, name, timezone, created_at
from organisations where code = %(name)s or id::text = %(name)s

-- list_organisations --
-- all of them in the order they were made, from a place in that order
select org_id, id, code, name, timezone, created_at
from organisations where org_id > %(after)s order by org_id limit %(limit)s

-- create_organisation --
-- the code is its name for good; one that exists stays as it is
insert into organisations (id, code, name, timezone)
values (gen_random_uuid(), %(code)s, %(name)s, %(timezone)s)
on conflict (code) do nothing

-- organisation_of_code --
-- its number and id
select org_id, id::text from organisations where code = %(code)s

-- enter_organisation --
-- says whose rows this transaction may see
select set_config('guerdon.org', %(org)s, true)

-- create_head --
-- its lock and counters; the general ledger is the first ledger
insert into heads (org_id, ledger_no) values (%(org)s, %(ledgers)s) on conflict (org_id) do nothing

-- create_general_ledger --
-- the ledger that holds all internal accounts
insert into ledgers (org_id, no, id, name, opened_at)
select %(org)s, %(no)s, gen_random_uuid(), 'General Ledger', now()
on conflict (org_id, no) do nothing
