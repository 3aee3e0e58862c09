"""One run, from its plan to its outcome; knows ports and adapters, and nothing of the command line."""
