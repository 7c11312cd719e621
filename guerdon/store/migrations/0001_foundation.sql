-- The whole schema as it stands, but for the tables of the job queue, which are procrastinate's own and stand in
-- migrations/0002_jobs.sql. A test proves that the migrations lead here.
-- Every table but the named exceptions (organisations, api_keys) belongs to an organisation, leads with org_id and is
-- under forced row level security. No foreign keys and no row triggers: `guerdon verify` proves what they would have.

create table organisations (
    org_id bigint generated always as identity primary key,
    id uuid not null unique,
    code text not null unique,
    name text not null,
    timezone text not null default 'UTC',
    created_at timestamptz not null default now()
);

-- Looked up before the organisation is known. Holds hashes only.
create table api_keys (
    id uuid primary key,
    org_id bigint not null,
    name text not null,
    owner text not null,
    scopes text[] not null,
    hash bytea not null unique,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);
create index api_keys_of_owner on api_keys (org_id, owner);

-- The organisation's only lock, its last numbers and the end of its hash chain. `mark` is what the last batch left that
-- made neither event nor transfer, by which its commit is recognised.
create table heads (
    org_id bigint primary key,
    config_version bigint not null default 0,
    last_recorded_at timestamptz not null default '1970-01-01T00:00:00Z',
    last_hash bytea not null default '\x0000000000000000000000000000000000000000000000000000000000000000',
    seq bigint not null default 0,
    ledger_no bigint not null default 0,
    account_no bigint not null default 0,
    lot_no bigint not null default 0,
    member_no bigint not null default 0,
    purchase_no bigint not null default 0,
    return_no bigint not null default 0,
    redemption_no bigint not null default 0,
    config_no bigint not null default 0,
    mark uuid
) with (fillfactor = 50);

-- configuration -------------------------------------------------------------------------------------------------------

create table assets (
    org_id bigint not null,
    code text not null,
    scale smallint not null check (scale between 0 and 18),
    created_at timestamptz not null,
    primary key (org_id, code)
);

create table programs (
    org_id bigint not null,
    no bigint not null,
    id uuid not null,
    ledger_no bigint not null,
    code text not null,
    name text not null,
    asset text not null,
    first boolean not null,
    version integer not null,
    policies jsonb not null,
    created_at timestamptz not null,
    followed integer not null default 0,  -- up to which version all points follow those that are to be followed
    pool_low boolean not null default false,  -- told since its mark was set, and not filled since
    primary key (org_id, no),
    unique (org_id, id),
    unique (org_id, code)
);

create table program_versions (
    org_id bigint not null,
    program_no bigint not null,
    version integer not null,
    policies jsonb not null,
    starts_at timestamptz not null,  -- unless a later version is made before that and starts no later
    recorded_at timestamptz not null,
    actor text not null,
    primary key (org_id, program_no, version)
);

create table stores (
    org_id bigint not null,
    no bigint not null,
    id uuid not null,
    code text not null,
    name text not null,
    created_at timestamptz not null,
    primary key (org_id, no),
    unique (org_id, id),
    unique (org_id, code)
);

create table tills (
    org_id bigint not null,
    no bigint not null,
    id uuid not null,
    code text not null,
    name text not null,
    store_no bigint not null,
    program_no bigint not null,
    created_at timestamptz not null,
    primary key (org_id, no),
    unique (org_id, id),
    unique (org_id, code)
);

create table sources (
    org_id bigint not null,
    code text not null,
    created_at timestamptz not null,
    primary key (org_id, code)
);

-- Promotions as they now are, and every version that ever was. `terms` is the whole record as JSON text.
create table promotions (
    org_id bigint not null,
    id uuid not null,
    version integer not null,
    status text not null,
    name text not null,
    terms text not null,
    created_at timestamptz not null,
    primary key (org_id, id)
);

-- How the promotions of a lane go together; a lane that is not here stacks.
create table promotion_lanes (
    org_id bigint not null,
    number integer not null,
    mode text not null,
    once boolean not null,
    primary key (org_id, number)
);

