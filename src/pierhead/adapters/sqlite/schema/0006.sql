-- Rules of the configuration that have tags written once whatever the write policy: JSON, empty for none.
ALTER TABLE repositories ADD COLUMN once TEXT NOT NULL DEFAULT '';
