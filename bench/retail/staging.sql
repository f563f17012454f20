-- The tables that ETL jobs write, emptied. Run before each phase, so that every system starts from the same state.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS staging CASCADE;
CREATE SCHEMA staging;

CREATE TABLE staging.basket_pair (month date, product_a int, product_b int, baskets bigint);
CREATE TABLE staging.customer_month (month date, customer_id int, purchases bigint, amount bigint, products bigint);
CREATE TABLE staging.customer_value (customer_id int PRIMARY KEY, region text NOT NULL, amount bigint NOT NULL DEFAULT 0,
                                     last_day date);
INSERT INTO staging.customer_value (customer_id, region) SELECT customer_id, region FROM retail.customer;
VACUUM ANALYZE staging.customer_value;
