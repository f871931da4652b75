-- Version 1. Instants are microseconds since 1970 (UTC); digests are raw bytes, 32 for sha256, 64 for sha512.
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE repositories (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    write_policy TEXT NOT NULL
) STRICT;

CREATE TABLE images (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    name TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX images_by_name ON images (repository_id, name);

-- state: 0 absent, 1 live, 2 condemned, 3 deleting. Small blobs carry their bytes in the row.
CREATE TABLE blobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    state INTEGER NOT NULL,
    generation TEXT NOT NULL,
    verified INTEGER NOT NULL,
    body BLOB
) STRICT;
CREATE INDEX blobs_leaving ON blobs (state, id) WHERE state > 1;

CREATE TABLE blob_links (
    image_id INTEGER NOT NULL REFERENCES images (id),
    blob_id INTEGER NOT NULL REFERENCES blobs (id),
    created INTEGER NOT NULL,
    PRIMARY KEY (image_id, blob_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_links_by_blob ON blob_links (blob_id, image_id);

CREATE TABLE leases (
    blob_id INTEGER NOT NULL REFERENCES blobs (id),
    image_id INTEGER NOT NULL REFERENCES images (id),
    until INTEGER NOT NULL,
    PRIMARY KEY (blob_id, image_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE manifests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    media_type TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    subject BLOB,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE manifest_bodies (manifest_id INTEGER PRIMARY KEY REFERENCES manifests (id), body BLOB NOT NULL) STRICT;

CREATE TABLE manifest_links (
    image_id INTEGER NOT NULL REFERENCES images (id),
    manifest_id INTEGER NOT NULL REFERENCES manifests (id),
    created INTEGER NOT NULL,
    PRIMARY KEY (image_id, manifest_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_links_by_manifest ON manifest_links (manifest_id, image_id);

CREATE TABLE manifest_blobs (
    manifest_id INTEGER NOT NULL REFERENCES manifests (id),
    blob_id INTEGER NOT NULL REFERENCES blobs (id),
    PRIMARY KEY (manifest_id, blob_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_blobs_by_blob ON manifest_blobs (blob_id, manifest_id);

-- Children are named by digest: a cached index comes before its manifests.
CREATE TABLE manifest_children (
    manifest_id INTEGER NOT NULL REFERENCES manifests (id),
    child BLOB NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (manifest_id, child)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_children_by_child ON manifest_children (child, manifest_id);

-- A tag is a row for each interval in which it pointed at one manifest. Rows with once = 1 stay in their index when they
-- are closed, so one insert is refused by an open tag and by a spent one alike.
CREATE TABLE tags (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    image_id INTEGER NOT NULL REFERENCES images (id),
    name TEXT NOT NULL,
    manifest_id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER CHECK (until >= since),
    once INTEGER NOT NULL,
    account TEXT NOT NULL,
    event INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX tags_open ON tags (image_id, name) WHERE until IS NULL;
CREATE UNIQUE INDEX tags_once ON tags (image_id, name) WHERE once = 1;
CREATE INDEX tags_closed ON tags (image_id, name, since) WHERE until IS NOT NULL;
CREATE INDEX tags_latest ON tags (image_id, since) WHERE until IS NULL;
CREATE INDEX tags_by_manifest ON tags (image_id, manifest_id, name) WHERE until IS NULL;

-- The subject may not be there yet.
CREATE TABLE referrers (
    image_id INTEGER NOT NULL REFERENCES images (id),
    subject BLOB NOT NULL,
    artifact_type TEXT NOT NULL,
    manifest_id INTEGER NOT NULL REFERENCES manifests (id),
    PRIMARY KEY (image_id, subject, artifact_type, manifest_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX referrers_in_order ON referrers (image_id, subject, manifest_id);
CREATE INDEX referrers_by_manifest ON referrers (manifest_id, image_id);

CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    image TEXT NOT NULL,
    account TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    created INTEGER NOT NULL,
    digest BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_open ON uploads (account) WHERE digest IS NULL;
CREATE INDEX uploads_by_age ON uploads (created);

CREATE TABLE cache_entries (
    image_id INTEGER NOT NULL REFERENCES images (id),
    tag TEXT NOT NULL,
    digest BLOB NOT NULL,
    checked INTEGER NOT NULL,
    PRIMARY KEY (image_id, tag)
) STRICT, WITHOUT ROWID;

CREATE TABLE gc_queue (blob_id INTEGER PRIMARY KEY REFERENCES blobs (id), review INTEGER NOT NULL) STRICT;
CREATE INDEX gc_queue_by_review ON gc_queue (review);

CREATE TABLE job_leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- hash = SHA-256(hash of the row before, seq, at, kind, account, image, body): a row that is changed or taken out shows.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    image_id INTEGER,
    body TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE INDEX events_by_image ON events (image_id, seq) WHERE image_id IS NOT NULL;
