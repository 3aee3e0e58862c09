"""What exists in the zone, and what it is made of at first: entities, built-in objects, settings, errors."""
