-- Who wrote the calls of a PBX last: whoever did knows them without reading them back.

CREATE TABLE realtime.ingest_turns (
    source text PRIMARY KEY,
    turn   uuid NOT NULL,
    before uuid
) WITH (fillfactor = 50);

COMMENT ON TABLE realtime.ingest_turns IS
    'One row a PBX, written by every transaction that stores its events: turn is chosen by the '
    'writer, before is the one that it found. Who finds its own turn still knows everything.';
