"""Pure rules of a registry: standard library only, no clock, no I/O, no async."""
