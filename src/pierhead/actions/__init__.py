"""One file per verb of a client or a person."""
