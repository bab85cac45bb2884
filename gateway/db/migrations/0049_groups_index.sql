-- no transaction
-- The groups among all conversations: looked through twice a minute for those without an owner.
CREATE INDEX CONCURRENTLY IF NOT EXISTS conversations_groups
    ON realtime.conversations (id)
    WHERE kind = 'group';
