-- Fills the social schema: psql -v scale=1 -f load.sql (about 300 MB). Each value is arithmetic on a hash of its row number, so
-- the same scale gives the same data on every machine.
--
-- Why planners err on it: the number of friends follows a power law and popular persons are friends of each other; language
-- follows the place; the likes and the answers of a message follow its author; tags follow the language; what is in jsonb has no
-- statistics.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET search_path = social, public;
SET timezone = 'UTC';
SET synchronous_commit = off;
SET maintenance_work_mem = '128MB';

-- A uniform number in [0, 1) that depends on nothing but its arguments.
CREATE FUNCTION u(n bigint, salt bigint) RETURNS float8
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN (hashint8extended(n, salt) & 4294967295)::float8 / 4294967296.0;

CREATE FUNCTION word(n bigint, salt bigint) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN (ARRAY['about','again','apple','beach','bread','cloud','coffee','dance','dream','early','earth','evening','family',
	              'friend','garden','green','happy','house','island','jazz','kitchen','light','market','morning','mountain','music',
	              'never','night','ocean','paper','people','photo','quiet','rain','river','school','silver','song','spring','story',
	              'street','summer','table','ticket','train','travel','tree','village','voice','water','weekend','window','winter',
	              'wonder','yellow'])[1 + floor(55 * power(u(n, salt), 1.5))::int];

CREATE FUNCTION place_of_person(n bigint) RETURNS int
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 57 + floor(1200 * power(u(n, 1), 3.0))::int;

INSERT INTO size VALUES
	('persons', greatest((:scale * 40000)::bigint, 1000)),
	('messages', greatest((:scale * 380000)::bigint, 5000)),
	('events', greatest((:scale * 550000)::bigint, 5000)),
	('tags', 2000);

-- 6 continents, 50 countries, 1200 cities.
INSERT INTO place
SELECT n, CASE WHEN n > 56 THEN 7 + (n * 7) % 50 WHEN n > 6 THEN 1 + n % 6 END,
       CASE WHEN n > 56 THEN 'city' WHEN n > 6 THEN 'country' ELSE 'continent' END, initcap(word(n, 2)) || ' ' || n
FROM generate_series(1, 1256) AS n;

INSERT INTO tag
SELECT n, word(n, 3) || '_' || n, (ARRAY['person','place','art','sport','science','food','politics','other'])[1 + floor(8 * power(u(n, 4),
       2))::int]
FROM generate_series(1, 2000) AS n;

INSERT INTO person
SELECT n, word(n, 5) || n, initcap(word(n, 6)) || ' ' || initcap(word(n, 7)) || ' ' || chr(65 + (n % 26)::int), place_id,
       CASE WHEN u(n, 8) < 0.85 THEN date '1950-01-01' + floor(21000 * sqrt(u(n, 9)))::int END,
       timestamptz '2018-01-01' + interval '1 second' * floor(190000000 * (n::float8 / value)),
       jsonb_strip_nulls(jsonb_build_object(
           'language', (ARRAY['en','es','zh','hi','fr','de','pt'])[1 + place_id % 7],
           'device', (ARRAY['phone','phone','phone','tablet','desktop'])[1 + floor(5 * u(n, 10))::int],
           'premium', CASE WHEN u(n, 11) < 0.07 THEN true END,
           'score', floor(1000 * power(u(n, 12), 3)),
           'interests', jsonb_build_array(word(n, 13), word(n, 14), word(n, 15)))),
       CASE WHEN u(n, 16) < 0.6 THEN rpad(word(n, 17) || ' ' || word(n, 18), 10 + floor(300 * power(u(n, 19), 2))::int, ' ' ||
              md5(n::text)) END
FROM (SELECT n, value, place_of_person(n) AS place_id FROM size, generate_series(1, value) AS n WHERE name = 'persons' OFFSET 0) AS p;

-- Half of the friends live near (a near number), half are anybody, popular persons (low numbers) first.
CREATE TEMP TABLE half AS
SELECT DISTINCT least(a, b) AS a, greatest(a, b) AS b
FROM (SELECT a, CASE WHEN u(n, 21) < 0.5 THEN 1 + (a + floor(60 * power(u(n, 22), 2))::bigint) % persons
                     ELSE 1 + floor(persons * power(u(n, 22), 2.4))::bigint END AS b
      FROM (SELECT n, value AS persons, 1 + floor(value * power(u(n, 20), 1.8))::bigint AS a
            FROM size, generate_series(1, value * 7) AS n WHERE name = 'persons' OFFSET 0) AS x) AS y
WHERE a <> b;

INSERT INTO friendship
SELECT a, b, timestamptz '2019-01-01' + interval '1 second' * floor(180000000 * u(a * 1000003 + b, 23)), u(a * 1000003 + b, 24)::real FROM
       half
UNION ALL
SELECT b, a, timestamptz '2019-01-01' + interval '1 second' * floor(180000000 * u(a * 1000003 + b, 23)), u(a * 1000003 + b, 24)::real FROM
       half;
DROP TABLE half;