create table promotion_versions (
    org_id bigint not null,
    promotion uuid not null,
    version integer not null,
    terms text not null,
    recorded_at timestamptz not null,
    actor text not null,
    primary key (org_id, promotion, version)
);

-- The tiers of programs, every version of them.
create table tier_versions (
    org_id bigint not null,
    program_no bigint not null,
    version integer not null,
    starts_at timestamptz not null,
    terms text not null,
    recorded_at timestamptz not null,
    actor text not null,
    primary key (org_id, program_no, version)
);

-- Segments, every version of them; without a condition it is a list.
create table segment_versions (
    org_id bigint not null,
    code text not null,
    version integer not null,
    name text not null,
    condition text,
    recorded_at timestamptz not null,
    actor text not null,
    primary key (org_id, code, version)
);

-- members -------------------------------------------------------------------------------------------------------------

create table members (
    org_id bigint not null,
    no bigint not null,
    id uuid not null,
    status text not null,
    enrolled boolean not null,
    registered_at timestamptz not null,
    survivor_no bigint not null default 0,
    primary key (org_id, no),
    unique (org_id, id)
);
create index members_merged on members (org_id, survivor_no) where survivor_no > 0;

create table member_identifiers (
    org_id bigint not null,
    kind text not null,
    value text not null,
    member_no bigint not null,
    alias boolean not null default false,
    primary key (org_id, kind, value)
);
create index identifiers_of_member on member_identifiers (org_id, member_no);

-- Personal data stands apart, so that erasing it leaves the ledger whole.
create table member_profiles (
    org_id bigint not null,
    member_no bigint not null,
    profile jsonb not null,
    primary key (org_id, member_no)
);

-- the ledger ----------------------------------------------------------------------------------------------------------

create table ledgers (
    org_id bigint not null,
    no bigint not null,
    id uuid not null,
    name text not null,
    opened_at timestamptz not null,
    primary key (org_id, no),
    unique (org_id, id)
);

create table accounts (
    org_id bigint not null,
    no bigint not null,
    id uuid not null,
    ledger_no bigint not null,
    asset text not null,
    indicator text not null default '',
    member_no bigint not null default 0,
    program_no bigint not null default 0,
    category text not null default '',
    role text not null default '',
    tracks_lots boolean not null default false,
    opened_at timestamptz not null,
    options text not null default '',
    primary key (org_id, no),
    unique (org_id, id)
);
create unique index accounts_indicator on accounts (org_id, indicator, asset) where indicator <> '';
create index accounts_of_member on accounts (org_id, member_no) where member_no > 0;
create index accounts_of_program on accounts (org_id, program_no) where role <> '';

-- An account's changing figures: narrow rows, no index on anything that changes.
create table figures (
    org_id bigint not null,
    account_no bigint not null,
    credit numeric(38, 0) not null,
    debit numeric(38, 0) not null,
    inflight_credit numeric(38, 0) not null,
    inflight_debit numeric(38, 0) not null,
    version bigint not null,
    floor numeric(38, 0),
    primary key (org_id, account_no),
    constraint figures_not_negative check (
        credit >= 0 and debit >= 0 and inflight_credit >= 0 and inflight_debit >= 0
    ),
    constraint figures_above_floor check (floor is null or credit - debit - inflight_debit >= floor)
) with (fillfactor = 50);

-- One immutable row per outcome. It carries both sides, so conservation holds by construction.
create table transfers (
    org_id bigint not null,
    seq bigint not null,
    id uuid not null,
    event_seq bigint not null,
    action text not null check (action in ('apply', 'hold', 'settle', 'release', 'reject', 'schedule')),
    source bigint not null,
    destination bigint not null,
    asset text not null,
    amount numeric(38, 0) not null check (amount > 0),
    source_version bigint,
    destination_version bigint,
    source_balance numeric(38, 0),
    destination_balance numeric(38, 0),
    recorded_at timestamptz not null,
    effective_at timestamptz,
    reference text,
    request_id uuid,
    request_reference text,
    parent uuid,
    detail text,
    hash bytea not null,
    primary key (org_id, seq),
    unique (org_id, id),
    unique (org_id, source, source_version),
    unique (org_id, destination, destination_version),
    constraint transfers_two_accounts check (source <> destination)
);
create unique index transfers_reference on transfers (org_id, reference) where reference is not null;
create index transfers_request_reference on transfers (org_id, request_reference) where request_reference is not null;
create index transfers_request on transfers (org_id, request_id) where request_id is not null;
create index transfers_parent on transfers (org_id, parent) where parent is not null;
-- What counts from another time than it was recorded, read without its rows: balances by effective time.
create index transfers_source_dated on transfers (org_id, source, effective_at) include (seq, amount)
    where effective_at is not null and action in ('apply', 'settle');
