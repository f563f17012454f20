-- Fills the retail schema: psql -v rows=2400000 -f load.sql. The same rows give the same data on every machine: each value is
-- arithmetic on a hash of its row number, no random generator is involved.
--
-- Why planners err on it, as they do on real data:
--   skew         customers, products, cities and stores follow power laws (a uniform number raised to a power);
--   correlation  region follows city; brand and category follow department; what is bought follows the month; customers buy in
--                stores of their own city; discounts follow department and holidays; the reason of a return follows the department;
--   stale stats  ANALYZE runs when seven of eight quarters are there. The last one, with a quarter of all sales, comes afterwards:
--                its partition has no statistics, and for returns every recent day lies outside the histogram.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET search_path = retail, public;
SET synchronous_commit = off;
SET maintenance_work_mem = '128MB';

-- A uniform number in [0, 1) that depends on nothing but its arguments.
CREATE FUNCTION u(n bigint, salt bigint) RETURNS float8
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN (hashint8extended(n, salt) & 4294967295)::float8 / 4294967296.0;

CREATE FUNCTION city_of_customer(n bigint) RETURNS int
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 1 + floor(60 * power(u(n, 1), 2.0))::int;

CREATE FUNCTION price_of_product(n bigint) RETURNS int
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 99 + (exp(3.0 * u(n, 2)) * 250 * (1 + n % 12))::int;

INSERT INTO size VALUES
	('sales', :rows),
	('customers', greatest(:rows / 16, 1000)),
	('products', greatest(:rows / 120, 500)),
	('stores', 240);

INSERT INTO day
SELECT d, extract(year FROM d), extract(quarter FROM d), extract(month FROM d), extract(week FROM d), extract(isodow FROM d),
       extract(month FROM d) = 12 AND extract(day FROM d) > 20
FROM (SELECT generate_series(date '2023-01-01', date '2024-12-31', interval '1 day')::date) AS s(d);

-- Stores 1 to 60 are the largest of their city; store n is in city 1 + (n - 1) % 60.
INSERT INTO store
SELECT n, 'city ' || 1 + (n - 1) % 60, 'region ' || 1 + (n - 1) % 60 % 8,
       CASE WHEN n <= 60 THEN 'hypermarket' WHEN n <= 150 THEN 'supermarket' ELSE 'express' END, 4000 / (1 + n / 60) + n % 17 * 10
FROM generate_series(1, 240) AS n;

INSERT INTO product
SELECT n, 'product ' || n, 'brand ' || department || '-' || category || '-' || floor(8 * power(u(n, 4), 2.0)),
       'category ' || department || '-' || category, 'department ' || department,
       price_of_product(n), (price_of_product(n) * (0.5 + 0.3 * u(n, 5)))::int
FROM (SELECT n, 1 + n % 12 AS department, 1 + floor(6 * power(u(n, 3), 1.5))::int AS category
      FROM size, generate_series(1, value) AS n WHERE name = 'products') AS p;

INSERT INTO customer
SELECT n, 'customer' || n || '@example.com', 'city ' || city, 'region ' || 1 + (city - 1) % 8,
       CASE WHEN city <= 6 AND u(n, 6) < 0.7 THEN 'premium' WHEN u(n, 6) < 0.2 THEN 'business' WHEN u(n, 6) < 0.85 THEN 'family'
            ELSE 'student' END,
       1940 + floor(65 * u(n, 7))::int, date '2015-01-01' + floor(3600 * u(n, 8))::int
FROM (SELECT n, city_of_customer(n) AS city FROM size, generate_series(1, value) AS n WHERE name = 'customers') AS c;

ANALYZE size, day, store, product, customer;

