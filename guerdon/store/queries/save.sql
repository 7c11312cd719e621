-- What a batch of commands changed: one set-based statement per table, arrays of columns in, final rows only. What is
-- appended is never upserted, so that a row that should not be there is an error and not silence.

-- insert_events --
-- in sequence order, with the chain's hashes
insert into events (org_id, seq, id, name, member_no, event_at, recorded_at, transfers, points, mirrors, source,
                    store_no, till_no, program_no, purchase_no, reference, actor, reason, entries, body, lot_moves, hash)
select %(org)s::bigint, * from unnest(
    %(seq)s::bigint[], %(id)s::uuid[], %(name)s::text[], %(member_no)s::bigint[], %(event_at)s::timestamptz[],
    %(recorded_at)s::timestamptz[], %(transfers)s::integer[], %(points)s::numeric[], %(mirrors)s::bigint[],
    %(source)s::text[], %(store_no)s::bigint[], %(till_no)s::bigint[], %(program_no)s::bigint[],
    %(purchase_no)s::bigint[], %(reference)s::text[], %(actor)s::text[], %(reason)s::text[], %(entries)s::integer[],
    %(body)s::text[], %(lot_moves)s::text[], %(hash)s::bytea[])

-- insert_transfers --
-- in sequence order, with the chain's hashes
insert into transfers (org_id, seq, id, event_seq, action, source, destination, asset, amount, source_version,
                       destination_version, source_balance, destination_balance, recorded_at, effective_at, reference,
                       request_id, request_reference, parent, detail, hash)
select %(org)s::bigint, * from unnest(
    %(seq)s::bigint[], %(id)s::uuid[], %(event_seq)s::bigint[], %(action)s::text[], %(source)s::bigint[],
    %(destination)s::bigint[], %(asset)s::text[], %(amount)s::numeric[], %(source_version)s::bigint[],
    %(destination_version)s::bigint[], %(source_balance)s::numeric[], %(destination_balance)s::numeric[],
    %(recorded_at)s::timestamptz[], %(effective_at)s::timestamptz[], %(reference)s::text[], %(request_id)s::uuid[],
    %(request_reference)s::text[], %(parent)s::uuid[], %(detail)s::text[], %(hash)s::bytea[])

-- insert_ledgers --
-- new ledgers
insert into ledgers (org_id, no, id, name, opened_at)
select %(org)s::bigint, * from unnest(
    %(no)s::bigint[], %(id)s::uuid[], %(name)s::text[], %(opened_at)s::timestamptz[])

-- update_ledgers --
-- only the name changes
update ledgers set name = new.name
from unnest(%(no)s::bigint[], %(name)s::text[]) as new (no, name)
where ledgers.org_id = %(org)s::bigint and ledgers.no = new.no

-- insert_accounts --
-- new accounts
insert into accounts (org_id, no, id, ledger_no, asset, indicator, member_no, program_no, category, role, tracks_lots,
                      opened_at, options)
select %(org)s::bigint, * from unnest(
    %(no)s::bigint[], %(id)s::uuid[], %(ledger_no)s::bigint[], %(asset)s::text[], %(indicator)s::text[],
    %(member_no)s::bigint[], %(program_no)s::bigint[], %(category)s::text[], %(role)s::text[],
    %(tracks_lots)s::boolean[], %(opened_at)s::timestamptz[], %(options)s::text[])

-- update_accounts --
-- only the holder, what it stands for and its options change
update accounts
set member_no = new.member_no, program_no = new.program_no, category = new.category, role = new.role,
    tracks_lots = new.tracks_lots, options = new.options
from unnest(%(no)s::bigint[], %(member_no)s::bigint[], %(program_no)s::bigint[], %(category)s::text[],
            %(role)s::text[], %(tracks_lots)s::boolean[], %(options)s::text[])
    as new (no, member_no, program_no, category, role, tracks_lots, options)
where accounts.org_id = %(org)s::bigint and accounts.no = new.no

-- insert_figures --
-- figures of accounts that had none
insert into figures (org_id, account_no, credit, debit, inflight_credit, inflight_debit, version, floor)
select %(org)s::bigint, * from unnest(
    %(account_no)s::bigint[], %(credit)s::numeric[], %(debit)s::numeric[], %(inflight_credit)s::numeric[],
    %(inflight_debit)s::numeric[], %(version)s::bigint[], %(floor)s::numeric[])

