-- Jobs. They write only temporary tables, so they can run anywhere and at any time. The format is described in
-- ../../retail/templates/dashboards.sql.

-- name: build_features
-- serial
-- param: month month 2024-01-01..2024-09-01
CREATE TEMP TABLE person_features ON COMMIT DROP AS
SELECT e.person_id, count(*) AS events, count(DISTINCT e.session) AS sessions, sum(e.duration_ms) AS spent,
       count(*) FILTER (WHERE e.kind = 'share') AS shares, max(e.happened) AS last
FROM social.event e WHERE e.happened >= :month AND e.happened < date :month + interval '4 months'
GROUP BY e.person_id;

-- name: export_edges
-- serial
-- param: closeness int 1..8
CREATE TEMP TABLE edges ON COMMIT DROP AS
SELECT f.person_id, f.friend_id, p.place_id = q.place_id AS is_near, f.closeness
FROM social.friendship f JOIN social.person p ON p.person_id = f.person_id JOIN social.person q ON q.person_id = f.friend_id
WHERE f.closeness > 0.1 * :closeness ORDER BY f.closeness DESC;
