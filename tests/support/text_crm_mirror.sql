-- Tests change the demo's tables, whichever CRM they run on: here, what they change there arrives.

CREATE FUNCTION demo_crm.mirror_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO "User"
    SELECT md5('user ' || s.id)::uuid::text, s.full_name, d.name, s.job_title, s.photo_url,
           s.dismissed_on, r.permissions
      FROM demo_crm.staff AS s
      JOIN demo_crm.departments AS d ON d.id = s.department_id
      JOIN demo_crm.roles AS r ON r.id = s.role_id
        ON CONFLICT ("id") DO UPDATE
       SET ("fullName", "department", "jobTitle", "photoUrl", "dismissedAt", "permissions")
         = (excluded."fullName", excluded."department", excluded."jobTitle", excluded."photoUrl",
            excluded."dismissedAt", excluded."permissions");
    DELETE FROM "User"
     WHERE "id" NOT IN (SELECT md5('user ' || id)::uuid::text FROM demo_crm.staff);
    RETURN NULL;
END
$$;
CREATE TRIGGER mirror AFTER INSERT OR UPDATE OR DELETE ON demo_crm.staff
    EXECUTE FUNCTION demo_crm.mirror_people();
CREATE TRIGGER mirror AFTER UPDATE ON demo_crm.roles EXECUTE FUNCTION demo_crm.mirror_people();

CREATE FUNCTION demo_crm.mirror_telephones() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM "DeskPhone";
    INSERT INTO "DeskPhone"
    SELECT pbx, extension, md5('user ' || staff_id)::uuid::text FROM demo_crm.desk_phones;
    RETURN NULL;
END
$$;
CREATE TRIGGER mirror AFTER INSERT OR UPDATE OR DELETE ON demo_crm.desk_phones
    EXECUTE FUNCTION demo_crm.mirror_telephones();

CREATE FUNCTION demo_crm.mirror_customers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM "ClientContact";
    INSERT INTO "ClientContact"
    SELECT md5('contact ' || id)::uuid::text, md5('client ' || client_id)::uuid::text, kind, value
      FROM demo_crm.client_contacts;
    UPDATE "Deal" AS d SET "clientId" = md5('client ' || l.client_id)::uuid::text
      FROM demo_crm.leads AS l WHERE d."id" = md5('lead ' || l.id)::uuid::text;
    RETURN NULL;
END
$$;
CREATE TRIGGER mirror AFTER INSERT OR UPDATE OR DELETE ON demo_crm.client_contacts
    EXECUTE FUNCTION demo_crm.mirror_customers();
CREATE TRIGGER mirror AFTER UPDATE ON demo_crm.leads EXECUTE FUNCTION demo_crm.mirror_customers();
