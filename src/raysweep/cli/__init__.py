"""The command line: one file a command, one place that turns an error into a message and an exit code."""
