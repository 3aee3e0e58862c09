"""CloudStack: the one door to the API, and what vrbench builds, operates and removes through it."""
