"""The command line: parse, wire adapters, print, exit."""
