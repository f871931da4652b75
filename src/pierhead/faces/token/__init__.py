"""Where clients of the distribution API get bearer tokens."""
