-- Reports: joins over months of sales, sorts, hash aggregates, windows, distinct counts. Few of the queries, most of the work.
-- The format is described in dashboards.sql. Every result is small, exact (integers) and totally ordered, so that answers can be compared.

-- name: margin_by_brand
-- param: month month 2023-01-01..2024-04-01
SELECT p.department, p.brand, sum(s.amount - s.quantity * p.cost) AS margin, count(DISTINCT s.customer_id) AS customers
FROM retail.sales s JOIN retail.product p USING (product_id)
WHERE s.day_id >= :month AND s.day_id < date :month + interval '9 months'
GROUP BY p.department, p.brand ORDER BY margin DESC, p.brand LIMIT 50;

-- name: best_customers
-- param: month month 2023-01-01..2024-01-01
-- param: segment pick premium|business|family|student
SELECT c.customer_id, c.city, sum(s.amount) AS amount, count(*) AS purchases
FROM retail.sales s JOIN retail.customer c USING (customer_id)
WHERE c.segment = :segment AND s.day_id >= :month AND s.day_id < date :month + interval '12 months'
GROUP BY c.customer_id, c.city ORDER BY amount DESC, c.customer_id LIMIT 100;

-- name: repeat_purchases
-- param: month month 2023-01-01..2024-01-01
-- param: department int 1..12
SELECT times, count(*) AS customer_products, sum(amount) AS amount
FROM (SELECT s.customer_id, s.product_id, count(DISTINCT s.basket_id) AS times, sum(s.amount) AS amount
      FROM retail.sales s
      WHERE s.day_id >= :month AND s.day_id < date :month + interval '12 months' AND s.store_id % 12 <> :department - 1
      GROUP BY s.customer_id, s.product_id) AS r
GROUP BY times ORDER BY times;

-- name: days_between_visits
-- param: month month 2023-01-01..2024-01-01
-- param: channel pick store|web|app
SELECT gap, count(*) AS visits
FROM (SELECT day_id - lag(day_id) OVER (PARTITION BY customer_id ORDER BY day_id, sale_id) AS gap
      FROM retail.sales
      WHERE channel = :channel AND day_id >= :month AND day_id < date :month + interval '12 months') AS v
WHERE gap > 0 GROUP BY gap ORDER BY visits DESC, gap LIMIT 60;

-- name: basket_sizes
-- param: month month 2023-01-01..2024-01-01
-- param: region int 1..8
SELECT lines, count(*) AS baskets, sum(amount) AS amount, percentile_disc(0.5) WITHIN GROUP (ORDER BY amount) AS median
FROM (SELECT s.basket_id, count(*) AS lines, sum(s.amount) AS amount
      FROM retail.sales s JOIN retail.store st USING (store_id)
      WHERE st.region <> 'region ' || :region AND s.day_id >= :month AND s.day_id < date :month + interval '12 months'
      GROUP BY s.basket_id) AS b
GROUP BY lines ORDER BY lines;

-- name: bought_together
-- param: month month 2023-01-01..2024-10-01
SELECT a.product_id AS product, b.product_id AS other, count(*) AS baskets
FROM retail.sales a JOIN retail.sales b ON b.basket_id = a.basket_id AND b.product_id > a.product_id
WHERE a.day_id >= :month AND a.day_id < date :month + interval '3 months'
  AND b.day_id >= :month AND b.day_id < date :month + interval '3 months'
GROUP BY a.product_id, b.product_id ORDER BY baskets DESC, product, other LIMIT 30;

-- name: store_ranking
-- param: month month 2023-01-01..2024-07-01
SELECT *
FROM (SELECT st.region, st.store_id, date_trunc('month', s.day_id)::date AS month, sum(s.amount) AS amount,
             rank() OVER (PARTITION BY st.region, date_trunc('month', s.day_id) ORDER BY sum(s.amount) DESC, st.store_id) AS place
      FROM retail.sales s JOIN retail.store st USING (store_id)
      WHERE s.day_id >= :month AND s.day_id < date :month + interval '6 months'
      GROUP BY st.region, st.store_id, date_trunc('month', s.day_id)) AS r
WHERE place <= 5 ORDER BY region, month, place;

-- name: return_rate
-- param: month month 2023-01-01..2024-04-01
-- param: reason pick does not fit|broken|changed mind|late
SELECT p.category, count(r.return_id) AS returns, count(*) AS sales, sum(r.amount) AS returned
FROM retail.sales s JOIN retail.product p USING (product_id)
     LEFT JOIN retail.returns r ON r.sale_id = s.sale_id AND r.reason = :reason
