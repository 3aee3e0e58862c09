"""Known outages beside measured ones."""
