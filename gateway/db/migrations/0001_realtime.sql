-- Everything of the gateway lives in one schema, beside the CRM's tables and never among them.

CREATE SCHEMA IF NOT EXISTS realtime;
