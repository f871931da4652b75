-- Version 7: promotions, who approved them, and what each stage holds now.
-- kind says how it came about, such as 'promotion', 'back', 'copy' or 'suffix'; stages are their names of that day. tags is
-- a list in JSON, told an object: gates with their verdicts, counts, who through what. asked is a hash over the request.
CREATE TABLE promotions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'rejected', 'expired')),
    source_id INTEGER NOT NULL REFERENCES images (id),
    target_id INTEGER NOT NULL REFERENCES images (id),
    source_stage TEXT NOT NULL,
    target_stage TEXT NOT NULL,
    digest BLOB NOT NULL,
    tags TEXT NOT NULL,
    account TEXT NOT NULL,
    key TEXT,
    asked BLOB NOT NULL,
    requested INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    ended INTEGER,
    follow INTEGER NOT NULL,
    before BLOB,
    told TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX promotions_by_key ON promotions (account, key) WHERE key IS NOT NULL;
CREATE UNIQUE INDEX promotions_waiting ON promotions (target_id, digest, tags) WHERE state = 'waiting';
CREATE INDEX promotions_due ON promotions (expires) WHERE state = 'waiting';
CREATE INDEX promotions_by_target ON promotions (target_id, digest, id);

CREATE TABLE promotion_votes (
    promotion_id INTEGER NOT NULL REFERENCES promotions (id),
    account TEXT NOT NULL,
    at INTEGER NOT NULL,
    approved INTEGER NOT NULL,
    comment TEXT NOT NULL,
    PRIMARY KEY (promotion_id, account)
) STRICT, WITHOUT ROWID;

-- What an image of a stage is now: a row for each interval, as of tags. The open one stands in an index of its own.
CREATE TABLE pointers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    image_id INTEGER NOT NULL REFERENCES images (id),
    manifest_id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    tag TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER CHECK (until >= since),
    account TEXT NOT NULL,
    promotion_id INTEGER NOT NULL REFERENCES promotions (id)
) STRICT;
CREATE UNIQUE INDEX pointers_now ON pointers (image_id) WHERE until IS NULL;
CREATE INDEX pointers_by_image ON pointers (image_id, since);

-- What is attached to subject in the one image goes to the other as well, from when it was promoted there.
CREATE TABLE followed (
    source_id INTEGER NOT NULL REFERENCES images (id),
    subject BLOB NOT NULL,
    target_id INTEGER NOT NULL REFERENCES images (id),
    promotion_id INTEGER NOT NULL REFERENCES promotions (id),
    PRIMARY KEY (source_id, subject, target_id)
) STRICT, WITHOUT ROWID;
