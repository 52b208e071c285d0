-- Every change, by whom and from where. Rows are only ever added; each hash binds its row to all before it.
CREATE TABLE audit (
    sequence   BIGINT PRIMARY KEY,
    at         BIGINT NOT NULL,
    stage      TEXT NOT NULL,
    answers    BIGINT,
    account    TEXT NOT NULL,
    who        TEXT NOT NULL,
    address    TEXT,
    via        TEXT NOT NULL,
    action     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    subject    TEXT NOT NULL,
    parameters TEXT NOT NULL,
    code       TEXT,
    hash       TEXT NOT NULL
);
CREATE INDEX audit_by_time ON audit (at);

-- Who was given links, and who downloaded what. Rows go when they are old.
CREATE TABLE access (
    number     BIGINT PRIMARY KEY,
    at         BIGINT NOT NULL,
    kind       TEXT NOT NULL,
    account    TEXT NOT NULL,
    access_key TEXT NOT NULL,
    address    TEXT,
    via        TEXT NOT NULL,
    backup     TEXT,
    instance   TEXT,
    parts      TEXT NOT NULL,
    networks   TEXT NOT NULL,
    link       TEXT,
    expires_at BIGINT,
    range_from BIGINT,
    range_end  BIGINT,
    sent_bytes BIGINT NOT NULL,
    outcome    TEXT NOT NULL,
    requests   BIGINT NOT NULL
);
CREATE INDEX access_by_time ON access (at);
CREATE INDEX access_by_account ON access (account, number);
CREATE INDEX access_by_backup ON access (backup, number);
CREATE INDEX access_by_link ON access (link, number) WHERE link IS NOT NULL;

-- The last number of each log, and the last hash of the one that has hashes.
CREATE TABLE log_head (
    log  TEXT PRIMARY KEY,
    last BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO log_head (log, last, hash) VALUES
    ('audit', 0, '0000000000000000000000000000000000000000000000000000000000000000'),
    ('access', 0, '');
