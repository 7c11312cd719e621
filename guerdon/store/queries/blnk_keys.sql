-- API keys as Blnk lists them: by owner.

-- of_owner --
-- newest first, revoked ones among them
select id::text, name, owner, scopes, created_at, expires_at, revoked_at, last_used_at
from api_keys where org_id = %(org)s and (%(owner)s = '' or owner = %(owner)s)
order by created_at desc, id desc
