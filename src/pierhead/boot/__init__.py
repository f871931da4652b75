"""From a configuration file to a running program: wiring, ports, drain."""