-- update_figures --
-- an account's figures after the whole batch, however often they changed in it
update figures
set credit = new.credit, debit = new.debit, inflight_credit = new.inflight_credit,
    inflight_debit = new.inflight_debit, version = new.version, floor = new.floor
from unnest(%(account_no)s::bigint[], %(credit)s::numeric[], %(debit)s::numeric[], %(inflight_credit)s::numeric[],
            %(inflight_debit)s::numeric[], %(version)s::bigint[], %(floor)s::numeric[])
    as new (account_no, credit, debit, inflight_credit, inflight_debit, version, floor)
where figures.org_id = %(org)s::bigint and figures.account_no = new.account_no

-- insert_lots --
-- lots opened in this batch
insert into lots (org_id, no, account, event_seq, amount, remaining, redeemed, returned, expired, held, written_off,
                  earned_at, expires_at, rule, version, line, purchase_no, releases_at, promise)
select %(org)s::bigint, * from unnest(
    %(no)s::bigint[], %(account)s::bigint[], %(event_seq)s::bigint[], %(amount)s::numeric[], %(remaining)s::numeric[],
    %(redeemed)s::numeric[], %(returned)s::numeric[], %(expired)s::numeric[], %(held)s::numeric[],
    %(written_off)s::numeric[], %(earned_at)s::timestamptz[], %(expires_at)s::timestamptz[], %(rule)s::text[],
    %(version)s::integer[], %(line)s::integer[], %(purchase_no)s::bigint[], %(releases_at)s::timestamptz[],
    %(promise)s::text[])

-- update_lots --
-- what remains of lots, where the rest went, where they lie now and when they end
update lots
set account = new.account, remaining = new.remaining, redeemed = new.redeemed, returned = new.returned,
    expired = new.expired, held = new.held, written_off = new.written_off, expires_at = new.expires_at,
    releases_at = new.releases_at, promise = new.promise
from unnest(%(no)s::bigint[], %(account)s::bigint[], %(remaining)s::numeric[], %(redeemed)s::numeric[],
            %(returned)s::numeric[], %(expired)s::numeric[], %(held)s::numeric[], %(written_off)s::numeric[],
            %(expires_at)s::timestamptz[], %(releases_at)s::timestamptz[], %(promise)s::text[])
    as new (no, account, remaining, redeemed, returned, expired, held, written_off, expires_at, releases_at, promise)
where lots.org_id = %(org)s::bigint and lots.no = new.no

-- insert_holds --
-- new holds
insert into holds (org_id, seq, transfer_id, remaining, released, expires_at, commits_at, pins)
select %(org)s::bigint, * from unnest(
    %(seq)s::bigint[], %(transfer_id)s::uuid[], %(remaining)s::numeric[], %(released)s::boolean[],
    %(expires_at)s::timestamptz[], %(commits_at)s::timestamptz[], %(pins)s::jsonb[])

-- update_holds --
-- what is left of holds
update holds
set remaining = new.remaining, released = new.released, expires_at = new.expires_at, commits_at = new.commits_at,
    pins = new.pins
from unnest(%(seq)s::bigint[], %(remaining)s::numeric[], %(released)s::boolean[], %(expires_at)s::timestamptz[],
            %(commits_at)s::timestamptz[], %(pins)s::jsonb[])
    as new (seq, remaining, released, expires_at, commits_at, pins)
where holds.org_id = %(org)s::bigint and holds.seq = new.seq

-- insert_scheduled --
-- postings that will wait
insert into scheduled (org_id, seq, transfer_id, due_at, done, request)
select %(org)s::bigint, * from unnest(
    %(seq)s::bigint[], %(transfer_id)s::uuid[], %(due_at)s::timestamptz[], %(done)s::boolean[], %(request)s::text[])

-- update_scheduled --
-- only whether it is done changes
update scheduled set done = new.done
from unnest(%(seq)s::bigint[], %(done)s::boolean[]) as new (seq, done)
where scheduled.org_id = %(org)s::bigint and scheduled.seq = new.seq

-- insert_members --
-- new members
insert into members (org_id, no, id, status, enrolled, registered_at, survivor_no)
select %(org)s::bigint, * from unnest(
    %(no)s::bigint[], %(id)s::uuid[], %(status)s::text[], %(enrolled)s::boolean[], %(registered_at)s::timestamptz[],
    %(survivor_no)s::bigint[])