-- A third begin a thread; the others answer one that is not much older, mostly one of few (multiples of 50).
INSERT INTO message
SELECT n, CASE WHEN u(n, 30) > 0.33 AND n > 200
               THEN CASE WHEN u(n, 31) < 0.3 THEN ((n - 1) / 50) * 50 - CASE WHEN n % 50 = 0 THEN 50 ELSE 0 END
                         ELSE n - 1 - floor(150 * power(u(n, 32), 2))::bigint END END,
       author, timestamptz '2023-06-01' + interval '1 second' * floor(50000000 * (n::float8 / messages)),
       (ARRAY['en','es','zh','hi','fr','de','pt'])[1 + CASE WHEN u(n, 33) < 0.9 THEN place_of_person(author) % 7 ELSE 0 END],
       floor(exp(9 * power(u(n, 34), 3)) / (1 + author / 400))::int, u(n, 35) < 0.02,
       rpad(word(n, 36) || ' ' || word(n, 37) || ' ' || word(n, 38) || ' ' || word(n, 39), 24 + floor(500 * power(u(n, 40), 4))::int,
            ' ' || word(n, 41) || ' ' || md5(n::text))
FROM (SELECT n, messages, 1 + floor(persons * power(u(n, 42), 2.2))::bigint AS author
      FROM (SELECT max(value) FILTER (WHERE name = 'messages') AS messages, max(value) FILTER (WHERE name = 'persons') AS persons FROM
             size) AS s,
           generate_series(1, messages) AS n OFFSET 0) AS m;

INSERT INTO message_tag
SELECT DISTINCT message_id, 1 + (CASE language WHEN 'en' THEN 0 WHEN 'es' THEN 250 ELSE 500 END
                                 + floor(1500 * power(u(message_id * 4 + i, 50), 3.0))::int) % 2000
FROM message, generate_series(1, 3) AS i WHERE u(message_id * 4 + i, 51) < 0.5;

INSERT INTO interest
SELECT DISTINCT ON (1, 2) person_id, 1 + floor(2000 * power(u(person_id * 16 + i, 52), 2.0))::int, u(person_id * 16 + i, 53)
FROM person, generate_series(1, 8) AS i WHERE u(person_id * 16 + i, 54) < 0.6
ORDER BY 1, 2;

-- A session is some events of one person in a row; duration belongs to some kinds only.
INSERT INTO event
SELECT n, timestamptz '2024-01-01' + interval '1 second' * floor(31500000 * (n::float8 / events)), person_id, kind,
       CASE WHEN kind IN ('read', 'like', 'share') THEN 1 + floor(messages * (1 - power(u(n, 60), 2.0)))::bigint END, md5(s::text)::uuid,
       CASE WHEN kind IN ('read', 'video') THEN floor(exp(4 + 8 * u(n, 61)))::int END,
       CASE WHEN u(n, 62) < 0.4 THEN jsonb_build_object('page', word(n, 63), 'x', n % 100, 'experiment', CASE WHEN n % 3 = 0 THEN 'b' ELSE
              'a' END) END
FROM (SELECT n, s, events, messages, 1 + floor(persons * power(u(s, 64), 1.8))::bigint AS person_id,
             (ARRAY['read','read','read','read','like','like','share','login','video','search'])[1 + floor(10 * power(u(n, 65),
                    1.3))::int] AS kind
      FROM (SELECT n, n / 6 AS s, events, messages, persons
            FROM (SELECT max(value) FILTER (WHERE name = 'events') AS events, max(value) FILTER (WHERE name = 'messages') AS messages,
                         max(value) FILTER (WHERE name = 'persons') AS persons FROM size) AS z, generate_series(1, events) AS n OFFSET 0)
                                AS x
      OFFSET 0) AS y;

CREATE INDEX ON person (place_id);
CREATE INDEX ON person USING gin (attributes jsonb_path_ops);
CREATE INDEX ON friendship (friend_id);
CREATE INDEX ON message (author_id, written);
CREATE INDEX ON message (answers_to);
CREATE INDEX ON message USING brin (written);
CREATE INDEX ON message_tag (tag_id);
CREATE INDEX ON interest (tag_id);
CREATE INDEX ON event (person_id, happened);
CREATE INDEX ON event (message_id) WHERE message_id IS NOT NULL;
-- NOT VALID: the data are right by construction, and checking each row takes longer than making it.
ALTER TABLE place ADD FOREIGN KEY (part_of) REFERENCES place NOT VALID;
ALTER TABLE person ADD FOREIGN KEY (place_id) REFERENCES place NOT VALID;
ALTER TABLE friendship ADD FOREIGN KEY (person_id) REFERENCES person NOT VALID;
ALTER TABLE friendship ADD FOREIGN KEY (friend_id) REFERENCES person NOT VALID;
ALTER TABLE message ADD FOREIGN KEY (answers_to) REFERENCES message NOT VALID;
ALTER TABLE message ADD FOREIGN KEY (author_id) REFERENCES person NOT VALID;
ALTER TABLE message_tag ADD FOREIGN KEY (message_id) REFERENCES message NOT VALID;
ALTER TABLE message_tag ADD FOREIGN KEY (tag_id) REFERENCES tag NOT VALID;
ALTER TABLE interest ADD FOREIGN KEY (person_id) REFERENCES person NOT VALID;
ALTER TABLE interest ADD FOREIGN KEY (tag_id) REFERENCES tag NOT VALID;
VACUUM ANALYZE size, place, person, friendship, tag, message, message_tag, interest, event;
CHECKPOINT;
