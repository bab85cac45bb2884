-- Which node listens to which PBX, and when nobody did.

-- One row a PBX that is connected to. Times are the database's: nodes' clocks may differ.
CREATE TABLE realtime.pbx_leases (
    source      text        PRIMARY KEY,
    holder      text        NOT NULL,
    lease_until timestamptz NOT NULL,
    heard_at    timestamptz
);

COMMENT ON COLUMN realtime.pbx_leases.heard_at IS
    'Up to here, everything that the PBX said is stored.';

-- Calls and waiting of these times may be incomplete: what the PBX said then is lost.
CREATE TABLE realtime.ingest_gaps (
    source   text        NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    reason   text        NOT NULL,
    PRIMARY KEY (source, began_at)
);

CREATE INDEX ingest_gaps_when ON realtime.ingest_gaps (began_at);
