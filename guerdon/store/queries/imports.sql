-- Imports asked for over the API, and what became of their rows.

-- enter --
-- whose rows this transaction may see
select set_config('guerdon.org', %(org)s::bigint::text, true)

-- insert_import --
-- an import, unless this caller has asked for one under the same key
insert into imports (org_id, id, kind, program, actor, key, fingerprint, content, rows, created_at)
values (%(org)s, %(id)s, %(kind)s, %(program)s, %(actor)s, %(key)s, %(fingerprint)s, %(content)s, %(rows)s, %(now)s)
on conflict do nothing
returning id

-- import_of_key --
-- what this caller asked for under a key
select id, fingerprint from imports where org_id = %(org)s and actor = %(actor)s and key = %(key)s

-- defer --
-- hand the import to the queue, in the transaction that writes it down; one at a time for each organisation
select jobs.procrastinate_defer_jobs_v1(array[
    ('imports', 'guerdon.import', 0, 'imports ' || %(org)s::bigint, null,
     jsonb_build_object('org_id', %(org)s::bigint, 'import_id', %(id)s::text), null)
]::jobs.procrastinate_job_to_defer_v1[])

-- search_jobs --
-- where the queue's functions find their tables
select set_config('search_path', 'jobs, ' || quote_ident(current_schema), true)

-- get_import --
-- an import with the sums of what became of its rows
select i.id, i.kind, i.program, i.rows, i.created_at, i.finished_at,
       coalesce(r.accepted, 0) as accepted, coalesce(r.replayed, 0) as replayed, coalesce(r.rejected, 0) as rejected
from imports i
left join lateral (
    select count(*) filter (where x.status = 'accepted') as accepted,
           count(*) filter (where x.status = 'replayed') as replayed,
           count(*) filter (where x.status = 'rejected') as rejected
    from import_results x where x.org_id = i.org_id and x.import_id = i.id) r on true
where i.org_id = %(org)s and i.id = %(id)s::uuid

-- list_results --
-- what became of an import's rows, in their order
select x.row, x.status, x.code, x.field, x.detail, x.event_seq
from import_results x
where x.org_id = %(org)s and x.import_id = %(id)s::uuid and x.row > %(after)s
      and (%(status)s = '' or x.status = %(status)s)
order by x.row limit %(limit)s

-- content --
-- what there is still to be done of an import: who asked for what, and the last row that was done
select i.kind, i.program, i.actor, i.content, i.finished_at is not null,
       coalesce((select max(x.row) from import_results x where x.org_id = i.org_id and x.import_id = i.id), 0)
from imports i where i.org_id = %(org)s and i.id = %(id)s::uuid

-- insert_results --
-- what became of some rows; those that another process has written down already stay
insert into import_results (org_id, import_id, row, status, code, field, detail, event_seq)
select %(org)s, %(id)s::uuid, * from unnest(
    %(row)s::integer[], %(status)s::text[], %(code)s::text[], %(field)s::text[], %(detail)s::text[],
    %(event_seq)s::bigint[])
on conflict do nothing

-- finish --
-- nothing is left to be done
update imports set finished_at = %(now)s where org_id = %(org)s and id = %(id)s::uuid and finished_at is null
