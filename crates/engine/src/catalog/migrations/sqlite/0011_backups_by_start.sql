-- Lists and counts of an instance's backups within a time.
CREATE INDEX backup_by_start ON backup (account, instance, COALESCE(started_at, created_at));
