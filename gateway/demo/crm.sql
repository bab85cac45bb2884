-- A CRM to try the gateway with, and the example of an adapter.
--
-- First tables with the names and habits of a real CRM (schema demo_crm), then the contract's
-- views over them (schema crm). An adopter writes only the second half: docs/crm-contract.md.
-- The data are the same on every installation: nothing here is random.

CREATE SCHEMA demo_crm;
CREATE SCHEMA crm;

-- Phone numbers -----------------------------------------------------------------------------------

CREATE FUNCTION demo_crm.e164(number text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    WITH cleaned AS (
        -- "+44 (0)20 …" has a zero nobody dials; "044 123-45-67 доб. 12" ends at its first letter.
        SELECT regexp_replace(
                   regexp_replace(
                       regexp_replace(number, '^\s*(\+(?!38\D)[\d\s]*)\(0\)', '\1'),
                       '[[:alpha:],;#].*$', ''),
                   '(?!^\+)\D', '', 'g') AS digits
    ), dialled AS (
        SELECT regexp_replace(digits, '^00', '+') AS digits FROM cleaned
    )
    SELECT CASE
               WHEN digits ~ '^\+[1-9]\d{7,14}$' THEN digits
               WHEN digits ~ '^380\d{9}$'        THEN '+' || digits
               WHEN digits ~ '^80\d{9}$'         THEN '+3' || digits    -- 8 (044) 123-45-67
               WHEN digits ~ '^0\d{9}$'          THEN '+38' || digits
           END
      FROM dialled
);

COMMENT ON FUNCTION demo_crm.e164 IS
    'The number as +380…; NULL when it is not a full Ukrainian or international number.';

-- People who work here ----------------------------------------------------------------------------

CREATE TABLE demo_crm.departments (
    id   integer PRIMARY KEY,
    name text NOT NULL UNIQUE
);

CREATE TABLE demo_crm.roles (
    id          integer PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    permissions text[] NOT NULL
);

CREATE TABLE demo_crm.staff (
    id            bigint PRIMARY KEY,
    full_name     text NOT NULL,
    department_id integer NOT NULL REFERENCES demo_crm.departments,
    job_title     text NOT NULL,
    role_id       integer NOT NULL REFERENCES demo_crm.roles,
    photo_url     text,
    dismissed_on  date
);
CREATE INDEX ON demo_crm.staff (department_id);
CREATE INDEX ON demo_crm.staff (role_id);

-- How to reach them outside the CRM: mail, a mobile of their own, language, time zone.
CREATE TABLE demo_crm.staff_contacts (
    staff_id  bigint PRIMARY KEY REFERENCES demo_crm.staff,
    email     text NOT NULL,
    mobile    text,
    locale    text NOT NULL,
    time_zone text NOT NULL
);

CREATE TABLE demo_crm.crews (
    id   integer PRIMARY KEY,
    name text NOT NULL UNIQUE
);

CREATE TABLE demo_crm.crew_members (
    crew_id  integer NOT NULL REFERENCES demo_crm.crews,
    staff_id bigint NOT NULL REFERENCES demo_crm.staff,
    PRIMARY KEY (crew_id, staff_id)
);
CREATE INDEX ON demo_crm.crew_members (staff_id);

CREATE TABLE demo_crm.desk_phones (
    pbx       text NOT NULL DEFAULT '*',
    extension text NOT NULL,
    staff_id  bigint NOT NULL REFERENCES demo_crm.staff,
    PRIMARY KEY (pbx, extension)
);
CREATE INDEX ON demo_crm.desk_phones (staff_id);

INSERT INTO demo_crm.departments VALUES
    (1, 'Sales'), (2, 'Support'), (3, 'Service'), (4, 'Management');

