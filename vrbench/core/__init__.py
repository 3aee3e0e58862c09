"""The pure core: standard library and numpy only; no clock, no file, no socket, no randomness of its own."""
