-- G4: whatever order cursors are opened, read and closed in, and however they end, work_mem is the session's own after
-- each step, and what a cursor computes on a later fetch still has its grant.
SET search_path = grant_test;
SET wlm.respect_user_work_mem = off;
SET work_mem = '777kB';
SET wlm.mode = auto;
SET max_parallel_workers_per_gather = 0;

CREATE FUNCTION seen() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	RETURN pg_size_bytes(current_setting('work_mem')) / 1024;
END
$$;
-- Three cursors: one that has its memory from the first row on, one that needs it on a later fetch, one that is scrolled.
\set a 'DECLARE a CURSOR FOR SELECT id, seen() FROM (SELECT * FROM fact ORDER BY pad, k OFFSET 0) s'
\set b 'DECLARE b CURSOR FOR SELECT id, seen() FROM (SELECT id FROM fact WHERE id < 3 UNION ALL (SELECT id FROM fact ORDER BY pad, k)) s'
\set c 'DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT k, label FROM dim ORDER BY label, k'
BEGIN;
:a;
SHOW work_mem;
:b;
SHOW work_mem;
MOVE 1 FROM b;
SHOW work_mem;
MOVE 1 FROM a;
:c;
SHOW work_mem;
MOVE 10 FROM c;
SHOW work_mem;
MOVE 5 FROM b;
SHOW work_mem;
CLOSE a;
SHOW work_mem;
MOVE BACKWARD 5 FROM c;
SHOW work_mem;
MOVE ALL FROM b;
SHOW work_mem;
CLOSE b;
SHOW work_mem;
COMMIT;
SHOW work_mem;
MOVE 3 FROM c;
CLOSE c;
SHOW work_mem;

-- All orders of two cursors' steps.
CREATE PROCEDURE interleave() LANGUAGE plpgsql AS $$
DECLARE
	one refcursor;
	two refcursor;
	step int;
	taken int[];
	r record;
	wrong int := 0;
BEGIN
	-- Each order of 3 + 3 steps: open, fetch, close of either.
	FOR bits IN 0..63 LOOP
		CONTINUE WHEN length(replace(bits::bit(6)::text, '0', '')) <> 3;
		taken := '{0,0}';
		FOR i IN 1..6 LOOP
			step := substr(bits::bit(6)::text, i, 1)::int;
			taken[step + 1] := taken[step + 1] + 1;
			CASE step * 10 + taken[step + 1]
				WHEN 1 THEN OPEN one FOR SELECT * FROM fact ORDER BY pad, k;
				WHEN 2 THEN FETCH one INTO r;
				WHEN 3 THEN CLOSE one;
				WHEN 11 THEN OPEN two FOR SELECT count(*) FROM fact GROUP BY pad || id;
				WHEN 12 THEN FETCH two INTO r;
				WHEN 13 THEN CLOSE two;
			END CASE;
			IF current_setting('work_mem') <> '777kB' THEN
				wrong := wrong + 1;
			END IF;
		END LOOP;
	END LOOP;
	RAISE NOTICE '% steps left another work_mem', wrong;
END
$$;
CALL interleave();
SHOW work_mem;

-- Errors in the middle, caught and not; savepoints released and rolled back.
CREATE FUNCTION failing(id int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	IF failing.id > 19990 THEN
		RAISE 'too large';
	END IF;
	RETURN id;
END
$$;
SELECT failing(id) FROM fact ORDER BY pad, k;
SHOW work_mem;
BEGIN;
:a;
MOVE 2 FROM a;
SAVEPOINT one;
:b;
MOVE 4 FROM b;
RELEASE SAVEPOINT one;
SHOW work_mem;
SAVEPOINT two;
SELECT failing(id) FROM fact ORDER BY pad, k;
ROLLBACK TO SAVEPOINT two;
SHOW work_mem;
MOVE 2 FROM a;
MOVE 2 FROM b;
SAVEPOINT three;
:c;
MOVE 2 FROM c;
ROLLBACK TO SAVEPOINT three;
SHOW work_mem;
RELEASE SAVEPOINT two;
MOVE 2 FROM b;
SHOW work_mem;
FETCH 1 FROM nonexistent;
ROLLBACK;
SHOW work_mem;
DO $$
BEGIN
	BEGIN
		PERFORM grant_test.failing(id) FROM grant_test.fact ORDER BY pad, k;
	EXCEPTION WHEN raise_exception THEN
		RAISE NOTICE 'caught; work_mem %', current_setting('work_mem');
	END;
	FOR r IN 1..2 LOOP
		PERFORM * FROM grant_test.fact ORDER BY pad, k;
	END LOOP;
	RAISE NOTICE 'work_mem %', current_setting('work_mem');
END
$$;
SHOW work_mem;
-- Also when the session has it from nowhere.
RESET work_mem;
BEGIN;
:a;
:b;
MOVE 2 FROM a;
MOVE 2 FROM b;
CLOSE a;
CLOSE b;
SELECT setting, source, current_setting('wlm.query_serial') FROM pg_settings WHERE name = 'work_mem';
COMMIT;
SELECT setting, source, current_setting('wlm.query_serial') FROM pg_settings WHERE name = 'work_mem';

-- The sort began on the second fetch, with the grant.
SET work_mem = '777kB';
SELECT wlm.flush();
BEGIN;
:b;
MOVE 2 FROM b;
CLOSE b;
COMMIT;
BEGIN;
:b;
MOVE 2 FROM b;
MOVE ALL FROM b;
CLOSE b;
COMMIT;
SELECT wlm.flush();
SELECT granted_work_mem_kb > 777 AS raised, temp_bytes, censored FROM wlm.history
WHERE pid = pg_backend_pid() ORDER BY id DESC LIMIT 2;
RESET ALL;
DROP FUNCTION grant_test.seen(), grant_test.failing(int);
DROP PROCEDURE grant_test.interleave();
