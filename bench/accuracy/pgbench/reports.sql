-- Analytical queries over pgbench's own tables. The format is that of bench/retail/templates/dashboards.sql.

-- name: balances_by_branch
SELECT bid, count(*), sum(abalance), max(abalance) FROM pgbench_accounts GROUP BY bid ORDER BY bid;

-- name: rich_accounts_of_branches
-- param: first int 1..@branches
-- param: balance int 1000..90000
SELECT a.bid, count(*) AS accounts, avg(a.abalance)::int AS mean
FROM pgbench_accounts a JOIN pgbench_branches b USING (bid)
WHERE a.bid BETWEEN :first AND :first + 8 AND a.abalance > :balance GROUP BY a.bid ORDER BY accounts DESC;

-- name: paying_accounts
-- param: day date 2024-01-02..2024-10-01
-- param: days int 5..120
SELECT a.bid, count(DISTINCT a.aid) AS accounts, sum(h.delta) AS paid
FROM pgbench_history h JOIN pgbench_accounts a USING (aid)
WHERE h.mtime >= :day AND h.mtime < date :day + :days GROUP BY a.bid ORDER BY paid DESC LIMIT 10;

-- name: busiest_accounts
-- param: least int 1..20
SELECT aid, count(*) AS payments, sum(delta) AS paid FROM pgbench_history GROUP BY aid HAVING count(*) > :least ORDER BY payments DESC, aid
LIMIT 100;

-- name: running_totals
-- param: branch int 1..@branches
SELECT max(total) FROM (SELECT sum(delta) OVER (PARTITION BY aid ORDER BY mtime) AS total FROM pgbench_history WHERE bid >= :branch) AS t;

-- name: same_balance
-- param: low int 1..90000
SELECT count(*) FROM pgbench_accounts a JOIN pgbench_accounts b ON a.abalance = b.abalance AND a.aid < b.aid
WHERE a.abalance BETWEEN :low AND :low + 2000 AND b.abalance BETWEEN :low AND :low + 2000;

-- name: distinct_fillers
-- param: low int 1..@accounts
SELECT count(DISTINCT abalance), count(DISTINCT aid % 977) FROM pgbench_accounts WHERE aid > :low;

-- name: accounts_without_payment
-- param: bid int 1..@branches
SELECT count(*) FROM pgbench_accounts a WHERE a.bid = :bid AND NOT EXISTS (SELECT FROM pgbench_history h WHERE h.aid = a.aid);

-- name: tellers_ranked
-- param: day date 2024-01-02..2024-10-01
SELECT t.tid, t.bid, rank() OVER (PARTITION BY t.bid ORDER BY sum(h.delta) DESC) AS place
FROM pgbench_tellers t JOIN pgbench_history h USING (tid) WHERE h.mtime >= :day GROUP BY t.tid, t.bid ORDER BY place, t.tid LIMIT 50;

-- name: days_of_account_groups
-- param: groups int 10..100000
SELECT aid % :groups AS part, date_trunc('day', mtime) AS day, sum(delta) AS paid FROM pgbench_history GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10;

-- name: top_accounts
-- param: low int 1..@accounts
-- param: rows int 10..5000
SELECT * FROM pgbench_accounts WHERE aid > :low ORDER BY abalance DESC, aid LIMIT :rows;
