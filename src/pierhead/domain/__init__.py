"""Pure rules of a registry: no library but the one that values are written with, no clock, no I/O, no async."""
