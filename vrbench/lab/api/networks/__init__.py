"""Isolated networks, and the tiers of VPCs."""
