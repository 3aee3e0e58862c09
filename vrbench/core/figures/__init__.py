"""Outage windows, downtimes and what is made of them over streams, directions and trials."""
