-- Drift of the social schema: four times the messages and events, under new keys, and no index but those of constraints. No ANALYZE: so
-- it is after a bulk load.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET search_path = social;
SET synchronous_commit = off;
SET session_replication_role = replica;  -- foreign keys hold by construction

SELECT format('DROP INDEX social.%I', c.relname)
FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.relnamespace = 'social'::regnamespace AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid) \gexec

SELECT max(message_id) AS messages FROM message \gset
SELECT max(event_id) AS events FROM event \gset
INSERT INTO message
SELECT message_id + k * :messages, answers_to + k * :messages, author_id, written, language, likes, is_deleted, content
FROM message, generate_series(1, 3) AS k;
INSERT INTO message_tag SELECT message_id + k * :messages, tag_id FROM message_tag, generate_series(1, 3) AS k;
INSERT INTO event
SELECT event_id + k * :events, happened, person_id, kind, message_id + k * :messages, session, duration_ms, details
FROM event, generate_series(1, 3) AS k;
VACUUM message, message_tag, event;
CHECKPOINT;
