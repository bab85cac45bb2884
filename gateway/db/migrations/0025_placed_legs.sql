-- A telephone that the PBX rings to call somebody for its employee was called by nobody.

ALTER TABLE realtime.call_legs ADD COLUMN placed boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN realtime.call_legs.placed IS
    'The PBX rang it to call somebody for its employee (click-to-call): nobody called it.';
