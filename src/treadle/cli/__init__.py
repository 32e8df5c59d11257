"""The command line: one module a command, errors in one line, documented exit codes."""
