-- What changes rarely: assets, programs, stores, tills, sources.

-- list_assets --
-- by code
select code, scale, created_at from assets where org_id = %(org)s order by code

-- list_programs --
-- by number; the version's own policies
select no, id, code, name, asset, first, version, policies, created_at
from programs where org_id = %(org)s order by no

-- list_stores --
-- by number
select no, id, code, name, created_at from stores where org_id = %(org)s order by no

-- list_tills --
-- by number
select no, id, code, name, store_no, program_no, created_at
from tills where org_id = %(org)s order by no

-- list_sources --
-- by code
select code, created_at from sources where org_id = %(org)s order by code

-- config_version --
-- counts every change of the above
select config_version from heads where org_id = %(org)s
