"""Real servers and clients for tests: on free loopback ports, in folders of their own, stopped by process id."""