-- update_members --
-- standing of members
update members set status = new.status, enrolled = new.enrolled, survivor_no = new.survivor_no
from unnest(%(no)s::bigint[], %(status)s::text[], %(enrolled)s::boolean[], %(survivor_no)s::bigint[])
    as new (no, status, enrolled, survivor_no)
where members.org_id = %(org)s::bigint and members.no = new.no

-- delete_members --
-- raw identities that are removed
delete from members where org_id = %(org)s::bigint and no = any(%(no)s::bigint[])

-- delete_member_identifiers --
-- all identifiers of members whose identifiers may have changed; those that they have now are inserted after it
delete from member_identifiers where org_id = %(org)s::bigint and member_no = any(%(no)s::bigint[])

-- insert_member_identifiers --
-- each is one member's only; the primary key says so
insert into member_identifiers (org_id, kind, value, member_no, alias)
select %(org)s::bigint, *
from unnest(%(kind)s::text[], %(value)s::text[], %(member_no)s::bigint[], %(alias)s::boolean[])

-- delete_profiles --
-- personal data that is erased
delete from member_profiles where org_id = %(org)s::bigint and member_no = any(%(no)s::bigint[])

-- write_profiles --
-- personal data as it now is
insert into member_profiles (org_id, member_no, profile)
select %(org)s::bigint, * from unnest(%(member_no)s::bigint[], %(profile)s::jsonb[])
on conflict (org_id, member_no) do update set profile = excluded.profile

-- insert_purchases --
-- bills
insert into purchases (org_id, no, id, number, member_no, event_seq, event_at, recorded_at, currency, amount, paid,
                       spent_points, redemption_id, source, store_no, till_no, lines, shares, division, tenders,
                       fingerprint, result, meta, program_no)
select %(org)s::bigint, * from unnest(
    %(no)s::bigint[], %(id)s::uuid[], %(number)s::text[], %(member_no)s::bigint[], %(event_seq)s::bigint[],
    %(event_at)s::timestamptz[], %(recorded_at)s::timestamptz[], %(currency)s::text[], %(amount)s::numeric[],
    %(paid)s::numeric[], %(spent_points)s::numeric[], %(redemption_id)s::uuid[], %(source)s::text[],
    %(store_no)s::bigint[], %(till_no)s::bigint[], %(lines)s::text[], %(shares)s::text[], %(division)s::text[],
    %(tenders)s::text[], %(fingerprint)s::bytea[], %(result)s::text[], %(meta)s::text[], %(program_no)s::bigint[])

-- insert_purchase_returns --
-- bills and parts of bills taken back
insert into purchase_returns (org_id, no, id, number, purchase_no, member_no, event_seq, event_at, recorded_at, lines,
                              amount, paid, spent, earned, fingerprint, result)
select %(org)s::bigint, * from unnest(
    %(no)s::bigint[], %(id)s::uuid[], %(number)s::text[], %(purchase_no)s::bigint[], %(member_no)s::bigint[],
    %(event_seq)s::bigint[], %(event_at)s::timestamptz[], %(recorded_at)s::timestamptz[], %(lines)s::text[],
    %(amount)s::numeric[], %(paid)s::numeric[], %(spent)s::numeric[], %(earned)s::text[], %(fingerprint)s::bytea[],
    %(result)s::text[])

-- insert_redemptions --
-- points spent
insert into redemptions (org_id, id, no, member_no, program_no, event_seq, purchase_no, points, reversed, reference,
                         event_at, fingerprint, result)
select %(org)s::bigint, * from unnest(
    %(id)s::uuid[], %(no)s::bigint[], %(member_no)s::bigint[], %(program_no)s::bigint[], %(event_seq)s::bigint[],
    %(purchase_no)s::bigint[], %(points)s::numeric[], %(reversed)s::numeric[], %(reference)s::text[],
    %(event_at)s::timestamptz[], %(fingerprint)s::bytea[], %(result)s::text[])

-- update_redemptions --
-- only what was given back changes
update redemptions set reversed = new.reversed
from unnest(%(id)s::uuid[], %(reversed)s::numeric[]) as new (id, reversed)
where redemptions.org_id = %(org)s::bigint and redemptions.id = new.id

-- insert_imported --
-- rows of imports
insert into imported (org_id, kind, reference, event_seq, fingerprint, result)
select %(org)s::bigint, * from unnest(
    %(kind)s::text[], %(reference)s::text[], %(event_seq)s::bigint[], %(fingerprint)s::bytea[], %(result)s::text[])

