-- Who serves this catalog. A node that is not seen until its end is lost.
CREATE TABLE node (
    id         TEXT PRIMARY KEY,
    host       TEXT NOT NULL,
    roles      TEXT NOT NULL,
    version    TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    until      BIGINT NOT NULL
);

-- What one node at a time may do: a full sync on a host, a change of a source's setting, a sweep.
CREATE TABLE turn (
    name  TEXT PRIMARY KEY,
    node  TEXT NOT NULL,
    until BIGINT NOT NULL
);

-- How many backups there are of each kind that a list asks for, so that no list counts them. The project is '' for none.
CREATE TABLE backup_tally (
    account  TEXT NOT NULL,
    instance TEXT NOT NULL,
    project  TEXT NOT NULL,
    state    TEXT NOT NULL,
    backups  BIGINT NOT NULL,
    PRIMARY KEY (account, instance, project, state)
) WITHOUT ROWID;
INSERT INTO backup_tally (account, instance, project, state, backups)
    SELECT account, instance, COALESCE(project, ''), state, COUNT(*) FROM backup GROUP BY 1, 2, 3, 4;

CREATE TRIGGER backup_added AFTER INSERT ON backup BEGIN
    INSERT INTO backup_tally (account, instance, project, state, backups)
        VALUES (NEW.account, NEW.instance, COALESCE(NEW.project, ''), NEW.state, 1)
        ON CONFLICT (account, instance, project, state) DO UPDATE SET backups = backups + 1;
END;
CREATE TRIGGER backup_removed AFTER DELETE ON backup BEGIN
    UPDATE backup_tally SET backups = backups - 1 WHERE account = OLD.account AND instance = OLD.instance
        AND project = COALESCE(OLD.project, '') AND state = OLD.state;
END;
CREATE TRIGGER backup_changed AFTER UPDATE OF state ON backup WHEN OLD.state <> NEW.state BEGIN
    UPDATE backup_tally SET backups = backups - 1 WHERE account = OLD.account AND instance = OLD.instance
        AND project = COALESCE(OLD.project, '') AND state = OLD.state;
    INSERT INTO backup_tally (account, instance, project, state, backups)
        VALUES (NEW.account, NEW.instance, COALESCE(NEW.project, ''), NEW.state, 1)
        ON CONFLICT (account, instance, project, state) DO UPDATE SET backups = backups + 1;
END;
