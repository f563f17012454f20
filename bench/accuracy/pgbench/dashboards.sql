-- pgbench's own tables, looked at in small pieces. The format is that of bench/retail/templates/dashboards.sql.

-- name: accounts_in_range
-- param: low int 1..@accounts
SELECT aid, abalance FROM pgbench_accounts WHERE aid BETWEEN :low AND :low + 20000 AND abalance > 0 ORDER BY abalance DESC LIMIT 20;

-- name: branch_total
-- param: branch int 1..@branches
SELECT b.bid, b.bbalance, (SELECT sum(t.tbalance) FROM pgbench_tellers t WHERE t.bid = b.bid) AS tellers,
       (SELECT count(*) FROM pgbench_history h WHERE h.bid = b.bid) AS payments
FROM pgbench_branches b WHERE b.bid = :branch;

-- name: account_with_history
-- param: account int 1..@accounts skew 2.5
SELECT a.aid, a.abalance, count(h.aid) AS payments, sum(h.delta) AS delta
FROM pgbench_accounts a LEFT JOIN pgbench_history h ON h.aid = a.aid WHERE a.aid = :account GROUP BY a.aid, a.abalance;

-- name: teller_day
-- param: teller int 1..@tellers
-- param: day date 2024-01-02..2024-11-01
SELECT h.tid, count(*), sum(h.delta) FROM pgbench_history h
WHERE h.tid = :teller AND h.mtime >= :day AND h.mtime < date :day + 7 GROUP BY h.tid;
