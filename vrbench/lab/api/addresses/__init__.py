"""Public addresses."""
