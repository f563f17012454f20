-- One pair of tables for bench/memory/growth: psql -v rows=600000 -v fact=fact_1 -v event=event_1 -f growth_tables.sql.
--
-- a, b and c are the same number, so that every further condition on them makes the planner's estimate too low by its selectivity once more:
-- hash tables that it takes for small start with one batch and are not.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

CREATE TABLE :fact AS
SELECT n AS id, (n::bigint * 7919 % :rows)::int AS other, n % 20 AS a, n % 20 AS b, n % 20 AS c, n % 997 AS v, md5(n::text) AS pad
FROM generate_series(1, :rows) AS n;
CREATE TABLE :event AS
SELECT n AS id, (n::bigint * 104729 % :rows)::int AS fact_id, n % 20 AS a, n % 20 AS b, n % 20 AS c, n % 1009 AS v, md5((-n)::text) AS pad
FROM generate_series(1, :rows) AS n;
VACUUM ANALYZE :fact, :event;
