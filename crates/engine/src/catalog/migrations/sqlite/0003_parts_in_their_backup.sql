-- A backup is read in one look-up, with all that is known of its parts: JSON, by shard. The table of parts is left as
-- the way from a part's number to its backup.
ALTER TABLE backup ADD COLUMN parts TEXT NOT NULL DEFAULT '[]';
UPDATE backup SET parts = (
    SELECT json_group_array(json_object('number', number, 'sealed', json(sealed)))
    FROM (SELECT number, sealed FROM part WHERE part.backup = backup.id ORDER BY shard)
);
ALTER TABLE part DROP COLUMN sealed;
