"""From a profile to everything that will happen, resolved."""
