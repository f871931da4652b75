"""Rules of the house as tests. Each says why it is one."""
