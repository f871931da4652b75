"""Pierhead beside docker-registry and nginx, in one run: ratios, not absolute times, since machines differ."""
