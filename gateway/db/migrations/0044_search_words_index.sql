-- no transaction
-- Makes the words of all messages anew, by the function of the file before. Nobody waits for it;
-- until it is done, messages of before are found by the words of before.
REINDEX INDEX CONCURRENTLY realtime.messages_search;
