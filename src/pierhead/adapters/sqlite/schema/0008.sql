-- What clusters run, as they reported it last: a list is replaced whole. stage is '' for the last one; repository and
-- image are '' for what is not from here.
CREATE TABLE running_clusters (
    cluster TEXT PRIMARY KEY,
    stage TEXT NOT NULL,
    reported INTEGER NOT NULL,
    account TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE running_images (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    cluster TEXT NOT NULL REFERENCES running_clusters (cluster),
    reference TEXT NOT NULL,
    repository TEXT NOT NULL,
    image TEXT NOT NULL,
    tag TEXT NOT NULL,
    digest BLOB,
    namespace TEXT NOT NULL,
    workload TEXT NOT NULL,
    container TEXT NOT NULL,
    count INTEGER NOT NULL
) STRICT;
CREATE INDEX running_by_cluster ON running_images (cluster, id);
CREATE INDEX running_by_image ON running_images (image, cluster, id) WHERE image<>'';
