"""What the journal names, found again and removed."""
