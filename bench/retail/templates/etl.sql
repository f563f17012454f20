-- ETL: what a scheduler runs between the reports. Each is one statement, and like a scheduler the driver never runs a job beside
-- itself (`-- serial`). The format is described in dashboards.sql.

-- name: build_customer_features
-- serial
-- param: month month 2023-01-01..2024-07-01
CREATE TEMP TABLE customer_features ON COMMIT DROP AS
SELECT s.customer_id, count(*) AS purchases, count(DISTINCT s.basket_id) AS baskets, count(DISTINCT s.product_id) AS products,
       sum(s.amount) AS amount, max(s.day_id) AS last_day
FROM retail.sales s
WHERE s.day_id >= :month AND s.day_id < date :month + interval '6 months'
GROUP BY s.customer_id;

-- name: load_customer_month
-- serial
-- param: month month 2023-01-01..2024-10-01
INSERT INTO staging.customer_month
SELECT date_trunc('month', s.day_id)::date, s.customer_id, count(*), sum(s.amount), count(DISTINCT s.product_id)
FROM retail.sales s
WHERE s.day_id >= :month AND s.day_id < date :month + interval '3 months'
GROUP BY 1, 2;

-- name: load_basket_pairs
-- serial
-- param: month month 2023-01-01..2024-12-01
INSERT INTO staging.basket_pair
SELECT :month, a.product_id, b.product_id, count(*)
FROM retail.sales a JOIN retail.sales b ON b.basket_id = a.basket_id AND b.product_id > a.product_id
WHERE a.day_id >= :month AND a.day_id < date :month + interval '1 month'
  AND b.day_id >= :month AND b.day_id < date :month + interval '1 month'
GROUP BY a.product_id, b.product_id;

-- name: refresh_customer_value
-- serial
-- param: region int 1..8
-- param: month month 2024-01-01..2024-08-01
UPDATE staging.customer_value v SET amount = f.amount, last_day = f.last_day
FROM (SELECT customer_id, sum(amount) AS amount, max(day_id) AS last_day
      FROM retail.sales WHERE day_id >= :month GROUP BY customer_id) AS f
WHERE v.customer_id = f.customer_id AND v.region = 'region ' || :region;

-- name: clear_customer_month
-- serial
-- param: month month 2023-01-01..2024-12-01
DELETE FROM staging.customer_month m
USING (SELECT customer_id FROM retail.sales WHERE day_id >= :month AND day_id < date :month + interval '1 month'
       GROUP BY customer_id HAVING count(*) > 1) AS c
WHERE m.customer_id = c.customer_id AND m.month <= :month;
