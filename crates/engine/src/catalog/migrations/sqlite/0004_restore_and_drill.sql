-- How an instance is captured (JSON), and what else it takes to sign in there.
ALTER TABLE instance ADD COLUMN sealed_login BLOB;
ALTER TABLE instance ADD COLUMN capture TEXT NOT NULL DEFAULT '{}';

-- Where a backup came from, and what its last drill found: JSON.
ALTER TABLE backup ADD COLUMN origin TEXT;
ALTER TABLE backup ADD COLUMN last_drill TEXT;

-- What a job was asked for beyond its backup, and what it did: JSON.
ALTER TABLE job ADD COLUMN asked TEXT;
ALTER TABLE job ADD COLUMN outcome TEXT;

-- Settings of other people's servers that were changed for a while, with the values to be put back.
CREATE TABLE debt (
    account  TEXT NOT NULL REFERENCES account (id),
    instance TEXT NOT NULL,
    node     TEXT NOT NULL,
    setting  TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (account, instance, node, setting)
);