INSERT INTO demo_crm.roles VALUES
    (1, 'agent',    '{conversations.create_group,clientchats.answer,callbacks.handle}'),
    (2, 'engineer', '{conversations.create_group}'),
    (3, 'head',     '{conversations.create_group,clientchats.answer,callbacks.handle,'
                    'calls.view_all,calls.review,recordings.listen,stats.view,'
                    'intelligence.view,'
                    'messages.delete_any,messages.mention_all}'),
    (4, 'director', '{conversations.create_group,clientchats.answer,callbacks.handle,'
                    'calls.view_all,calls.review,recordings.listen,stats.view,'
                    'intelligence.view,'
                    'notifications.send,notifications.view,conversations.export,audit.read,jobs.manage,'
                    'messages.delete_any,messages.mention_all}'),
    (5, 'trainee',  '{}');

INSERT INTO demo_crm.staff (id, full_name, department_id, job_title, role_id, dismissed_on) VALUES
    ( 1, 'Oksana Kovalenko',   1, 'Sales agent',        1, NULL),
    ( 2, 'Petro Marchenko',    1, 'Sales agent',        1, NULL),
    ( 3, 'Iryna Bondar',       1, 'Sales agent',        1, NULL),
    ( 4, 'Taras Melnyk',       1, 'Sales agent',        1, NULL),
    ( 5, 'Solomiia Rudenko',   1, 'Sales trainee',      5, NULL),
    ( 6, 'Andrii Polishchuk',  2, 'Support agent',      1, NULL),
    ( 7, 'Nadiia Kravets',     2, 'Support agent',      1, NULL),
    ( 8, 'Yurii Shevchuk',     2, 'Support agent',      1, NULL),
    ( 9, 'Kateryna Levchenko', 2, 'Support agent',      1, NULL),
    (10, 'Alice Weber',        3, 'Service desk agent', 1, NULL),
    (11, 'Bohdan Tkachenko',   3, 'Service desk agent', 1, NULL),
    (12, 'Vira Savchuk',       3, 'Service desk agent', 1, NULL),
    (13, 'Hanna Lysenko',      3, 'Dispatcher',         1, NULL),
    (14, 'Oleh Ponomarenko',   3, 'Service engineer',   2, NULL),
    (15, 'Marek Nowak',        3, 'Service engineer',   2, NULL),
    (16, 'Viktor Romanenko',   1, 'Head of sales',      3, NULL),
    (17, 'Svitlana Klymenko',  2, 'Head of support',    3, NULL),
    (18, 'Ivan Zinchenko',     3, 'Head of service',    3, NULL),
    (19, 'Olena Vasylenko',    4, 'Director',           4, NULL),
    (20, 'Denys Moroz',        1, 'Sales agent',        1, '2025-03-31');

INSERT INTO demo_crm.staff_contacts
SELECT id, lower(replace(full_name, ' ', '.')) || '@example.com',
       CASE WHEN id % 4 > 0 THEN '0' || 500000000 + id * 7919 END,
       CASE WHEN id IN (10, 15) THEN 'en' ELSE 'uk' END,
       CASE WHEN id = 15 THEN 'Europe/Warsaw' ELSE 'Europe/Kyiv' END
  FROM demo_crm.staff;

INSERT INTO demo_crm.crews VALUES (1, 'New customers'), (2, 'First line'), (3, 'On the road');

INSERT INTO demo_crm.crew_members VALUES
    (1, 1), (1, 2), (1, 3), (1, 4), (2, 6), (2, 7), (2, 8), (2, 9), (3, 13), (3, 14), (3, 15);

INSERT INTO demo_crm.desk_phones (extension, staff_id) VALUES
    ('101', 1), ('102', 2), ('103', 3), ('104', 4), ('105', 5),
    ('201', 6), ('202', 7), ('203', 8), ('204', 9),
    ('301', 10), ('302', 11), ('303', 12), ('304', 13),
    ('401', 16), ('402', 17), ('403', 18), ('404', 19);

-- Customers ---------------------------------------------------------------------------------------

