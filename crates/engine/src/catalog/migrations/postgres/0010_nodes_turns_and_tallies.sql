-- Who serves this catalog. A node that is not seen until its end is lost.
CREATE TABLE node (
    id         TEXT COLLATE "C" PRIMARY KEY,
    host       TEXT COLLATE "C" NOT NULL,
    roles      TEXT NOT NULL,
    version    TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    until      BIGINT NOT NULL
);

-- What one node at a time may do: a full sync on a host, a change of a source's setting, a sweep.
CREATE TABLE turn (
    name  TEXT COLLATE "C" PRIMARY KEY,
    node  TEXT COLLATE "C" NOT NULL,
    until BIGINT NOT NULL
);

-- How many backups there are of each kind that a list asks for, so that no list counts them. The project is '' for none.
CREATE TABLE backup_tally (
    account  TEXT COLLATE "C" NOT NULL,
    instance TEXT COLLATE "C" NOT NULL,
    project  TEXT COLLATE "C" NOT NULL,
    state    TEXT COLLATE "C" NOT NULL,
    backups  BIGINT NOT NULL,
    PRIMARY KEY (account, instance, project, state)
);
INSERT INTO backup_tally (account, instance, project, state, backups)
    SELECT account, instance, COALESCE(project, ''), state, COUNT(*) FROM backup GROUP BY 1, 2, 3, 4;

CREATE FUNCTION keystow_tally() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        UPDATE backup_tally SET backups = backups - 1 WHERE account = OLD.account AND instance = OLD.instance
            AND project = COALESCE(OLD.project, '') AND state = OLD.state;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO backup_tally (account, instance, project, state, backups)
            VALUES (NEW.account, NEW.instance, COALESCE(NEW.project, ''), NEW.state, 1)
            ON CONFLICT (account, instance, project, state) DO UPDATE SET backups = backup_tally.backups + 1;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER backup_added AFTER INSERT ON backup FOR EACH ROW EXECUTE FUNCTION keystow_tally();
CREATE TRIGGER backup_removed AFTER DELETE ON backup FOR EACH ROW EXECUTE FUNCTION keystow_tally();
CREATE TRIGGER backup_changed AFTER UPDATE OF state ON backup FOR EACH ROW
    WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION keystow_tally();
