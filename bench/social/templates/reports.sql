-- What analysts of the network ask. The format is described in ../../retail/templates/dashboards.sql.

-- name: reach
-- param: person int 1..@persons skew 1.2
-- param: closeness int 3..9
WITH RECURSIVE reach AS (
	SELECT friend_id AS person_id, 1 AS depth FROM social.friendship WHERE person_id = :person
	UNION
	SELECT f.friend_id, r.depth + 1 FROM reach r JOIN social.friendship f USING (person_id)
	WHERE r.depth < 3 AND f.closeness > 0.1 * :closeness
)
SELECT depth, count(*) AS persons, count(DISTINCT p.place_id) AS places
FROM (SELECT person_id, min(depth) AS depth FROM reach GROUP BY person_id) AS r JOIN social.person p USING (person_id)
GROUP BY depth ORDER BY depth;

-- name: friends_of_friends
-- param: low int 1..@persons
SELECT a.person_id, b.friend_id AS candidate, count(*) AS common, sum(a.closeness * b.closeness) AS strength
FROM social.friendship a JOIN social.friendship b ON b.person_id = a.friend_id AND b.friend_id <> a.person_id
WHERE a.person_id BETWEEN :low AND :low + 300
  AND NOT EXISTS (SELECT FROM social.friendship d WHERE d.person_id = a.person_id AND d.friend_id = b.friend_id)
GROUP BY a.person_id, b.friend_id ORDER BY common DESC, strength DESC, a.person_id, candidate LIMIT 100;

-- name: triangles
-- param: closeness int 5..9
SELECT p.place_id, count(*) AS triangles
FROM social.friendship a
     JOIN social.friendship b ON b.person_id = a.friend_id AND b.friend_id > a.friend_id
     JOIN social.friendship c ON c.person_id = b.friend_id AND c.friend_id = a.person_id
     JOIN social.person p ON p.person_id = a.person_id
WHERE a.friend_id > a.person_id AND a.closeness > 0.1 * :closeness AND b.closeness > 0.5
GROUP BY p.place_id ORDER BY triangles DESC, p.place_id LIMIT 30;

-- name: silent_persons
-- param: since date 2023-08-01..2024-10-01
SELECT l.name, count(*) AS persons, percentile_cont(0.5) WITHIN GROUP (ORDER BY date_part('year', p.born)) AS median_birth
FROM social.person p JOIN social.place c USING (place_id) JOIN social.place l ON l.place_id = c.part_of
WHERE NOT EXISTS (SELECT FROM social.message m WHERE m.author_id = p.person_id AND m.written >= :since)
GROUP BY l.name ORDER BY persons DESC, l.name;

-- name: sessions_with_gaps
-- param: month month 2024-01-01..2024-10-01
-- param: minutes int 5..500 skew 2
SELECT kind, width_bucket(extract(epoch FROM gap)::numeric, 0, 1000000, 10) AS bucket, count(*) AS events
FROM (SELECT kind, happened - lag(happened) OVER (PARTITION BY person_id ORDER BY happened, event_id) AS gap
      FROM social.event WHERE happened >= :month AND happened < date :month + interval '3 months') AS e
WHERE gap > :minutes * interval '1 minute' GROUP BY kind, bucket ORDER BY kind, bucket;

-- name: running_activity
-- param: kind pick read|like|share|video|search
SELECT week, sum(total) AS total, max(running) AS peak
FROM (SELECT date_trunc('week', happened) AS week, person_id, count(*) AS total,
             sum(count(*)) OVER (PARTITION BY person_id ORDER BY date_trunc('week', happened) ROWS 7 PRECEDING) AS running
      FROM social.event WHERE kind = :kind GROUP BY 1, 2) AS w
GROUP BY week ORDER BY week;

-- name: experiment
-- param: month month 2024-01-01..2024-11-01
SELECT details ->> 'experiment' AS variant, details ->> 'page' AS page, count(*) AS events, count(DISTINCT person_id) AS persons,
       avg((details ->> 'x')::int) AS x, percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY duration_ms) AS durations
FROM social.event WHERE details IS NOT NULL AND happened >= :month AND happened < date :month + interval '2 months'
GROUP BY 1, 2 ORDER BY events DESC, variant, page LIMIT 50;

-- name: interests_by_country
-- param: kind pick phone|tablet|desktop
SELECT l.name, i.word, count(*) AS persons, jsonb_object_agg(p.person_id, p.attributes -> 'score')
           FILTER (WHERE p.attributes ? 'premium') IS NOT NULL AS has_premium
FROM social.person p
     CROSS JOIN LATERAL jsonb_array_elements_text(p.attributes -> 'interests') AS i(word)
     JOIN social.place c USING (place_id) JOIN social.place l ON l.place_id = c.part_of
WHERE p.attributes ->> 'device' = :kind
GROUP BY l.name, i.word ORDER BY persons DESC, l.name, i.word LIMIT 60;

-- name: distinct_contents
-- param: language pick en|es|zh|hi|fr|de|pt
SELECT count(*) AS messages, sum(length(content)) AS bytes
FROM (SELECT DISTINCT content, author_id FROM social.message WHERE language <> :language) AS d;

