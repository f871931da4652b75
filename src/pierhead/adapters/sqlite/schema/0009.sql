-- Version 9: what was taken away can be brought back, and when content was last pulled.
-- The event that ended an interval of a tag; null for those that stand, and for those that ended before this version.
ALTER TABLE tags ADD COLUMN ended INTEGER;
CREATE INDEX tags_ended ON tags (image_id, until) WHERE until IS NOT NULL;

-- Manifests that were taken from an image and are kept for a while, with everything below them. root = 1 for what was
-- deleted itself, 0 for what went with it.
CREATE TABLE trash (
    image_id INTEGER NOT NULL REFERENCES images (id),
    manifest_id INTEGER NOT NULL REFERENCES manifests (id),
    deleted INTEGER NOT NULL,
    event INTEGER NOT NULL,
    root INTEGER NOT NULL,
    PRIMARY KEY (image_id, manifest_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX trash_by_manifest ON trash (manifest_id);
CREATE INDEX trash_by_age ON trash (deleted);

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

-- Expiry asks whether a stage holds a digest.
CREATE INDEX pointers_by_digest ON pointers (digest) WHERE until IS NULL;
-- And whether a cluster runs it.
CREATE INDEX running_by_digest ON running_images (digest) WHERE digest IS NOT NULL;
