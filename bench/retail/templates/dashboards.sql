-- Dashboards: a tile of a screen, one store, product, customer or day. Most of the queries, little of the work.
--
-- A template starts with `-- name: NAME`; `-- param: NAME int A..B [skew K]`, `date A..B`, `month A..B` (first days of months) or
-- `pick X|Y|Z` give the domain of each :NAME. `@customers` and the like are looked up in retail.size. Skew K raises a uniform number
-- to the power K, as the data does.

-- name: store_today
-- param: store int 1..240 skew 2
-- param: day date 2023-02-01..2024-12-30
SELECT channel, count(*) AS sales, sum(amount) AS amount, sum(discount) AS discount, count(DISTINCT basket_id) AS baskets
FROM retail.sales WHERE store_id = :store AND day_id = :day
GROUP BY channel ORDER BY channel;

-- name: store_week
-- param: store int 1..240 skew 2
-- param: day date 2023-02-01..2024-12-22
SELECT day_id, sum(amount) AS amount, sum(quantity) AS pieces, count(DISTINCT customer_id) AS customers
FROM retail.sales WHERE store_id = :store AND day_id BETWEEN :day AND date :day + 6
GROUP BY day_id ORDER BY day_id;

-- name: store_month_by_department
-- param: store int 1..240 skew 2
-- param: month month 2023-01-01..2024-12-01
SELECT p.department, sum(s.amount) AS amount, sum(s.amount - s.quantity * p.cost) AS margin
FROM retail.sales s JOIN retail.product p USING (product_id)
WHERE s.store_id = :store AND s.day_id >= :month AND s.day_id < date :month + interval '1 month'
GROUP BY p.department ORDER BY amount DESC, department;

-- name: city_week
-- param: city int 1..60 skew 2
-- param: day date 2023-02-01..2024-12-22
SELECT st.format, count(*) AS sales, sum(s.amount) AS amount
FROM retail.sales s JOIN retail.store st USING (store_id)
WHERE st.city = 'city ' || :city AND s.day_id BETWEEN :day AND date :day + 6
GROUP BY st.format ORDER BY st.format;

-- name: customer_profile
-- param: customer int 1..@customers skew 1.7
SELECT c.email, c.segment, count(*) AS purchases, sum(s.amount) AS amount, max(s.day_id) AS last_day
FROM retail.customer c JOIN retail.sales s USING (customer_id)
WHERE c.customer_id = :customer
GROUP BY c.email, c.segment;

-- name: customer_last_baskets
-- param: customer int 1..@customers skew 1.7
SELECT s.basket_id, s.day_id, sum(s.amount) AS amount, count(*) AS lines, min(p.department) AS department
FROM retail.sales s JOIN retail.product p USING (product_id)
WHERE s.customer_id = :customer
GROUP BY s.basket_id, s.day_id ORDER BY s.day_id DESC, s.basket_id DESC LIMIT 20;

-- name: customer_returns
-- param: customer int 1..@customers skew 1.7
SELECT r.day_id, r.reason, p.name, r.amount
FROM retail.returns r JOIN retail.product p USING (product_id)
WHERE r.customer_id = :customer ORDER BY r.day_id DESC, r.return_id LIMIT 50;

-- name: product_month
-- param: product int 1..@products skew 2.2
-- param: month month 2023-01-01..2024-12-01
SELECT day_id, sum(quantity) AS pieces, sum(amount) AS amount
FROM retail.sales
WHERE product_id = :product AND day_id >= :month AND day_id < date :month + interval '1 month'
GROUP BY day_id ORDER BY day_id;

-- name: product_returns
-- param: product int 1..@products skew 2.2
SELECT reason, count(*) AS returns, sum(amount) AS amount
FROM retail.returns WHERE product_id = :product
GROUP BY reason ORDER BY returns DESC, reason;

-- name: product_by_city
-- param: product int 1..@products skew 2.2
SELECT st.city, sum(s.quantity) AS pieces, sum(s.amount) AS amount
FROM retail.sales s JOIN retail.store st USING (store_id)
WHERE s.product_id = :product AND s.day_id >= date '2024-01-01'
GROUP BY st.city ORDER BY pieces DESC, st.city LIMIT 10;

-- name: returns_of_week
-- param: day date 2023-02-01..2024-12-22
SELECT r.reason, p.department, count(*) AS returns, sum(r.amount) AS amount
FROM retail.returns r JOIN retail.product p USING (product_id)
WHERE r.day_id BETWEEN :day AND date :day + 6
GROUP BY r.reason, p.department ORDER BY returns DESC, reason, department LIMIT 20;

-- name: brand_search
-- param: department int 1..12
-- param: category int 1..6 skew 1.5
SELECT brand, count(*) AS products, min(price) AS cheapest, max(price) AS dearest, sum(price - cost) AS margin
FROM retail.product WHERE category = 'category ' || :department || '-' || :category
GROUP BY brand ORDER BY brand;

-- name: segment_size
-- param: region int 1..8
-- param: year int 1940..2004
SELECT segment, count(*) AS customers, max(signup_day) AS newest
FROM retail.customer WHERE region = 'region ' || :region AND birth_year BETWEEN :year AND :year + 9
GROUP BY segment ORDER BY segment;

-- name: top_products_of_store
-- param: store int 1..240 skew 2
-- param: month month 2023-01-01..2024-12-01
SELECT p.name, p.brand, sum(s.quantity) AS pieces, rank() OVER (ORDER BY sum(s.amount) DESC, p.name) AS place
FROM retail.sales s JOIN retail.product p USING (product_id)
WHERE s.store_id = :store AND s.day_id >= :month AND s.day_id < date :month + interval '1 month'
GROUP BY p.name, p.brand ORDER BY place LIMIT 10;

-- name: region_month
-- param: region int 1..8
-- param: month month 2023-01-01..2024-12-01
SELECT st.city, sum(s.amount) AS amount, sum(s.quantity) AS pieces, count(*) AS sales
FROM retail.sales s JOIN retail.store st USING (store_id)
WHERE st.region = 'region ' || :region AND s.day_id >= :month AND s.day_id < date :month + interval '1 month'
GROUP BY st.city ORDER BY amount DESC, st.city;

-- name: department_day
-- param: day date 2023-02-01..2024-12-30
SELECT p.department, count(*) AS sales, sum(s.amount) AS amount, sum(s.discount) AS discount
FROM retail.sales s JOIN retail.product p USING (product_id)
WHERE s.day_id = :day GROUP BY p.department ORDER BY p.department;