-- insert_adjustments --
-- points corrected by hand, or waiting for a second person
insert into adjustments (org_id, id, member_no, program_no, points, reason, actor, person, recorded_at, expires_at,
                         event_seq)
select %(org)s::bigint, * from unnest(
    %(id)s::uuid[], %(member_no)s::bigint[], %(program_no)s::bigint[], %(points)s::numeric[], %(reason)s::text[],
    %(actor)s::text[], %(person)s::text[], %(recorded_at)s::timestamptz[], %(expires_at)s::timestamptz[],
    %(event_seq)s::bigint[])

-- insert_adjustment_decisions --
-- what second persons decided
insert into adjustment_decisions (org_id, adjustment_id, approved, reason, actor, person, recorded_at, event_seq)
select %(org)s::bigint, * from unnest(
    %(adjustment_id)s::uuid[], %(approved)s::boolean[], %(reason)s::text[], %(actor)s::text[], %(person)s::text[],
    %(recorded_at)s::timestamptz[], %(event_seq)s::bigint[])

-- insert_referrals --
-- who referred whom
insert into referrals (org_id, id, referrer_no, referred_no, program_no, referrer_event, referred_event, taken_back)
select %(org)s::bigint, * from unnest(
    %(id)s::uuid[], %(referrer_no)s::bigint[], %(referred_no)s::bigint[], %(program_no)s::bigint[],
    %(referrer_event)s::bigint[], %(referred_event)s::bigint[], %(taken_back)s::boolean[])

-- update_referrals --
-- only whether it was taken back changes
update referrals set taken_back = new.taken_back
from unnest(%(id)s::uuid[], %(taken_back)s::boolean[]) as new (id, taken_back)
where referrals.org_id = %(org)s::bigint and referrals.id = new.id

-- write_sent --
-- what members have sent by now
insert into sent (org_id, member_no, program_no, period, points, count)
select %(org)s::bigint, * from unnest(
    %(member_no)s::bigint[], %(program_no)s::bigint[], %(period)s::text[], %(points)s::numeric[], %(count)s::bigint[])
on conflict (org_id, member_no, program_no, period) do update set points = excluded.points, count = excluded.count

-- insert_reward_lists --
-- new lists of rewards
insert into reward_lists (org_id, id, program_no, version, created_at, terms)
select %(org)s::bigint, * from unnest(
    %(id)s::uuid[], %(program_no)s::bigint[], %(version)s::integer[], %(created_at)s::timestamptz[], %(terms)s::text[])

-- update_reward_lists --
-- only the terms change
update reward_lists set version = new.version, terms = new.terms
from unnest(%(id)s::uuid[], %(version)s::integer[], %(terms)s::text[]) as new (id, version, terms)
where reward_lists.org_id = %(org)s::bigint and reward_lists.id = new.id

-- insert_rewards --
-- new rewards
insert into rewards (org_id, id, list_id, version, created_at, supply, claimed, given, terms)
select %(org)s::bigint, * from unnest(
    %(id)s::uuid[], %(list_id)s::uuid[], %(version)s::integer[], %(created_at)s::timestamptz[], %(supply)s::bigint[],
    %(claimed)s::bigint[], %(given)s::bigint[], %(terms)s::text[])

-- update_rewards --
-- the terms, and how many pieces are out after the whole batch
update rewards set version = new.version, supply = new.supply, claimed = new.claimed, given = new.given, terms = new.terms
from unnest(%(id)s::uuid[], %(version)s::integer[], %(supply)s::bigint[], %(claimed)s::bigint[], %(given)s::bigint[],
            %(terms)s::text[])
    as new (id, version, supply, claimed, given, terms)
where rewards.org_id = %(org)s::bigint and rewards.id = new.id

-- insert_catalogue_versions --
-- every version of lists and rewards, with its time and who made it
insert into catalogue_versions (org_id, kind, id, belongs_to, version, supply, terms, recorded_at, actor)
select %(org)s::bigint, * from unnest(
    %(kind)s::text[], %(id)s::uuid[], %(belongs_to)s::text[], %(version)s::integer[], %(supply)s::bigint[], %(terms)s::text[],
    %(recorded_at)s::timestamptz[], %(actor)s::text[])

-- insert_claims --
-- what was claimed
insert into claims (org_id, id, member_no, program_no, list_id, reward_id, version, event_seq, points, wallet,
                    claimed_at, status, moved_at, reason)
