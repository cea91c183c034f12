"""The command line: parse, call, print, exit status; one command a file, imported when it is called."""
