-- What changes rarely: assets, programs, stores, tills, sources.

-- list_assets --
-- by code
select code, scale, created_at from assets where org_id = %(org)s order by code

-- list_programs --
-- by number; the version's own policies
select p.no, p.id, p.code, p.name, p.asset, p.first, p.version, p.policies, p.created_at,
       (select max(v.version) from program_versions v
        where v.org_id = %(org)s and v.program_no = p.no and v.version between p.followed + 1 and p.version
              and v.policies ->> 'follow' is not null
              and not exists (select from program_versions x
                              where x.org_id = %(org)s and x.program_no = p.no and x.version > v.version
                                    and x.starts_at <= v.starts_at and x.recorded_at < v.starts_at)) as following,
       coalesce((select jsonb_agg(jsonb_build_object('version', v.version, 'starts_at', v.starts_at,
                                                     'policies', v.policies) order by v.version)
                 from program_versions v
                 where v.org_id = %(org)s and v.program_no = p.no and v.version > p.version
                       and not exists (select from program_versions x
                                       where x.org_id = %(org)s and x.program_no = p.no and x.version > v.version
                                             and x.starts_at <= v.starts_at)), '[]') as planned
from programs p where p.org_id = %(org)s order by p.no

-- program_versions --
-- of one program, the last one first; since when, and by whom
select version, policies, starts_at, recorded_at, actor
from program_versions where org_id = %(org)s and program_no = %(program_no)s order by version desc

-- standing --
-- points of a program that have not ended by a moment, by number, each with whose they are
select l.no, l.account, m.id::text as member, a.category, l.amount, l.remaining, l.earned_at, l.expires_at, l.rule,
       l.version, l.releases_at, l.promise
from lots l
join accounts a on a.org_id = %(org)s and a.no = l.account and a.program_no = %(program_no)s and a.tracks_lots
join members m on m.org_id = %(org)s and m.no = a.member_no
where l.org_id = %(org)s and l.no > %(after)s and l.remaining > 0 and (l.expires_at is null or l.expires_at > %(now)s)
order by l.no limit %(limit)s

-- standing_count --
-- how many those are in all
select count(*) as lots
from lots l
join accounts a on a.org_id = %(org)s and a.no = l.account and a.program_no = %(program_no)s and a.tracks_lots
where l.org_id = %(org)s and l.remaining > 0 and (l.expires_at is null or l.expires_at > %(now)s)

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
