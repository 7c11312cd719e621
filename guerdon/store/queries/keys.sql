-- API keys. Looked up before the organisation is known, so this table is not under row level security: every other
-- statement names the organisation itself.

-- find_key --
-- one key by its id
select id, org_id, hash, name, owner, scopes, created_at, expires_at, revoked_at
from api_keys where id = %(id)s

-- list_keys --
-- the keys of an organisation, newest first, from a place in that order
select id, org_id, hash, name, owner, scopes, created_at, expires_at, revoked_at
from api_keys
where org_id = %(org)s and (%(before)s::uuid is null or id < %(before)s)
order by id desc limit %(limit)s
