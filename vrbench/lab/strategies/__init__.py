"""How a router is replaced: one small file per design."""
