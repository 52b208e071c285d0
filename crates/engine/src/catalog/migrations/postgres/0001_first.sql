-- What the first five changes of the other database come to. Moments are microseconds since 1970 (UTC), flags are 0 or
-- 1, nested facts are JSON text. Names are ordered by their bytes, whatever the database's language is.

-- The moment by which leases are held: the server's clock, whatever the node says that it is.
CREATE FUNCTION keystow_now(node_micros BIGINT) RETURNS BIGINT LANGUAGE SQL STABLE
    AS $$ SELECT CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS BIGINT) $$;

CREATE TABLE note (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value TEXT NOT NULL
);

-- One sequence for backups, parts and jobs; some vendors' clients hold these numbers in 32 bits.
CREATE TABLE sequence (
    name TEXT COLLATE "C" PRIMARY KEY,
    last BIGINT NOT NULL CHECK (last < 2147483647)
);
INSERT INTO sequence (name, last) VALUES ('number', 1000);

CREATE TABLE account (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE project (
    account    TEXT COLLATE "C" NOT NULL REFERENCES account (id),
    id         TEXT COLLATE "C" NOT NULL,
    name       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, id)
);

CREATE TABLE access_key (
    id                   TEXT COLLATE "C" PRIMARY KEY,
    account              TEXT COLLATE "C" NOT NULL REFERENCES account (id),
    project              TEXT COLLATE "C",
    role                 TEXT NOT NULL,
    sealed_secret        BYTEA NOT NULL,
    sealed_session_token BYTEA,
    created_at           BIGINT NOT NULL,
    expires_at           BIGINT,
    revoked_at           BIGINT,
    FOREIGN KEY (account, project) REFERENCES project (account, id)
);

CREATE TABLE instance (
    account         TEXT COLLATE "C" NOT NULL REFERENCES account (id),
    id              TEXT COLLATE "C" NOT NULL,
    project         TEXT COLLATE "C",
    name            TEXT NOT NULL,
    url             TEXT NOT NULL,
    username        TEXT,
    sealed_password BYTEA,
    -- What else it takes to sign in there, and how it is captured (JSON).
    sealed_login    BYTEA,
    capture         TEXT NOT NULL DEFAULT '{}',
    region          TEXT,
    zone            TEXT,
    replica_zone    TEXT,
    created_at      BIGINT NOT NULL,
    facts           TEXT,
    PRIMARY KEY (account, id),
    FOREIGN KEY (account, project) REFERENCES project (account, id)
);

-- A backup outlives its instance, so it repeats what lists show of it. It is read in one look-up, with all that is
-- known of its parts: JSON, by shard.
CREATE TABLE backup (
    id            TEXT COLLATE "C" PRIMARY KEY,
    number        BIGINT NOT NULL UNIQUE,
    account       TEXT COLLATE "C" NOT NULL REFERENCES account (id),
    instance      TEXT COLLATE "C" NOT NULL,
    instance_name TEXT NOT NULL,
    project       TEXT COLLATE "C",
    region        TEXT,
    zone          TEXT,
    replica_zone  TEXT,
    name          TEXT,
    state         TEXT COLLATE "C" NOT NULL,
    mode          TEXT NOT NULL,
    method        TEXT NOT NULL,
    remark        TEXT,
    job           BIGINT NOT NULL,
    attempt       BIGINT NOT NULL DEFAULT 0,
    created_at    BIGINT NOT NULL,
    started_at    BIGINT,
    ended_at      BIGINT,
    expires_at    BIGINT,
    protected     BIGINT NOT NULL DEFAULT 0,
    server        TEXT,
    failure       TEXT,
    parts         TEXT NOT NULL DEFAULT '[]',
    -- Where it came from, and what its last drill found: JSON.
    origin        TEXT,
    last_drill    TEXT
);
CREATE INDEX backup_by_time ON backup (account, instance, created_at DESC);
CREATE INDEX backup_by_account ON backup (account, created_at DESC);
-- At most one backup of an instance is under way.
CREATE UNIQUE INDEX backup_active ON backup (account, instance) WHERE state IN ('queued', 'running');

