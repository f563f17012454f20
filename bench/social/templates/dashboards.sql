-- What a screen of the network asks: one person, one thread, one tag. The format is described in ../../retail/templates/dashboards.sql;
-- `@persons` and the like are looked up in social.size.

-- name: profile
-- param: person int 1..@persons skew 1.8
SELECT p.handle, p.full_name, c.name AS city, l.name AS country, p.attributes ->> 'language' AS language,
       (SELECT count(*) FROM social.friendship f WHERE f.person_id = p.person_id) AS friends,
       (SELECT count(*) FROM social.message m WHERE m.author_id = p.person_id AND NOT m.is_deleted) AS messages
FROM social.person p JOIN social.place c USING (place_id) JOIN social.place l ON l.place_id = c.part_of
WHERE p.person_id = :person;

-- name: newsfeed
-- param: person int 1..@persons skew 1.8
-- param: before date 2023-09-01..2024-12-30
SELECT m.message_id, f.friend_id, m.written, m.likes, left(m.content, 80) AS beginning
FROM social.friendship f
     CROSS JOIN LATERAL (SELECT * FROM social.message m WHERE m.author_id = f.friend_id AND m.written < :before
                         ORDER BY m.written DESC LIMIT 5) AS m
WHERE f.person_id = :person ORDER BY m.written DESC, m.message_id LIMIT 30;

-- name: thread
-- param: root int 1..@messages
WITH RECURSIVE thread AS (
	SELECT message_id, author_id, 0 AS depth FROM social.message WHERE message_id = :root / 50 * 50 + 50
	UNION ALL
	SELECT m.message_id, m.author_id, t.depth + 1 FROM thread t JOIN social.message m ON m.answers_to = t.message_id WHERE t.depth < 8
)
SELECT depth, count(*) AS messages, count(DISTINCT author_id) AS authors FROM thread GROUP BY depth ORDER BY depth;

-- name: mutual_friends
-- param: one int 1..@persons skew 2
-- param: other int 1..@persons skew 2
SELECT p.person_id, p.handle, a.closeness + b.closeness AS closeness
FROM social.friendship a JOIN social.friendship b USING (friend_id) JOIN social.person p ON p.person_id = a.friend_id
WHERE a.person_id = :one AND b.person_id = :other ORDER BY closeness DESC, p.person_id LIMIT 20;

-- name: last_sessions
-- param: person int 1..@persons skew 1.8
SELECT session, min(happened) AS began, count(*) AS events, sum(duration_ms) AS spent, array_agg(DISTINCT kind) AS kinds
FROM social.event WHERE person_id = :person
GROUP BY session ORDER BY began DESC, session LIMIT 10;

-- name: tag_page
-- param: tag int 1..@tags skew 3
-- param: language pick en|es|zh|hi|fr|de|pt
SELECT m.message_id, m.likes, p.handle
FROM social.message_tag t JOIN social.message m USING (message_id) JOIN social.person p ON p.person_id = m.author_id
WHERE t.tag_id = :tag AND m.language = :language AND NOT m.is_deleted
ORDER BY m.likes DESC, m.message_id LIMIT 20;

-- name: people_search
-- param: device pick phone|tablet|desktop
-- param: word pick jazz|coffee|mountain|rain|yellow|ticket
SELECT p.person_id, p.handle, p.attributes -> 'interests' AS interests
FROM social.person p
WHERE p.attributes @> jsonb_build_object('device', :device, 'premium', true) AND p.attributes -> 'interests' ? :word
ORDER BY (p.attributes ->> 'score')::int DESC, p.person_id LIMIT 25;
