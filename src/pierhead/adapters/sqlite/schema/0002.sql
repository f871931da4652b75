-- Version 2: accounts, roles and access tokens that were made over REST, and when secrets were used.
-- Names of accounts stand in the other tables as they are: accounts of the configuration file have no row.
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('person', 'service')),
    password_hash TEXT,
    roles TEXT NOT NULL,
    disabled INTEGER NOT NULL,
    created INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    version INTEGER NOT NULL
) STRICT;

CREATE TABLE roles (
    name TEXT PRIMARY KEY,
    rules TEXT NOT NULL,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- hash = SHA-256(secret). origin is where the account came from when the token was made: it is no other account's.
CREATE TABLE access_tokens (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    origin TEXT NOT NULL,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    rules TEXT,
    created INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires INTEGER,
    revoked INTEGER,
    last_used INTEGER,
    last_address TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX access_tokens_by_account ON access_tokens (account, created);
CREATE UNIQUE INDEX access_tokens_named ON access_tokens (account, name) WHERE revoked IS NULL;

-- fingerprint tells two secrets of one kind apart and reveals neither.
CREATE TABLE last_uses (
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (account, kind, fingerprint)
) STRICT, WITHOUT ROWID;
