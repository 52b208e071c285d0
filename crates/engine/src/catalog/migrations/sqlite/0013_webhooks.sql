-- Whom the service tells by itself what went wrong. While one of its deliveries is sent, a webhook is claimed; the rest of
-- what changes is how it did.
CREATE TABLE webhook (
    id             TEXT PRIMARY KEY,
    account        TEXT NOT NULL REFERENCES account (id),
    project        TEXT,
    instance       TEXT,
    url            TEXT NOT NULL,
    sealed_secret  BLOB NOT NULL,
    kinds          TEXT NOT NULL,
    paused         BIGINT NOT NULL DEFAULT 0,
    created_at     BIGINT NOT NULL,
    created_by     TEXT NOT NULL,
    tried_at       BIGINT,
    claimed_until  BIGINT,
    last_ok_at     BIGINT,
    last_failed_at BIGINT,
    last_error     TEXT
);
CREATE INDEX webhook_by_account ON webhook (account);

-- What each of them is told: written in the transaction that makes it true, and kept for a while after it was sent.
CREATE TABLE webhook_delivery (
    id         TEXT NOT NULL,
    webhook    TEXT NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    account    TEXT NOT NULL,
    notice     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    due_at     BIGINT NOT NULL,
    tries      BIGINT NOT NULL DEFAULT 0,
    state      TEXT NOT NULL,
    status     BIGINT,
    error      TEXT,
    ended_at   BIGINT,
    PRIMARY KEY (webhook, id)
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (webhook, due_at) WHERE state = 'pending';
CREATE INDEX webhook_delivery_ended ON webhook_delivery (ended_at) WHERE state <> 'pending';

-- Instances of which it was told that they have had no good backup for too long, until they have one again.
CREATE TABLE too_old (
    account   TEXT NOT NULL,
    instance  TEXT NOT NULL,
    since     BIGINT NOT NULL,
    last_good BIGINT,
    PRIMARY KEY (account, instance),
    FOREIGN KEY (account, instance) REFERENCES instance (account, id) ON DELETE CASCADE
);
