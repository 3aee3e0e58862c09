"""Faults of the management server that somebody asked for."""
