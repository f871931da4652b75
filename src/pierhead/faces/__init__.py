"""Protocols towards clients: they translate, nothing more."""
