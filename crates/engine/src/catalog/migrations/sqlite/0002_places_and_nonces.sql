-- What more vendors' lists filter by and show.
ALTER TABLE instance ADD COLUMN replica_zone TEXT;
ALTER TABLE backup ADD COLUMN name TEXT;
ALTER TABLE backup ADD COLUMN zone TEXT;
ALTER TABLE backup ADD COLUMN replica_zone TEXT;

-- Who may use links unless a call says otherwise; the region is '' where the caller named none.
CREATE TABLE link_restriction (
    account     TEXT NOT NULL REFERENCES account (id),
    region      TEXT NOT NULL,
    restriction TEXT NOT NULL,
    PRIMARY KEY (account, region)
);

-- One-time values of signed requests that change something, until a copy would be refused for its age.
CREATE TABLE nonce (
    access_key TEXT NOT NULL,
    value      TEXT NOT NULL,
    until      BIGINT NOT NULL,
    PRIMARY KEY (access_key, value)
) WITHOUT ROWID;
CREATE INDEX nonce_by_end ON nonce (until);
