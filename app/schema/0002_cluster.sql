-- Several gateways on one database: who they are, which of them live, and what must outlive any of them.

-- id: the second half of the advisory lock that the gateway's keeper session holds; a lock that is gone tells its peers at once
-- that the process is, where the lease would only run out. incarnation: which process of this name. able: its order path works.
-- credential: a digest by which gateways notice that they were not given the same secret.
ALTER TABLE gateways
    ADD COLUMN id          integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    ADD COLUMN url         text NOT NULL DEFAULT '',
    ADD COLUMN incarnation text NOT NULL DEFAULT '',
    ADD COLUMN credential  text NOT NULL DEFAULT '',
    ADD COLUMN able        boolean NOT NULL DEFAULT true,
    ADD COLUMN draining    boolean NOT NULL DEFAULT false,
    ADD COLUMN joined_at   timestamptz NOT NULL DEFAULT now();

-- Which gateways may own shards. 1447382048: "VEL " in ASCII, the first half of the keepers' locks.
CREATE VIEW live_gateways AS
SELECT g.owner, g.id, g.url, g.draining, g.lease_until
FROM gateways g
WHERE g.lease_until > clock_timestamp() AND g.able
    AND EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.classid = 1447382048 AND l.objid = g.id::oid AND l.objsubid = 2);

-- Dead man's switches, one a key and kind: `timer` is refreshed by the client, `stream` by the gateways that hold a stream of the
-- key that asked for it. Armed while fired_at is null; due when expires_at has passed.
CREATE TABLE switches (
    key_id     text NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('timer', 'stream')),
    account    text NOT NULL REFERENCES accounts,
    timeout    interval NOT NULL,
    expires_at timestamptz NOT NULL,
    fired_at   timestamptz,
    PRIMARY KEY (key_id, kind)
);
CREATE INDEX switches_armed ON switches (expires_at) WHERE fired_at IS NULL;