CREATE TABLE demo_crm.clients (
    id         bigint PRIMARY KEY,
    first_name text NOT NULL,
    last_name  text NOT NULL,
    company    text,
    manager_id bigint REFERENCES demo_crm.staff
);
CREATE INDEX ON demo_crm.clients (manager_id);

CREATE TABLE demo_crm.client_contacts (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id bigint NOT NULL REFERENCES demo_crm.clients,
    kind      text NOT NULL CHECK (kind IN ('phone', 'email')),
    value     text NOT NULL
);
CREATE INDEX ON demo_crm.client_contacts (client_id);
-- A caller is looked up by this one: without it every ring reads the whole table.
CREATE INDEX client_contacts_email ON demo_crm.client_contacts (lower(value)) WHERE kind = 'email';
CREATE INDEX client_contacts_e164 ON demo_crm.client_contacts (demo_crm.e164(value))
    WHERE kind = 'phone';

INSERT INTO demo_crm.clients (id, first_name, last_name, company, manager_id)
SELECT n,
       ('{Ivan,Olena,Serhii,Maria,Andrii,Tetiana,Mykola,Yuliia,Dmytro,Nataliia,Oleksandr,Halyna,'
        'Roman,Liudmyla,Pavlo,Anna,Vasyl,Sofiia,Maksym,Daria,Yaroslav,Polina,Artem,Zoia,Ihor}'
        ::text[])[1 + i % 25],
       ('{Petrenko,Shevchenko,Bondarenko,Kovalchuk,Tkachuk,Oliinyk,Lysenko,Kravchenko,Savchenko,'
        'Rudenko,Marchenko,Moroz,Klymenko,Panchenko,Vasylenko,Bilous,Hnatiuk,Koval,Stetsenko,'
        'Dovhan}'::text[])[1 + (i / 25 + i % 25) % 20],
       CASE i % 3
           WHEN 1 THEN ('{ТОВ «Світанок»,ПП «Карпати»,ФОП Мельник,Dnipro Logistics,Lviv Bakery,'
                       'Kyiv Build,Odesa Port Services,Poltava Agro,Kharkiv Textile}'::text[])
                       [1 + i / 3 % 9]
       END,
       CASE WHEN i % 10 < 9 THEN 1 + i % 4 END          -- every tenth has no manager yet
  FROM (SELECT n, n - 1 AS i FROM generate_series(1, 500) AS n) AS numbers;

-- The callers of the recorded dialogues in the tests, each number as that company typed it.
INSERT INTO demo_crm.client_contacts (client_id, kind, value) VALUES
    (1, 'phone', '+380671234567'),
    (2, 'phone', '8 (044) 123-45-67'),
    (3, 'phone', '+38 050 111-22-33'),
    (4, 'phone', '0671112233'),
    (5, 'phone', '+380931234567'),
    (6, 'phone', '(068) 123 45 67'),
    (7, 'phone', '380991234567'),
    (8, 'phone', '00380671239999'),
    (9, 'phone', '050-111-22-34');

-- Everyone has a number, typed in one of seven ways; the last one cannot be dialled.
INSERT INTO demo_crm.client_contacts (client_id, kind, value)
SELECT id, 'phone',
       CASE id % 7
           WHEN 0 THEN '+380' || area || line
           WHEN 1 THEN '0' || area || line
           WHEN 2 THEN '8 (0' || area || ') ' || left(line, 3) || '-' || substr(line, 4, 2)
                       || '-' || right(line, 2)
           WHEN 3 THEN '+38 0' || area || ' ' || left(line, 3) || '-' || substr(line, 4, 2)
                       || '-' || right(line, 2)
           WHEN 4 THEN '00380' || area || line
           WHEN 5 THEN '380' || area || line
           WHEN 6 THEN '(0' || area || ') ' || line || CASE WHEN id % 49 = 6 THEN ' доб. 12'
                                                            ELSE '' END
       END
  FROM (SELECT id,
               ('{67,50,93,68,99,63,44,97}'::text[])[1 + id % 8] AS area,
               (3000000 + id * 9973)::text AS line
          FROM demo_crm.clients WHERE id > 9) AS lines;

