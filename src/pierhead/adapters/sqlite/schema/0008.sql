-- When content was last pulled, by what was handed out and under which tag ("" for a digest). days is a ring of one byte a
-- day: how often, at most 255.
CREATE TABLE pulls (
    image_id INTEGER NOT NULL REFERENCES images (id),
    digest BLOB NOT NULL,
    tag TEXT NOT NULL,
    last INTEGER NOT NULL,
    days BLOB NOT NULL,
    PRIMARY KEY (image_id, digest, tag)
) STRICT, WITHOUT ROWID;