create index transfers_destination_dated on transfers (org_id, destination, effective_at) include (seq, amount)
    where effective_at is not null and action in ('apply', 'settle');

-- Rows are only ever added: seen by vacuum every 1 %, so that what an index holds is read without them.
alter table transfers set (autovacuum_vacuum_insert_scale_factor = 0.01);

-- Both sides of everything applied, signed.
create view entries with (security_invoker = true) as
    select org_id, seq, event_seq, source as account_no, source_version as version, -amount as amount,
           source_balance as balance, asset, recorded_at, coalesce(effective_at, recorded_at) as effective_at
    from transfers where action in ('apply', 'settle')
    union all
    select org_id, seq, event_seq, destination, destination_version, amount,
           destination_balance, asset, recorded_at, coalesce(effective_at, recorded_at)
    from transfers where action in ('apply', 'settle');

create table events (
    org_id bigint not null,
    seq bigint not null,
    id uuid not null,
    name text not null,
    member_no bigint not null,
    event_at timestamptz not null,
    recorded_at timestamptz not null,
    transfers integer not null,
    points numeric(38, 0) not null,
    mirrors bigint not null,
    source text not null,
    store_no bigint not null,
    till_no bigint not null,
    program_no bigint not null,
    purchase_no bigint not null,
    reference text not null,
    actor text not null,
    reason text not null,
    entries integer not null,
    body text not null,
    lot_moves text not null,
    hash bytea not null,
    primary key (org_id, seq),
    unique (org_id, id)
);
-- Every filter of the points ledger is in it, so that the rarest of a member's events is found without the others' rows.
create index events_of_member on events (org_id, member_no, seq)
    include (entries, name, source, store_no, till_no, program_no, recorded_at, event_at);

alter table events set (autovacuum_vacuum_insert_scale_factor = 0.01);

-- projections: verify rebuilds each of these from the rows above ------------------------------------------------------

create table holds (
    org_id bigint not null,
    seq bigint not null,
    transfer_id uuid not null,
    remaining numeric(38, 0) not null check (remaining >= 0),
    released boolean not null,
    expires_at timestamptz,
    commits_at timestamptz,
    pins jsonb not null,
    primary key (org_id, seq)
);
create index holds_due on holds (org_id, least(expires_at, commits_at)) where remaining > 0;

create table scheduled (
    org_id bigint not null,
    seq bigint not null,
    transfer_id uuid not null,
    due_at timestamptz not null,
    done boolean not null,
    request text not null,
    primary key (org_id, seq)
);
create index scheduled_due on scheduled (org_id, due_at) where not done;

create table lots (
    org_id bigint not null,
    no bigint not null,
    account bigint not null,
    event_seq bigint not null,
    amount numeric(38, 0) not null check (amount > 0),
    remaining numeric(38, 0) not null check (remaining >= 0),
    redeemed numeric(38, 0) not null check (redeemed >= 0),
    returned numeric(38, 0) not null check (returned >= 0),
    expired numeric(38, 0) not null check (expired >= 0),
    held numeric(38, 0) not null check (held >= 0 and held <= remaining),
    written_off numeric(38, 0) not null default 0 check (written_off >= 0),
    earned_at timestamptz not null,
    expires_at timestamptz,
    rule text not null,
    version integer not null,
    line integer,
    purchase_no bigint not null,
    releases_at timestamptz,
    promise text not null default '',
    primary key (org_id, no),
    constraint lots_add_up check (amount = remaining + redeemed + returned + expired)
) with (fillfactor = 80);
create index lots_open on lots (org_id, account, expires_at, no) where remaining > 0;
create index lots_due on lots (org_id, expires_at) where remaining > 0 and expires_at is not null;
create index lots_promised on lots (org_id, account, releases_at, no) where remaining > 0 and releases_at is not null;
create index lots_releasing on lots (org_id, releases_at) where remaining > 0 and releases_at is not null;
create index lots_billed on lots (org_id, purchase_no) where purchase_no > 0;

