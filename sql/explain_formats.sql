-- The "Workload Manager" group of EXPLAIN, in all formats, where it belongs and nowhere else
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_wlm;
RESET client_min_messages;
SELECT wlm.reset('all');

CREATE TABLE explain_data AS SELECT g AS id, g % 1000 AS k, repeat('x', 100) AS t FROM generate_series(1, 50000) g;
ANALYZE explain_data;
SET max_parallel_workers_per_gather = 0;

CREATE FUNCTION explained(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	result text := '';
BEGIN
	FOR line IN EXECUTE command LOOP
		result := result || line || E'\n';
	END LOOP;
	RETURN result;
END $$;
CREATE FUNCTION shape(command text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(regexp_replace(line, 'node \d+', 'node #', 'g'), '-?\d+(\.\d+)?', 'N', 'g'),
	                      ' \(raised\)|(?<=Lane: )"?(normal|express)"?|(?<=Raised: )(true|false)|, (trees|graph|neighbours) (-|N ms \(N%\)|N kB)', '', 'g')
	FROM regexp_split_to_table(explained(command), '\n') line
	WHERE line <> ''
$$;

SELECT * FROM shape('EXPLAIN SELECT k, count(*) FROM explain_data GROUP BY k ORDER BY 2');

-- JSON: one document, one element, the group beside "Plan"
CREATE TEMP TABLE documents AS
SELECT explained('EXPLAIN (FORMAT JSON) SELECT k, count(*) FROM explain_data GROUP BY k ORDER BY 2')::jsonb AS plain,
       explained('EXPLAIN (ANALYZE, BUFFERS OFF, TIMING OFF, FORMAT JSON) SELECT k, count(*) FROM explain_data GROUP BY k ORDER BY 2')::jsonb AS analyzed;
SELECT jsonb_array_length(plain), jsonb_object_keys(plain -> 0) FROM documents;
SELECT jsonb_array_length(analyzed), jsonb_object_keys(analyzed -> 0) FROM documents;
SELECT key, CASE WHEN key IN ('Mode', 'Queue', 'Priority') THEN value::text ELSE jsonb_typeof(value) END
FROM documents, jsonb_each(plain -> 0 -> 'Workload Manager') ORDER BY key COLLATE "C";
SELECT operator ->> 'Node' AS node, operator ->> 'Plan Node Id' AS id, jsonb_array_length(operator -> 'Experts') AS experts,
       (operator ->> 'Need Low')::float <= (operator ->> 'Need High')::float AS ordered
FROM documents, jsonb_array_elements(plain -> 0 -> 'Workload Manager' -> 'Operators') operator;

-- ANALYZE: what was used, and where it spilled
CREATE VIEW analyzed_operators AS
SELECT operator ->> 'Node' AS node, (operator ->> 'Used')::float > 0 AS used,
       (operator ->> 'Used')::float <= (operator ->> 'Grown To')::float * 1.1 AS within,
       (operator ->> 'Grown To')::float >= 4096 AS grown_to, operator -> 'Spilled' AS spilled, (operator ->> 'Temporary')::float > 0 AS temporary
FROM jsonb_array_elements(explained('EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM explain_data ORDER BY t, id')::jsonb -> 0 -> 'Workload Manager' -> 'Operators') operator;
SELECT * FROM analyzed_operators;
SET wlm.mode = auto;
SELECT node, used, within, grown_to FROM analyzed_operators;
RESET wlm.mode;
DROP VIEW analyzed_operators;
SELECT line FROM shape('EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) SELECT k, count(*) FROM explain_data GROUP BY k') line WHERE line ~ 'Granted|Used';

-- how parallel plans scale
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT scale ->> 'Processes' AS processes, (scale ->> 'Relative Time')::float BETWEEN (scale ->> 'Relative Time Low')::float
       AND (scale ->> 'Relative Time High')::float AS ordered
FROM jsonb_array_elements(explained('EXPLAIN (FORMAT JSON) SELECT count(*) FROM explain_data')::jsonb -> 0 -> 'Workload Manager' -> 'Scalability') scale;
SELECT xpath('/e:explain/e:Query/e:Workload-Manager/e:Scalability/e:Relative-Time/e:Processes/text()',
             explained('EXPLAIN (FORMAT XML) SELECT count(*) FROM explain_data')::xml,
             ARRAY[ARRAY['e', 'http://www.postgresql.org/2009/explain']]);
RESET min_parallel_table_scan_size;
RESET parallel_setup_cost;
SET max_parallel_workers_per_gather = 0;

-- XML: well-formed
SELECT xpath('/e:explain/e:Query/e:Workload-Manager/e:Queue/text()',
             explained('EXPLAIN (FORMAT XML) SELECT * FROM explain_data ORDER BY t')::xml,
             ARRAY[ARRAY['e', 'http://www.postgresql.org/2009/explain']]);
SELECT xpath('/e:explain/e:Query/e:Workload-Manager/e:Operators/e:Operator/e:Node/text()',
             explained('EXPLAIN (ANALYZE, FORMAT XML) SELECT * FROM explain_data ORDER BY t')::xml,
             ARRAY[ARRAY['e', 'http://www.postgresql.org/2009/explain']]);

-- YAML: at the level of "Plan"
-- (what an expert says is left out: it depends on the models that came with pg_wlm)
SELECT * FROM shape('EXPLAIN (FORMAT YAML) SELECT * FROM explain_data ORDER BY k')
WHERE shape !~ '^ {8}(Time|Memory)( Low| High)?: N$|^ {12}Need|^ +Grant Reason|^ +Disabled: false'; -- disabled: from 18 on

-- several statements in one document
CREATE RULE also AS ON INSERT TO explain_data DO ALSO SELECT count(*) FROM explain_data a JOIN explain_data b USING (id);
SELECT jsonb_array_length(d), d -> 0 ? 'Workload Manager' AS first, d -> 1 ? 'Workload Manager' AS second
FROM (SELECT explained('EXPLAIN (FORMAT JSON) INSERT INTO explain_data VALUES (0)')::jsonb AS d) s;
DROP RULE also ON explain_data;

-- EXPLAIN of CREATE TABLE AS and DECLARE
SELECT count(*) FROM shape('EXPLAIN CREATE TABLE x AS SELECT * FROM explain_data ORDER BY t') WHERE shape LIKE '%Workload Manager%';
SELECT count(*) FROM shape('EXPLAIN DECLARE x CURSOR FOR SELECT * FROM explain_data ORDER BY t') WHERE shape LIKE '%Workload Manager%';

-- not where nothing would be managed, nor without costs
EXPLAIN (COSTS OFF) SELECT * FROM explain_data ORDER BY t;
SELECT jsonb_object_keys(explained('EXPLAIN (COSTS OFF, FORMAT JSON) SELECT * FROM explain_data ORDER BY t')::jsonb -> 0);
EXPLAIN SELECT 1;
SELECT count(*) FROM shape('EXPLAIN SELECT relname FROM pg_class a, pg_attribute b ORDER BY 1') WHERE shape LIKE '%Workload Manager%';
SET wlm.mode = off;
SELECT count(*) FROM shape('EXPLAIN SELECT * FROM explain_data ORDER BY t') WHERE shape LIKE '%Workload Manager%';
RESET wlm.mode;
SET wlm.bypass = on;
SELECT count(*) FROM shape('EXPLAIN SELECT * FROM explain_data ORDER BY t') WHERE shape LIKE '%Workload Manager%';
RESET wlm.bypass;

-- an error while it runs leaves nothing behind
SELECT count(*) FROM shape('EXPLAIN ANALYZE SELECT 1 / (k - 500) FROM explain_data ORDER BY t');
SELECT count(*) FROM shape('EXPLAIN SELECT * FROM explain_data ORDER BY t') WHERE shape LIKE '%Workload Manager%';

DROP FUNCTION shape(text);
DROP FUNCTION explained(text);
DROP TABLE explain_data, documents;