-- The way from a part's number to its backup.
CREATE TABLE part (
    number BIGINT PRIMARY KEY,
    backup TEXT COLLATE "C" NOT NULL REFERENCES backup (id),
    shard  BIGINT NOT NULL,
    size   BIGINT NOT NULL,
    UNIQUE (backup, shard)
);

CREATE TABLE job (
    number           BIGINT PRIMARY KEY,
    account          TEXT COLLATE "C" NOT NULL REFERENCES account (id),
    kind             TEXT COLLATE "C" NOT NULL,
    backup           TEXT COLLATE "C" NOT NULL REFERENCES backup (id),
    instance         TEXT COLLATE "C" NOT NULL,
    state            TEXT COLLATE "C" NOT NULL,
    attempt          BIGINT NOT NULL DEFAULT 0,
    -- How often its worker died in the middle of it.
    deaths           BIGINT NOT NULL DEFAULT 0,
    worker           TEXT,
    lease_until      BIGINT,
    not_before       BIGINT NOT NULL,
    progress         TEXT NOT NULL DEFAULT '{"phase":"waiting","bytes":0,"total_bytes":null,"keys":0}',
    failure          TEXT,
    cancel_requested BIGINT NOT NULL DEFAULT 0,
    created_at       BIGINT NOT NULL,
    started_at       BIGINT,
    ended_at         BIGINT,
    -- What it was asked for beyond its backup, and what it did: JSON.
    asked            TEXT,
    outcome          TEXT,
    -- What no two unfinished jobs may change at the same time: the target of a restore.
    target           TEXT COLLATE "C"
);
CREATE INDEX job_due ON job (not_before) WHERE state IN ('queued', 'running');
CREATE INDEX job_by_account ON job (account, number DESC);
CREATE UNIQUE INDEX job_by_target ON job (target) WHERE state IN ('queued', 'running');

CREATE TABLE link (
    id             TEXT COLLATE "C" PRIMARY KEY,
    account        TEXT COLLATE "C" NOT NULL REFERENCES account (id),
    backup         TEXT COLLATE "C" NOT NULL REFERENCES backup (id),
    part           BIGINT NOT NULL,
    file_name      TEXT NOT NULL,
    network        TEXT NOT NULL,
    access_key     TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    revoked_at     BIGINT,
    addresses      TEXT NOT NULL,
    deliveries     BIGINT,
    size_bytes     BIGINT NOT NULL,
    sent_bytes     BIGINT NOT NULL DEFAULT 0,
    reserved_bytes BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX link_by_account ON link (account, created_at DESC);

-- "All links issued before": one row a scope, such as `key:AK1`, `backup:…`, `instance:…`.
CREATE TABLE link_revocation (
    account TEXT COLLATE "C" NOT NULL REFERENCES account (id),
    scope   TEXT COLLATE "C" NOT NULL,
    before  BIGINT NOT NULL,
    PRIMARY KEY (account, scope)
);

-- Who may use links unless a call says otherwise; the region is '' where the caller named none.
CREATE TABLE link_restriction (
    account     TEXT COLLATE "C" NOT NULL REFERENCES account (id),
    region      TEXT COLLATE "C" NOT NULL,
    restriction TEXT NOT NULL,
    PRIMARY KEY (account, region)
);

-- One-time values of signed requests that change something, until a copy would be refused for its age.
CREATE TABLE nonce (
    access_key TEXT COLLATE "C" NOT NULL,
    value      TEXT COLLATE "C" NOT NULL,
    until      BIGINT NOT NULL,
    PRIMARY KEY (access_key, value)
);
CREATE INDEX nonce_by_end ON nonce (until);

-- Settings of other people's servers that were changed for a while, with the values to be put back.
CREATE TABLE debt (
    account  TEXT COLLATE "C" NOT NULL REFERENCES account (id),
    instance TEXT COLLATE "C" NOT NULL,
    node     TEXT COLLATE "C" NOT NULL,
    setting  TEXT COLLATE "C" NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (account, instance, node, setting)
);