-- What members have sent to others, per calendar day and month.
create table sent (
    org_id bigint not null,
    member_no bigint not null,
    program_no bigint not null,
    period text not null,
    points numeric(38, 0) not null,
    count bigint not null,
    primary key (org_id, member_no, program_no, period)
) with (fillfactor = 50);

create table referrals (
    org_id bigint not null,
    id uuid not null,
    referrer_no bigint not null,
    referred_no bigint not null,
    program_no bigint not null,
    referrer_event bigint not null,
    referred_event bigint not null,
    taken_back boolean not null,
    primary key (org_id, id),
    unique (org_id, referred_no)
);

-- How far each limit of each promotion is used up: the sum of what the uses say, and what is held for a time.
create table promotion_counters (
    org_id bigint not null,
    owner text not null,
    limit_code text not null,
    subject text not null,
    period text not null,
    used numeric(38, 0) not null check (used >= 0),
    last_at timestamptz,
    parts text not null,
    primary key (org_id, owner, limit_code, subject, period)
) with (fillfactor = 50);

-- How members stand in the tiers of programs: where their deeds lead, and which tier they were told last.
create table standings (
    org_id bigint not null,
    member_no bigint not null,
    program_no bigint not null,
    version integer not null,
    tier text not null,
    joined_at timestamptz not null,
    reckoning text not null,
    reckoned_at timestamptz not null,
    due_at timestamptz,
    warned_at timestamptz,
    primary key (org_id, member_no, program_no)
) with (fillfactor = 80);
create index standings_due on standings (org_id, due_at) where due_at is not null;

-- How far all members were looked at since a version of the tiers began. Work to be done, not history.
create table tier_walks (
    org_id bigint not null,
    program_no bigint not null,
    version integer not null,
    walked bigint not null,
    primary key (org_id, program_no, version)
);

-- Uses that are kept free for a cart until it is bought, cancelled, evaluated again or too late.
create table reservations (
    org_id bigint not null,
    id uuid not null,
    cart text not null,
    member_no bigint not null,
    status text not null check (status in ('open', 'used', 'cancelled', 'replaced')),
    expires_at timestamptz not null,
    digest bytea not null,
    raises text not null,
    primary key (org_id, id)
) with (fillfactor = 80);
create unique index reservations_of_cart on reservations (org_id, cart) where status = 'open' and cart <> '';

-- Codes of a promotion that were made together: with what they are made from, and how far that went.
create table code_batches (
    org_id bigint not null,
    id uuid not null,
    promotion uuid not null,
    kind text not null check (kind in ('generated', 'uploaded')),
    name text not null,
    partner text not null,
    channel text not null,
    form text not null,
    seed bytea not null,
    created_at timestamptz not null,
    actor text not null,
    wanted bigint not null,
    made bigint not null check (made between 0 and wanted),
    next_index bigint not null check (next_index >= 0),
    primary key (org_id, id)
);
create index batches_of_promotion on code_batches (org_id, promotion, id);
create index batches_to_make on code_batches (org_id) where made < wanted and kind = 'generated';

-- Tries of callers who may not know whether a code exists. No business data: it may be emptied at any time.
create table code_guesses (
    org_id bigint not null,
    caller text not null,
    tries bigint not null,
    since timestamptz not null,
    primary key (org_id, caller)
) with (fillfactor = 50);
create index guesses_since on code_guesses (org_id, since);

-- facts ---------------------------------------------------------------------------------------------------------------

