-- How many backups and jobs there are of each kind that a list asks for, and the bytes of the backups' parts, so that
-- no list counts them. A text is '' for none. What a job is counted under of its backup never changes.
DROP TRIGGER backup_added;
DROP TRIGGER backup_removed;
DROP TRIGGER backup_changed;
DROP TABLE backup_tally;
CREATE TABLE backup_tally (
    account       TEXT NOT NULL,
    instance      TEXT NOT NULL,
    instance_name TEXT NOT NULL,
    project       TEXT NOT NULL,
    region        TEXT NOT NULL,
    zone          TEXT NOT NULL,
    replica_zone  TEXT NOT NULL,
    mode          TEXT NOT NULL,
    state         TEXT NOT NULL,
    backups       BIGINT NOT NULL,
    bytes         BIGINT NOT NULL,
    PRIMARY KEY (account, instance, instance_name, project, region, zone, replica_zone, mode, state)
) WITHOUT ROWID;
INSERT INTO backup_tally (account, instance, instance_name, project, region, zone, replica_zone, mode, state, backups, bytes)
    SELECT account, instance, instance_name, COALESCE(project, ''), COALESCE(region, ''), COALESCE(zone, ''),
        COALESCE(replica_zone, ''), mode, state, COUNT(*),
        SUM((SELECT COALESCE(SUM(size), 0) FROM part WHERE part.backup = backup.id))
    FROM backup GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
CREATE TABLE job_tally (
    account       TEXT NOT NULL,
    instance      TEXT NOT NULL,
    instance_name TEXT NOT NULL,
    project       TEXT NOT NULL,
    region        TEXT NOT NULL,
    zone          TEXT NOT NULL,
    replica_zone  TEXT NOT NULL,
    mode          TEXT NOT NULL,
    kind          TEXT NOT NULL,
    state         TEXT NOT NULL,
    jobs          BIGINT NOT NULL,
    PRIMARY KEY (account, instance, instance_name, project, region, zone, replica_zone, mode, kind, state)
) WITHOUT ROWID;
INSERT INTO job_tally (account, instance, instance_name, project, region, zone, replica_zone, mode, kind, state, jobs)
    SELECT j.account, j.instance, b.instance_name, COALESCE(b.project, ''), COALESCE(b.region, ''),
        COALESCE(b.zone, ''), COALESCE(b.replica_zone, ''), b.mode, j.kind, j.state, COUNT(*)
    FROM job j JOIN backup b ON b.id = j.backup GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;

-- What is written here is added to the tally.
CREATE VIEW backup_tally_change AS SELECT * FROM backup_tally WHERE FALSE;
CREATE TRIGGER backup_tallied INSTEAD OF INSERT ON backup_tally_change BEGIN
    INSERT INTO backup_tally VALUES (NEW.account, NEW.instance, NEW.instance_name, COALESCE(NEW.project, ''),
            COALESCE(NEW.region, ''), COALESCE(NEW.zone, ''), COALESCE(NEW.replica_zone, ''), NEW.mode, NEW.state,
            NEW.backups, NEW.bytes)
        ON CONFLICT (account, instance, instance_name, project, region, zone, replica_zone, mode, state)
        DO UPDATE SET backups = backups + excluded.backups, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER backup_added AFTER INSERT ON backup BEGIN
    INSERT INTO backup_tally_change VALUES (NEW.account, NEW.instance, NEW.instance_name, NEW.project, NEW.region,
        NEW.zone, NEW.replica_zone, NEW.mode, NEW.state, 1, 0);
END;
-- Before, while its parts are there to be counted off with it; they may go by themselves before or after it.
CREATE TRIGGER backup_removed BEFORE DELETE ON backup BEGIN
    INSERT INTO backup_tally_change SELECT OLD.account, OLD.instance, OLD.instance_name, OLD.project, OLD.region,
        OLD.zone, OLD.replica_zone, OLD.mode, OLD.state, -1, -COALESCE(SUM(size), 0) FROM part WHERE backup = OLD.id;
