-- Bytes of a counted link that are promised to a download under way: by which node, and until when, unless that node is
-- seen again. link.reserved_bytes, which had no owner, is not used any more.
CREATE TABLE promise (
    id    TEXT COLLATE "C" PRIMARY KEY,
    link  TEXT COLLATE "C" NOT NULL,
    node  TEXT COLLATE "C" NOT NULL,
    bytes BIGINT NOT NULL,
    until BIGINT NOT NULL
);
CREATE INDEX promise_by_link ON promise (link);

-- What was promised before may be on its way at nodes that still run; it stands for an hour.
INSERT INTO promise (id, link, node, bytes, until)
    SELECT 'before ' || id, id, '', reserved_bytes, keystow_now(0) + 3600000000 FROM link WHERE reserved_bytes > 0;