INSERT INTO demo_crm.client_contacts (client_id, kind, value)
SELECT id, 'phone', '+48 22 ' || 300 + id || ' ' || lpad((id * 7 % 100)::text, 2, '0') || ' 05'
  FROM demo_crm.clients WHERE id % 3 = 0;

INSERT INTO demo_crm.client_contacts (client_id, kind, value)
SELECT id, 'email', lower(first_name) || '.' || lower(last_name) || '@example.com'
  FROM demo_crm.clients WHERE id % 2 = 0;

INSERT INTO demo_crm.client_contacts (client_id, kind, value) VALUES
    (10, 'phone', 'ask the secretary'),
    (11, 'phone', '12-34'),
    (12, 'phone', '044 500 00 00'),       -- a switchboard: two customers behind one number
    (13, 'phone', '+38 (044) 500-00-00');

-- Work --------------------------------------------------------------------------------------------

CREATE TABLE demo_crm.leads (
    id         bigint PRIMARY KEY,
    client_id  bigint NOT NULL REFERENCES demo_crm.clients,
    subject    text NOT NULL,
    stage      text NOT NULL CHECK (stage IN ('new', 'contacted', 'offer', 'won', 'lost')),
    manager_id bigint REFERENCES demo_crm.staff,
    changed_at timestamptz NOT NULL
);
CREATE INDEX ON demo_crm.leads (client_id);
CREATE INDEX ON demo_crm.leads (manager_id);

CREATE TABLE demo_crm.work_orders (
    id          bigint PRIMARY KEY,
    client_id   bigint NOT NULL REFERENCES demo_crm.clients,
    subject     text NOT NULL,
    state       text NOT NULL CHECK (state IN ('open', 'scheduled', 'in_progress', 'done', 'cancelled')),
    engineer_id bigint REFERENCES demo_crm.staff,
    changed_at  timestamptz NOT NULL
);
CREATE INDEX ON demo_crm.work_orders (client_id);
CREATE INDEX ON demo_crm.work_orders (engineer_id);

INSERT INTO demo_crm.leads
SELECT n,
       1 + (n - 1) * 7 % 500,
       ('{Air conditioning for an office,Solar panels,Boiler replacement,Maintenance contract,'
        'Ventilation project,Heat pump for a house}'::text[])[1 + n % 6],
       ('{contacted,new,offer,won,new,lost,contacted}'::text[])[1 + (n - 1) % 7],
       CASE WHEN n % 8 > 0 THEN 1 + n % 4 END,
       now() - n * interval '47 minutes'
  FROM generate_series(1, 300) AS n;

INSERT INTO demo_crm.work_orders
SELECT n,
       1 + (n - 1) * 11 % 500,
       ('{Yearly inspection,No heating,Water leak,Installation,Filter change}'::text[])[1 + n % 5],
       ('{scheduled,open,done,in_progress,done,cancelled}'::text[])[1 + (n - 1) % 6],
       CASE WHEN n % 6 <> 2 THEN 14 + n % 2 END,
       now() - n * interval '83 minutes'
  FROM generate_series(1, 250) AS n;

-- The contract ------------------------------------------------------------------------------------

CREATE VIEW crm.employees AS
SELECT s.id,
       s.full_name            AS name,
       d.name                 AS department,
       s.job_title            AS position,
       s.photo_url            AS avatar_url,
       s.dismissed_on IS NULL AS active
  FROM demo_crm.staff AS s
  JOIN demo_crm.departments AS d ON d.id = s.department_id;

CREATE VIEW crm.permissions AS
SELECT s.id AS employee_id, permission
  FROM demo_crm.staff AS s
  JOIN demo_crm.roles AS r ON r.id = s.role_id
 CROSS JOIN unnest(r.permissions) AS permission
 WHERE s.dismissed_on IS NULL;

