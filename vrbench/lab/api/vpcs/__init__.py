"""VPCs and their access lists."""
