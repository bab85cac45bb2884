-- A CRM as an ORM makes it: text ids (uuids), quoted names in camel case, and the contract's views
-- over them. It has the people, customers and work of the demo CRM, whose views it replaces.

CREATE TABLE "User" (
    "id"          text PRIMARY KEY,
    "fullName"    text NOT NULL,
    "department"  text,
    "jobTitle"    text,
    "photoUrl"    text,
    "dismissedAt" timestamp(3),
    "permissions" text[] NOT NULL
);
CREATE TABLE "Client" (
    "id"        text PRIMARY KEY,
    "fullName"  text NOT NULL,
    "company"   text,
    "managerId" text REFERENCES "User"
);
CREATE TABLE "ClientContact" (
    "id"       text PRIMARY KEY,
    "clientId" text NOT NULL REFERENCES "Client",
    "kind"     text NOT NULL,
    "value"    text NOT NULL
);
CREATE TABLE "Deal" (
    "id"        text PRIMARY KEY,
    "clientId"  text NOT NULL REFERENCES "Client",
    "dealType"  text NOT NULL,
    "title"     text NOT NULL,
    "stage"     text NOT NULL,
    "ownerId"   text REFERENCES "User",
    "updatedAt" timestamp(3) NOT NULL
);
CREATE TABLE "DeskPhone" (
    "pbx"       text NOT NULL,
    "extension" text NOT NULL,
    "userId"    text NOT NULL REFERENCES "User",
    PRIMARY KEY ("pbx", "extension")
);

-- md5 makes the same uuid of the same number every time; a CRM would use gen_random_uuid().
INSERT INTO "User"
SELECT md5('user ' || s.id)::uuid::text, s.full_name, d.name, s.job_title, s.photo_url,
       s.dismissed_on, r.permissions
  FROM demo_crm.staff AS s
  JOIN demo_crm.departments AS d ON d.id = s.department_id
  JOIN demo_crm.roles AS r ON r.id = s.role_id;
INSERT INTO "Client"
SELECT md5('client ' || id)::uuid::text, first_name || ' ' || last_name, company,
       md5('user ' || manager_id)::uuid::text
  FROM demo_crm.clients;
INSERT INTO "ClientContact"
SELECT md5('contact ' || id)::uuid::text, md5('client ' || client_id)::uuid::text, kind, value
  FROM demo_crm.client_contacts;
INSERT INTO "Deal"
SELECT md5('lead ' || id)::uuid::text, md5('client ' || client_id)::uuid::text, 'NEW_BUSINESS',
       subject, stage, md5('user ' || manager_id)::uuid::text, changed_at
  FROM demo_crm.leads;
INSERT INTO "DeskPhone"
SELECT pbx, extension, md5('user ' || staff_id)::uuid::text FROM demo_crm.desk_phones;

-- What the gateway reads by gets an index on the same expression as in its view.
CREATE INDEX ON "User" (realtime.id_of('employee', "id"));
CREATE INDEX ON "Client" (realtime.id_of('customer', "id"));
CREATE INDEX ON "ClientContact" (realtime.id_of('customer', "clientId"));
CREATE INDEX ON "ClientContact" (demo_crm.e164("value")) WHERE "kind" = 'phone';
CREATE INDEX ON "Deal" (realtime.id_of('customer', "clientId"));
CREATE INDEX ON "DeskPhone" (realtime.id_of('employee', "userId"));

DROP VIEW crm.employees, crm.permissions, crm.customers, crm.customer_phones, crm.open_work,
          crm.extensions, crm.customer_emails, crm.work_history, crm.teams, crm.team_members,
          crm.employee_contacts, crm.topic_readers;

CREATE VIEW crm.employees AS
SELECT realtime.id_of('employee', u."id")          AS id,
       u."fullName"                                AS name,
       u."department"                              AS department,
       u."jobTitle"                                AS position,
       u."photoUrl"                                AS avatar_url,
       u."dismissedAt" IS NULL                     AS active,
       u."id"                                      AS external_id,
       'https://crm.example.com/users/' || u."id"  AS url
  FROM "User" AS u;

CREATE VIEW crm.permissions AS
SELECT realtime.id_of('employee', u."id") AS employee_id, permission
  FROM "User" AS u
 CROSS JOIN unnest(u."permissions") AS permission
 WHERE u."dismissedAt" IS NULL;

CREATE VIEW crm.customers AS
SELECT realtime.id_of('customer', c."id")           AS id,
       c."fullName"                                 AS name,
       c."company"                                  AS company,
       realtime.id_of('employee', c."managerId")    AS owner_id,
       c."id"                                       AS external_id,
       'https://crm.example.com/clients/' || c."id" AS url
  FROM "Client" AS c;

CREATE VIEW crm.customer_phones AS
SELECT realtime.id_of('customer', p."clientId") AS customer_id,
       p."value"                                AS number,
       demo_crm.e164(p."value")                 AS e164
  FROM "ClientContact" AS p
 WHERE p."kind" = 'phone';

CREATE VIEW crm.open_work AS
SELECT realtime.id_of('customer', d."clientId")   AS customer_id,
       d."dealType"                               AS kind,
       realtime.id_of(d."dealType", d."id")       AS id,
       d."title"                                  AS title,
       d."stage"                                  AS status,
       realtime.id_of('employee', d."ownerId")    AS assigned_to,
       d."updatedAt" AT TIME ZONE 'UTC'           AS updated_at,
       'Deal'                                     AS label,
       d."id"                                     AS external_id,
       'https://crm.example.com/deals/' || d."id" AS url
  FROM "Deal" AS d
 WHERE d."stage" NOT IN ('won', 'lost');

CREATE VIEW crm.extensions AS
SELECT p."pbx" AS source, p."extension" AS extension,
       realtime.id_of('employee', p."userId") AS employee_id
  FROM "DeskPhone" AS p;

CREATE VIEW crm.topic_readers AS
SELECT 'crm:lead:' || d."id" AS topic, realtime.id_of('employee', d."ownerId") AS employee_id
  FROM "Deal" AS d
 WHERE d."ownerId" IS NOT NULL;

CREATE INDEX ON "Deal" (('crm:lead:' || "id"));

ANALYZE "User", "Client", "ClientContact", "Deal", "DeskPhone";