CREATE VIEW crm.customers AS
SELECT id,
       first_name || ' ' || last_name AS name,
       company,
       manager_id                     AS owner_id
  FROM demo_crm.clients;

CREATE VIEW crm.customer_phones AS
SELECT client_id            AS customer_id,
       value                AS number,
       demo_crm.e164(value) AS e164
  FROM demo_crm.client_contacts
 WHERE kind = 'phone';

CREATE VIEW crm.open_work AS
SELECT client_id AS customer_id, 'lead' AS kind, id, subject AS title, stage AS status,
       manager_id AS assigned_to, changed_at AS updated_at
  FROM demo_crm.leads
 WHERE stage NOT IN ('won', 'lost')
 UNION ALL
SELECT client_id, 'work_order', id, subject, state, engineer_id, changed_at
  FROM demo_crm.work_orders
 WHERE state NOT IN ('done', 'cancelled');

CREATE VIEW crm.extensions AS
SELECT pbx AS source, extension, staff_id AS employee_id
  FROM demo_crm.desk_phones;

-- The others are optional.

CREATE VIEW crm.customer_emails AS
SELECT client_id AS customer_id, lower(value) AS email
  FROM demo_crm.client_contacts
 WHERE kind = 'email';

CREATE VIEW crm.work_history AS
SELECT client_id AS customer_id, 'lead' AS kind, id, subject AS title, stage AS status,
       manager_id AS assigned_to, changed_at - interval '30 days' AS created_at,
       changed_at AS updated_at,
       CASE WHEN stage IN ('won', 'lost') THEN changed_at END AS closed_at
  FROM demo_crm.leads
 UNION ALL
SELECT client_id, 'work_order', id, subject, state, engineer_id, changed_at - interval '7 days',
       changed_at, CASE WHEN state IN ('done', 'cancelled') THEN changed_at END
  FROM demo_crm.work_orders;

CREATE VIEW crm.teams AS
SELECT id::bigint AS id, name FROM demo_crm.crews;

CREATE VIEW crm.team_members AS
SELECT crew_id::bigint AS team_id, staff_id AS employee_id FROM demo_crm.crew_members;

CREATE VIEW crm.employee_contacts AS
SELECT staff_id AS employee_id, email, demo_crm.e164(mobile) AS phone_e164, locale, time_zone
  FROM demo_crm.staff_contacts;

-- Who works on something may watch it.
CREATE VIEW crm.topic_readers AS
SELECT 'crm:lead:' || id::text AS topic, manager_id AS employee_id
  FROM demo_crm.leads
 WHERE manager_id IS NOT NULL
 UNION ALL
SELECT 'crm:work_order:' || id::text, engineer_id
  FROM demo_crm.work_orders
 WHERE engineer_id IS NOT NULL;

CREATE INDEX ON demo_crm.leads (('crm:lead:' || id::text));
CREATE INDEX ON demo_crm.work_orders (('crm:work_order:' || id::text));

-- What the gateway keeps for the CRM --------------------------------------------------------------

-- The words for how a call went are the CRM's own: it writes them into the gateway's catalogue.
DO $$
BEGIN
    IF to_regclass('realtime.dispositions') IS NOT NULL THEN
        INSERT INTO realtime.dispositions (code, label, direction, position) VALUES
            ('resolved',     'Resolved',                  NULL,       10),
            ('sale',         'Sale',                      NULL,       20),
            ('call_later',   'To be called later',        NULL,       30),
            ('complaint',    'Complaint',                 'inbound',  40),
            ('wrong_number', 'Wrong number',              'inbound',  50),
            ('no_interest',  'No interest',               'outbound', 60),
            ('voicemail',    'Left a message',            'outbound', 70)
        ON CONFLICT DO NOTHING;
    END IF;
END
$$;
