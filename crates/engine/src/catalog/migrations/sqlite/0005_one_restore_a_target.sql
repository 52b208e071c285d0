-- What no two unfinished jobs may change at the same time: the target of a restore.
ALTER TABLE job ADD COLUMN target TEXT;
CREATE UNIQUE INDEX job_by_target ON job (target) WHERE state IN ('queued', 'running');