WHERE s.day_id >= :month AND s.day_id < date :month + interval '9 months'
GROUP BY p.category ORDER BY returns DESC, p.category;

-- name: cohort
-- param: year int 2015..2023
-- param: region int 1..8
SELECT date_trunc('quarter', c.signup_day)::date AS cohort, date_trunc('month', s.day_id)::date AS month,
       count(DISTINCT s.customer_id) AS active, sum(s.amount) AS amount
FROM retail.customer c JOIN retail.sales s USING (customer_id)
WHERE c.signup_day >= make_date(:year, 1, 1) AND c.signup_day < make_date(:year + 2, 1, 1) AND c.region <> 'region ' || :region
GROUP BY 1, 2 ORDER BY cohort, month;

-- name: lost_customers
-- param: month month 2023-07-01..2024-12-01
-- param: segment pick premium|business|family|student
SELECT c.city, count(*) AS customers, sum(before.amount) AS amount
FROM (SELECT customer_id, sum(amount) AS amount FROM retail.sales
      WHERE day_id >= date :month - interval '6 months' AND day_id < :month GROUP BY customer_id) AS before
     JOIN retail.customer c USING (customer_id)
WHERE c.segment = :segment
  AND NOT EXISTS (SELECT FROM retail.sales s WHERE s.customer_id = before.customer_id AND s.day_id >= :month
                  AND s.day_id < date :month + interval '2 months')
GROUP BY c.city ORDER BY amount DESC, c.city LIMIT 30;

-- name: price_sensitivity
-- param: month month 2023-01-01..2024-01-01
-- param: department int 1..12
SELECT p.brand, width_bucket(s.discount::numeric / (s.amount + s.discount), 0, 0.5, 5) AS discounted, sum(s.quantity) AS pieces,
       count(DISTINCT s.basket_id) AS baskets
FROM retail.sales s JOIN retail.product p USING (product_id)
WHERE p.department = 'department ' || :department AND s.day_id >= :month
GROUP BY p.brand, discounted ORDER BY p.brand, discounted;

-- name: channel_switchers
-- param: month month 2023-01-01..2024-07-01
WITH used AS (
	SELECT customer_id, channel, sum(amount) AS amount, min(day_id) AS first_day
	FROM retail.sales WHERE day_id >= :month AND day_id < date :month + interval '6 months'
	GROUP BY customer_id, channel
)
SELECT a.channel AS first_channel, b.channel AS then_channel, count(*) AS customers, sum(b.amount) AS amount
FROM used a JOIN used b ON b.customer_id = a.customer_id AND b.channel <> a.channel AND b.first_day > a.first_day
GROUP BY a.channel, b.channel ORDER BY customers DESC, first_channel, then_channel;

-- name: running_total
-- param: region int 1..8
-- param: month month 2023-01-01..2024-01-01
SELECT product_id, day_id, total
FROM (SELECT s.product_id, s.day_id, sum(s.amount) OVER (PARTITION BY s.product_id ORDER BY s.day_id, s.sale_id) AS total,
             row_number() OVER (PARTITION BY s.product_id ORDER BY s.day_id DESC, s.sale_id DESC) AS back
      FROM retail.sales s JOIN retail.store st USING (store_id)
      WHERE st.region = 'region ' || :region AND s.day_id >= :month AND s.day_id < date :month + interval '12 months') AS t
WHERE back = 1 ORDER BY total DESC, product_id LIMIT 40;

-- name: returned_after_season
-- param: day date 2024-01-01..2024-11-01
SELECT c.segment, p.department, count(*) AS returns, sum(r.amount) AS amount, count(DISTINCT s.basket_id) AS baskets
FROM retail.returns r
     JOIN retail.sales s ON s.sale_id = r.sale_id
     JOIN retail.customer c ON c.customer_id = r.customer_id
     JOIN retail.product p ON p.product_id = r.product_id
WHERE r.day_id >= :day AND r.day_id < date :day + 60
GROUP BY c.segment, p.department ORDER BY amount DESC, segment, department LIMIT 40;

-- name: city_product_mix
-- param: month month 2023-01-01..2024-10-01
SELECT c.city, p.department, sum(s.amount) AS amount, count(DISTINCT s.product_id) AS products
FROM retail.sales s JOIN retail.customer c USING (customer_id) JOIN retail.product p USING (product_id)
WHERE s.day_id >= :month AND s.day_id < date :month + interval '3 months'
GROUP BY GROUPING SETS ((c.city, p.department), (c.city), (p.department))
ORDER BY amount DESC, c.city, p.department LIMIT 100;
