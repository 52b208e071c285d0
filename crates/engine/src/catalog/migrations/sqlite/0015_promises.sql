-- Bytes of a counted link that are promised to a download under way: by which node, and until when, unless that node is
-- seen again. link.reserved_bytes, which had no owner, is not used any more.
CREATE TABLE promise (
    id    TEXT PRIMARY KEY,
    link  TEXT NOT NULL,
    node  TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    until BIGINT NOT NULL
);
CREATE INDEX promise_by_link ON promise (link);
