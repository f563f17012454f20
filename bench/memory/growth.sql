-- For bench/memory/growth: what is read out of plans.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

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
