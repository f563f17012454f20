-- A social network: tables only. Run by psql in an empty database, before load.sql.
--
-- As unlike the retail star as can be: a graph (friendships, both directions stored, few persons with very many), trees (messages
-- that answer messages), many-to-many (tags), semi-structured attributes (jsonb), wide text, arrays, and a log partitioned by
-- month. load.sql declares the keys when the data are there, but for the partitioned log.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

DROP SCHEMA IF EXISTS social CASCADE;
CREATE SCHEMA social;
SET search_path = social;

-- Sizes, read for the domains of template parameters (`@persons`).
CREATE TABLE size (name text PRIMARY KEY, value bigint NOT NULL);

CREATE TABLE place (
	place_id int PRIMARY KEY,
	part_of int,  -- city, country, continent
	kind text NOT NULL,
	name text NOT NULL
);

CREATE TABLE person (
	person_id bigint PRIMARY KEY,
	handle text NOT NULL,
	full_name text NOT NULL,
	place_id int NOT NULL,
	born date,
	joined timestamptz NOT NULL,
	attributes jsonb NOT NULL,  -- language, device, interests, settings; not all persons have all
	bio text
);

CREATE TABLE friendship (
	person_id bigint NOT NULL,
	friend_id bigint NOT NULL,
	since timestamptz NOT NULL,
	closeness real NOT NULL,
	PRIMARY KEY (person_id, friend_id)
);

CREATE TABLE tag (
	tag_id int PRIMARY KEY,
	name text NOT NULL,
	class text NOT NULL
);

CREATE TABLE message (
	message_id bigint PRIMARY KEY,
	answers_to bigint,  -- NULL where a thread begins
	author_id bigint NOT NULL,
	written timestamptz NOT NULL,
	language char(2) NOT NULL,
	likes int NOT NULL,
	is_deleted boolean NOT NULL,
	content text NOT NULL
);

CREATE TABLE message_tag (
	message_id bigint NOT NULL,
	tag_id int NOT NULL,
	PRIMARY KEY (message_id, tag_id)
);

CREATE TABLE interest (
	person_id bigint NOT NULL,
	tag_id int NOT NULL,
	weight double precision NOT NULL,
	PRIMARY KEY (person_id, tag_id)
);

CREATE TABLE event (
	event_id bigint NOT NULL,
	happened timestamptz NOT NULL,
	person_id bigint NOT NULL,
	kind text NOT NULL,
	message_id bigint,
	session uuid NOT NULL,
	duration_ms int,
	details jsonb
) PARTITION BY RANGE (happened);

SELECT format('CREATE TABLE event_%s PARTITION OF event FOR VALUES FROM (%L) TO (%L)', to_char(first, 'YYYY_MM'), first, first + interval
       '1 month')
FROM generate_series(timestamp '2024-01-01', timestamp '2024-12-01', interval '1 month') AS first \gexec