select %(org)s::bigint, * from unnest(
    %(id)s::uuid[], %(member_no)s::bigint[], %(program_no)s::bigint[], %(list_id)s::uuid[], %(reward_id)s::uuid[],
    %(version)s::integer[], %(event_seq)s::bigint[], %(points)s::numeric[], %(wallet)s::bigint[],
    %(claimed_at)s::timestamptz[], %(status)s::text[], %(moved_at)s::timestamptz[], %(reason)s::text[])

-- update_claims --
-- only where the fulfilment stands changes
update claims set status = new.status, moved_at = new.moved_at, reason = new.reason
from unnest(%(id)s::uuid[], %(status)s::text[], %(moved_at)s::timestamptz[], %(reason)s::text[])
    as new (id, status, moved_at, reason)
where claims.org_id = %(org)s::bigint and claims.id = new.id

-- insert_assets --
-- registered assets
insert into assets (org_id, code, scale, created_at)
select %(org)s::bigint, * from unnest(%(code)s::text[], %(scale)s::smallint[], %(created_at)s::timestamptz[])

-- write_programs --
-- programs as they now are
insert into programs (org_id, no, id, ledger_no, code, name, asset, first, version, policies, created_at)
select %(org)s::bigint, * from unnest(
    %(no)s::bigint[], %(id)s::uuid[], %(ledger_no)s::bigint[], %(code)s::text[], %(name)s::text[], %(asset)s::text[],
    %(first)s::boolean[], %(version)s::integer[], %(policies)s::jsonb[], %(created_at)s::timestamptz[])
on conflict (org_id, no) do update
set name = excluded.name, version = excluded.version, policies = excluded.policies

-- write_followed --
-- up to which version all points of programs follow
update programs set followed = new.followed
from unnest(%(no)s::bigint[], %(followed)s::integer[]) as new (no, followed)
where programs.org_id = %(org)s::bigint and programs.no = new.no

-- write_low_pools --
-- whether the pools of programs are low
update programs set pool_low = new.pool_low
from unnest(%(no)s::bigint[], %(pool_low)s::boolean[]) as new (no, pool_low)
where programs.org_id = %(org)s::bigint and programs.no = new.no

-- insert_program_versions --
-- every version of a program's policies, with its time and who made it
insert into program_versions (org_id, program_no, version, policies, starts_at, recorded_at, actor)
select %(org)s::bigint, * from unnest(
    %(program_no)s::bigint[], %(version)s::integer[], %(policies)s::jsonb[], %(starts_at)s::timestamptz[],
    %(recorded_at)s::timestamptz[], %(actor)s::text[])

-- write_stores --
-- stores as they now are
insert into stores (org_id, no, id, code, name, created_at)
select %(org)s::bigint, * from unnest(
    %(no)s::bigint[], %(id)s::uuid[], %(code)s::text[], %(name)s::text[], %(created_at)s::timestamptz[])
on conflict (org_id, no) do update set code = excluded.code, name = excluded.name

-- write_tills --
-- tills as they now are
insert into tills (org_id, no, id, code, name, store_no, program_no, created_at)
select %(org)s::bigint, * from unnest(
    %(no)s::bigint[], %(id)s::uuid[], %(code)s::text[], %(name)s::text[], %(store_no)s::bigint[],
    %(program_no)s::bigint[], %(created_at)s::timestamptz[])
on conflict (org_id, no) do update
set code = excluded.code, name = excluded.name, store_no = excluded.store_no, program_no = excluded.program_no

-- insert_sources --
-- registered channels
insert into sources (org_id, code, created_at)
select %(org)s::bigint, * from unnest(%(code)s::text[], %(created_at)s::timestamptz[])

-- write_promotions --
-- promotions as they now are
insert into promotions (org_id, id, version, status, name, terms, created_at)
select %(org)s::bigint, * from unnest(
    %(id)s::uuid[], %(version)s::integer[], %(status)s::text[], %(name)s::text[], %(terms)s::text[],
    %(created_at)s::timestamptz[])
on conflict (org_id, id) do update
set version = excluded.version, status = excluded.status, name = excluded.name, terms = excluded.terms

-- write_promotion_lanes --
-- how the promotions of lanes go together
insert into promotion_lanes (org_id, number, mode, once)
select %(org)s::bigint, * from unnest(%(number)s::integer[], %(mode)s::text[], %(once)s::boolean[])
on conflict (org_id, number) do update set mode = excluded.mode, once = excluded.once

