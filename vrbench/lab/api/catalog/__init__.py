"""What the zone offers: offerings, templates, hosts, storage."""
