-- G6: the user's own work_mem wins; G11: none is lowered; G12: plans are those of the session's own work_mem;
-- what is granted is one work_mem here (wlm.grant_scope), so that a function can see it;
-- G17: what a managed query calls plans and runs under the session's own settings, and foreign keys under theirs.
SET search_path = grant_test;
SET max_parallel_workers_per_gather = 0;
CREATE FUNCTION seen() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	RETURN pg_size_bytes(current_setting('work_mem')) / 1024;
END
$$;
-- What a query with a sort of half a megabyte and one with a sort of 25 MB run with.
CREATE VIEW small AS SELECT min(seen()) FROM
	(SELECT k FROM (SELECT k FROM fact UNION ALL SELECT k FROM fact) f WHERE k < 3000 ORDER BY k OFFSET 0) s;
CREATE VIEW large AS SELECT min(seen()) FROM (SELECT f.* FROM fact f, generate_series(1, 10) n ORDER BY pad, k OFFSET 0) s;
CREATE PROCEDURE learn() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..5 LOOP
		PERFORM * FROM grant_test.small;
		PERFORM * FROM grant_test.large;
		PERFORM wlm.flush();
	END LOOP;
END
$$;
SET wlm.mode = auto;
SET wlm.grant_scope = 'query';
CALL learn();
SELECT min = 4096 AS small_keeps_default FROM small;
SELECT min > 15000 AS large_is_raised FROM large;

-- A choice of the session, its role or its database, and of a function.
SET work_mem = '3MB';
SELECT min FROM large;
BEGIN;
SET LOCAL work_mem = '2MB';
SELECT min FROM large;
COMMIT;
RESET work_mem;
SELECT min > 4096 AS raised_again FROM large;
CREATE FUNCTION chooses() RETURNS int LANGUAGE plpgsql SET work_mem = '1234kB' AS $$
BEGIN
	RETURN (SELECT min FROM grant_test.large);
END
$$;
SELECT chooses();
SET wlm.respect_user_work_mem = off;
SELECT chooses() > 1234 AS overridden;
SET work_mem = '3MB';
SELECT min > 3072 AS overridden FROM large;
SHOW work_mem;
-- Never lowered: 200 MB are far more than it needs.
SET work_mem = '200MB';
SELECT min >= 200 * 1024 AS not_lowered FROM large;
SET work_mem = '2GB';
SELECT min FROM large;
RESET work_mem;
RESET wlm.respect_user_work_mem;

DO $$
BEGIN
	EXECUTE format('ALTER DATABASE %I SET work_mem = ''5MB''', current_database());
END
$$;
\connect -
SET search_path = grant_test;
SET max_parallel_workers_per_gather = 0;
SET wlm.mode = auto;
SET wlm.grant_scope = 'query';
SELECT source FROM pg_settings WHERE name = 'work_mem';
SELECT min FROM large;
SET wlm.respect_user_work_mem = off;
SELECT min > 5120 AS overridden FROM large;
DO $$
BEGIN
	EXECUTE format('ALTER DATABASE %I RESET work_mem', current_database());
END
$$;
\connect -
SET search_path = grant_test;
SET max_parallel_workers_per_gather = 0;
SET wlm.mode = auto;
SET wlm.grant_scope = 'query';
SELECT min > 4096 AS raised FROM large;

-- Plans do not depend on the mode, also where the granted memory would lead to another.
CREATE FUNCTION plan_of(query text, mode text) RETURNS SETOF text LANGUAGE plpgsql SET wlm.mode = off AS $$
BEGIN
	PERFORM set_config('wlm.mode', mode, true);
	RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END
$$;
SET work_mem = '64kB';
SET wlm.respect_user_work_mem = off;
CREATE TABLE queries (n int, query text);
INSERT INTO queries VALUES
(1, 'SELECT pad || id, count(*) FROM fact GROUP BY 1'),
(2, 'SELECT count(label), count(pad) FROM fact JOIN dim USING (k)'),
(3, 'SELECT count(*) FROM fact WHERE k NOT IN (SELECT k FROM dim)'),
(4, 'SELECT label FROM dim UNION SELECT pad FROM fact');
SELECT n, (SELECT array_agg(p) FROM plan_of(query, 'off') p) = (SELECT array_agg(p) FROM plan_of(query, 'auto') p) AS same FROM queries ORDER BY n;
SET work_mem = '64MB';
SELECT * FROM plan_of('SELECT pad || id, count(*) FROM fact GROUP BY 1', 'off');
SET work_mem = '64kB';
SELECT * FROM plan_of('SELECT pad || id, count(*) FROM fact GROUP BY 1', 'off');
-- Planned while a query runs with its grant.
CREATE FUNCTION plan_inside(id int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	EXECUTE 'EXPLAIN (COSTS OFF) SELECT pad || id, count(*) FROM fact GROUP BY 1' INTO line;
	RETURN line;
END
$$;
SELECT min(plan_inside(id)), min(seen()) > 64 AS raised FROM (SELECT * FROM fact ORDER BY pad, k OFFSET 0) s WHERE id % 1000 = 0;

-- Run while another runs with its grant.
CREATE FUNCTION nested_expensive() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT min FROM grant_test.small);
END
$$;
CREATE FUNCTION nested_cheap() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	c int;
BEGIN
	SELECT seen() INTO c FROM pg_class LIMIT 1;
	RETURN c;
END
$$;
CREATE FUNCTION nested_sql() RETURNS int LANGUAGE sql AS $$
	SELECT seen() FROM (SELECT * FROM fact ORDER BY pad, k LIMIT 1) s
$$;
SET work_mem = '777kB';
SELECT max(nested_expensive()) AS expensive, max(nested_cheap()) AS cheap, max(nested_sql()) AS sql, min(seen()) > 777 AS raised
FROM (SELECT * FROM fact ORDER BY pad, k OFFSET 0) s WHERE id % 5000 = 0;
SHOW work_mem;

-- The check of a foreign key runs with maintenance_work_mem, as PostgreSQL decided.
CREATE TABLE parent (k int PRIMARY KEY);
CREATE TABLE child (k int);
INSERT INTO parent SELECT generate_series(1, 60000);
INSERT INTO child SELECT k FROM parent ORDER BY k * 7919 % 60013;
VACUUM ANALYZE parent, child;
SET enable_mergejoin = off;
SET enable_nestloop = off;
SET maintenance_work_mem = '1MB';
CREATE PROCEDURE validate() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..2 LOOP
		ALTER TABLE grant_test.child ADD CONSTRAINT parent FOREIGN KEY (k) REFERENCES grant_test.parent;
		ALTER TABLE grant_test.child DROP CONSTRAINT parent;
	END LOOP;
	PERFORM wlm.flush();
END
$$;
SET wlm.respect_user_work_mem = on;
CALL validate();
SELECT granted_work_mem_kb, final_state, applied FROM wlm.history WHERE pid = pg_backend_pid() ORDER BY id DESC LIMIT 2;
SHOW work_mem;
RESET ALL;
DROP TABLE grant_test.queries, grant_test.child, grant_test.parent;
DROP VIEW grant_test.small, grant_test.large;
DROP PROCEDURE grant_test.learn(), grant_test.validate();
DROP FUNCTION grant_test.seen(), grant_test.chooses(), grant_test.plan_of(text, text), grant_test.plan_inside(int),
	grant_test.nested_expensive(), grant_test.nested_cheap(), grant_test.nested_sql();