-- insert_promotion_versions --
-- every version of a promotion, with its time and who made it
insert into promotion_versions (org_id, promotion, version, terms, recorded_at, actor)
select %(org)s::bigint, * from unnest(
    %(promotion)s::uuid[], %(version)s::integer[], %(terms)s::text[], %(recorded_at)s::timestamptz[], %(actor)s::text[])

-- insert_segment_versions --
-- every version of a segment, with its time and who made it
insert into segment_versions (org_id, code, version, name, condition, recorded_at, actor)
select %(org)s::bigint, * from unnest(
    %(code)s::text[], %(version)s::integer[], %(name)s::text[], %(condition)s::text[], %(recorded_at)s::timestamptz[],
    %(actor)s::text[])

-- insert_segment_entries --
-- members put on lists, or taken off
insert into segment_entries (org_id, segment, member_no, version, present, recorded_at, actor)
select %(org)s::bigint, * from unnest(
    %(segment)s::text[], %(member_no)s::bigint[], %(version)s::integer[], %(present)s::boolean[],
    %(recorded_at)s::timestamptz[], %(actor)s::text[])

-- insert_tier_versions --
-- every version of a program's tiers, with its time and who made it
insert into tier_versions (org_id, program_no, version, starts_at, terms, recorded_at, actor)
select %(org)s::bigint, * from unnest(
    %(program_no)s::bigint[], %(version)s::integer[], %(starts_at)s::timestamptz[], %(terms)s::text[],
    %(recorded_at)s::timestamptz[], %(actor)s::text[])

-- write_tier_walks --
-- how far all members were looked at
insert into tier_walks (org_id, program_no, version, walked)
select %(org)s::bigint, * from unnest(%(program_no)s::bigint[], %(version)s::integer[], %(walked)s::bigint[])
on conflict (org_id, program_no, version) do update set walked = excluded.walked

-- insert_standings --
-- members whose tier is kept from now on
insert into standings (org_id, member_no, program_no, version, tier, joined_at, reckoning, reckoned_at, due_at,
                       warned_at)
select %(org)s::bigint, * from unnest(
    %(member_no)s::bigint[], %(program_no)s::bigint[], %(version)s::integer[], %(tier)s::text[],
    %(joined_at)s::timestamptz[], %(reckoning)s::text[], %(reckoned_at)s::timestamptz[], %(due_at)s::timestamptz[],
    %(warned_at)s::timestamptz[])

-- update_standings --
-- how members stand by now
update standings s
set version = new.version, tier = new.tier, joined_at = new.joined_at, reckoning = new.reckoning,
    reckoned_at = new.reckoned_at, due_at = new.due_at, warned_at = new.warned_at
from unnest(
    %(member_no)s::bigint[], %(program_no)s::bigint[], %(version)s::integer[], %(tier)s::text[],
    %(joined_at)s::timestamptz[], %(reckoning)s::text[], %(reckoned_at)s::timestamptz[], %(due_at)s::timestamptz[],
    %(warned_at)s::timestamptz[])
    as new (member_no, program_no, version, tier, joined_at, reckoning, reckoned_at, due_at, warned_at)
where s.org_id = %(org)s::bigint and s.member_no = new.member_no and s.program_no = new.program_no

-- write_promotion_counters --
-- how far limits are used up by now
insert into promotion_counters (org_id, owner, limit_code, subject, period, used, last_at, parts)
select %(org)s::bigint, * from unnest(
    %(owner)s::text[], %(limit_code)s::text[], %(subject)s::text[], %(period)s::text[], %(used)s::numeric[],
    %(last_at)s::timestamptz[], %(parts)s::text[])
on conflict (org_id, owner, limit_code, subject, period) do update
set used = excluded.used, last_at = excluded.last_at, parts = excluded.parts

-- insert_promotion_uses --
-- what promotions gave, or was given back
insert into promotion_uses (org_id, event_seq, position, promotion, version, code, member_no, purchase_no, reference,
                            used_at, times, discount, voucher, points, currency, raises, of_seq, issue)
select %(org)s::bigint, * from unnest(
    %(event_seq)s::bigint[], %(position)s::integer[], %(promotion)s::uuid[], %(version)s::integer[], %(code)s::text[],
    %(member_no)s::bigint[], %(purchase_no)s::bigint[], %(reference)s::text[], %(used_at)s::timestamptz[],
    %(times)s::numeric[], %(discount)s::numeric[], %(voucher)s::numeric[], %(points)s::numeric[],
    %(currency)s::text[], %(raises)s::text[], %(of_seq)s::bigint[], %(issue)s::text[])

