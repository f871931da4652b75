"""Images whole, carried between servers and files: found, sent where they are missing, never half there under a tag."""