-- Every code, as it is compared: number `no` of its batch.
create table codes (
    org_id bigint not null,
    batch uuid not null,
    no bigint not null,
    code text collate "C" not null,
    primary key (org_id, batch, no),
    unique (org_id, code)
);

-- Whether a batch (code '') or one code of it is in force: the highest version counts, none is in force.
create table code_switches (
    org_id bigint not null,
    batch uuid not null,
    code text collate "C" not null,
    version integer not null,
    active boolean not null,
    reason text not null,
    recorded_at timestamptz not null,
    actor text not null,
    primary key (org_id, batch, code, version)
);

-- Codes that are one member's, for good.
create table code_links (
    org_id bigint not null,
    code text collate "C" not null,
    id uuid not null,
    member_no bigint not null,
    mode text not null,
    linked_at timestamptz not null,
    actor text not null,
    primary key (org_id, code)
);
create index links_of_member on code_links (org_id, member_no, linked_at);

-- Promotions given to members, and what was done to them, each once.
create table promotion_issues (
    org_id bigint not null,
    id uuid not null,
    promotion uuid not null,
    member_no bigint not null,
    issued_at timestamptz not null,
    starts_at timestamptz,
    ends_at timestamptz,
    activation boolean not null,
    days integer,
    reason text not null,
    actor text not null,
    primary key (org_id, id)
);
create index issues_of_member on promotion_issues (org_id, member_no, id);
create index issues_of_promotion on promotion_issues (org_id, promotion, id);

create table promotion_issue_moves (
    org_id bigint not null,
    issue uuid not null,
    done text not null,
    moved_at timestamptz not null,
    ends_at timestamptz,
    actor text not null,
    primary key (org_id, issue, done),
    check (done in ('activated', 'revoked'))
);

-- What promotions gave: by event, and the place in it. A row with `of_seq` gives back the use of that event and place.
-- `raises` says which counters it raised by how much.
create table promotion_uses (
    org_id bigint not null,
    event_seq bigint not null,
    position integer not null,
    promotion uuid not null,
    version integer not null,
    code text not null,
    member_no bigint not null,
    purchase_no bigint not null,
    reference text not null,
    used_at timestamptz not null,
    times numeric(38, 0) not null,
    discount numeric(38, 0) not null,
    voucher numeric(38, 0) not null,
    points numeric(38, 0) not null,
    currency text not null,
    raises text not null,
    of_seq bigint not null,
    issue text not null,
    primary key (org_id, event_seq, position)
);
create index uses_of_promotion on promotion_uses (org_id, promotion, event_seq, position);
create index uses_of_code on promotion_uses (org_id, code, event_seq, position) where code <> '';
create index uses_of_issue on promotion_uses (org_id, issue, event_seq, position) where issue <> '';
create index uses_of_purchase on promotion_uses (org_id, purchase_no) where purchase_no > 0;

-- Whether a member is on a list: the highest version counts, none is not on it.
create table segment_entries (
    org_id bigint not null,
    segment text not null,
    member_no bigint not null,
    version integer not null,
    present boolean not null,
    recorded_at timestamptz not null,
    actor text not null,
    primary key (org_id, segment, member_no, version)
);
create index entries_of_member on segment_entries (org_id, member_no, segment, version);

-- Carts of shops that keep their own sales, by the number of the sale.
create table promotion_commits (
    org_id bigint not null,
    id uuid not null,
    number text not null,
    event_seq bigint not null,
    member_no bigint not null,
    committed_at timestamptz not null,
    lines text not null,
    division text not null,
    fingerprint bytea not null,
    result text not null,
    primary key (org_id, id),
    unique (org_id, number)
);

-- What of these was taken back.
create table cart_returns (
    org_id bigint not null,
    id uuid not null,
    number text not null,
    commit_id uuid not null,
    event_seq bigint not null,
    member_no bigint not null,
    lines text not null,
    paid numeric(38, 0) not null,
    discount numeric(38, 0) not null,
    earned text not null,
    fingerprint bytea not null,
    result text not null,
    primary key (org_id, id),
    unique (org_id, number)
);
create index returns_of_commit on cart_returns (org_id, commit_id, event_seq);


