-- Moments are microseconds since 1970 (UTC), flags are 0 or 1, nested facts are JSON text.

CREATE TABLE note (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- One sequence for backups, parts and jobs; some vendors' clients hold these numbers in 32 bits.
CREATE TABLE sequence (
    name TEXT PRIMARY KEY,
    last BIGINT NOT NULL CHECK (last < 2147483647)
);
INSERT INTO sequence (name, last) VALUES ('number', 1000);

CREATE TABLE account (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE project (
    account    TEXT NOT NULL REFERENCES account (id),
    id         TEXT NOT NULL,
    name       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, id)
);

CREATE TABLE access_key (
    id                   TEXT PRIMARY KEY,
    account              TEXT NOT NULL REFERENCES account (id),
    project              TEXT,
    role                 TEXT NOT NULL,
    sealed_secret        BLOB NOT NULL,
    sealed_session_token BLOB,
    created_at           BIGINT NOT NULL,
    expires_at           BIGINT,
    revoked_at           BIGINT,
    FOREIGN KEY (account, project) REFERENCES project (account, id)
);

CREATE TABLE instance (
    account         TEXT NOT NULL REFERENCES account (id),
    id              TEXT NOT NULL,
    project         TEXT,
    name            TEXT NOT NULL,
    url             TEXT NOT NULL,
    username        TEXT,
    sealed_password BLOB,
    region          TEXT,
    zone            TEXT,
    created_at      BIGINT NOT NULL,
    facts           TEXT,
    PRIMARY KEY (account, id),
    FOREIGN KEY (account, project) REFERENCES project (account, id)
);

-- A backup outlives its instance, so it repeats what lists show of it.
CREATE TABLE backup (
    id            TEXT PRIMARY KEY,
    number        BIGINT NOT NULL UNIQUE,
    account       TEXT NOT NULL REFERENCES account (id),
    instance      TEXT NOT NULL,
    instance_name TEXT NOT NULL,
    project       TEXT,
    region        TEXT,
    state         TEXT NOT NULL,
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
    failure       TEXT
);
CREATE INDEX backup_by_time ON backup (account, instance, created_at DESC);
CREATE INDEX backup_by_account ON backup (account, created_at DESC);
-- At most one backup of an instance is under way.
CREATE UNIQUE INDEX backup_active ON backup (account, instance) WHERE state IN ('queued', 'running');

CREATE TABLE part (
    number BIGINT PRIMARY KEY,
    backup TEXT NOT NULL REFERENCES backup (id),
    shard  BIGINT NOT NULL,
    size   BIGINT NOT NULL,
    sealed TEXT NOT NULL,
    UNIQUE (backup, shard)
);

CREATE TABLE job (
    number           BIGINT PRIMARY KEY,
    account          TEXT NOT NULL REFERENCES account (id),
    kind             TEXT NOT NULL,
    backup           TEXT NOT NULL REFERENCES backup (id),
    instance         TEXT NOT NULL,
    state            TEXT NOT NULL,
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
    ended_at         BIGINT
);
CREATE INDEX job_due ON job (not_before) WHERE state IN ('queued', 'running');
CREATE INDEX job_by_account ON job (account, number DESC);

CREATE TABLE link (
    id             TEXT PRIMARY KEY,
    account        TEXT NOT NULL REFERENCES account (id),
    backup         TEXT NOT NULL REFERENCES backup (id),
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
    account TEXT NOT NULL REFERENCES account (id),
    scope   TEXT NOT NULL,
    before  BIGINT NOT NULL,
    PRIMARY KEY (account, scope)
);
