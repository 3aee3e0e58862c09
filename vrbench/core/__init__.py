"""The pure core: standard library only; no clock, no file, no socket, no randomness of its own."""
