-- Copies of backups in other repositories. Each attempt writes under its own number, the last of which is `tried`; `attempt`
-- is the one that is whole.
CREATE TABLE backup_copy (
    backup      TEXT COLLATE "C" NOT NULL REFERENCES backup (id),
    repository  TEXT COLLATE "C" NOT NULL,
    account     TEXT COLLATE "C" NOT NULL,
    state       TEXT COLLATE "C" NOT NULL,
    job         BIGINT NOT NULL,
    tried       BIGINT NOT NULL DEFAULT 0,
    attempt     BIGINT NOT NULL DEFAULT 0,
    bytes       BIGINT NOT NULL DEFAULT 0,
    failures    BIGINT NOT NULL DEFAULT 0,
    asked_at    BIGINT NOT NULL,
    stored_at   BIGINT,
    verified_at BIGINT,
    retry_at    BIGINT,
    failure     TEXT,
    PRIMARY KEY (backup, repository)
);
CREATE INDEX backup_copy_unfinished ON backup_copy (state, retry_at) WHERE state <> 'available';
