-- Version 4: sessions of people in browsers, sign-ons that were used, and logins of the command line on their way.
-- id is the SHA-256 of what the cookie holds, so that this table lets nobody in. stamp changes with the account's password.
CREATE TABLE sessions (
    id BLOB PRIMARY KEY,
    account TEXT NOT NULL,
    stamp BLOB NOT NULL,
    through TEXT NOT NULL,
    created INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_account ON sessions (account, created);
CREATE INDEX sessions_by_end ON sessions (expires);

-- What may be used once: the random part of the state of a sign-on.
CREATE TABLE spent (mark BLOB PRIMARY KEY, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX spent_by_end ON spent (until);

-- Whose account it is that somebody has who comes by single sign-on: the provider's name for them never changes.
CREATE TABLE sign_on_people (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    account TEXT NOT NULL UNIQUE,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;

-- Command lines that wait for somebody to approve them in a browser. id and code are the SHA-256 of what the command line
-- and what the person holds.
CREATE TABLE device_logins (
    id BLOB PRIMARY KEY,
    code BLOB NOT NULL UNIQUE,
    machine TEXT NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    polled INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('asked', 'approved', 'refused')),
    account TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX device_logins_by_end ON device_logins (expires);