create table purchases (
    org_id bigint not null,
    no bigint not null,
    id uuid not null,
    number text not null,
    member_no bigint not null,
    event_seq bigint not null,
    event_at timestamptz not null,
    recorded_at timestamptz not null,
    currency text not null,
    amount numeric(38, 0) not null,
    paid numeric(38, 0) not null,
    spent_points numeric(38, 0) not null,
    redemption_id uuid,
    source text not null,
    store_no bigint not null,
    till_no bigint not null,
    lines text not null,
    shares text not null,
    division text not null,
    tenders text not null,
    fingerprint bytea not null,
    result text not null,
    meta text not null,
    program_no bigint not null default 0,
    primary key (org_id, no),
    unique (org_id, id),
    unique (org_id, number)
);
create index purchases_of_member on purchases (org_id, member_no, no);

create table purchase_returns (
    org_id bigint not null,
    no bigint not null,
    id uuid not null,
    number text not null,
    purchase_no bigint not null,
    member_no bigint not null,
    event_seq bigint not null,
    event_at timestamptz not null,
    recorded_at timestamptz not null,
    lines text not null,
    amount numeric(38, 0) not null,
    paid numeric(38, 0) not null,
    spent numeric(38, 0) not null,
    earned text not null,
    fingerprint bytea not null,
    result text not null,
    primary key (org_id, no),
    unique (org_id, id),
    unique (org_id, number)
);
create index returns_of_purchase on purchase_returns (org_id, purchase_no);

create table redemptions (
    org_id bigint not null,
    id uuid not null,
    no bigint not null,
    member_no bigint not null,
    program_no bigint not null,
    event_seq bigint not null,
    purchase_no bigint not null,
    points numeric(38, 0) not null,
    reversed numeric(38, 0) not null check (reversed >= 0 and reversed <= points),
    reference text not null,
    event_at timestamptz not null,
    fingerprint bytea not null,
    result text not null,
    primary key (org_id, id)
);
create unique index redemptions_reference on redemptions (org_id, reference) where reference <> '';
create index redemptions_of_member on redemptions (org_id, member_no, no);

-- Rows of imports that were taken, by their natural reference.
create table imported (
    org_id bigint not null,
    kind text not null,
    reference text not null,
    event_seq bigint not null,
    fingerprint bytea not null,
    result text not null,
    primary key (org_id, kind, reference)
);

-- Imports asked for over the API: work to be done, not history. The rows they bring are in `imported`.
create table imports (
    org_id bigint not null,
    id uuid not null,
    kind text not null,
    program text not null,
    actor text not null,
    key text,
    fingerprint bytea not null,
    content text not null,
    rows integer not null,
    created_at timestamptz not null,
    finished_at timestamptz,
    primary key (org_id, id),
    unique (org_id, actor, key)
);

create table import_results (
    org_id bigint not null,
    import_id uuid not null,
    row integer not null,
    status text not null,
    code text not null,
    field text not null,
    detail text not null,
    event_seq bigint not null,
    primary key (org_id, import_id, row)
);

-- Backtests asked for over the API, and what they found: work to be done, not history. `asked` and `report` are JSON.
create table backtests (
    org_id bigint not null,
    id uuid not null,
    name text not null,
    actor text not null,
    key text,
    fingerprint bytea not null,
    asked text not null,
    status text not null,
    done bigint not null default 0,
    total bigint not null default 0,
    report text not null default '',
    created_at timestamptz not null,
    finished_at timestamptz,
    primary key (org_id, id),
    unique (org_id, actor, key),
    check (status in ('waiting', 'running', 'finished', 'cancelled', 'failed'))
);

-- Points corrected by hand: what was asked, and what a second person decided where it needed one.
create table adjustments (
    org_id bigint not null,
    id uuid not null,
    member_no bigint not null,
    program_no bigint not null,
    points numeric(38, 0) not null,
    reason text not null,
    actor text not null,
    person text not null,
    recorded_at timestamptz not null,
    expires_at timestamptz,
    event_seq bigint not null,
    primary key (org_id, id)
);
create index adjustments_of_member on adjustments (org_id, member_no, id);
create index adjustments_waiting on adjustments (org_id, expires_at) where expires_at is not null;