END;
CREATE TRIGGER backup_changed
AFTER UPDATE OF account, instance, instance_name, project, region, zone, replica_zone, mode, state ON backup BEGIN
    INSERT INTO backup_tally_change SELECT OLD.account, OLD.instance, OLD.instance_name, OLD.project, OLD.region,
        OLD.zone, OLD.replica_zone, OLD.mode, OLD.state, -1, -COALESCE(SUM(size), 0) FROM part WHERE backup = OLD.id;
    INSERT INTO backup_tally_change SELECT NEW.account, NEW.instance, NEW.instance_name, NEW.project, NEW.region,
        NEW.zone, NEW.replica_zone, NEW.mode, NEW.state, 1, COALESCE(SUM(size), 0) FROM part WHERE backup = NEW.id;
END;
CREATE TRIGGER part_added AFTER INSERT ON part BEGIN
    INSERT INTO backup_tally_change SELECT account, instance, instance_name, project, region, zone, replica_zone,
        mode, state, 0, NEW.size FROM backup WHERE id = NEW.backup;
END;
CREATE TRIGGER part_removed AFTER DELETE ON part BEGIN
    INSERT INTO backup_tally_change SELECT account, instance, instance_name, project, region, zone, replica_zone,
        mode, state, 0, -OLD.size FROM backup WHERE id = OLD.backup;
END;
CREATE TRIGGER part_changed AFTER UPDATE OF backup, size ON part BEGIN
    INSERT INTO backup_tally_change SELECT account, instance, instance_name, project, region, zone, replica_zone,
        mode, state, 0, -OLD.size FROM backup WHERE id = OLD.backup;
    INSERT INTO backup_tally_change SELECT account, instance, instance_name, project, region, zone, replica_zone,
        mode, state, 0, NEW.size FROM backup WHERE id = NEW.backup;
END;

CREATE VIEW job_tally_change AS SELECT '' AS account, '' AS instance, '' AS backup, '' AS kind, '' AS state, 0 AS jobs
    WHERE FALSE;
CREATE TRIGGER job_tallied INSTEAD OF INSERT ON job_tally_change BEGIN
    INSERT INTO job_tally SELECT NEW.account, NEW.instance, instance_name, COALESCE(project, ''),
            COALESCE(region, ''), COALESCE(zone, ''), COALESCE(replica_zone, ''), mode, NEW.kind, NEW.state, NEW.jobs
        FROM backup WHERE id = NEW.backup
        ON CONFLICT (account, instance, instance_name, project, region, zone, replica_zone, mode, kind, state)
        DO UPDATE SET jobs = jobs + excluded.jobs;
END;
CREATE TRIGGER job_added AFTER INSERT ON job BEGIN
    INSERT INTO job_tally_change VALUES (NEW.account, NEW.instance, NEW.backup, NEW.kind, NEW.state, 1);
END;
CREATE TRIGGER job_removed AFTER DELETE ON job BEGIN
    INSERT INTO job_tally_change VALUES (OLD.account, OLD.instance, OLD.backup, OLD.kind, OLD.state, -1);
END;
CREATE TRIGGER job_changed AFTER UPDATE OF state ON job WHEN OLD.state <> NEW.state BEGIN
    INSERT INTO job_tally_change VALUES (OLD.account, OLD.instance, OLD.backup, OLD.kind, OLD.state, -1);
    INSERT INTO job_tally_change VALUES (NEW.account, NEW.instance, NEW.backup, NEW.kind, NEW.state, 1);
END;

-- Lists within a time, of jobs, and of what went wrong, which is little among much that went right.
CREATE INDEX backup_by_account_start ON backup (account, COALESCE(started_at, created_at));
CREATE INDEX backup_odd ON backup (account, created_at DESC) WHERE state NOT IN ('available', 'expired');
CREATE INDEX backup_odd_by_instance ON backup (account, instance, created_at DESC)
    WHERE state NOT IN ('available', 'expired');
CREATE INDEX job_odd ON job (account, number DESC) WHERE state <> 'done';
CREATE INDEX job_odd_by_instance ON job (account, instance, number DESC) WHERE state <> 'done';
CREATE INDEX job_by_instance ON job (account, instance, number DESC);
CREATE INDEX job_by_creation ON job (account, created_at);
CREATE INDEX job_by_instance_creation ON job (account, instance, created_at);
