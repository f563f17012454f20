-- The retail star schema: tables only. Run by psql in an empty database, before load.sql; see ../README.md.
--
-- Facts: sales (partitioned by quarter) and returns (one table). Dimensions: store, product, customer, day. The schema staging holds
-- what ETL jobs write; no query reads it, so ETL never changes an answer. Autovacuum is off on the facts: their statistics stay as
-- old as load.sql leaves them. Money is in cents, so sums do not depend on the order of addition.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

DROP SCHEMA IF EXISTS retail CASCADE;
DROP SCHEMA IF EXISTS staging CASCADE;
CREATE SCHEMA retail;
CREATE SCHEMA staging;
SET search_path = retail;

-- Sizes, read by the driver for the domains of template parameters (`@customers`).
CREATE TABLE size (name text PRIMARY KEY, value bigint NOT NULL);

CREATE TABLE day (
	day_id date PRIMARY KEY,
	year int NOT NULL,
	quarter int NOT NULL,
	month int NOT NULL,
	week int NOT NULL,
	day_of_week int NOT NULL,
	is_holiday boolean NOT NULL
);

CREATE TABLE store (
	store_id int PRIMARY KEY,
	city text NOT NULL,
	region text NOT NULL,
	format text NOT NULL,
	floor_area int NOT NULL
);

CREATE TABLE product (
	product_id int PRIMARY KEY,
	name text NOT NULL,
	brand text NOT NULL,
	category text NOT NULL,
	department text NOT NULL,
	price int NOT NULL,
	cost int NOT NULL
);

CREATE TABLE customer (
	customer_id int PRIMARY KEY,
	email text NOT NULL,
	city text NOT NULL,
	region text NOT NULL,
	segment text NOT NULL,
	birth_year int NOT NULL,
	signup_day date NOT NULL
);

CREATE TABLE sales (
	sale_id bigint NOT NULL,
	basket_id bigint NOT NULL,
	day_id date NOT NULL,
	store_id int NOT NULL,
	product_id int NOT NULL,
	customer_id int NOT NULL,
	amount int NOT NULL,
	discount int NOT NULL,
	quantity smallint NOT NULL,
	channel text NOT NULL
) PARTITION BY RANGE (day_id);

SELECT format('CREATE TABLE sales_%s PARTITION OF sales FOR VALUES FROM (%L) TO (%L) WITH (autovacuum_enabled = off)',
              to_char(first, 'YYYY"q"Q'), first::date, (first + interval '3 months')::date)
FROM generate_series(timestamp '2023-01-01', timestamp '2024-10-01', interval '3 months') AS first \gexec

CREATE TABLE returns (
	return_id bigint NOT NULL,
	sale_id bigint NOT NULL,
	day_id date NOT NULL,
	store_id int NOT NULL,
	product_id int NOT NULL,
	customer_id int NOT NULL,
	amount int NOT NULL,
	reason text NOT NULL
) WITH (autovacuum_enabled = off);
