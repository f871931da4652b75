"""Pierhead: a container registry manager in one program."""

__version__ = "0.1.0"
