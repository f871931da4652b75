-- What clients keep in place of a password. Only SHA-256 of a token is here: it has 256 random bits, so it needs no salt.
CREATE TABLE refresh_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    mark BLOB NOT NULL UNIQUE,
    account TEXT NOT NULL,
    client TEXT NOT NULL,
    made INTEGER NOT NULL,
    used INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT;
CREATE INDEX refresh_tokens_by_account ON refresh_tokens (account, id);
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (until);
