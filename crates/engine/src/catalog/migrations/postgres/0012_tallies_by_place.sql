-- How many backups and jobs there are of each kind that a list asks for, and the bytes of the backups' parts, so that
-- no list counts them. A text is '' for none. What a job is counted under of its backup never changes.

-- No node changes what is counted meanwhile. The lock is the one that every transaction that writes begins with.
DO $$ BEGIN PERFORM pg_advisory_xact_lock(30229394810498935); END $$;
LOCK TABLE job, backup, part IN ACCESS EXCLUSIVE MODE;

DROP TRIGGER backup_added ON backup;
DROP TRIGGER backup_removed ON backup;
DROP TRIGGER backup_changed ON backup;
DROP FUNCTION keystow_tally();
DROP TABLE backup_tally;
CREATE TABLE backup_tally (
    account       TEXT COLLATE "C" NOT NULL,
    instance      TEXT COLLATE "C" NOT NULL,
    instance_name TEXT COLLATE "C" NOT NULL,
    project       TEXT COLLATE "C" NOT NULL,
    region        TEXT COLLATE "C" NOT NULL,
    zone          TEXT COLLATE "C" NOT NULL,
    replica_zone  TEXT COLLATE "C" NOT NULL,
    mode          TEXT COLLATE "C" NOT NULL,
    state         TEXT COLLATE "C" NOT NULL,
    backups       BIGINT NOT NULL,
    bytes         BIGINT NOT NULL,
    PRIMARY KEY (account, instance, instance_name, project, region, zone, replica_zone, mode, state)
);
INSERT INTO backup_tally (account, instance, instance_name, project, region, zone, replica_zone, mode, state, backups, bytes)
    SELECT account, instance, instance_name, COALESCE(project, ''), COALESCE(region, ''), COALESCE(zone, ''),
        COALESCE(replica_zone, ''), mode, state, COUNT(*), COALESCE(SUM(sized.bytes), 0)
    FROM backup LEFT JOIN (SELECT backup, SUM(size) AS bytes FROM part GROUP BY backup) AS sized ON sized.backup = id
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
CREATE TABLE job_tally (
    account       TEXT COLLATE "C" NOT NULL,
    instance      TEXT COLLATE "C" NOT NULL,
    instance_name TEXT COLLATE "C" NOT NULL,
    project       TEXT COLLATE "C" NOT NULL,
    region        TEXT COLLATE "C" NOT NULL,
    zone          TEXT COLLATE "C" NOT NULL,
    replica_zone  TEXT COLLATE "C" NOT NULL,
    mode          TEXT COLLATE "C" NOT NULL,
    kind          TEXT COLLATE "C" NOT NULL,
    state         TEXT COLLATE "C" NOT NULL,
    jobs          BIGINT NOT NULL,
    PRIMARY KEY (account, instance, instance_name, project, region, zone, replica_zone, mode, kind, state)
);
INSERT INTO job_tally (account, instance, instance_name, project, region, zone, replica_zone, mode, kind, state, jobs)
    SELECT j.account, j.instance, b.instance_name, COALESCE(b.project, ''), COALESCE(b.region, ''),
        COALESCE(b.zone, ''), COALESCE(b.replica_zone, ''), b.mode, j.kind, j.state, COUNT(*)
    FROM job j JOIN backup b ON b.id = j.backup GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;

-- Adds to the tally of what such a backup is.
CREATE FUNCTION keystow_tally_of(b backup, more BIGINT, more_bytes BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO backup_tally (account, instance, instance_name, project, region, zone, replica_zone, mode, state, backups, bytes)
        VALUES (b.account, b.instance, b.instance_name, COALESCE(b.project, ''), COALESCE(b.region, ''),
            COALESCE(b.zone, ''), COALESCE(b.replica_zone, ''), b.mode, b.state, more, more_bytes)
        ON CONFLICT (account, instance, instance_name, project, region, zone, replica_zone, mode, state)
        DO UPDATE SET backups = backup_tally.backups + excluded.backups, bytes = backup_tally.bytes + excluded.bytes;
END $$;
CREATE FUNCTION keystow_tally_backup() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    size_of BIGINT := 0;
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM keystow_tally_of(NEW, 1, 0);
        RETURN NULL;
    END IF;
    SELECT COALESCE(SUM(size), 0) INTO size_of FROM part WHERE backup = OLD.id;
    PERFORM keystow_tally_of(OLD, -1, -size_of);
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    PERFORM keystow_tally_of(NEW, 1, size_of);
    RETURN NULL;
END $$;
CREATE TRIGGER backup_added AFTER INSERT ON backup FOR EACH ROW EXECUTE FUNCTION keystow_tally_backup();
-- Before, while its parts are there to be counted off with it; they may go by themselves before or after it.
CREATE TRIGGER backup_removed BEFORE DELETE ON backup FOR EACH ROW EXECUTE FUNCTION keystow_tally_backup();
CREATE TRIGGER backup_changed
    AFTER UPDATE OF account, instance, instance_name, project, region, zone, replica_zone, mode, state ON backup
    FOR EACH ROW EXECUTE FUNCTION keystow_tally_backup();
CREATE FUNCTION keystow_tally_part() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM keystow_tally_of(b, 0, -OLD.size) FROM backup b WHERE b.id = OLD.backup;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM keystow_tally_of(b, 0, NEW.size) FROM backup b WHERE b.id = NEW.backup;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER part_counted AFTER INSERT OR DELETE OR UPDATE OF backup, size ON part
    FOR EACH ROW EXECUTE FUNCTION keystow_tally_part();

CREATE FUNCTION keystow_tally_job_of(j job, more BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job_tally (account, instance, instance_name, project, region, zone, replica_zone, mode, kind, state, jobs)
        SELECT j.account, j.instance, b.instance_name, COALESCE(b.project, ''), COALESCE(b.region, ''),
            COALESCE(b.zone, ''), COALESCE(b.replica_zone, ''), b.mode, j.kind, j.state, more
        FROM backup b WHERE b.id = j.backup
        ON CONFLICT (account, instance, instance_name, project, region, zone, replica_zone, mode, kind, state)
        DO UPDATE SET jobs = job_tally.jobs + excluded.jobs;
END $$;
CREATE FUNCTION keystow_tally_job() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM keystow_tally_job_of(OLD, -1);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM keystow_tally_job_of(NEW, 1);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER job_counted AFTER INSERT OR DELETE ON job FOR EACH ROW EXECUTE FUNCTION keystow_tally_job();
CREATE TRIGGER job_changed AFTER UPDATE OF state ON job FOR EACH ROW
    WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION keystow_tally_job();

-- Lists within a time, of jobs, and of what went wrong, which is little among much that went right.
CREATE INDEX backup_by_account_start ON backup (account, (COALESCE(started_at, created_at)));
CREATE INDEX backup_odd ON backup (account, created_at DESC) WHERE state NOT IN ('available', 'expired');
CREATE INDEX backup_odd_by_instance ON backup (account, instance, created_at DESC)
    WHERE state NOT IN ('available', 'expired');
CREATE INDEX job_odd ON job (account, number DESC) WHERE state <> 'done';
CREATE INDEX job_odd_by_instance ON job (account, instance, number DESC) WHERE state <> 'done';
CREATE INDEX job_by_instance ON job (account, instance, number DESC);
CREATE INDEX job_by_creation ON job (account, created_at);
CREATE INDEX job_by_instance_creation ON job (account, instance, created_at);
