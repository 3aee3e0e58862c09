"""What a run made, on disk before it is made: its lines, and what they come to."""
