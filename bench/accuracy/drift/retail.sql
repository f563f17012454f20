-- Drift of the retail schema: four times the sales and returns, under new keys, and no index but those of constraints. No ANALYZE: so it
-- is after a bulk load.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET search_path = retail;
SET synchronous_commit = off;

SELECT format('DROP INDEX retail.%I', c.relname)
FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.relnamespace = 'retail'::regnamespace AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid) \gexec

SELECT max(sale_id) AS sales, max(basket_id) + 1 AS baskets, (SELECT max(return_id) FROM returns) AS returns FROM sales \gset
INSERT INTO sales
SELECT sale_id + k * :sales, basket_id + k * :baskets, day_id, store_id, product_id, customer_id, amount, discount, quantity, channel
FROM sales, generate_series(1, 3) AS k;
INSERT INTO returns
SELECT return_id + k * :returns, sale_id + k * :sales, day_id, store_id, product_id, customer_id, amount, reason
FROM returns, generate_series(1, 3) AS k;
VACUUM sales, returns;
CHECKPOINT;
