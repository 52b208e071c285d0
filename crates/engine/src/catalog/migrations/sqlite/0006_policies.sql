-- What is done with an instance's backups by itself. `next_fire` is the moment that the calendar names, `next_at` the one
-- at which its backup starts; both are empty while nothing is to be taken.
CREATE TABLE policy (
    account    TEXT NOT NULL,
    instance   TEXT NOT NULL,
    version    BIGINT NOT NULL,
    policy     TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    next_fire  BIGINT,
    next_at    BIGINT,
    retry_at   BIGINT,
    tries      BIGINT NOT NULL DEFAULT 0,
    upkeep_at  BIGINT NOT NULL,
    drilled_at BIGINT,
    PRIMARY KEY (account, instance),
    FOREIGN KEY (account, instance) REFERENCES instance (account, id) ON DELETE CASCADE
);
CREATE INDEX policy_due ON policy (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX policy_retry ON policy (retry_at) WHERE retry_at IS NOT NULL;
CREATE INDEX policy_upkeep ON policy (upkeep_at);

-- The last fires of each policy. The key is what lets each of them come once only.
CREATE TABLE fire (
    account  TEXT NOT NULL,
    instance TEXT NOT NULL,
    at       BIGINT NOT NULL,
    seen_at  BIGINT NOT NULL,
    outcome  TEXT NOT NULL,
    backup   TEXT,
    note     TEXT,
    PRIMARY KEY (account, instance, at),
    FOREIGN KEY (account, instance) REFERENCES instance (account, id) ON DELETE CASCADE
);

-- What the last scrub of a backup found: JSON.
ALTER TABLE backup ADD COLUMN last_scrub TEXT;

-- Backups whose expiry somebody set.
CREATE INDEX backup_by_expiry ON backup (expires_at) WHERE expires_at IS NOT NULL AND state <> 'expired';
