-- How fast a remembered link delivers and to how many at once, and what it was used for.
ALTER TABLE link ADD COLUMN bytes_per_second BIGINT;
ALTER TABLE link ADD COLUMN connections BIGINT;
ALTER TABLE link ADD COLUMN used_requests BIGINT NOT NULL DEFAULT 0;
ALTER TABLE link ADD COLUMN used_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE link ADD COLUMN used_at BIGINT;
ALTER TABLE link ADD COLUMN used_from TEXT;
