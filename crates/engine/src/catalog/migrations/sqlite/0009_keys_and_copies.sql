-- The secret before the last rotation, until it ends, and the addresses that a key may be used from (JSON).
ALTER TABLE access_key ADD COLUMN sealed_previous BLOB;
ALTER TABLE access_key ADD COLUMN previous_until BIGINT;
ALTER TABLE access_key ADD COLUMN addresses TEXT NOT NULL DEFAULT '[]';
