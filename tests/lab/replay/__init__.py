"""Tools of the API tests: a served lab without packets, and a small client of its own signing."""
