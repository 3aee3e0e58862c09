"""Benches: slow measurements with public tools beside ours. Each is a command; CI runs a short form of each."""
