-- Tables for bench/memory/growth, and what is read out of the plans: psql -v rows=1200000 -f growth.sql.
--
-- a, b and c are the same number, so that every further condition on them makes the planner's estimate five times too low: hash tables that it takes
-- for small start with one batch and are not.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

CREATE TABLE fact AS
SELECT n AS id, (n::bigint * 7919 % :rows)::int AS other, n % 20 AS a, n % 20 AS b, n % 20 AS c, n % 997 AS v, md5(n::text) AS pad
FROM generate_series(1, :rows) AS n;
CREATE TABLE event AS
SELECT n AS id, (n::bigint * 104729 % :rows)::int AS fact_id, n % 20 AS a, n % 20 AS b, n % 20 AS c, n % 1009 AS v, md5((-n)::text) AS pad
FROM generate_series(1, :rows / 2) AS n;
VACUUM ANALYZE fact, event;

CREATE TABLE plan (phase text, query text, plan jsonb, PRIMARY KEY (phase, query));

-- One row for each hash table of each plan. Plans of the same query have the same operators in the same order.
CREATE VIEW operator AS
SELECT phase, query, position, node ->> 'Node Type' AS kind,
       CASE WHEN node ->> 'Node Type' = 'Hash' THEN (node ->> 'Hash Batches')::int > 1
            ELSE coalesce((node ->> 'Disk Usage')::bigint, 0) > 0 END AS spilled,
       CASE WHEN node ->> 'Node Type' = 'Hash' THEN (node ->> 'Original Hash Batches')::int = 1
            ELSE coalesce((node ->> 'Planned Partitions')::int, 0) = 0 END AS started_with_one,
       (node ->> 'Peak Memory Usage')::bigint AS peak_kb
FROM plan, jsonb_path_query(plan, 'strict $.** ? (@."Node Type" == "Hash" || (@."Node Type" == "Aggregate" && @."Strategy" == "Hashed"))')
           WITH ORDINALITY AS n(node, position);

-- An operator counts if the halved prediction made it spill, and only it: it starts with one batch, spills without growth, and does not spill
-- when its need is predicted in full.
CREATE VIEW injected AS
SELECT f.query, f.position, f.kind, r.peak_kb AS need_kb, f.peak_kb AS fixed_kb, g.peak_kb AS grown_kb, g.spilled AS still_spilled
FROM operator f
     JOIN operator r ON r.phase = 'full' AND (r.query, r.position) = (f.query, f.position)
     JOIN operator g ON g.phase = 'growing' AND (g.query, g.position) = (f.query, f.position)
WHERE f.phase = 'fixed' AND f.spilled AND f.started_with_one AND NOT r.spilled;
