-- Version 3: the record is searched by who, what and where. An index on a column of this table holds its rows in the order
-- of seq by itself, and instants need no index: they never go back, so a search for one halves the numbers.
CREATE INDEX events_by_account ON events (account);
CREATE INDEX events_by_kind ON events (kind);
-- From the body, which the chain covers: a column of its own could be changed without anybody noticing.
CREATE INDEX events_by_repository ON events (body ->> '$.repository');
CREATE INDEX events_by_image_name ON events (body ->> '$.image');