-- insert_promotion_commits --
-- carts of shops that keep their own sales
insert into promotion_commits (org_id, id, number, event_seq, member_no, committed_at, lines, division, fingerprint, result)
select %(org)s::bigint, * from unnest(
    %(id)s::uuid[], %(number)s::text[], %(event_seq)s::bigint[], %(member_no)s::bigint[], %(committed_at)s::timestamptz[],
    %(lines)s::text[], %(division)s::text[], %(fingerprint)s::bytea[], %(result)s::text[])

-- insert_cart_returns --
-- such carts and parts of them taken back
insert into cart_returns (org_id, id, number, commit_id, event_seq, member_no, lines, paid, discount, earned, fingerprint,
                          result)
select %(org)s::bigint, * from unnest(
    %(id)s::uuid[], %(number)s::text[], %(commit_id)s::uuid[], %(event_seq)s::bigint[], %(member_no)s::bigint[],
    %(lines)s::text[], %(paid)s::numeric[], %(discount)s::numeric[], %(earned)s::text[], %(fingerprint)s::bytea[],
    %(result)s::text[])

-- update_reservations --
-- only how they ended changes; before new ones of the same carts
update reservations set status = new.status
from unnest(%(id)s::uuid[], %(status)s::text[]) as new (id, status)
where reservations.org_id = %(org)s::bigint and reservations.id = new.id

-- insert_reservations --
-- uses kept for carts
insert into reservations (org_id, id, cart, member_no, status, expires_at, digest, raises)
select %(org)s::bigint, * from unnest(
    %(id)s::uuid[], %(cart)s::text[], %(member_no)s::bigint[], %(status)s::text[], %(expires_at)s::timestamptz[],
    %(digest)s::bytea[], %(raises)s::text[])

-- insert_metadata --
-- every version, with its time and who made it
insert into metadata (org_id, kind, object, version, meta, recorded_at, actor)
select %(org)s::bigint, * from unnest(
    %(kind)s::text[], %(object)s::text[], %(version)s::integer[], %(meta)s::text[], %(recorded_at)s::timestamptz[],
    %(actor)s::text[])

-- insert_code_batches --
-- new batches of codes
insert into code_batches (org_id, id, promotion, kind, name, partner, channel, form, seed, created_at, actor, wanted, made,
                          next_index)
select %(org)s::bigint, * from unnest(
    %(id)s::uuid[], %(promotion)s::uuid[], %(kind)s::text[], %(name)s::text[], %(partner)s::text[], %(channel)s::text[],
    %(form)s::text[], %(seed)s::bytea[], %(created_at)s::timestamptz[], %(actor)s::text[], %(wanted)s::bigint[],
    %(made)s::bigint[], %(next_index)s::bigint[])

-- update_code_batches --
-- how far they went
update code_batches set wanted = new.wanted, made = new.made, next_index = new.next_index
from unnest(%(id)s::uuid[], %(wanted)s::bigint[], %(made)s::bigint[], %(next_index)s::bigint[])
    as new (id, wanted, made, next_index)
where code_batches.org_id = %(org)s::bigint and code_batches.id = new.id

-- insert_codes --
-- new codes
insert into codes (org_id, code, batch, no)
select %(org)s::bigint, * from unnest(%(code)s::text[], %(batch)s::uuid[], %(no)s::bigint[])

-- insert_code_switches --
-- batches and codes that were put out of force or back
insert into code_switches (org_id, batch, code, version, active, reason, recorded_at, actor)
select %(org)s::bigint, * from unnest(
    %(batch)s::uuid[], %(code)s::text[], %(version)s::integer[], %(active)s::boolean[], %(reason)s::text[],
    %(recorded_at)s::timestamptz[], %(actor)s::text[])

-- insert_issues --
-- promotions given to members
insert into promotion_issues (org_id, id, promotion, member_no, issued_at, starts_at, ends_at, activation, days, reason,
                              actor)
select %(org)s::bigint, * from unnest(
    %(id)s::uuid[], %(promotion)s::uuid[], %(member_no)s::bigint[], %(issued_at)s::timestamptz[],
    %(starts_at)s::timestamptz[], %(ends_at)s::timestamptz[], %(activation)s::boolean[], %(days)s::integer[],
    %(reason)s::text[], %(actor)s::text[])

