"""One black-box file per promise, named after it: the program as a process, real clients, real sockets."""