create table adjustment_decisions (
    org_id bigint not null,
    adjustment_id uuid not null,
    approved boolean not null,
    reason text not null,
    actor text not null,
    person text not null,
    recorded_at timestamptz not null,
    event_seq bigint not null,
    primary key (org_id, adjustment_id)
);

-- Rewards in lists, as they stand; how many pieces are out follows from the claims.
create table reward_lists (
    org_id bigint not null,
    id uuid not null,
    program_no bigint not null,
    version integer not null,
    created_at timestamptz not null,
    terms text not null,
    primary key (org_id, id)
);

create table rewards (
    org_id bigint not null,
    id uuid not null,
    list_id uuid not null,
    version integer not null,
    created_at timestamptz not null,
    supply bigint,
    claimed bigint not null check (claimed >= 0),
    given bigint not null check (given >= 0),
    terms text not null,
    primary key (org_id, id),
    constraint rewards_in_stock check (claimed <= supply)
) with (fillfactor = 50);
create index rewards_of_list on rewards (org_id, list_id, id);

create table catalogue_versions (
    org_id bigint not null,
    kind text not null,
    id uuid not null,
    belongs_to text not null,
    version integer not null,
    supply bigint,
    terms text not null,
    recorded_at timestamptz not null,
    actor text not null,
    primary key (org_id, id, version)
);

-- What was claimed never changes; where its fulfilment stands follows from the events.
create table claims (
    org_id bigint not null,
    id uuid not null,
    member_no bigint not null,
    program_no bigint not null,
    list_id uuid not null,
    reward_id uuid not null,
    version integer not null,
    event_seq bigint not null,
    points numeric(38, 0) not null check (points >= 0),
    wallet bigint not null,
    claimed_at timestamptz not null,
    status text not null check (status in ('pending', 'processing', 'completed', 'denied', 'cancelled')),
    moved_at timestamptz not null,
    reason text not null,
    primary key (org_id, id)
) with (fillfactor = 80);
create index claims_of_member on claims (org_id, member_no, id);
create index claims_open on claims (org_id, id) where status in ('pending', 'processing');

create table metadata (
    org_id bigint not null,
    kind text not null,
    object text not null,
    version integer not null,
    meta text not null,
    recorded_at timestamptz not null,
    actor text not null,
    primary key (org_id, kind, object, version)
);

-- Per credential and idempotency key, for ever: what was asked and what was answered.
create table outcomes (
    org_id bigint not null,
    actor text not null,
    key text not null,
    fingerprint bytea not null,
    answer text not null,
    recorded_at timestamptz not null,
    primary key (org_id, actor, key)
);

-- events out ----------------------------------------------------------------------------------------------------------

-- Where events are sent. Secrets are derived, not stored.
create table webhooks (
    org_id bigint not null,
    id uuid not null,
    url text not null,
    description text not null,
    filters text[] not null,
    status text not null,
    reason text not null,
    generation integer not null,
    old_until timestamptz,
    replays integer not null,
    start_seq bigint not null,
    created_at timestamptz not null,
    active_since timestamptz not null,
    primary key (org_id, id)
);

-- How far an endpoint has come, who relays it at the moment, and whether anything gets through.
create table webhook_cursors (
    org_id bigint not null,
    webhook_id uuid not null,
    replays integer not null,
    seq bigint not null,
    holder uuid,
    held_until timestamptz not null default '-infinity',
    next_at timestamptz,
    failures bigint not null default 0,
    failing_since timestamptz,
    last_success_at timestamptz,
    primary key (org_id, webhook_id)
) with (fillfactor = 50);

-- Members who are behind the cursor: all of theirs up to `seq` is done, what follows waits until `next_at`.
create table webhook_behind (
    org_id bigint not null,
    webhook_id uuid not null,
    member_no bigint not null,
    seq bigint not null,
    attempts integer not null,
    failed_since timestamptz,
    next_at timestamptz not null,
    primary key (org_id, webhook_id, member_no)
);
create index webhook_behind_due on webhook_behind (org_id, webhook_id, next_at);