-- Sales number `low` + 1 to `high`, spread evenly over the days of one quarter, in the order of time as a shop would write them.
CREATE PROCEDURE load_quarter(first_day date, low bigint, high bigint) LANGUAGE sql AS $$
	INSERT INTO retail.sales
	SELECT n, n / 3, day_id, store_id, product_id, customer_id,
	       greatest(quantity * price * (100 - discount_percent) / 100, 1), quantity * price * discount_percent / 100, quantity,
	       CASE WHEN retail.u(n, 16) < 0.6 THEN 'store' WHEN retail.u(n, 16) < 0.85 THEN 'web' ELSE 'app' END
	FROM (SELECT *, retail.price_of_product(product_id) AS price,
	             -- departments 1 to 4 are discounted more, and holidays double that
	             (CASE WHEN product_id % 12 < 4 THEN 20 ELSE 5 END * CASE WHEN extract(month FROM day_id) = 12 THEN 2 ELSE 1 END
	                * retail.u(n, 15))::int AS discount_percent,
	             -- most buy in their own city, there mostly in its largest store; the rest anywhere
	             CASE WHEN retail.u(n, 13) < 0.85
	                  THEN retail.city_of_customer(customer_id) + 60 * floor(4 * power(retail.u(n, 14), 2.0))::int
	                  ELSE 1 + floor(240 * retail.u(n, 14))::int END AS store_id
	      FROM (SELECT n, first_day + ((n - low - 1) * 91 / (high - low))::int AS day_id,
	                   -- three in ten buy what is in season: the department of the month
	                   CASE WHEN retail.u(n, 11) < 0.3
	                        THEN least(greatest(ranked - ranked % 12 + extract(month FROM first_day
	                                            + ((n - low - 1) * 91 / (high - low))::int)::int - 1, 1), products)
	                        ELSE ranked END AS product_id,
	                   -- a basket has one customer
	                   1 + floor(customers * power(retail.u(n / 3, 12), 1.7))::int AS customer_id,
	                   (1 + floor(4 * power(retail.u(n, 17), 3.0)))::smallint AS quantity
	            FROM (SELECT n, customers, products, 1 + floor((products - 1) * power(retail.u(n, 10), 2.2))::int AS ranked
	                  FROM generate_series(low + 1, high) AS n,
	                       (SELECT max(value) FILTER (WHERE name = 'customers') AS customers,
	                               max(value) FILTER (WHERE name = 'products') AS products FROM retail.size) AS sizes) AS a) AS b) AS c;

	INSERT INTO retail.returns
	SELECT sale_id, sale_id, day_id + 1 + floor(20 * retail.u(sale_id, 18))::int, store_id, product_id, customer_id, amount,
	       CASE WHEN product_id % 12 < 3 THEN 'does not fit' WHEN product_id % 12 < 6 AND retail.u(sale_id, 19) < 0.7 THEN 'broken'
	            WHEN retail.u(sale_id, 19) < 0.5 THEN 'changed mind' ELSE 'late' END
	FROM retail.sales
	WHERE day_id >= first_day AND day_id < first_day + interval '3 months'
	  AND retail.u(sale_id, 20) < CASE WHEN product_id % 12 < 3 THEN 0.25 ELSE 0.06 END;
$$;

\echo sales of seven quarters
SELECT format('CALL load_quarter(%L, %s, %s)', first::date, (:rows * 0.11 * (i - 1))::bigint, (:rows * 0.11 * i)::bigint)
FROM generate_series(timestamp '2023-01-01', timestamp '2024-07-01', interval '3 months') WITH ORDINALITY AS q(first, i) \gexec

\echo indexes and statistics
CREATE INDEX ON sales (store_id, day_id);
CREATE INDEX ON sales (customer_id);
CREATE INDEX ON sales (product_id, day_id);
CREATE INDEX ON returns (day_id);
CREATE INDEX ON returns (product_id);
CREATE INDEX ON returns (customer_id);
ANALYZE sales;
ANALYZE returns;

\echo the last quarter, which no ANALYZE has seen
SELECT format('CALL load_quarter(%L, %s, %s)', '2024-10-01', (:rows * 0.11 * 7)::bigint, :rows::bigint) \gexec

-- Hint bits and the visibility map, so that no phase of a measurement pays for them; column statistics stay stale.
VACUUM sales, returns;
VACUUM day, store, product, customer;
CHECKPOINT;