-- insert_issue_moves --
-- what was done to them
insert into promotion_issue_moves (org_id, issue, done, moved_at, ends_at, actor)
select %(org)s::bigint, * from unnest(
    %(issue)s::uuid[], %(done)s::text[], %(moved_at)s::timestamptz[], %(ends_at)s::timestamptz[], %(actor)s::text[])

-- insert_code_links --
-- codes that became a member's
insert into code_links (org_id, code, id, member_no, mode, linked_at, actor)
select %(org)s::bigint, * from unnest(
    %(code)s::text[], %(id)s::uuid[], %(member_no)s::bigint[], %(mode)s::text[], %(linked_at)s::timestamptz[],
    %(actor)s::text[])

-- insert_api_keys --
-- new keys; scopes are the texts of arrays, since unnest would flatten arrays of arrays
insert into api_keys (org_id, id, name, owner, scopes, hash, created_at, expires_at, revoked_at)
select %(org)s::bigint, new.id, new.name, new.owner, new.scopes::text[], new.hash, new.created_at, new.expires_at,
       new.revoked_at
from unnest(%(id)s::uuid[], %(name)s::text[], %(owner)s::text[], %(scopes)s::text[], %(hash)s::bytea[],
            %(created_at)s::timestamptz[], %(expires_at)s::timestamptz[], %(revoked_at)s::timestamptz[])
    as new (id, name, owner, scopes, hash, created_at, expires_at, revoked_at)

-- update_api_keys --
-- only the end of a key changes
update api_keys set expires_at = new.expires_at, revoked_at = new.revoked_at
from unnest(%(id)s::uuid[], %(expires_at)s::timestamptz[], %(revoked_at)s::timestamptz[])
    as new (id, expires_at, revoked_at)
where api_keys.org_id = %(org)s::bigint and api_keys.id = new.id

-- insert_webhooks --
-- new endpoints; filters are the texts of arrays, since unnest would flatten arrays of arrays
insert into webhooks (org_id, id, url, description, filters, status, reason, generation, old_until, replays, start_seq,
                      created_at, active_since)
select %(org)s::bigint, new.id, new.url, new.description, new.filters::text[], new.status, new.reason, new.generation,
       new.old_until, new.replays, new.start_seq, new.created_at, new.active_since
from unnest(%(id)s::uuid[], %(url)s::text[], %(description)s::text[], %(filters)s::text[], %(status)s::text[],
            %(reason)s::text[], %(generation)s::integer[], %(old_until)s::timestamptz[], %(replays)s::integer[],
            %(start_seq)s::bigint[], %(created_at)s::timestamptz[], %(active_since)s::timestamptz[])
    as new (id, url, description, filters, status, reason, generation, old_until, replays, start_seq, created_at,
            active_since)

-- update_webhooks --
-- all of an endpoint but when it was made
update webhooks
set url = new.url, description = new.description, filters = new.filters::text[], status = new.status,
    reason = new.reason, generation = new.generation, old_until = new.old_until, replays = new.replays,
    start_seq = new.start_seq, active_since = new.active_since
from unnest(%(id)s::uuid[], %(url)s::text[], %(description)s::text[], %(filters)s::text[], %(status)s::text[],
            %(reason)s::text[], %(generation)s::integer[], %(old_until)s::timestamptz[], %(replays)s::integer[],
            %(start_seq)s::bigint[], %(active_since)s::timestamptz[])
    as new (id, url, description, filters, status, reason, generation, old_until, replays, start_seq, active_since)
where webhooks.org_id = %(org)s::bigint and webhooks.id = new.id

-- insert_outcomes --
-- what was asked and answered under an idempotency key
insert into outcomes (org_id, actor, key, fingerprint, answer, recorded_at)
select %(org)s::bigint, * from unnest(
    %(actor)s::text[], %(key)s::text[], %(fingerprint)s::bytea[], %(answer)s::text[], %(recorded_at)s::timestamptz[])

-- update_head --
-- the organisation's last numbers and the end of its chain
update heads
set config_version = config_version + %(configured)s::bigint, last_recorded_at = %(last_recorded_at)s::timestamptz,
    last_hash = %(last_hash)s::bytea, seq = %(seq)s::bigint, ledger_no = %(ledger)s::bigint,
    account_no = %(account)s::bigint, lot_no = %(lot)s::bigint, member_no = %(member)s::bigint,
    purchase_no = %(purchase)s::bigint, return_no = %(return)s::bigint, redemption_no = %(redemption)s::bigint,
    config_no = %(config)s::bigint, mark = nullif(%(mark)s::text, '')::uuid
where org_id = %(org)s::bigint