-- One row for each attempt, for some weeks.
create table webhook_deliveries (
    org_id bigint not null,
    webhook_id uuid not null,
    no bigint generated by default as identity,
    event_seq bigint not null,
    message_id uuid not null,
    message_type text not null,
    attempt integer not null,
    outcome text not null,
    status integer not null,
    sent_at timestamptz not null,
    duration_ms integer not null,
    answer text not null,
    primary key (org_id, webhook_id, no)
);
create index webhook_deliveries_of_event on webhook_deliveries (org_id, webhook_id, event_seq);
create index webhook_deliveries_by_age on webhook_deliveries (org_id, sent_at);

-- what may change and what may not ------------------------------------------------------------------------------------

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'history is never rewritten: % on % refused', tg_op, tg_table_name
        using errcode = 'integrity_constraint_violation';
end
$$;

do $$
declare
    name text;
begin
    foreach name in array array['transfers', 'events', 'purchases', 'purchase_returns', 'imported', 'adjustments',
                                'adjustment_decisions', 'catalogue_versions', 'metadata', 'outcomes',
                                'program_versions', 'tier_versions', 'promotion_versions', 'promotion_uses',
                                'promotion_commits', 'cart_returns', 'codes', 'code_switches', 'code_links',
                                'promotion_issues', 'promotion_issue_moves', 'segment_versions', 'segment_entries'] loop
        execute format('create trigger append_only before update or delete or truncate on %I
                        for each statement execute function refuse_change()', name);
        execute format('grant select, insert on %I to guerdon_app', name);
    end loop;

    foreach name in array array['heads', 'assets', 'programs', 'stores', 'tills', 'sources', 'members', 'ledgers',
                                'accounts', 'figures', 'holds', 'scheduled', 'lots', 'sent', 'referrals',
                                'redemptions', 'reward_lists', 'rewards', 'claims', 'imports', 'webhooks',
                                'backtests', 'webhook_cursors', 'promotions', 'promotion_counters', 'promotion_lanes',
                                'reservations', 'code_batches', 'standings', 'tier_walks'] loop
        execute format('grant select, insert, update on %I to guerdon_app', name);
    end loop;

    foreach name in array array['member_identifiers', 'member_profiles', 'webhook_behind', 'webhook_deliveries',
                                'code_guesses'] loop
        execute format('grant select, insert, update, delete on %I to guerdon_app', name);
    end loop;
    grant delete on members to guerdon_app;
    grant select, insert on import_results to guerdon_app;
    grant select, insert on organisations to guerdon_app;
    grant select, insert, update on api_keys to guerdon_app;
    grant select on entries to guerdon_app;

    foreach name in array array['heads', 'assets', 'programs', 'program_versions', 'stores', 'tills', 'sources',
                                'members', 'member_identifiers', 'member_profiles', 'ledgers', 'accounts', 'figures',
                                'transfers', 'events', 'holds', 'scheduled', 'lots', 'sent', 'referrals', 'purchases',
                                'purchase_returns', 'redemptions', 'adjustments', 'adjustment_decisions', 'imported',
                                'imports', 'import_results', 'backtests', 'reward_lists', 'rewards', 'catalogue_versions', 'claims',
                                'metadata', 'outcomes', 'webhooks', 'webhook_cursors', 'webhook_behind',
                                'webhook_deliveries', 'promotions', 'promotion_versions', 'promotion_counters',
                                'promotion_lanes', 'reservations', 'promotion_uses', 'promotion_commits', 'cart_returns',
                                'promotion_issues', 'promotion_issue_moves',
                                'code_batches', 'codes', 'code_switches', 'code_links', 'code_guesses',
                                'tier_versions', 'standings', 'tier_walks', 'segment_versions',
                                'segment_entries'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy own_rows on %I
                        using (org_id = (select nullif(current_setting(''guerdon.org'', true), '''')::bigint))', name);
    end loop;
end
$$;
