"""Virtual machines and their volumes."""
