"""Accounts, and what belongs to one: limits, tags, events, key pairs, user data."""
