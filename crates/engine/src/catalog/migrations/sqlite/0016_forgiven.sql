-- Bytes of a counted link that went out and were not counted, because their connection broke before they can have arrived.
ALTER TABLE link ADD COLUMN forgiven_bytes BIGINT NOT NULL DEFAULT 0;
