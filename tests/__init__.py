"""Tests of Pierhead. A package, so that no other top-level package called `tests` can stand in its place."""
