-- Members as Blnk's identities.

-- every --
-- e-mail and phone are those a member is known by, unless the profile says otherwise
select m.no as seq, 0 as twin, m.id as identity_id, m.registered_at,
       jsonb_strip_nulls(jsonb_build_object(
           'email_address', (select min(i.value) from member_identifiers i
                             where i.org_id = m.org_id and i.member_no = m.no and i.kind = 'email'),
           'phone_number', (select min(i.value) from member_identifiers i
                            where i.org_id = m.org_id and i.member_no = m.no and i.kind = 'mobile')))
           || coalesce(p.profile, '{}'::jsonb) as profile
from members m
left join member_profiles p on p.org_id = m.org_id and p.member_no = m.no
where m.org_id = %(org)s

-- meta --
coalesce((select a.meta::jsonb from metadata a
          where a.org_id = %(org)s and a.kind = 'idt' and a.object = x.identity_id::text
          order by a.version desc limit 1), '{}'::jsonb)

-- fields --
select x.seq, x.identity_id::text, x.registered_at, x.profile::text, {meta}::text as meta

-- list --
{fields} from ({every}) x where {condition} order by {order} limit %(limit)s offset %(offset)s

-- count --
select count(*) as total from ({every}) x where {condition}

-- by_id --
{fields} from ({every}) x where x.identity_id = %(id)s::uuid