-- name: wide_sort
-- param: likes int 0..50
SELECT count(*) AS messages, max(place) AS last
FROM (SELECT m.content, p.bio, p.attributes, row_number() OVER (ORDER BY m.content, m.message_id) AS place
      FROM social.message m JOIN social.person p ON p.person_id = m.author_id WHERE m.likes >= :likes) AS s
WHERE bio IS NOT NULL;

-- name: tag_pairs
-- param: class pick person|place|art|sport|science|food|politics
-- param: since date 2023-06-01..2024-09-01
SELECT x.name AS tag, y.name AS other, count(*) AS messages
FROM social.message m
     JOIN social.message_tag a USING (message_id) JOIN social.tag x ON x.tag_id = a.tag_id
     JOIN social.message_tag b ON b.message_id = a.message_id AND b.tag_id > a.tag_id JOIN social.tag y ON y.tag_id = b.tag_id
WHERE x.class = :class AND m.written >= :since
GROUP BY x.name, y.name ORDER BY messages DESC, tag, other LIMIT 40;

-- name: trending_tags
-- param: day date 2023-07-15..2024-12-01
SELECT t.name, count(*) FILTER (WHERE m.written >= :day) AS now, count(*) FILTER (WHERE m.written < :day) AS before
FROM social.message m JOIN social.message_tag mt USING (message_id) JOIN social.tag t USING (tag_id)
WHERE m.written >= date :day - 30 AND m.written < date :day + 30
GROUP BY t.name HAVING count(*) FILTER (WHERE m.written >= :day) > count(*) FILTER (WHERE m.written < :day)
ORDER BY now DESC, t.name LIMIT 50;

-- name: answers_to_friends
-- param: language pick en|es|zh|hi|fr|de|pt
SELECT count(*) AS answers, count(f.since) AS to_friends, avg(a.likes) AS likes
FROM social.message a JOIN social.message q ON q.message_id = a.answers_to
     LEFT JOIN social.friendship f ON f.person_id = a.author_id AND f.friend_id = q.author_id
WHERE q.language = :language AND a.author_id <> q.author_id;

-- name: unanswered
-- param: likes int 1..200 skew 2
-- param: month month 2023-06-01..2024-10-01
SELECT m.language, count(*) AS messages, sum(m.likes) AS likes
FROM social.message m LEFT JOIN social.message a ON a.answers_to = m.message_id
WHERE a.message_id IS NULL AND m.likes >= :likes AND m.written >= :month
GROUP BY m.language ORDER BY messages DESC, m.language;

-- name: influence
-- param: class pick person|place|art|sport|science|food|politics|other
WITH written AS MATERIALIZED (
	SELECT m.author_id, t.tag_id, count(*) AS messages, sum(m.likes) AS likes
	FROM social.message m JOIN social.message_tag t USING (message_id) GROUP BY m.author_id, t.tag_id
)
SELECT w.author_id, count(*) AS tags, sum(w.likes) AS likes, max(i.weight) AS interest
FROM written w JOIN social.tag t USING (tag_id) LEFT JOIN social.interest i ON i.person_id = w.author_id AND i.tag_id = w.tag_id
WHERE t.class = :class AND w.likes > (SELECT 3 * avg(likes) FROM written)
GROUP BY w.author_id ORDER BY likes DESC, w.author_id LIMIT 50;

-- name: common_interests
-- param: tag int 1..@tags skew 3
SELECT j.tag_id, count(*) AS persons, sum(i.weight * j.weight) AS strength
FROM social.interest i JOIN social.interest j ON j.person_id = i.person_id AND j.tag_id <> i.tag_id
WHERE i.tag_id BETWEEN :tag AND :tag + 100
GROUP BY j.tag_id ORDER BY strength DESC, j.tag_id LIMIT 30;

-- name: readers_by_level
-- param: kind pick read|like|share
-- param: month month 2024-01-01..2024-11-01
SELECT c.kind AS level, c.name, e.kind, count(*) AS events, count(DISTINCT e.person_id) AS readers
FROM social.event e JOIN social.message m USING (message_id) JOIN social.person p ON p.person_id = m.author_id
     JOIN social.place s ON s.place_id = p.place_id JOIN social.place c ON c.place_id IN (s.part_of, s.place_id)
WHERE e.kind = :kind AND e.happened >= :month AND e.happened < date :month + interval '2 months'
GROUP BY GROUPING SETS ((c.kind, c.name, e.kind), (c.kind, e.kind), ()) ORDER BY events DESC, c.name LIMIT 60;

-- name: active_both
-- param: month month 2024-01-01..2024-06-01
SELECT count(*) AS persons
FROM (SELECT person_id FROM social.event WHERE kind = 'share' AND happened >= :month AND happened < date :month + interval '3 months'
      INTERSECT
      SELECT author_id FROM social.message WHERE written >= :month AND likes > 10
      EXCEPT
      SELECT person_id FROM social.interest WHERE weight > 0.9) AS x;

-- name: bios
-- param: letter pick a|c|m|s|w
SELECT left(p.handle, 2) AS prefix, count(*) AS persons, length(string_agg(p.bio, '; ' ORDER BY p.joined)) AS length
FROM social.person p WHERE p.bio LIKE '%' || :letter || '%' GROUP BY prefix ORDER BY persons DESC, prefix;
