"""Raw logs: their format, and what became of each slot."""
