"""What ``pierhead lint`` looks for in files of a project, each kind of file in a module of its own."""
